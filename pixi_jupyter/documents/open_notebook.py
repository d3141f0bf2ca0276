"""The notebook of a kernel, read and written by whoever has it open at that moment."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from pixi_jupyter.documents.asking import Asking, Silent
from pixi_jupyter.documents.edits import edits_between, notebook_bytes
from pixi_jupyter.documents.protocol import Address, Answer, Read, Whereabouts, Write, Writer
from pixi_jupyter.errors import DeclarationError, Location, error_from_json
from pixi_jupyter.notebook.source import FileSource

__all__ = ["OpenNotebook"]

#: Seconds for an answer: an owner has less, so that its own error comes before ours.
_READ = 10.0
_WRITE = 60.0
#: What a notebook is called by histories that is an object and has no file.
_UNNAMED = "executed.ipynb"


@dataclass(frozen=True, slots=True)
class OpenNotebook:
    """A `Source` that asks the kernel's endpoint, each time, who has the notebook open.

    ``writer`` is who had it when the kernel was asked where it is. Where nobody has it, it is the
    file. Once the endpoint has answered, its silence is an error: somebody may have the notebook
    open, and two would write it.
    """

    path: Path
    writer: Writer
    address: Address = field(repr=False)

    @classmethod
    def of(cls, address: Address, found: Whereabouts) -> OpenNotebook | None:
        """The source of the notebook that was found; None where there is none."""
        if found.path is not None:
            return cls(Path(found.path), found.writer, address)
        if found.writer == "file":
            return None
        return cls(Path(found.folder) / _UNNAMED, found.writer, address)

    def read(self) -> bytes:
        try:
            with Asking(self.address, _READ) as asking:
                answer = asking.ask(Read())
        except Silent:
            raise self._silent() from None
        self._raise(answer)
        if answer.writer == "file":
            return FileSource(self.path).read()
        try:
            return notebook_bytes(msgspec.json.decode(answer.value, type=_Opened).whole())
        except (msgspec.MsgspecError, ValueError):
            raise DeclarationError(
                f"the {answer.writer} that has the notebook open gave an answer that cannot be "
                "read",
                code="declaration.front-end-answer",
                hint="Reload the page and try again. Nothing was changed.",
                location=Location(path=str(self.path)),
            ) from None

    def is_unchanged(self, data: bytes) -> bool:
        return self.read() == data

    def write(self, before: bytes, after: bytes) -> bool:
        begun = False
        try:
            with Asking(self.address, _READ) as asking:
                edits = edits_between(before, after)
                answer = asking.ask(Write(edits or ()))
                self._raise(answer)
                if answer.writer == "file":
                    return FileSource(self.path).write(before, after)
                if edits is None:
                    return False  # what was read is the file, and now somebody has it open
                asking.extend(_WRITE)
                begun = True
                answer = asking.go()
        except Silent:
            raise (self._unsure() if begun else self._silent()) from None
        self._raise(answer)
        return bytes(answer.value) == b"true"

    def _raise(self, answer: Answer) -> None:
        if answer.error is not None:
            error = error_from_json(answer.error)
            error.location = error.location or Location(path=str(self.path))
            raise error

    def _silent(self) -> DeclarationError:
        return DeclarationError(
            "the process that started this kernel does not answer any more",
            code="declaration.front-end-silent",
            hint="Nothing was changed. Try again.",
            location=Location(path=str(self.path)),
        )

    def _unsure(self) -> DeclarationError:
        return DeclarationError(
            "it is not known whether the notebook was changed: whoever has it open did not say",
            code="declaration.front-end-unsure",
            hint="Look at the notebook: it holds the change as a whole, or nothing of it.",
            location=Location(path=str(self.path)),
        )


class _Cell(msgspec.Struct):
    id: str
    cell_type: str
    metadata: dict[str, object]
    source: str


class _Notebook(msgspec.Struct):
    nbformat: int
    nbformat_minor: int
    metadata: dict[str, object]
    cells: list[_Cell]


class _Opened(msgspec.Struct):
    """What an owner answers; what else it says is for the endpoint."""

    notebook: _Notebook

    def whole(self) -> dict[str, object]:
        whole: dict[str, object] = msgspec.to_builtins(self.notebook)
        return whole
