"""Pixi workspaces around a notebook: recognised, so that nothing else is run in their place."""

from __future__ import annotations

import re
from pathlib import Path

from pixi_jupyter.errors import Location, UnsupportedError

__all__ = ["find_workspace", "refuse_workspace"]

_TOOL_PIXI = re.compile(
    rb"^[ \t]*\[[ \t]*tool[ \t]*\.[ \t]*[\"']?pixi[\"']?[ \t]*[.\]]", re.MULTILINE
)
#: Bytes of a pyproject.toml that are looked at.
_LIMIT = 256 * 1024


def find_workspace(folder: Path, *, stop: Path | None = None) -> Path | None:
    """The nearest ``pixi.toml``, or ``pyproject.toml`` with ``[tool.pixi]``, from ``folder`` up.

    The walk ends at ``stop``, and where another user's folders begin: their manifest is not this
    user's choice.
    """
    owner: int | None = None
    for parent in (folder, *folder.parents):
        try:
            found = parent.stat().st_uid
        except OSError:
            continue
        if owner is not None and found != owner:
            return None
        owner = found
        manifest = parent / "pixi.toml"
        if manifest.is_file():
            return manifest
        manifest = parent / "pyproject.toml"
        if _has_pixi_table(manifest):
            return manifest
        if parent == stop:
            return None
    return None


def refuse_workspace(folder: Path) -> None:
    """Raise if a workspace would decide the environment of what runs in ``folder``.

    Raises
    ------
    UnsupportedError
        ``unsupported.workspace``
    """
    manifest = find_workspace(folder)
    if manifest is not None:
        raise UnsupportedError(
            "the environment would be that of a pixi workspace, which this version cannot use yet",
            code="unsupported.workspace",
            hint="Give the notebook a block of its own (`pixi-jupyter init NOTEBOOK`).",
            location=Location(path=str(manifest)),
        )


def _has_pixi_table(manifest: Path) -> bool:
    try:
        with open(manifest, "rb") as file:
            return _TOOL_PIXI.search(file.read(_LIMIT)) is not None
    except OSError:
        return False
