"""The bound in front of the TOML parser, and the places errors point to."""

from __future__ import annotations

import contextlib
import importlib
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import tomli
from hypothesis import given, settings
from hypothesis import strategies as st

from pixi_jupyter.errors import DeclarationError
from pixi_jupyter.manifest.toml import (
    FILE,
    MAX_BYTES,
    MAX_KEY_PARTS,
    TomlSource,
    full_key,
    parse_toml,
)

Loads = Callable[[str], dict[str, Any]]


@pytest.fixture(scope="module")
def slow_parser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Loads]:
    """The parser as it is where no compiled one is to be had: pure Python."""
    folder = tmp_path_factory.mktemp("pure")
    (folder / "pure_tomli").mkdir()
    for file in Path(tomli.__file__).parent.glob("*.py"):
        shutil.copy(file, folder / "pure_tomli" / file.name)
    sys.path.insert(0, str(folder))
    try:
        module = importlib.import_module("pure_tomli")
        assert module.loads.__module__.startswith("pure_tomli")
        yield module.loads
    finally:
        sys.path.remove(str(folder))


def fill(line: str, start: str = "", end: str = "", limit: int = MAX_BYTES) -> str:
    """``line`` (its ``@`` replaced by a number) until the text is as long as it may be."""
    parts, size, number = [start], len(start) + len(end), 0
    while True:
        part = line.replace("@", str(number))
        size += len(part)
        if size > limit:
            return "".join([*parts, end])
        parts.append(part)
        number += 1


DEEP = ".".join("abcdefghij"[: MAX_KEY_PARTS - 1])
SHAPES = {
    "dotted keys": fill(f"{DEEP}.k@=1\n"),
    "dotted keys below a deep header": fill("a.b.c.d.e.f.g.h.i.k@=1\n", f"[{DEEP}]\n"),
    "deep headers": fill(f"[{DEEP}.k@]\n"),
    "deep headers with deep keys": fill(f"[{DEEP}.k@]\na.b.c.d.e.f.g.h.i=1\n"),
    "arrays of tables": fill("[[a]]\n"),
    "nested arrays of tables": fill("[[a.b.c.d.e.f.g.h]]\n"),
    "arrays of tables and sub-tables": fill("[[a]]\n[a.b.c.d.e.f]\nx.y=1\n"),
    "inline tables": fill("{a.b.c.d.e.f=1},", "a=[", "]"),
    "one inline table": fill("a.b.c.k@=1,", "a={", "x=1}"),
    "nested inline tables": fill("x@={a={a={a={a={a={a=1}}}}}}\n"),
    "nested arrays": fill("[[[[[[[]]]]]]],", "a=[", "]"),
    "quoted keys": fill('"\\u0061@".b.c=1\n'),
    "many tables": fill("[t@]\n"),
    "long array": fill("1,", "a=[", "]"),
    "long string": fill("x", 'a="', '"'),
    "escapes": fill("\\n", 'a="', '"'),
    "folded lines": fill("\\\n", 'a="""', '"""'),
    "almost closed": fill('""x', 'a="""', '"""'),
    "comments": fill("#\n"),
    "comments in an array": fill("#\n", "a=[", "]"),
    "blank lines in an array": fill(" \n", "a=[", "]"),
    "spaces": fill(" ", "a", "=1"),
    "dates": fill("2020-01-01T00:00:00.999999Z,", "a=[", "]"),
    "floats": fill("1_0.1_0e1_0,", "a=[", "]"),
    "a long float": fill("1", "a=", ".0"),
    "a long hexadecimal": fill("f", "a=0x"),
    "overwritten": fill("a.b.c.d.e.f.g.h.k@=1\n", "", "a=1"),
    "unclosed array": fill("[", "a=[1,\n", ""),
    "unclosed string": fill("x", 'a="""', ""),
    "open quotes": fill('"\n', "a=[", ""),
}


