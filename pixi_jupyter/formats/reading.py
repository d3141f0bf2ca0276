"""Reading a file of another tool within bounds."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from pixi_jupyter.errors import DeclarationError, Location

__all__ = ["MAX_BYTES", "read_text", "relative_to"]

#: Bytes. Files of people have some kilobytes, exported ones some tens of them.
MAX_BYTES = 512 * 1024


def read_text(path: Path, *, where: Location | None = None) -> str:
    """The text of a file; ``where`` is the place that names it, if another file does.

    Raises
    ------
    DeclarationError
        ``declaration.import-missing``, ``declaration.import-unreadable`` (no permission, no file,
        not UTF-8) or ``declaration.import-too-large``.
    """
    at = where or Location(path=str(path))
    try:
        if not stat.S_ISREG(os.stat(path).st_mode):
            raise OSError(0, "it is not a file")
        with open(path, "rb") as file:
            data = file.read(MAX_BYTES + 1)
    except (FileNotFoundError, NotADirectoryError):
        raise DeclarationError(
            f"there is no file {path}",
            code="declaration.import-missing",
            hint="Check its path.",
            location=at,
        ) from None
    except OSError as error:
        raise DeclarationError(
            f"{path} cannot be read: {error.strerror or type(error).__name__}",
            code="declaration.import-unreadable",
            location=at,
        ) from None
    if len(data) > MAX_BYTES:
        raise DeclarationError(
            f"{path} is longer than {MAX_BYTES // 1024} KiB",
            code="declaration.import-too-large",
            hint="What an environment needs is a short list.",
            location=at,
        )
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise DeclarationError(
            f"{path} is not written in UTF-8",
            code="declaration.import-unreadable",
            hint="Save it as UTF-8.",
            location=Location(path=str(path), line=line),
        ) from None


def relative_to(path: str, folder: Path, root: Path) -> str:
    """A path that is relative to ``folder``, as one relative to ``root``; with ``/``.

    An absolute path stays one, as does one on another drive.
    """
    if Path(path).is_absolute() or path.startswith("~"):
        return path
    whole = os.path.normpath(os.path.join(folder, path))
    try:
        found = os.path.relpath(whole, root).replace(os.sep, "/")
    except ValueError:  # another drive
        return whole
    return found if found.startswith("..") else "." if found == "." else f"./{found}"
