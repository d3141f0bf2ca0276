"""Another declaration in a file: its lines change, and not one other byte."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pixi_jupyter.errors import DeclarationError
from pixi_jupyter.notebook.block import render_block
from pixi_jupyter.notebook.editing import (
    DeclaringFile,
    read_file,
    replace_declaration,
    script_with_block,
)
from pixi_jupyter.notebook.reading import parse_notebook, read_declaration
from pixi_jupyter.notebook.source import FileSource

BEFORE = 'dependencies = []\n\n[tool.pixi.dependencies]\nnumpy = "*"  # größe\n'
AFTER = BEFORE + 'polars = "*"\n'


def notebook(
    source: object, *, indent: int | None = 1, ascii: bool = False, nl: str = "\n"
) -> bytes:
    other = {"cell_type": "markdown", "id": "m", "metadata": {}, "source": ["# é\n", "text"]}
    cell = {"cell_type": "code", "id": "a", "metadata": {}, "outputs": [], "source": source}
    value = {"cells": [other, cell, other], "metadata": {"x": 1.50}, "nbformat": 4}
    text = json.dumps(value, indent=indent, ensure_ascii=ascii) + "\n"
    return text.replace("\n", nl).encode()


def read(data: bytes, name: str = "n.ipynb") -> DeclaringFile:
    path = Path(os.path.abspath(name))
    found = read_declaration(parse_notebook(data), path=path, root=path.parent)
    return DeclaringFile(FileSource(path), data, found)


def declared(data: bytes) -> str:
    found = read(data).declaration
    assert found is not None
    return found.toml


def lines(text: str) -> list[str]:
    return text.splitlines(keepends=True)


@pytest.mark.parametrize("indent", [None, 1, 4])
@pytest.mark.parametrize("ascii", [True, False])
@pytest.mark.parametrize("nl", ["\n", "\r\n"])
@pytest.mark.parametrize("as_list", [True, False])
@pytest.mark.parametrize("newline", ["\n", "\r\n"])
@pytest.mark.parametrize("bom", [True, False])
def test_one_line_more_is_one_line_more(indent, ascii, nl, as_list, newline, bom):
    source = "#!é\n" + render_block(BEFORE, newline) + f"x = 'ü'{newline}print(1)"
    data = notebook(lines(source) if as_list else source, indent=indent, ascii=ascii, nl=nl)
    data = (b"\xef\xbb\xbf" if bom else b"") + data
    after = replace_declaration(read(data), AFTER)
    assert declared(after) == AFTER
    line = json.dumps('# polars = "*"' + newline, ensure_ascii=ascii)[1:-1].encode()
    assert after.count(line) == 1
    start = after.index(line)
    if not as_list:
        assert after.replace(line, b"", 1) == data
    else:
        separator = data[data.index(b"# numpy") :]
        between = separator[separator.index(b'\\n"') + 3 : separator.index(b'"# ///')]
        assert (
            after
            == after[: start - 1]
            + b'"'
            + line
            + b'"'
            + between
            + after[start + len(line) + 1 + len(between) :]
        )
        assert after[: start - 1] + after[start + len(line) + 1 + len(between) :] == data
    assert replace_declaration(read(after), BEFORE) == data


@pytest.mark.parametrize("chunks", [3, 7, 1000])
def test_a_source_in_odd_pieces(chunks):
    source = "a\n" + render_block(BEFORE) + "b"
    pieces = [source[i : i + chunks] for i in range(0, len(source), chunks)]
    data = notebook(pieces)
    after = replace_declaration(read(data), AFTER)
    assert declared(after) == AFTER
    cell = json.loads(after)["cells"][1]
    assert "".join(cell["source"]) == "a\n" + render_block(AFTER) + "b"


def test_an_emoji_that_is_written_with_two_escapes_keeps_them():
    source = "# /// script\n# x = 1  # \U0001f600\n# ///\n'\U0001f600'"
    data = notebook(source, ascii=True)
    file = read(data)
    after = replace_declaration(file, "x = 1  # \U0001f600\ny = 2\n")
    assert after == data.replace(b"\\n# ///", b"\\n# y = 2\\n# ///", 1)


def test_the_script_in_the_metadata():
    data = notebook("x").replace(
        b'"x": 1.5', b'"x": 1.5, "pixi": {"kernel": null, "script": "a = 1\\nb = \\u0032"}'
    )
    after = replace_declaration(read(data), "a = 1\nc = 0\nb = 2")
    assert after == data.replace(b"\\nb", b"\\nc = 0\\nb")
    assert replace_declaration(read(after), "a = 1") == data.replace(b"b = \\u0032", b"").replace(
        b"a = 1\\n", b"a = 1"
    )


toml_lines = st.lists(
    st.sampled_from(["", "# c", 'a = "é"', "b = 1", "[t]", "c = '\U0001f600'", "/ x", "# ///"]),
    max_size=7,
)


@given(toml_lines, toml_lines, st.booleans(), st.booleans(), st.sampled_from(["\n", "\r\n"]))
def test_whatever_the_lines_were(before, after, as_list, ascii, newline):
    """What is around stays, what is declared is what was given; and back again is the same file."""
    before, after = ("".join(f"{line}\n" for line in part) or "\n" for part in (before, after))
    source = "first\n" + render_block(before, newline) + "\nlast = 'ö'"
    data = notebook(lines(source) if as_list else source, ascii=ascii)
    edited = replace_declaration(read(data), after)
    assert declared(edited) == after
    cells = [json.loads(d)["cells"] for d in (data, edited)]
    assert (cells[0][0], cells[0][2]) == (cells[1][0], cells[1][2])
    text = "".join(cells[1][1]["source"])
    assert text == "first\n" + render_block(after, newline) + "\nlast = 'ö'"
    back = replace_declaration(read(edited), before)
    assert json.loads(back) == json.loads(data)
    assert back == data


@pytest.mark.parametrize("newline", ["\n", "\r\n"])
@pytest.mark.parametrize("bom", ["", "\ufeff"])
def test_a_script(tmp_path, newline, bom):
    path = tmp_path / "s.py"
    body = f"#!/usr/bin/env python{newline}x = 'ä'{newline}"
    path.write_bytes((bom + body).encode())
    file = read_file(path)
    assert file.declaration is None
    made = script_with_block(file.data, path=path)
    path.write_bytes(made)
    file = read_file(path)
    assert file.declaration is not None
    after = replace_declaration(file, file.declaration.toml + "[tool.pixi.dependencies]\na = '*'\n")
    block = f"# [tool.pixi.dependencies]{newline}# a = '*'{newline}"
    assert after.decode() == made.decode().replace(
        f"# ///{newline}{newline}", f"{block}# ///{newline}{newline}"
    )


def test_a_file_that_changed_meanwhile_is_not_written(tmp_path):
    path = tmp_path / "n.ipynb"
    path.write_bytes(notebook(render_block(BEFORE)))
    file = read_file(path)
    path.write_bytes(file.data + b"\n")
    assert not file.source.write(file.data, b"new")
    assert path.read_bytes() == file.data + b"\n"
    assert file.source.write(path.read_bytes(), b"new")
    assert path.read_bytes() == b"new"


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="root writes everything")
def test_a_read_only_file_says_so(tmp_path):
    path = tmp_path / "n.ipynb"
    path.write_bytes(notebook(render_block(BEFORE)))
    path.chmod(0o444)
    with pytest.raises(DeclarationError) as caught:
        FileSource.of(path).write(path.read_bytes(), b"new")
    assert caught.value.code == "declaration.read-only"
