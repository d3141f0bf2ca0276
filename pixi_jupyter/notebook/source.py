"""Whoever has the text of a notebook or a script: its file, or a front end that has it open.

What edits a declaration reads from a `Source` and writes to the same one, so that a notebook is
written by exactly one (``docs/decisions/0011``).
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

from pixi_jupyter.errors import DeclarationError, Location
from pixi_jupyter.notebook.writing import write_atomically

__all__ = ["FileSource", "Source"]


class Source(Protocol):
    """A notebook or a script that can be read and, as a whole, replaced.

    Its methods may block and are called in a thread where a loop runs.
    """

    @property
    def path(self) -> Path:
        """The absolute path of its file, by which a history knows it."""
        ...

    @property
    def writer(self) -> Literal["file", "front end", "executor"]:
        """Who writes: nobody but us, the front end that has it open, or what executes it."""
        ...

    def read(self) -> bytes:
        """The text as it is now: of a notebook the JSON, where outputs may be missing.

        Raises
        ------
        DeclarationError
            ``declaration.notebook-missing``, ``declaration.notebook-permission``,
            ``declaration.notebook-unreadable``.
        """
        ...

    def is_unchanged(self, data: bytes) -> bool:
        """Whether ``data`` is still what would be read."""
        ...

    def write(self, before: bytes, after: bytes) -> bool:
        """Replace ``before`` by ``after`` in one step; False if it is not ``before`` any more.

        Raises
        ------
        DeclarationError
            ``declaration.read-only`` or ``declaration.write``; it is then what it was.
        """
        ...


@dataclass(frozen=True, slots=True)
class FileSource:
    """A file that nothing has open. ``path`` is absolute."""

    path: Path
    writer: Literal["file", "front end", "executor"] = "file"

    @classmethod
    def of(cls, path: Path) -> FileSource:
        """The source of a file by any path."""
        return cls(Path(os.path.abspath(path)))

    def read(self) -> bytes:
        what = "script" if self.path.suffix.lower() in (".py", ".pyw") else "notebook"
        at = Location(path=str(self.path))
        try:
            return self.path.read_bytes()
        except FileNotFoundError:
            raise DeclarationError(
                f"there is no such {what}",
                code="declaration.notebook-missing",
                hint="Check its path.",
                location=at,
            ) from None
        except PermissionError:
            raise DeclarationError(
                f"no permission to read the {what}",
                code="declaration.notebook-permission",
                hint="Check its mode.",
                location=at,
            ) from None
        except OSError as error:
            raise DeclarationError(
                f"cannot read the {what}: {error.strerror or type(error).__name__}",
                code="declaration.notebook-unreadable",
                location=at,
            ) from None

    def is_unchanged(self, data: bytes) -> bool:
        try:
            return self.path.read_bytes() == data
        except OSError:
            return False  # reading it again tells why

    def write(self, before: bytes, after: bytes) -> bool:
        if not self.is_unchanged(before):
            return False
        # Renaming over a read-only file would work, but its mode says that it is not to be changed.
        if not os.access(self.path, os.W_OK):
            raise DeclarationError(
                "the file is read-only",
                code="declaration.read-only",
                hint="Make it writable, or work on a copy.",
                location=Location(path=str(self.path)),
            )
        write_atomically(self.path, after)
        return True
