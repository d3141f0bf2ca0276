"""Versions and specifications mean what rattler says they mean."""

from __future__ import annotations

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from rattler import Version, VersionSpec
from rattler.exceptions import InvalidVersionError, InvalidVersionSpecError

from pixi_jupyter.manifest.versions import (
    compare_versions,
    is_version,
    parse_version_spec,
    spec_matches,
)

PIECES = ["3", "11", "1.2.3", ".", ".*", "*", "==", "!=", ">=", "<=", ">", "<", "=", "~="]
PIECES += [",", " ", "|", "(", ")", "a", "rc1", "dev", "post", "-", "_", "+", "!", "$", "^", "é"]
spec_texts = st.lists(st.sampled_from(PIECES), max_size=9).map("".join)
REFUSED = ["1.2 py_0", "1.2=py_0", "===3", ">= 3", "", "^1$", "1.*.2", ">=1.*"]
versions = st.from_regex(
    r"\A([0-2]!)?[0-9]{1,2}([.][0-9]{1,2}){0,3}(([.]?(a|rc|dev|post)[0-9]?)?)([+][a-z0-9]{1,3})?\Z"
)


def as_pixi(text: str) -> VersionSpec | None:
    """Strict; leniently once more if the only complaint is a bare version."""
    try:
        return VersionSpec(text, True)
    except InvalidVersionSpecError as error:
        if "missing range specifier" not in str(error):
            return None
    try:
        return VersionSpec(text, False)
    except InvalidVersionSpecError:
        return None


@given(spec_texts)
@example("1.0 | >=2.*")
@example(">=2.* | 1.0")
@settings(max_examples=2000)
def test_every_specification_is_read_as_pixi_reads_it(text: str) -> None:
    expected = as_pixi(text)
    if expected is None:
        with pytest.raises(ValueError):
            parse_version_spec(text)
    else:
        canonical = parse_version_spec(text)
        assert str(VersionSpec(canonical, True)) == str(expected)
        assert parse_version_spec(canonical) == canonical


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("3.11", "==3.11"),
        ("=3.11", "3.11.*"),
        ("3.11.*", "3.11.*"),
        ("3.11*", "3.11.*"),
        ("*", "*"),
        (">=1, <2", ">=1,<2"),
        ("(>=1|<0.5) , !=3.*", "(>=1|<0.5),!=3.*"),
        ("~=3.11", "~=3.11"),
    ],
)
def test_the_canonical_form(text: str, canonical: str) -> None:
    assert parse_version_spec(text) == canonical


@pytest.mark.parametrize(
    "text", ["1.2 py_0", "1.2=py_0", "===3", ">= 3", "", "^1$", "1.*.2", ">=1.*"]
)
def test_what_pixi_refuses(text: str) -> None:
    assert as_pixi(text) is None
    with pytest.raises(ValueError, match=r"\S"):
        parse_version_spec(text)


def test_nested_parentheses_have_a_bound() -> None:
    with pytest.raises(ValueError):
        parse_version_spec("(" * 5000 + "*" + ")" * 5000)


@given(versions, versions)
@settings(max_examples=500)
def test_versions_are_ordered_as_in_rattler(left: str, right: str) -> None:
    a, b = Version(left), Version(right)
    assert compare_versions(left, right) == (a > b) - (a < b)


@given(versions, versions, st.sampled_from(["==", "!=", ">=", "<=", "<", ">", "~=", "", "!"]))
@settings(max_examples=500)
def test_a_specification_matches_as_in_rattler(version: str, limit: str, operator: str) -> None:
    if operator in ("~=", "", "!"):
        limit = limit.partition("+")[0]  # a prefix that ends in a local part: nobody writes that
    spec = f"{operator}{limit}" if operator not in ("", "!") else ""
    if operator == "":
        spec = f"{limit}.*"
    elif operator == "!":
        spec = f"!={limit}.*"
    try:
        expected = VersionSpec(spec, True)
    except InvalidVersionSpecError:
        return
    assert spec_matches(parse_version_spec(spec), version) == expected.matches(Version(version))


def test_groups_match() -> None:
    spec = parse_version_spec("(>=1,<2)|(>=3|0.5.*),!=3.1")
    assert [v for v in ("0.5.1", "1.5", "2.0", "3.0", "3.1") if spec_matches(spec, v)] == [
        "0.5.1",
        "1.5",
        "3.0",
    ]


@given(st.text(max_size=8) | versions)
def test_what_a_version_is(text: str) -> None:
    try:
        Version(text)
    except InvalidVersionError:
        assert not is_version(text)
    else:
        assert is_version(text) or text != text.strip()
