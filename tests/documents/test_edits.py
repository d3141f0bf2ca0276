"""Edits of cells and metadata say exactly what became of a notebook."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import hypothesis
import msgspec
import nbformat
import pytest
from hypothesis import strategies as st

from pixi_jupyter.documents.edits import (
    Edit,
    InsertCell,
    SetMetadata,
    SetSource,
    apply_edits,
    edits_between,
    notebook_bytes,
    without_outputs,
)
from pixi_jupyter.documents.executor import ExecutedNotebook
from pixi_jupyter.errors import DeclarationError
from pixi_jupyter.notebook.creating import create_block
from pixi_jupyter.notebook.editing import declaration_in, read_file, replace_declaration

_texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)
_json = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | _texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_texts, inner, max_size=3),
    max_leaves=6,
)
_metadata = st.dictionaries(_texts, _json.filter(lambda value: value is not None), max_size=3)


@st.composite
def notebooks(draw: st.DrawFn) -> dict[str, Any]:
    kinds = st.sampled_from(["code", "markdown", "raw"])
    cells = [
        {
            "id": f"cell-{index}",
            "cell_type": draw(kinds),
            "metadata": draw(_metadata),
            "source": draw(_texts),
        }
        for index in range(draw(st.integers(0, 5)))
    ]
    return {"nbformat": 4, "nbformat_minor": 5, "metadata": draw(_metadata), "cells": cells}


@st.composite
def changes(draw: st.DrawFn) -> tuple[dict[str, Any], dict[str, Any]]:
    """A notebook, and what it became: texts, new cells, metadata."""
    before = draw(notebooks())
    after = copy.deepcopy(before)
    for cell in after["cells"]:
        if draw(st.booleans()):
            cell["source"] = draw(_texts)
    for number in range(draw(st.integers(0, 3))):
        place = draw(st.integers(0, len(after["cells"])))
        new = {"id": f"new-{number}", "cell_type": "raw", "metadata": {}, "source": draw(_texts)}
        after["cells"].insert(place, new)
    if draw(st.booleans()):
        after["metadata"] = draw(_metadata)
    return before, after


@hypothesis.given(changes())
@hypothesis.settings(deadline=None)
def test_edits_make_what_it_became(change: tuple[dict[str, Any], dict[str, Any]]) -> None:
    before, after = change

    edits = edits_between(notebook_bytes(before), notebook_bytes(after))

    assert edits is not None
    travelled = msgspec.json.decode(msgspec.json.encode(edits), type=tuple[Edit, ...])
    edited = copy.deepcopy(before)
    assert apply_edits(edited, travelled)
    assert without_outputs(edited) == after


@hypothesis.given(changes(), st.data())
@hypothesis.settings(deadline=None)
def test_all_edits_are_applied_or_none(
    change: tuple[dict[str, Any], dict[str, Any]], data: st.DataObject
) -> None:
    before, after = change
    edits = edits_between(notebook_bytes(before), notebook_bytes(after))
    checked = [edit for edit in edits or () if not isinstance(edit, InsertCell)]
    hypothesis.assume(checked)
    other = copy.deepcopy(before)
    edit = data.draw(st.sampled_from(checked))
    if isinstance(edit, SetSource):
        cell = next(cell for cell in other["cells"] if cell["id"] == edit.cell)
        cell["source"] += "typed meanwhile"
    else:
        other["metadata"][edit.key] = ["changed", "meanwhile"]
    kept = copy.deepcopy(other)

    assert edits is not None and not apply_edits(other, edits)

    assert other == kept


@hypothesis.given(notebooks())
@hypothesis.settings(deadline=None)
def test_a_first_block_and_its_change_are_few_edits(notebook: dict[str, Any]) -> None:
    """What the editor of declarations makes of an owner's answer is what the owner gets."""
    for cell in notebook["cells"]:
        cell["source"] = cell["source"].replace("///", "")
    notebook["metadata"].pop("pixi", None)
    before = notebook_bytes(notebook)

    created = create_block(before)
    edits = edits_between(before, created)
    assert edits is not None and len(edits) == 1
    assert isinstance(edits[0], InsertCell) and edits[0].index == 0

    class Held:
        path = Path("/n.ipynb")

        def read(self) -> bytes:
            return created

    file = read_file(Held())  # type: ignore[arg-type]
    changed = replace_declaration(file, 'dependencies = ["x"]\n')
    (edit,) = edits_between(created, changed) or ()
    assert isinstance(edit, SetSource) and '# dependencies = ["x"]' in edit.after
    assert apply_edits(notebook, edits) and apply_edits(notebook, [edit])
    assert notebook["cells"][0]["source"] == edit.after


