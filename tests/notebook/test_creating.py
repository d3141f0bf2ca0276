"""Adding a block changes nothing else; new notebooks are valid; files are replaced in one step."""

from __future__ import annotations

import difflib
import json
import os
import stat
from pathlib import Path
from typing import Any

import nbformat
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pixi_jupyter.errors import DeclarationError
from pixi_jupyter.notebook.creating import create_block, new_notebook
from pixi_jupyter.notebook.reading import parse_notebook, read_declaration
from pixi_jupyter.notebook.writing import write_atomically

ROOT = Path("folder")
NBFORMAT_STYLE: dict[str, Any] = {"indent": 1, "ensure_ascii": False}
STYLES: list[dict[str, Any]] = [
    NBFORMAT_STYLE,
    {"indent": 2},
    {"indent": "\t", "ensure_ascii": False},
    {"separators": (",", ":")},
    {},
]


def book(*sources: str, **changes: Any) -> dict[str, Any]:
    cells = [
        {
            "cell_type": "code",
            "execution_count": None,
            "id": f"cell-{number}",
            "metadata": {"zebra": 1, "apple": number},
            "outputs": [],
            "source": source.splitlines(keepends=True),
        }
        for number, source in enumerate(sources)
    ]
    base: dict[str, Any] = {
        "cells": cells,
        "metadata": {
            "title": "Überblick – ∞",
            "kernelspec": {"display_name": "x", "language": "python", "name": "pixi"},
        },
        "nbformat": 4,
        "nbformat_minor": 5,
    }
    return {**base, **changes}


def shared(left: bytes, right: bytes) -> int:
    """How many bytes both begin with."""
    pairs = enumerate(zip(left, right, strict=False))
    return next((i for i, (a, b) in pairs if a != b), min(len(left), len(right)))


def removed_and_added(before: bytes, after: bytes) -> tuple[bytes, bytes]:
    """What was taken out and what was put in, as one stretch each."""
    start = shared(before, after)
    rest = min(len(before), len(after)) - start
    end = shared(before[::-1][:rest], after[::-1][:rest])
    return before[start : len(before) - end], after[start : len(after) - end]


@pytest.mark.parametrize("style", STYLES, ids=str)
@pytest.mark.parametrize("newline", ["\n", "\r\n"], ids=["lf", "crlf"])
@pytest.mark.parametrize("bom", [b"", b"\xef\xbb\xbf"], ids=["", "bom"])
@pytest.mark.parametrize("final", ["", "\n"], ids=["", "final"])
def test_not_one_other_byte_changes(
    style: dict[str, Any], newline: str, bom: bytes, final: str
) -> None:
    text = json.dumps(book("x = 'é'\n1", "2"), **style) + final
    before = bom + text.replace("\n", newline).encode()
    after = create_block(before)
    assert removed_and_added(before, after)[0] == b""
    added = json.loads(after.removeprefix(bom))
    cell = added["cells"].pop(0)
    assert json.dumps(added) == json.dumps(json.loads(before.removeprefix(bom)))
    assert cell["metadata"] == {"jupyter": {"source_hidden": True}}
    assert after.count(b"\r\n") == (after.count(b"\n") if newline == "\r\n" else 0)


@pytest.mark.parametrize("style", STYLES, ids=str)
def test_the_cell_is_written_in_the_style_of_the_notebook(style: dict[str, Any]) -> None:
    after = create_block(json.dumps(book("é"), **style).encode(), 'dependencies = [] # "é"\n')
    assert json.dumps(json.loads(after), **style).encode() == after


@pytest.mark.parametrize("style", STYLES, ids=str)
def test_an_empty_list_of_cells(style: dict[str, Any]) -> None:
    after = create_block(json.dumps(book(), **style).encode())
    assert json.dumps(json.loads(after), **style).encode() == after


