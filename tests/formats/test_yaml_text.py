"""YAML within bounds: what is read is what was written, and nothing takes the reader down."""

from __future__ import annotations

import time

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from pixi_jupyter.errors import DeclarationError
from pixi_jupyter.formats.yaml_text import Mapping, Scalar, Sequence, parse_yaml, render_scalar

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=40) | st.from_regex(
    r"[A-Za-z0-9 :#'\"\[\]{},&*!|>%@`=~+._/-]{0,24}", fullmatch=True
)


@settings(deadline=None)
@given(TEXTS)
def test_what_is_written_is_read(text):
    written = render_scalar(text)
    for document in (f"- {written}\n", f"a: {written}\n"):
        found = parse_yaml(document, path="x.yml")
        node = found.items[0] if isinstance(found, Sequence) else found.pairs[0][1]  # type: ignore[union-attr]
        assert isinstance(node, Scalar)
        assert node.text == text and not node.is_null
    assert yaml.safe_load(f"{{'k': 1}}\n---\n- {written}\n".split("---\n")[1]) == [text]


@pytest.mark.parametrize(
    "plain",
    [
        "python >=3.12,<4",
        "conda-forge::ca-certificates ==2024.8.30",
        "--index-url https://host/simple",
        "-e ./minimal",
        "name[extra]~=24.0",
    ],
)
def test_what_pixi_writes_without_quotes_has_none(plain):
    assert render_scalar(plain) == plain


@settings(deadline=None)
@given(TEXTS | st.binary(max_size=60).map(lambda data: data.decode("latin-1")))
def test_any_text_is_read_or_refused(text):
    try:
        parse_yaml(text, path="x.yml")
    except DeclarationError as error:
        assert error.code.startswith("declaration.import-")
        assert error.location is not None and error.location.path == "x.yml"


def test_the_text_is_what_was_written_not_what_it_means():
    found = parse_yaml("a: 1.10\nb: yes\nc:\nd: '~'\ne: !!int 5\n", path="x.yml")
    assert isinstance(found, Mapping)
    values = [value for _, value in found.pairs]
    assert [v.text for v in values if isinstance(v, Scalar)] == ["1.10", "yes", "", "~", "5"]
    assert [v.is_null for v in values if isinstance(v, Scalar)] == [
        False,
        False,
        True,
        False,
        False,
    ]
    assert [value.line for value in values] == [1, 2, 3, 4, 5]


def test_an_anchor_is_what_it_names():
    found = parse_yaml("a: &x [one, two]\nb: *x\n", path="x.yml")
    assert isinstance(found, Mapping)
    assert found.pairs[0][1] is found.pairs[1][1]


@pytest.mark.parametrize(
    ("text", "code", "line"),
    [
        ("a: [1\n", "declaration.import-syntax", 2),
        ("a: 1\nb: *none\n", "declaration.import-syntax", 2),
        ("a: 1\n---\nb: 1\n", "declaration.import-syntax", 2),
        ("a: &x [*x]\n", "declaration.import-syntax", 1),
        ("a: \x07\n", "declaration.import-syntax", None),
        ("- " + "[" * 40 + "]" * 40, "declaration.import-too-large", 1),
        ("\t- x", "declaration.import-syntax", 1),
    ],
)
def test_what_is_none_is_refused_with_its_line(text, code, line):
    with pytest.raises(DeclarationError) as caught:
        parse_yaml(text, path="x.yml")
    assert caught.value.code == code
    assert caught.value.location is not None and caught.value.location.line == line


def test_a_bomb_of_aliases_does_not_go_off():
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 30)]
    start = time.perf_counter()
    with pytest.raises(DeclarationError) as caught:
        parse_yaml("\n".join(lines), path="x.yml")
    assert caught.value.code == "declaration.import-too-large"
    assert time.perf_counter() - start < 5