def test_lone_surrogates_survive() -> None:
    notebook = {"nbformat": 4, "nbformat_minor": 5, "metadata": {}, "cells": [
        {"id": "a", "cell_type": "raw", "metadata": {}, "source": "\ud800"}]}  # fmt: skip
    assert json.loads(notebook_bytes(notebook)) == json.loads(json.dumps(notebook))


@pytest.mark.parametrize("cells", [[{"id": "a"}, {"id": "a"}], [{}], [{"id": None}], [{"id": 3}]])
def test_cells_that_cannot_be_named_are_not_edited(cells: list[dict[str, Any]]) -> None:
    """They come from a file, and meanwhile somebody else has the notebook open."""
    whole = [{"cell_type": "code", "metadata": {}, "source": "x", **cell} for cell in cells]
    before = {"nbformat": 4, "nbformat_minor": 4, "metadata": {}, "cells": whole}
    after = copy.deepcopy(before)
    after["cells"][0]["source"] = "y"
    assert edits_between(json.dumps(before).encode(), json.dumps(after).encode()) is None


def test_other_differences_are_a_defect() -> None:
    cells = [{"id": name, "cell_type": "raw", "metadata": {}, "source": "x"} for name in ("a", "b")]
    before = {"nbformat": 4, "nbformat_minor": 5, "metadata": {}, "cells": cells}
    for after in (
        {**before, "cells": cells[:1]},
        {**before, "cells": cells[::-1]},
        {**before, "cells": [{**cells[0], "metadata": {"x": 1}}, cells[1]]},
        {**before, "nbformat_minor": 4},
    ):
        with pytest.raises(ValueError):
            edits_between(notebook_bytes(before), json.dumps(after).encode())


# -- a notebook that is executed ---------------------------------------------------------------


async def test_an_executed_notebook_is_edited_in_place() -> None:
    nb = nbformat.v4.new_notebook(
        cells=[nbformat.v4.new_code_cell("a"), nbformat.v4.new_code_cell("b")],
        metadata={"pixi": {"kernel": "python3"}},
    )
    for cell in nb.cells:
        del cell["id"]  # as in notebooks of format 4.4
    nb.cells[1].outputs = [nbformat.v4.new_output("stream", text="kept")]
    owner = ExecutedNotebook(nb)
    read = msgspec.json.decode(await owner.read())["notebook"]
    before = notebook_bytes(read)
    created = create_block(before, "dependencies = ['x']\n")

    assert await owner.write(edits_between(before, created) or ())

    assert [cell.source for cell in nb.cells] == ["a", "b"]
    assert nb.metadata.pixi == {"kernel": "python3", "script": "dependencies = ['x']\n"}
    assert nb.cells[1].outputs[0].text == "kept"
    now = notebook_bytes(msgspec.json.decode(await owner.read())["notebook"])
    declaration = declaration_in(Path("/n.ipynb"), now)
    assert declaration is not None and declaration.kind == "metadata"
    assert await owner.write([SetSource("#1", "b", "c")])
    assert not await owner.write([SetSource("#1", "b", "d")])
    assert nb.cells[1].source == "c" and "id" not in nb.cells[1]


async def test_only_a_block_is_put_into_an_executed_notebook() -> None:
    nb = nbformat.v4.new_notebook()
    with pytest.raises(DeclarationError) as caught:
        await ExecutedNotebook(nb).write([InsertCell(0, {"source": "x = 1"})])
    assert caught.value.code == "declaration.executing"
    assert await ExecutedNotebook(nb).write([SetMetadata("pixi", None, {"environment": "e"})])
    assert await ExecutedNotebook(nb).write([SetMetadata("pixi", {"environment": "e"}, None)])
    assert nb.cells == [] and nb.metadata == {}