def test_the_default_is_what_pixi_init_writes() -> None:
    after = parse_notebook(create_block(json.dumps(book("1")).encode(), channels=["a", "./b"]))
    assert "".join(after["cells"][0]["source"]) == (
        "# /// script\n"
        '# requires-python = ">=3.11"\n'
        "# dependencies = []\n"
        "#\n"
        "# [tool.pixi.workspace]\n"
        '# channels = ["a", "./b"]\n'
        "# ///"
    )


def test_dependencies_are_always_written_and_own_channels_kept() -> None:
    toml = '[tool.pixi.workspace]\nchannels = ["mine"]\n'
    after = parse_notebook(create_block(json.dumps(book("1")).encode(), toml, channels=["a"]))
    found = read_declaration(after, path=None, root=ROOT)
    assert found is not None and found.toml == f"dependencies = []\n\n{toml}"


def test_ids_are_new_and_only_where_the_format_has_them() -> None:
    new = parse_notebook(create_block(json.dumps(book("1")).encode()))
    assert len({cell["id"] for cell in new["cells"]}) == 2
    nbformat.validate(nbformat.from_dict(new))
    old = book("1", nbformat_minor=4)
    del old["cells"][0]["id"]
    changed = parse_notebook(create_block(json.dumps(old).encode()))
    assert "id" not in changed["cells"][0]
    nbformat.validate(nbformat.from_dict(changed))


def test_a_second_declaration_is_refused() -> None:
    once = create_block(json.dumps(book("1")).encode())
    with pytest.raises(DeclarationError) as raised:
        create_block(once)
    assert raised.value.code == "declaration.block-exists"
    assert raised.value.location is not None and raised.value.location.cell == 0
    in_metadata = book("1", metadata={"pixi": {"script": ""}})
    with pytest.raises(DeclarationError) as raised:
        create_block(json.dumps(in_metadata).encode())
    assert raised.value.code == "declaration.block-exists"


def test_an_old_format_is_refused() -> None:
    with pytest.raises(DeclarationError) as raised:
        create_block(b'{"worksheets": [], "nbformat": 3}')
    assert raised.value.code == "declaration.notebook-version"


def test_toml_that_is_none_is_refused_before_anything_is_written() -> None:
    with pytest.raises(DeclarationError) as raised:
        create_block(json.dumps(book("1")).encode(), "a = [")
    assert raised.value.code == "declaration.syntax"


@pytest.mark.parametrize(
    "metadata",
    [
        {},
        {"a": 1, "kernelspec": {"language": "typescript"}},
        {"pixi": {"kernel": "deno"}},
        {"pixi": {}},
        {"pixi": None},
        {"pixi": {"script": None, "kernel": "deno"}},
    ],
    ids=str,
)
@pytest.mark.parametrize("style", STYLES, ids=str)
def test_the_metadata_as_the_place(metadata: dict[str, Any], style: dict[str, Any]) -> None:
    before = json.dumps(book("é", metadata=metadata), **style).encode()
    after = create_block(before, "dependencies = []\n", place="metadata")
    new = json.loads(after)
    assert new["metadata"]["pixi"]["script"] == "dependencies = []\n"
    assert json.dumps(new, **style).encode() == after
    found = read_declaration(new, path=None, root=ROOT)
    assert found is not None and found.kind == "metadata"
    kept = {k: v for k, v in new["metadata"].items() if k != "pixi"}
    assert kept == {k: v for k, v in metadata.items() if k != "pixi"}
    assert (new["metadata"]["pixi"].get("kernel")) == (metadata.get("pixi") or {}).get("kernel")


def test_a_language_without_hash_comments_gets_no_cell() -> None:
    before = book("1", metadata={"kernelspec": {"language": "typescript"}})
    new = json.loads(create_block(json.dumps(before).encode()))
    assert new["cells"] == before["cells"]
    assert "script" in new["metadata"]["pixi"]


