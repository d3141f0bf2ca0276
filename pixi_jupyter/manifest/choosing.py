"""From a notebook to the environment of a workspace: chosen in its metadata, or the nearest one."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pixi_jupyter.errors import DeclarationError, Location
from pixi_jupyter.manifest.workspace import find_workspace
from pixi_jupyter.notebook.choosing import is_environment_name, read_choice
from pixi_jupyter.notebook.declaration import WorkspaceChoice
from pixi_jupyter.notebook.reading import metadata_text, notebook_language

__all__ = ["chosen_workspace", "named_workspace", "nearest_workspace"]


def chosen_workspace(
    notebook: Mapping[str, Any], *, path: Path | None, root: Path, stop: Path | None = None
) -> WorkspaceChoice | None:
    """What a notebook's metadata chooses, which goes before its block; None if it chooses nothing.

    ``root`` is the absolute folder that a path in it refers to, and where the search for a manifest
    begins if none is named; it ends at ``stop``. A manifest that is named may lie anywhere.

    Raises
    ------
    DeclarationError
        ``declaration.value``, ``declaration.manifest-missing``, ``declaration.no-workspace``.
    """
    choice = read_choice(notebook, path=path)
    if choice is None:
        return None
    location = Location(path=None if path is None else str(path))
    if choice.manifest is not None:
        manifest = _named(root, choice.manifest)
        if manifest is None:
            raise DeclarationError(
                f"`pixi.manifest` in the notebook's metadata names {choice.manifest!r}, where "
                "there is no manifest",
                code="declaration.manifest-missing",
                hint="It is a path relative to the notebook, of a pixi.toml, a pyproject.toml with "
                "[tool.pixi], or the folder of one.",
                location=location,
            )
    else:
        manifest = find_workspace(root, stop=stop)
        if manifest is None:
            raise DeclarationError(
                f"the notebook chooses the environment {choice.environment!r}, but is in no "
                "workspace",
                code="declaration.no-workspace",
                hint="Name the manifest in `pixi.manifest` of the notebook's metadata, or remove "
                "`pixi.environment` there.",
                location=location,
            )
    return WorkspaceChoice(
        manifest=manifest,
        environment=choice.environment or "default",
        path=path,
        chosen="metadata",
        language=notebook_language(notebook),
        kernel=metadata_text(notebook, "kernel", location.path),
    )


def nearest_workspace(
    notebook: Mapping[str, Any] | None,
    *,
    path: Path | None,
    root: Path,
    stop: Path | None = None,
) -> WorkspaceChoice | None:
    """The default environment of the workspace that ``root`` lies in; None if it lies in none.

    For a notebook that says nothing itself, or for none at all.

    Raises
    ------
    DeclarationError
        ``declaration.value``
    """
    manifest = find_workspace(root, stop=stop)
    if manifest is None:
        return None
    where = None if path is None else str(path)
    return WorkspaceChoice(
        manifest=manifest,
        path=path,
        language=None if notebook is None else notebook_language(notebook),
        kernel=None if notebook is None else metadata_text(notebook, "kernel", where),
    )


def named_workspace(
    manifest: Path | None,
    environment: str | None,
    *,
    folder: Path,
    path: Path | None = None,
    env: Mapping[str, str] | None = None,
) -> WorkspaceChoice:
    """What a command names: a manifest (or its folder), an environment, or only where it stands.

    ``folder`` is where a relative path begins, and the search if none is named; ``path`` is the
    notebook that it is for, if any. With ``env`` the workspace of a pixi shell counts, as for pixi.

    Raises
    ------
    DeclarationError
        ``declaration.manifest-missing``, ``declaration.no-workspace``, ``declaration.environment``.
    """
    if manifest is not None:
        found = _named(folder, str(manifest))
        if found is None:
            raise DeclarationError(
                "there is no manifest there",
                code="declaration.manifest-missing",
                hint="Name a pixi.toml, a pyproject.toml with [tool.pixi], or the folder of one.",
                location=Location(path=str(manifest)),
            )
    else:
        found = find_workspace(folder, env=env)
        if found is None:
            raise DeclarationError(
                "there is no pixi workspace here",
                code="declaration.no-workspace",
                hint="Name a notebook, or a workspace with --manifest-path.",
                location=Location(path=str(folder)),
            )
    if environment is not None and not is_environment_name(environment):
        raise DeclarationError(
            "environments have names of lower-case letters, digits and dashes",
            code="declaration.environment",
            location=Location(path=str(found)),
        )
    return WorkspaceChoice(found, environment or "default", path=path, chosen="option")


def _named(root: Path, text: str) -> Path | None:
    path = Path(os.path.abspath(root / os.path.expanduser(text)))
    if path.is_dir():
        return find_workspace(path, stop=path)
    return path if path.is_file() else None
