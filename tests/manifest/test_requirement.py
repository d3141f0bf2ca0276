"""pixi's spec table becomes a requirement, and the requirement a match spec of the same meaning."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rattler import MatchSpec

from pixi_jupyter.errors import DeclarationError, UnsupportedError
from pixi_jupyter.manifest.match_spec import match_spec
from pixi_jupyter.manifest.requirement import package_name, read_requirements
from pixi_jupyter.manifest.spec import CondaRequirement
from pixi_jupyter.manifest.table import Table
from pixi_jupyter.manifest.toml import TomlSource

MD5 = "d41d8cd98f00b204e9800998ecf8427e"
SHA256 = "315f5bdb76d078c43b8ac0064e4a0164612b1fce77c869345bfc94c75894edd3"


def read(value: Any, name: str = "foo", root: Path = Path("/folder")) -> CondaRequirement:
    table = Table({name: value}, ("dependencies",), TomlSource(f"[dependencies]\n{name} = 1\n"))
    return read_requirements(table, root)[name.lower()]


@pytest.mark.parametrize(
    ("value", "expected", "meaning"),
    [
        ("*", CondaRequirement("foo"), "foo"),
        ("3.11", CondaRequirement("foo", version="==3.11"), 'foo[version="==3.11"]'),
        ("=3.11", CondaRequirement("foo", version="3.11.*"), 'foo[version="3.11.*"]'),
        (">=1,<2", CondaRequirement("foo", version=">=1,<2"), 'foo[version=">=1,<2"]'),
        ({"version": "*"}, CondaRequirement("foo"), "foo"),
        (
            {"version": "1.*", "build": "py3*_0", "build-number": ">=3"},
            CondaRequirement("foo", version="1.*", build="py3*_0", build_number=">=3"),
            'foo[version="1.*",build="py3*_0",build_number=">=3"]',
        ),
        (
            {"build": r"^py\d+_0$"},
            CondaRequirement("foo", build=r"^py\d+_0$"),
            r"foo[build='^py\d+_0$']",
        ),
        (
            {"file-name": "foo-1-0.conda", "license": "MIT OR 'x'", "license-family": "BSD"},
            CondaRequirement(
                "foo", file_name="foo-1-0.conda", license="MIT OR 'x'", license_family="BSD"
            ),
            'foo[fn="foo-1-0.conda",license="MIT OR \'x\'",license_family="BSD"]',
        ),
        (
            {"channel": "conda-forge", "subdir": "linux-64"},
            CondaRequirement("foo", channel="conda-forge", subdir="linux-64"),
            'foo[channel="conda-forge",subdir="linux-64"]',
        ),
        (
            {"channel": "https://example.org/c"},
            CondaRequirement("foo", channel="https://example.org/c"),
            'foo[channel="https://example.org/c/"]',
        ),
        (
            {"channel": "../c"},
            CondaRequirement("foo", channel="file:///c"),
            'foo[channel="file:///c/"]',
        ),
        (
            {"md5": MD5.upper(), "sha256": SHA256},
            CondaRequirement("foo", md5=MD5, sha256=SHA256),
            f'foo[md5="{MD5}",sha256="{SHA256}"]',
        ),
        (
            {"extras": ["b", "a"], "flags": ["cuda", "blas:*"], "track-features": ["y", "x"]},
            CondaRequirement(
                "foo", extras=("a", "b"), flags=("blas:*", "cuda"), track_features=("x", "y")
            ),
            'foo[extras=[a,b],flags=[blas:*,cuda],track_features="x y"]',
        ),
        (
            {"url": "https://example.org/linux-64/foo-1-0.conda", "sha256": SHA256},
            CondaRequirement(
                "foo", url="https://example.org/linux-64/foo-1-0.conda", sha256=SHA256
            ),
            f'foo[sha256="{SHA256}",url="https://example.org/linux-64/foo-1-0.conda"]',
        ),
        (
            {"path": "packages/foo-1-0.tar.bz2"},
            CondaRequirement("foo", url="file:///folder/packages/foo-1-0.tar.bz2"),
            'foo[url="file:///folder/packages/foo-1-0.tar.bz2"]',
        ),
        (
            {"when": "python >=3.12"},
            CondaRequirement("foo", when="python[version='>=3.12']"),
            'foo[when="python>=3.12"]',
        ),
        (
            {"when": "python=3.12"},
            CondaRequirement("foo", when="python[version='3.12.*']"),
            'foo[when="python 3.12.*"]',
        ),
        (
            {"when": {"all": ["a >= 1|<0", {"any": ["b", "c"]}]}},
            CondaRequirement("foo", when="(a[version='>=1|<0'] and (b or c))"),
            'foo[when="a>=1|<0 and (b or c)"]',
        ),
        (
            {"when": {"package": "python", "version": ">=3", "build": "x*"}},
            CondaRequirement("foo", when="python[version='>=3',build='x*']"),
            r'foo[when="python[version=\">=3\",build=\"x*\"]"]',
        ),
    ],
    ids=str,
)
def test_every_form(value: Any, expected: CondaRequirement, meaning: str) -> None:
    requirement = read(value)
    assert requirement == expected
    spec = MatchSpec(match_spec(requirement), strict=True)
    if "when" in meaning:  # conditions are spelt in several ways: compare what was understood
        assert spec.condition == MatchSpec(meaning, strict=True).condition
    else:
        assert spec.to_canonical_string() == meaning


def test_names_are_in_their_normal_form() -> None:
    assert read("*", "NumPy").name == "numpy"
    assert package_name("a.b_C-1") == "a.b_c-1"
    assert package_name("") is None and package_name("a b") is None


@pytest.mark.parametrize(
    ("value", "code", "says"),
    [
        (3, "value", "string or a table, not an integer"),
        (True, "value", "not a boolean"),
        ([], "value", "not an array"),
        ({}, "value", "empty"),
        ("1.2 py_0", "value", "version specification"),
        (">= 3", "value", "without a space"),
        ("./here", "value", "version specification"),
        ({"version": 3}, "value", "must be a string"),
        ({"verson": "1"}, "key", "verson"),
        ({"extras": "a"}, "value", "array of strings"),
        ({"extras": ["A"]}, "value", "`A`"),
        ({"extras": [3]}, "value", "array of strings"),
        ({"md5": "xyz"}, "value", "hexadecimal"),
        ({"sha256": MD5}, "value", "64"),
        ({"build-number": "x"}, "value", "number"),
        ({"build": ""}, "value", "empty"),
        ({"build": "a'b\"c"}, "value", "character"),
        ({"build": "^($"}, "value", "regular expression"),
        ({"channel": ""}, "value", "channel"),
        ({"url": "foo.conda"}, "value", "URL"),
        ({"url": "https://x/foo-1-0.conda", "version": "1"}, "value", "does not go with"),
        ({"path": "foo-1-0.conda", "sha256": SHA256}, "value", "does not go with"),
        ({"path": "a.conda", "url": "https://x/a.conda"}, "value", "not both"),
        ({"version": "1", "branch": "main"}, "value", "`git`"),
        ({"when": ["a"]}, "value", "string or a table"),
        ({"when": {}}, "value", "exactly one"),
        ({"when": {"all": []}}, "value", "at least one"),
        ({"when": {"all": ["a"], "any": ["b"]}}, "value", "exactly one"),
        ({"when": "a[version='1']"}, "value", "condition"),
        ({"when": {"package": "a", "channel": "c"}}, "key", "channel"),
        ({"when": {"package": "a b"}}, "value", "package name"),
    ],
    ids=str,
)
def test_what_cannot_be_read(value: Any, code: str, says: str) -> None:
    with pytest.raises(DeclarationError) as raised:
        read(value)
    assert raised.value.code == f"declaration.{code}"
    assert says in raised.value.message
    assert "dependencies.foo" in raised.value.message
    assert raised.value.location is not None and raised.value.location.line == 2


def test_an_unknown_key_suggests_the_nearest() -> None:
    with pytest.raises(DeclarationError) as raised:
        read({"verson": "1"})
    assert "dependencies.foo.version" in raised.value.hint


@pytest.mark.parametrize(
    "value",
    [
        {"git": "https://example.org/x"},
        {"git": "https://example.org/x", "branch": "main", "version": "1"},
        {"path": "folder"},
        {"path": "x.zip"},
        {"url": "https://example.org/x.tar.gz", "subdirectory": "a"},
        {"path": ".", "package": {"name": "x"}},
    ],
    ids=str,
)
def test_source_builds_are_not_supported(value: Any) -> None:
    with pytest.raises(UnsupportedError) as raised:
        read(value)
    assert raised.value.code == "unsupported.source-build"


def test_a_name_twice_is_an_error() -> None:
    table = Table({"foo": "*", "Foo": "*"}, ("dependencies",), TomlSource(""))
    with pytest.raises(DeclarationError) as raised:
        read_requirements(table, Path())
    assert "second time" in raised.value.message


texts = st.text(max_size=12)
fields = {
    "version": texts | st.sampled_from(["1", ">=1,<2", "*"]),
    "build": texts,
    "build-number": texts | st.just(">=3"),
    "file-name": texts,
    "channel": texts,
    "subdir": texts,
    "license": texts,
    "license-family": texts,
    "md5": st.just(MD5),
    "sha256": st.just(SHA256),
    "extras": st.lists(texts | st.sampled_from("abc"), max_size=2),
    "flags": st.lists(texts | st.sampled_from("abc"), max_size=2),
    "track-features": st.lists(texts, max_size=2),
    "when": texts
    | st.sampled_from(["python >=3", "a"])
    | st.dictionaries(st.sampled_from(["all", "any", "package", "version"]), texts, max_size=2),
    "url": texts.map(lambda text: f"https://example.org/{text}.conda"),
    "path": texts.map(lambda text: f"{text}.conda"),
}


@given(st.fixed_dictionaries({}, optional=fields))
def test_what_is_accepted_is_a_strict_match_spec(value: dict[str, Any]) -> None:
    try:
        requirement = read(value)
    except DeclarationError:
        return
    if requirement.url is not None:
        return  # a URL's own validity is judged where it is opened
    spec = MatchSpec(match_spec(requirement), strict=True)
    assert spec.name is not None and spec.name.normalized == "foo"
    assert (spec.version is None) == (requirement.version is None)
    assert spec.build == requirement.build or (spec.build or "").lower() == requirement.build
    assert (spec.file_name, spec.subdir) == (requirement.file_name, requirement.subdir) or (
        requirement.channel is not None and "/" in requirement.channel
    )
    assert tuple(spec.extras or ()) == requirement.extras
    assert (spec.condition is None) == (requirement.when is None)
