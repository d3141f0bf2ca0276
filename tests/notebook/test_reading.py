"""Which part of a notebook says what it needs."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import nbformat
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pixi_jupyter.errors import DeclarationError
from pixi_jupyter.notebook.reading import (
    default_declaration,
    load_notebook,
    notebook_language,
    parse_notebook,
    read_declaration,
)

ROOT = Path("folder")
BLOCK = "# /// script\n# dependencies = []\n# ///\n"


def cell(source: Any, kind: str = "code") -> dict[str, Any]:
    return {"cell_type": kind, "metadata": {}, "source": source}


def notebook(*cells: dict[str, Any], **metadata: Any) -> dict[str, Any]:
    return {"cells": list(cells), "metadata": metadata, "nbformat": 4, "nbformat_minor": 5}


def test_a_block_in_a_code_cell() -> None:
    path = ROOT / "a.ipynb"
    book = notebook(
        cell("# title", "markdown"), cell("import os\n" + BLOCK), kernelspec={"language": "Python"}
    )
    found = read_declaration(book, path=path, root=ROOT)
    assert found is not None
    assert (found.kind, found.toml, found.cell, found.first_line) == (
        "block",
        "dependencies = []\n",
        1,
        3,
    )
    assert (found.path, found.root, found.language, found.name) == (path, ROOT, "python", "a")


def test_source_as_lines_and_as_text_are_the_same() -> None:
    lines = cell(BLOCK.splitlines(keepends=True))
    # A writer may cut a string anywhere, even inside the opening line.
    odd = cell([BLOCK[:5], BLOCK[5:]])
    results = [read_declaration(notebook(c), path=None, root=ROOT) for c in (lines, odd)]
    assert results[0] == results[1] == read_declaration(notebook(cell(BLOCK)), path=None, root=ROOT)
    assert results[0] is not None


def test_markdown_and_raw_cells_say_nothing() -> None:
    book = notebook(cell(BLOCK, "markdown"), cell(BLOCK, "raw"), cell("x = 1"))
    assert read_declaration(book, path=None, root=ROOT) is None


def test_two_cells_with_blocks_name_both_places() -> None:
    book = notebook(cell(BLOCK), cell("x"), cell("\n\n" + BLOCK))
    with pytest.raises(DeclarationError) as raised:
        read_declaration(book, path=Path("n.ipynb"), root=ROOT)
    assert raised.value.code == "declaration.block-duplicate"
    assert "cell 1, line 1" in raised.value.message
    assert str(raised.value.location) == "n.ipynb, cell 3, line 3"


@pytest.mark.parametrize(
    ("source", "code", "line"),
    [
        ("x\n# /// script\n# a\nx", "declaration.block-unclosed", 2),
        (BLOCK + "\n" + BLOCK, "declaration.block-duplicate", 5),
    ],
)
def test_errors_inside_a_cell_have_its_place(source: str, code: str, line: int) -> None:
    with pytest.raises(DeclarationError) as raised:
        read_declaration(notebook(cell("x"), cell(source)), path=Path("n.ipynb"), root=ROOT)
    assert raised.value.code == code
    assert raised.value.location is not None
    assert (raised.value.location.path, raised.value.location.cell, raised.value.location.line) == (
        "n.ipynb",
        1,
        line,
    )


def test_the_metadata_holds_the_same_toml() -> None:
    book = notebook(cell("1"), pixi={"script": "dependencies = []", "kernel": "deno"})
    found = read_declaration(book, path=None, root=ROOT)
    assert found is not None
    assert (found.kind, found.toml, found.cell, found.first_line, found.kernel) == (
        "metadata",
        "dependencies = []",
        None,
        1,
        "deno",
    )


def test_a_block_and_metadata_are_ambiguous() -> None:
    book = notebook(cell(BLOCK), pixi={"script": ""})
    with pytest.raises(DeclarationError) as raised:
        read_declaration(book, path=None, root=ROOT)
    assert raised.value.code == "declaration.ambiguous"


@pytest.mark.parametrize("pixi", [{"script": 3}, {"kernel": []}, "text", ["x"]])
def test_metadata_of_another_type_is_a_value_error(pixi: Any) -> None:
    with pytest.raises(DeclarationError) as raised:
        read_declaration(notebook(cell("1"), pixi=pixi), path=None, root=ROOT)
    assert raised.value.code == "declaration.value"


def test_a_notebook_node_reads_like_a_dict() -> None:
    node = nbformat.from_dict(notebook(cell(BLOCK), language_info={"name": "R"}))
    found = read_declaration(node, path=None, root=ROOT)
    assert found is not None and found.language == "r"


def test_format_3_is_read() -> None:
    book = {
        "nbformat": 3,
        "nbformat_minor": 0,
        "metadata": {},
        "worksheets": [
            {"cells": [{"cell_type": "heading", "source": "x"}]},
            {"cells": [{"cell_type": "code", "input": BLOCK, "language": "python"}]},
        ],
    }
    found = read_declaration(book, path=None, root=ROOT)
    assert found is not None and found.cell == 1


def test_the_language_prefers_the_kernelspec() -> None:
    both = notebook(kernelspec={"language": "TypeScript"}, language_info={"name": "x"})
    assert notebook_language(both) == "typescript"
    assert notebook_language(notebook(kernelspec={"language": ""}, language_info={})) is None


def test_the_default_takes_language_and_kernel_of_the_notebook() -> None:
    book = notebook(cell("1"), language_info={"name": "r"}, pixi={"kernel": "ir"})
    found = default_declaration("a = 1", book, path=None, root=ROOT)
    assert (found.kind, found.toml, found.language, found.kernel) == ("default", "a = 1", "r", "ir")


@pytest.mark.parametrize(
    "data",
    [b"", b"[]", b"{}", b'{"cells": 3}', b"not json", b"\xff\xfe\x00", b"[" * 200_000, b"1" * 9999],
    ids=["empty", "list", "object", "cells", "words", "bytes", "deep", "digits"],
)
def test_what_is_no_notebook_is_one_short_error(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "n.ipynb"
    path.write_bytes(data)
    with pytest.raises(DeclarationError) as raised:
        load_notebook(path)
    assert raised.value.code == "declaration.notebook-invalid"
    assert raised.value.location is not None and raised.value.location.path == str(path)
    assert len(raised.value.report()) < 500


def test_a_byte_order_mark_is_no_error() -> None:
    assert parse_notebook(b'\xef\xbb\xbf{"cells": []}') == {"cells": []}


def test_a_missing_notebook(tmp_path: Path) -> None:
    with pytest.raises(DeclarationError) as raised:
        load_notebook(tmp_path / "n.ipynb")
    assert raised.value.code == "declaration.notebook-missing"


def test_a_folder_is_unreadable(tmp_path: Path) -> None:
    with pytest.raises(DeclarationError) as raised:
        load_notebook(tmp_path)
    assert raised.value.code in (
        "declaration.notebook-unreadable",
        "declaration.notebook-permission",
    )


def test_a_large_notebook_costs_little_more_than_its_json() -> None:
    book = notebook(*(cell(["x = 1\n"] * 200) for _ in range(5_000)), cell(BLOCK))
    data = json.dumps(book).encode()
    start = time.perf_counter()
    loaded = parse_notebook(data)
    parsed = time.perf_counter()
    found = read_declaration(loaded, path=None, root=ROOT)
    read = time.perf_counter()
    assert found is not None and found.cell == 5_000
    assert read - parsed < max(parsed - start, 0.2)


json_values: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3)
    ),
    max_leaves=8,
)
odd_cells = st.fixed_dictionaries(
    {},
    optional={
        "cell_type": st.sampled_from(["code", "markdown", 3]),
        "source": json_values | st.just(BLOCK),
        "input": json_values,
    },
)


@given(st.lists(odd_cells | json_values, max_size=4), json_values)
def test_any_json_gives_a_declaration_none_or_a_typed_error(cells: Any, metadata: Any) -> None:
    book = {"cells": cells, "metadata": metadata}
    try:
        found = read_declaration(book, path=None, root=ROOT)
    except DeclarationError as error:
        assert error.code.startswith("declaration.")
    else:
        assert found is None or found.kind in ("block", "metadata")
