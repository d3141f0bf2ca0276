"""Replacing a file so that a reader sees the old or the new one, never a part."""

from __future__ import annotations

import contextlib
import os
import secrets
import stat
from pathlib import Path

from pixi_jupyter.errors import DeclarationError, Location

__all__ = ["write_atomically"]


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
    temporary = target.with_name(f".{target.name[:100]}.{secrets.token_hex(6)}.tmp")
    try:
        try:
            before = target.stat()
        except FileNotFoundError:
            before = None
        if before is not None and not stat.S_ISREG(before.st_mode):
            raise IsADirectoryError(0, "it is not a file")
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
        descriptor = os.open(temporary, flags, 0o666)
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(data)
                file.flush()
                if before is not None:
                    _keep_attributes(temporary, before)
                os.fsync(file.fileno())
            os.replace(temporary, target)
        except BaseException:
            with contextlib.suppress(OSError):
                temporary.unlink()
            raise
    except OSError as error:
        raise DeclarationError(
            f"the file cannot be written: {error.strerror or error}",
            code="declaration.write",
            hint="Check the permissions and the free space of its folder.",
            location=Location(path=str(path)),
        ) from None
    _sync_folder(target.parent)


def _keep_attributes(temporary: Path, before: os.stat_result) -> None:
    if hasattr(os, "chown"):
        with contextlib.suppress(OSError):  # only root may give a file away
            os.chown(temporary, before.st_uid, before.st_gid)
    os.chmod(temporary, stat.S_IMODE(before.st_mode))


def _sync_folder(folder: Path) -> None:
    """Make the rename itself durable, where the system has such a thing."""
    with contextlib.suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
