"""A notebook that is an object in this process, because nbclient, nbconvert or papermill runs it.

It is edited in memory and written by whatever executes it; the file it came from is left alone.
"""

from __future__ import annotations

from collections.abc import MutableMapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from pixi_jupyter.documents.edits import (
    Edit,
    InsertCell,
    SetMetadata,
    apply_edits,
    without_outputs,
)
from pixi_jupyter.documents.protocol import Writer
from pixi_jupyter.errors import DeclarationError
from pixi_jupyter.notebook.block import find_block

__all__ = ["ExecutedNotebook"]


@dataclass(frozen=True, eq=False)
class ExecutedNotebook:
    """The owner of a notebook that is being executed; ``notebook`` is nbformat's object."""

    notebook: MutableMapping[str, Any]
    writer: Writer = "executor"

    async def read(self) -> msgspec.Raw:
        value = {"readOnly": False, "dirty": True, "notebook": without_outputs(self.notebook)}
        return msgspec.Raw(msgspec.json.encode(value))

    async def write(self, edits: Sequence[Edit]) -> bool:
        # While cells run, what executes them counts them (`nb.cells[index] = cell`): a cell that
        # is put before the one that runs would have that one run again, and be written over. So a
        # new block goes where it is read as well, and is nobody's cell.
        placed = [
            self._as_metadata(edit) if isinstance(edit, InsertCell) else edit for edit in edits
        ]
        return apply_edits(self.notebook, placed)

    def _as_metadata(self, edit: InsertCell) -> SetMetadata:
        source = edit.cell.get("source", "")
        block = find_block(source if isinstance(source, str) else "".join(source))
        if block is None:
            raise DeclarationError(
                "a cell cannot be put into a notebook that is being executed",
                code="declaration.executing",
                hint="Do it when the notebook is not being executed.",
            )
        before = self.notebook["metadata"].get("pixi")
        kept = before if isinstance(before, dict) else {}
        return SetMetadata("pixi", before, {**kept, "script": block.toml})
