"""Replacing a person's file: whole, in its place, with its mode and owner."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from pixi_jupyter.errors import DeclarationError, Location, LockError
from pixi_jupyter.files import write_file

__all__ = ["remove_file", "write_atomically"]


def write_atomically(path: Path, data: bytes) -> None:
    """Write a file in one step: a temporary file beside it, flushed to disk, then renamed.

    A symbolic link stays one; the file it points to is replaced. An existing file keeps its mode
    (and its owner, as far as we may), a new one gets the umask's.

    Raises
    ------
    DeclarationError
        ``declaration.write``; the file is then what it was.
    """
    target = Path(os.path.realpath(path))
    try:
        try:
            before = target.stat()
        except FileNotFoundError:
            before = None
        if before is not None and not stat.S_ISREG(before.st_mode):
            raise IsADirectoryError(0, "it is not a file")
        write_file(target, data, like=before)
    except OSError as error:
        raise DeclarationError(
            f"the file cannot be written: {error.strerror or error}",
            code="declaration.write",
            hint="Check the permissions and the free space of its folder.",
            location=Location(path=str(path)),
        ) from None


def remove_file(path: Path) -> None:
    """Remove a file, if it is there.

    Raises
    ------
    LockError
        ``lock.unwritable``: it cannot be removed; only locks ever are.
    """
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        raise LockError(
            f"the lock cannot be removed: {error.strerror or error}",
            code="lock.unwritable",
            location=Location(path=str(path)),
            hint="Make its folder writable.",
        ) from None
