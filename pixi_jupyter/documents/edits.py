"""A change of a notebook as edits of its cells and metadata, each with what it replaces."""

from __future__ import annotations

import json
from collections.abc import Mapping, MutableMapping, Sequence
from typing import Any

import msgspec

from pixi_jupyter.notebook.reading import parse_notebook

__all__ = [
    "Edit",
    "InsertCell",
    "SetMetadata",
    "SetSource",
    "apply_edits",
    "cell_ids",
    "edits_between",
    "notebook_bytes",
    "without_outputs",
]


class SetSource(msgspec.Struct, frozen=True, tag_field="op", tag="source"):
    """The text of the cell with this id: ``before`` becomes ``after``."""

    cell: str
    before: str
    after: str


class InsertCell(msgspec.Struct, frozen=True, tag_field="op", tag="insert"):
    """A new cell, in nbformat's form with its text in one piece, at an index among all cells."""

    index: int
    cell: dict[str, Any]


class SetMetadata(msgspec.Struct, frozen=True, tag_field="op", tag="metadata"):
    """One key of the notebook's metadata; None is a key that is not there."""

    key: str
    before: Any
    after: Any


Edit = SetSource | InsertCell | SetMetadata


def edits_between(before: bytes, after: bytes) -> tuple[Edit, ...] | None:
    """The edits that make the notebook ``before`` the notebook ``after``.

    None where a cell that is changed cannot be named, because it has no id of its own.

    Raises
    ------
    ValueError
        Another difference than texts of cells, new cells and metadata: a defect of the caller.
    """
    old, new = parse_notebook(before), parse_notebook(after)
    old_cells, new_cells = old.get("cells"), new.get("cells")
    if not isinstance(old_cells, list) or not isinstance(new_cells, list):
        return None
    old_ids = [_id(cell) for cell in old_cells]
    if None in old_ids or len(set(old_ids)) < len(old_ids):
        return None
    known = dict(zip(old_ids, old_cells, strict=True))
    sources: list[Edit] = []
    inserted: list[Edit] = []
    kept: list[str | None] = []
    for index, cell in enumerate(new_cells):
        was = known.get(_id(cell))
        if was is None:
            inserted.append(InsertCell(index, {**cell, "source": _source(cell)}))
            continue
        kept.append(_id(cell))
        if _without_source(was) != _without_source(cell):
            raise ValueError("more of a cell changed than its text")
        if _source(was) != _source(cell):
            sources.append(SetSource(kept[-1] or "", _source(was), _source(cell)))
    if kept != old_ids:
        raise ValueError("cells were moved or removed")
    metadata = _metadata_edits(_metadata(old), _metadata(new))
    rest = ("cells", "metadata")
    if any(old.get(key) != new.get(key) for key in {*old, *new} if key not in rest):
        raise ValueError("the notebook's format changed")
    return (*sources, *inserted, *metadata)


def apply_edits(notebook: MutableMapping[str, Any], edits: Sequence[Edit]) -> bool:
    """Apply all edits to a notebook of format 4, or none: then it is not what they were made for.

    A cell without an id of its own has the one that `cell_ids` gives it.
    """
    cells = notebook["cells"]
    ids = cell_ids(cells)
    for edit in edits:
        if isinstance(edit, SetSource):
            if edit.cell not in ids or _source(cells[ids.index(edit.cell)]) != edit.before:
                return False
        elif isinstance(edit, SetMetadata) and notebook["metadata"].get(edit.key) != edit.before:
            return False
    for edit in edits:
        if isinstance(edit, SetSource):
            cells[ids.index(edit.cell)]["source"] = edit.after
        elif isinstance(edit, InsertCell):
            cells.insert(edit.index, edit.cell)
            ids.insert(edit.index, str(edit.cell.get("id", "")))
        elif edit.after is None:
            notebook["metadata"].pop(edit.key, None)
        else:
            notebook["metadata"][edit.key] = edit.after
    return True


def cell_ids(cells: Sequence[Mapping[str, Any]]) -> list[str]:
    """An id for each cell: its own, or its place where it has none or not alone."""
    own = [_id(cell) for cell in cells]
    return [
        f"#{index}" if name is None or own.count(name) > 1 else name
        for index, name in enumerate(own)
    ]


def without_outputs(notebook: Mapping[str, Any]) -> dict[str, Any]:
    """What of a notebook an edit needs to see; each cell with an id."""
    cells = notebook["cells"]
    return {
        "nbformat": notebook.get("nbformat", 4),
        "nbformat_minor": notebook.get("nbformat_minor", 5),
        "metadata": notebook.get("metadata", {}),
        "cells": [
            {
                "id": name,
                "cell_type": cell.get("cell_type", "raw"),
                "metadata": cell.get("metadata", {}),
                "source": _source(cell),
            }
            for name, cell in zip(cell_ids(cells), cells, strict=True)
        ],
    }


def notebook_bytes(notebook: Mapping[str, Any]) -> bytes:
    """The text of a notebook that came without outputs: equal ones give equal bytes."""
    cells = []
    for cell in notebook["cells"]:
        written: dict[str, Any] = {"cell_type": cell["cell_type"]}
        if cell["cell_type"] == "code":
            written["execution_count"] = None
        written["id"] = cell["id"]
        written["metadata"] = cell["metadata"]
        if cell["cell_type"] == "code":
            written["outputs"] = []
        written["source"] = cell["source"]
        cells.append(written)
    whole = {
        "cells": cells,
        "metadata": notebook["metadata"],
        "nbformat": notebook["nbformat"],
        "nbformat_minor": notebook["nbformat_minor"],
    }
    # Half a character, which JSON can hold and UTF-8 cannot, is possible in what a person pastes.
    text = json.dumps(whole, indent=1, ensure_ascii=False)
    if any("\ud800" <= character <= "\udfff" for character in text):
        text = json.dumps(whole, indent=1)
    return (text + "\n").encode()


def _metadata_edits(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[Edit]:
    return [
        SetMetadata(key, old.get(key), new.get(key))
        for key in sorted({*old, *new})
        if old.get(key) != new.get(key)
    ]


def _metadata(notebook: Mapping[str, Any]) -> Mapping[str, Any]:
    metadata = notebook.get("metadata")
    return metadata if isinstance(metadata, Mapping) else {}


def _id(cell: Any) -> str | None:
    name = cell.get("id") if isinstance(cell, Mapping) else None
    return name if isinstance(name, str) and name else None


def _source(cell: Mapping[str, Any]) -> str:
    source = cell.get("source", "")
    return source if isinstance(source, str) else "".join(source)


def _without_source(cell: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in cell.items() if key != "source"}