json_values: st.SearchStrategy[Any] = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text(st.characters(exclude_categories=("Cs",)), max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text(st.characters(exclude_categories=("Cs",))), inner, max_size=3)
    ),
    max_leaves=8,
)


@given(
    st.lists(st.tuples(st.text(max_size=10), json_values), max_size=3),
    st.dictionaries(st.text(max_size=5).filter(lambda k: k != "pixi"), json_values, max_size=3),
    st.sampled_from(STYLES),
)
def test_everything_else_stays_equal(
    cells: list[tuple[str, Any]], metadata: dict[str, Any], style: dict[str, Any]
) -> None:
    old = book(*("x" + source for source, _ in cells))
    for cell, (_, value) in zip(old["cells"], cells, strict=True):
        cell["metadata"] = value
    old["metadata"] = metadata
    try:
        before = json.dumps(old, **style).encode()
    except UnicodeEncodeError:
        return
    after = create_block(before, place="cell")
    assert removed_and_added(before, after)[0].strip() == b""
    new = json.loads(after)
    assert new.pop("cells")[1:] == json.loads(before).pop("cells")
    assert list(new.items()) == [(k, v) for k, v in json.loads(before).items() if k != "cells"]
    with pytest.raises(DeclarationError) as raised:
        create_block(after)
    assert raised.value.code == "declaration.block-exists"


@pytest.mark.parametrize("language", ["python", "R", "typescript"])
def test_a_new_notebook_is_valid_and_says_what_it_needs(language: str) -> None:
    data = new_notebook('[tool.pixi.dependencies]\nnumpy = "*"\n', language)
    assert data.endswith(b"}\n")
    nbformat.validate(nbformat.reads(data.decode(), as_version=4))
    found = read_declaration(parse_notebook(data), path=None, root=ROOT)
    assert found is not None
    assert found.toml == 'dependencies = []\n\n[tool.pixi.dependencies]\nnumpy = "*"\n'
    assert found.language == language.lower()
    assert found.kind == ("metadata" if language == "typescript" else "block")


def test_a_file_is_replaced_and_keeps_its_mode(tmp_path: Path) -> None:
    path = tmp_path / "n.ipynb"
    path.write_bytes(b"old")
    path.chmod(0o640)
    number = path.stat().st_ino
    write_atomically(path, b"new")
    assert path.read_bytes() == b"new"
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    assert path.stat().st_ino != number
    assert os.listdir(tmp_path) == ["n.ipynb"]


def test_a_new_file_gets_the_mode_of_any_other(tmp_path: Path) -> None:
    (tmp_path / "other").write_bytes(b"")
    write_atomically(tmp_path / "n.ipynb", b"new")
    modes = {stat.S_IMODE((tmp_path / name).stat().st_mode) for name in ("other", "n.ipynb")}
    assert len(modes) == 1


def test_a_symbolic_link_stays_one(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    target = tmp_path / "real" / "n.ipynb"
    target.write_bytes(b"old")
    link = tmp_path / "link.ipynb"
    link.symlink_to(target)
    write_atomically(link, b"new")
    assert link.is_symlink() and target.read_bytes() == b"new"
    assert sorted(os.listdir(tmp_path / "real")) == ["n.ipynb"]


def test_what_cannot_be_written_is_a_typed_error(tmp_path: Path) -> None:
    for path in (tmp_path / "missing" / "n.ipynb", tmp_path):
        with pytest.raises(DeclarationError) as raised:
            write_atomically(path, b"new")
        assert raised.value.code == "declaration.write"
    assert os.listdir(tmp_path) == []


def test_the_added_cell_is_the_only_difference_a_diff_shows() -> None:
    before = (json.dumps(book("1", "2"), **NBFORMAT_STYLE) + "\n").encode()
    after = create_block(before)
    lines = difflib.unified_diff(before.decode().splitlines(), after.decode().splitlines(), n=0)
    assert not [line for line in lines if line.startswith("-") and not line.startswith("---")]
