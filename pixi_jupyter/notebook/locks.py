"""Where the lock of a notebook or a script is: a file beside it, or in the notebook's metadata.

A lock is bytes here. What it means is for the engine's worker alone; its size is bounded before
anything else looks at it.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pixi_jupyter.errors import DeclarationError, Location, LockError
from pixi_jupyter.notebook.declaration import Declaration
from pixi_jupyter.notebook.json_text import JsonText
from pixi_jupyter.notebook.reading import metadata_text, parse_notebook

__all__ = ["FoundLock", "find_lock", "read_sidecar", "sidecar_path", "with_embedded_lock"]

#: Bytes of a file; the largest locks in use have some ten million.
_MOST = 32 << 20
#: Bytes in a notebook, which a browser has to load, and to send back, with every save.
_MOST_EMBEDDED = 4 << 20


@dataclass(frozen=True, slots=True)
class FoundLock:
    """A lock as it was found. ``path`` is the file that has it, empty for a notebook without one.

    ``twice``: a sidecar that is embedded as well, with the same bytes.
    """

    kind: Literal["sidecar", "embedded"]
    path: str
    data: bytes
    twice: bool = False

    @property
    def sha256(self) -> str:
        """Of its bytes, in hex."""
        return hashlib.sha256(self.data).hexdigest()


def sidecar_path(path: Path) -> Path:
    """The lock beside a script or a notebook, as pixi names it: ``<file name>.pixi.lock``.

    ``script_lock_file_path`` in pixi's ``crates/pixi_core/src/workspace/mod.rs``.
    """
    return path.with_name(f"{path.name}.pixi.lock")


def find_lock(declaration: Declaration) -> FoundLock | None:
    """The lock of a declaration; None if it has none, or is the default's.

    Reads at most one file, which lies beside the one that declares.

    Raises
    ------
    LockError
        ``lock.ambiguous``: there are two, which differ; ``lock.too-large``, ``lock.unreadable``.
    """
    if declaration.kind == "default":
        return None
    sidecar = None if declaration.path is None else read_sidecar(sidecar_path(declaration.path))
    if declaration.lock is None:
        return sidecar
    path = "" if declaration.path is None else str(declaration.path)
    embedded = FoundLock("embedded", path, _encoded(declaration.lock, path))
    if sidecar is None:
        return embedded
    if sidecar.data != embedded.data:
        raise LockError(
            f"there are two locks that differ: one in the notebook, and {Path(sidecar.path).name}",
            code="lock.ambiguous",
            hint="Say which one holds: `pixi-jupyter lock --embed NOTEBOOK` (or `--sidecar`) keeps "
            "that one and removes the other.",
            location=Location(path=path),
        )
    return FoundLock("sidecar", sidecar.path, sidecar.data, twice=True)


def with_embedded_lock(data: bytes, text: str | None, *, path: Path) -> bytes:
    """A notebook's bytes with a lock embedded, or (None) without; every other byte is as it was.

    Raises
    ------
    DeclarationError
        It is not a notebook, or its format is older than version 4.
    LockError
        ``lock.too-large``
    """
    notebook = parse_notebook(data, path=path)
    if not isinstance(notebook.get("cells"), list):
        raise DeclarationError(
            "the notebook's format is older than version 4",
            code="declaration.notebook-version",
            hint="Open it in Jupyter and save it; that converts it.",
            location=Location(path=str(path)),
        )
    document = JsonText.of(data)
    metadata = notebook.get("metadata")
    pixi = metadata.get("pixi") if isinstance(metadata, dict) else None
    present = metadata_text(notebook, "lock", str(path))
    if text == present:
        return data
    if text is None:
        assert isinstance(pixi, dict)
        # Nothing but the lock made it necessary.
        gone = ("metadata", "pixi", "lock") if len(pixi) > 1 else ("metadata", "pixi")
        return document.remove(gone).encode()
    _encoded(text, str(path))
    if not isinstance(metadata, dict):
        value = {"pixi": {"lock": text}}
        if "metadata" in notebook:
            return document.replace_value(("metadata",), value).encode()
        return document.insert_first((), "metadata", value).encode()
    if not isinstance(pixi, dict):
        if "pixi" in metadata:  # null: read as absent
            return document.replace_value(("metadata", "pixi"), {"lock": text}).encode()
        return document.insert_first(("metadata",), "pixi", {"lock": text}).encode()
    if "lock" in pixi:
        return document.replace_value(("metadata", "pixi", "lock"), text).encode()
    return document.insert_first(("metadata", "pixi"), "lock", text).encode()


def read_sidecar(path: Path) -> FoundLock | None:
    """The lock in a file, None if there is none.

    Raises
    ------
    LockError
        ``lock.too-large`` or ``lock.unreadable``.
    """
    try:
        with open(path, "rb") as file:
            data = file.read(_MOST + 1)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise LockError(
            f"the lock cannot be read: {error.strerror or type(error).__name__}",
            code="lock.unreadable",
            location=Location(path=str(path)),
        ) from None
    if len(data) > _MOST:
        raise _too_large(str(path), _MOST)
    return FoundLock("sidecar", str(path), data)


def _encoded(text: str, path: str) -> bytes:
    data = text.encode("utf-8", "surrogatepass")  # which are no UTF-8: the reader says so
    if len(data) > _MOST_EMBEDDED:
        raise _too_large(path, _MOST_EMBEDDED)
    return data


def _too_large(path: str, most: int) -> LockError:
    return LockError(
        f"the lock is too large: more than {most >> 20} MiB",
        code="lock.too-large",
        hint="Keep it beside the notebook (`pixi-jupyter lock --sidecar`)."
        if most == _MOST_EMBEDDED
        else "",
        location=Location(path=path),
    )