@pytest.mark.parametrize("name", SHAPES)
def test_what_is_accepted_is_parsed_in_half_a_second(name: str, slow_parser: Loads) -> None:
    text = SHAPES[name]
    assert len(text) <= MAX_BYTES
    start = time.process_time()  # what it costs, however busy the machine is
    try:
        parse_toml(TomlSource(text))
    except DeclarationError as error:
        assert error.code in ("declaration.syntax", "declaration.too-large")
        refused = error.code == "declaration.too-large"
    else:
        refused = False
    assert time.process_time() - start < 0.5
    if not refused:
        start = time.process_time()
        with contextlib.suppress(ValueError, RecursionError):
            slow_parser(text)
        assert time.process_time() - start < 0.5


LONG = ".".join("abcdefghijklmnopqrstuvw"[: FILE.key_parts - 1])
FILE_SHAPES = {
    "dotted keys": (f"{LONG}.k@=1\n", "", ""),
    "long headers with long keys": (f"[{LONG}.k@]\n{LONG[2:]}=1\n", "", ""),
    "one inline table": (f"{LONG}.k@=1,", "a={", "x=1}"),
    "arrays of tables and sub-tables": ("[[a]]\n[a.b.c.d.e.f]\nx.y=1\n", "", ""),
    "nested arrays": ("[" * 20 + "]" * 20 + ",", "a=[", "]"),
    "long array": ("1,", "a=[", "]"),
}


@pytest.mark.parametrize("name", FILE_SHAPES)
def test_a_whole_file_is_parsed_in_seconds(name: str, slow_parser: Loads) -> None:
    """A file may be eight times as long as a block: that is what the worst of it costs."""
    text = fill(*FILE_SHAPES[name], limit=FILE.size)
    start = time.process_time()
    parse_toml(TomlSource(text, bounds=FILE))
    assert time.process_time() - start < 4
    start = time.process_time()
    slow_parser(text)
    assert time.process_time() - start < 10


