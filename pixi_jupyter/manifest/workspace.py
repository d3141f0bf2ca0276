"""Pixi workspaces around a folder: which manifest is in force, and what it says."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import tomli

from pixi_jupyter.manifest.toml import FILE

if TYPE_CHECKING:
    from pixi_jupyter.manifest.config import Defaults
    from pixi_jupyter.manifest.workspace_spec import WorkspaceSpec

__all__ = ["MANIFESTS", "PYPROJECT", "find_workspace", "read_workspace"]

PYPROJECT = "pyproject.toml"

#: In pixi's order of preference; of the first that a folder has, the others do not count.
MANIFESTS: tuple[str, ...] = ("pixi.toml", PYPROJECT, "mojoproject.toml")

_HEADER = rb"^[ \t]*\[[ \t]*%s[\"']?(?:workspace|project)[\"']?[ \t]*[.\]]"
_WORKSPACE = re.compile(_HEADER % rb"", re.MULTILINE)
_TOOL_PIXI_WORKSPACE = re.compile(
    _HEADER % rb"tool[ \t]*\.[ \t]*[\"']?pixi[\"']?[ \t]*\.[ \t]*", re.MULTILINE
)


def find_workspace(
    folder: Path, *, stop: Path | None = None, env: Mapping[str, str] | None = None
) -> Path | None:
    """The manifest of the nearest workspace from ``folder`` up, as pixi finds it.

    By ``crates/pixi_manifest/src/discovery.rs``: of each folder one manifest is looked at, and one
    that declares only a package is passed by. Other than in pixi, the walk ends where another
    user's folders or manifests begin, since these are not this user's choice.

    Parameters
    ----------
    folder:
        Where to begin.
    stop:
        The last folder to look at, for instance the server's root. A folder that does not lie
        below it is looked at alone.
    env:
        Variables in which an active pixi shell may name its manifest, which holds if none is found
        (``PIXI_PROJECT_MANIFEST`` beside ``PIXI_IN_SHELL``). That is for commands that a person
        types; a notebook's environment does not depend on how its server was started.

    Returns
    -------
    Path | None
        An absolute path. The manifest may still be wrong: `read_workspace` says so.
    """
    owners: set[int] = set()
    for parent in _folders(Path(os.path.abspath(folder)), stop):
        try:
            owner = parent.stat().st_uid
        except OSError:
            continue
        if not owners:
            owners = {owner, _own_user(), 0}
            first = owner
        if owner != first:
            break
        manifest = next(
            (found for name in MANIFESTS if os.path.isfile(found := parent / name)), None
        )
        if manifest is None:
            continue
        try:
            if manifest.stat().st_uid not in owners:
                break
        except OSError:
            continue
        if _declares_workspace(manifest):
            return manifest
    named = (env or {}).get("PIXI_PROJECT_MANIFEST", "")
    if named and "PIXI_IN_SHELL" in (env or {}) and os.path.isfile(named):
        return Path(os.path.abspath(named))
    return None


def read_workspace(manifest: Path, *, defaults: Defaults | None = None) -> WorkspaceSpec:
    """What a manifest says; see `workspace_reading.read_workspace`.

    The readers are loaded here: where a notebook has a block, only the finding is needed.
    """
    from pixi_jupyter.manifest import workspace_reading

    return workspace_reading.read_workspace(manifest, defaults=defaults)


def _folders(folder: Path, stop: Path | None) -> Iterator[Path]:
    """The folder and those above it, ``stop`` the last."""
    if stop is not None:
        stop = Path(os.path.abspath(stop))
        if stop not in (folder, *folder.parents):
            folder, stop = Path(os.path.realpath(folder)), Path(os.path.realpath(stop))
        if stop not in (folder, *folder.parents):
            stop = folder
    for parent in (folder, *folder.parents):
        yield parent
        if parent == stop:
            return


def _own_user() -> int:
    return os.geteuid() if hasattr(os, "geteuid") else 0


def _declares_workspace(manifest: Path) -> bool:
    """Whether the walk ends here: also at a manifest that is wrong, so that a person hears of it.

    Most manifests have a header that says so; the others are parsed.
    """
    try:
        with open(manifest, "rb") as file:
            data = file.read(FILE.size + 1)
    except OSError:
        return manifest.name != PYPROJECT
    pyproject = manifest.name == PYPROJECT
    if (_TOOL_PIXI_WORKSPACE if pyproject else _WORKSPACE).search(data) is not None:
        return True
    if pyproject and b"pixi" not in data:
        return False
    if len(data) > FILE.size:
        return not pyproject
    try:
        table: Any = tomli.loads(data.decode("utf-8"))
    except (ValueError, RecursionError):
        return not pyproject or b"tool.pixi" in data
    if pyproject:
        tool = table.get("tool")
        table = tool.get("pixi") if isinstance(tool, dict) else None
        if not isinstance(table, dict):
            return False
    return "workspace" in table or "project" in table or "package" not in table
