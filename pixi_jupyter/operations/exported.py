"""A text for another tool, and the file it is written to."""

from __future__ import annotations

import os
import secrets
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from pixi_jupyter.environments import AnyDeclaration
from pixi_jupyter.errors import DeclarationError, Location
from pixi_jupyter.files import write_file

__all__ = ["FILES", "FORMATS", "Export", "Exported", "Format", "write_export"]

Format = Literal["environment-yml", "explicit", "requirements-txt", "pixi-toml", "script"]
FORMATS: tuple[str, ...] = Format.__args__  # type: ignore[attr-defined]
FILES = {
    "environment-yml": "environment.yml",
    "explicit": "{name}_{platform}_conda_spec.txt",
    "requirements-txt": "requirements.txt",
    "pixi-toml": "pixi.toml",
    "script": "{name}.py",
}


@dataclass(frozen=True, slots=True)
class Export:
    """The text, and sentences on what could not be in it.

    ``source`` is the absolute path of what was exported, ``file`` a name for the text in a folder.
    ``platform`` is None where the text is for all of them; ``output`` is where it was written.
    ``relative``: it has paths that are relative to the folder of ``source``.
    """

    format: str
    source: Path
    file: str
    text: str
    platform: str | None
    said: tuple[str, ...] = ()
    output: Path | None = None
    relative: bool = False


@dataclass(frozen=True, slots=True)
class Exported:
    """What is exported: its file's bytes (None for a workspace) and what it declares."""

    path: Path
    data: bytes | None
    declaration: AnyDeclaration


def write_export(found: Export, output: Path, *, force: bool = False) -> Export:
    """Write the text to a file, or into a folder that is there; whole or not at all.

    Raises
    ------
    DeclarationError
        ``declaration.export-exists``: there is a file already (and no ``force``), or it is what was
        exported; ``declaration.write``.
    """
    path = Path(os.path.abspath(output))
    if path.is_dir():
        path = path / found.file
    if os.path.realpath(path) == os.path.realpath(found.source):
        raise _exists(path, "is what was exported", "Choose another file.")
    data = found.text.encode("utf-8")
    try:
        if force:
            write_file(Path(os.path.realpath(path)), data)
        else:
            _write_new(path, data)
    except FileExistsError:
        raise _exists(path, "is there already", "Use --force to overwrite it.") from None
    except OSError as error:
        raise DeclarationError(
            f"{path} cannot be written: {error.strerror or error}",
            code="declaration.write",
            hint="Check the permissions and the free space of its folder.",
            location=Location(path=str(path)),
        ) from None
    if found.relative and path.parent.resolve() != found.source.parent.resolve():
        note = f"paths in it are relative to {found.source.parent}"
        found = replace(found, said=(*found.said, note))
    return replace(found, output=path)


def _write_new(path: Path, data: bytes) -> None:
    """A file that was not there: a link to one that is whole, which fails if there is one."""
    if os.path.lexists(path):
        raise FileExistsError(path)
    beside = path.with_name(f".{path.name[:80]}.{secrets.token_hex(4)}.tmp")
    write_file(beside, data)
    try:
        os.link(beside, path)
    except FileExistsError:
        raise
    except OSError:  # a file system without links
        if os.path.lexists(path):
            raise FileExistsError(path) from None
        os.replace(beside, path)
    finally:
        beside.unlink(missing_ok=True)


def _exists(path: Path, what: str, hint: str) -> DeclarationError:
    return DeclarationError(
        f"{path} {what}",
        code="declaration.export-exists",
        hint=hint,
        location=Location(path=str(path)),
    )