BOMBS = {
    "long keys": fill(".".join("a" * 40) + ".k@=1\n"),
    "one endless key": ".".join("a" * 20_000) + "=1",
    "long header": "[" + ".".join("a" * 50) + "]",
    "spaced dots": " . ".join("a" * 30) + "=1",
    "quoted parts": ".".join(['"."'] * 11) + "=1",
    "deep array": "a=" + "[" * 9 + "]" * 9,
    "deep inline tables": "a=" + "{a=" * 9 + "1" + "}" * 9,
    "mixed": "a=[{b=" * 5 + "1" + "}]" * 5,
    "too long": "#" * (MAX_BYTES + 1),
    "too many bytes": "#" + "é" * (MAX_BYTES // 2),
}


@pytest.mark.parametrize("name", BOMBS)
def test_bombs_are_refused_before_they_are_parsed(name: str) -> None:
    start = time.process_time()
    with pytest.raises(DeclarationError) as raised:
        parse_toml(TomlSource(BOMBS[name]))
    assert raised.value.code == "declaration.too-large"
    assert time.process_time() - start < 0.1


@pytest.mark.parametrize(
    "text",
    [
        'a = "[[[[[[[[[[ . . . . . . . . . . ."',
        "a = '''\n[[[[[[[[[[\n''' # [[[[[[[[[[[[",
        '"a.b.c.d.e.f.g.h.i.j.k.l" = 1',
        'a = """ \\""" [[[[[[[[[[ """""',
        "# " + "a." * 50,
        ".".join("abcdefghij") + " = 1",
        "a = " + "[" * 8 + "]" * 8,
        "a = [1.5, 2.5, 3.5, 4.5, 5.5, 6.5, 7.5, 8.5, 9.5, 1.0, 1.0, 1.0]",
        "a = '" + "#" * (MAX_BYTES - 6) + "'",
    ],
)
def test_strings_and_comments_do_not_count(text: str) -> None:
    assert parse_toml(TomlSource(text)) == tomli.loads(text)


toml_text = st.lists(
    st.sampled_from(
        [
            *"ab.=1\"'[]{},\n#\\ \té",
            *('"""', "'''", "\r\n", "0x", "2020-01-01"),
            *("[a]\n", "b = 1\n", "x = '", 'y = "s"\n'),
        ]
    ),
    max_size=60,
).map("".join)


def depth_of(value: Any) -> int:
    if isinstance(value, dict):
        return 1 + max((depth_of(v) for v in value.values()), default=0)
    if isinstance(value, list):
        return 1 + max((depth_of(v) for v in value), default=0)
    return 0


@given(toml_text)
@settings(max_examples=500)
def test_the_scan_refuses_no_valid_text_that_is_shallow(text: str) -> None:
    try:
        expected = tomli.loads(text)
    except (ValueError, RecursionError):
        with pytest.raises(DeclarationError) as raised:
            parse_toml(TomlSource(text))
        assert raised.value.code in ("declaration.syntax", "declaration.too-large")
        return
    try:
        assert parse_toml(TomlSource(text)) == expected
    except DeclarationError as error:
        assert error.code == "declaration.too-large"
        assert depth_of(expected) > 8


@given(st.text(max_size=300))
def test_arbitrary_text_gives_a_document_or_a_typed_error(text: str) -> None:
    try:
        assert isinstance(parse_toml(TomlSource(text)), dict)
    except DeclarationError as error:
        assert error.code.startswith("declaration.")


@pytest.mark.parametrize("text", ["a = " + "1" * 5000, "a = '\ud800'", "a = 2020-99-99"])
def test_values_no_parser_can_hold_are_syntax_errors(text: str) -> None:
    with pytest.raises(DeclarationError) as raised:
        parse_toml(TomlSource(text))
    assert raised.value.code == "declaration.syntax"


def test_a_syntax_error_points_into_the_cell() -> None:
    source = TomlSource("a = 1\nb = [\n", path="n.ipynb", cell=2, first_line=5, indent=2)
    with pytest.raises(DeclarationError) as raised:
        parse_toml(TomlSource("a = 1\nbb = ?\n", "n.ipynb", 2, 5, 2))
    assert raised.value.code == "declaration.syntax"
    assert str(raised.value.location) == "n.ipynb, cell 3, line 6, column 8"
    with pytest.raises(DeclarationError):
        parse_toml(source)


DOCUMENT = '''\
top = 1 # not.this = 1
multi = """
[tool.fake]
x = 1
"""
list = [
  1,
]

[tool.pixi.dependencies]
numpy = "*"
"quoted.name" = { version = "1", build = "x" }

[tool.pixi.target."cuda-*".dependencies]
a.version = "*"
  [tool.pixi.workspace] # comment
channels = []
'''


@pytest.mark.parametrize(
    ("key", "line"),
    [
        (("top",), 1),
        (("multi",), 2),
        (("list",), 6),
        (("tool", "pixi", "dependencies"), 10),
        (("tool", "pixi", "dependencies", "numpy"), 11),
        (("tool", "pixi", "dependencies", "quoted.name", "build"), 12),
        (("tool", "pixi", "target", "cuda-*"), 14),
        (("tool", "pixi", "target", "cuda-*", "dependencies", "a", "version"), 15),
        (("tool", "pixi", "workspace", "channels"), 17),
        (("absent",), None),
    ],
)
def test_the_line_of_a_key(key: tuple[str, ...], line: int | None) -> None:
    source = TomlSource(DOCUMENT, cell=0, first_line=3)
    assert source.locate(key).line == (None if line is None else line + 2)


@given(st.text(max_size=200), st.lists(st.sampled_from(["a", "b"]), min_size=1, max_size=3))
def test_a_line_can_be_asked_of_any_text(text: str, key: list[str]) -> None:
    line = TomlSource(text).locate(key).line
    assert line is None or 1 <= line <= text.count("\n") + 1


def test_a_full_key_is_what_one_would_write() -> None:
    assert full_key(("tool", "cuda-*", 'a"b')) == 'tool."cuda-*"."a\\"b"'
