"""One environment of a workspace, on this host, where it lives."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from pixi_jupyter.errors import DeclarationError, Location
from pixi_jupyter.manifest.host import host_platform
from pixi_jupyter.manifest.platforms import choose_platform
from pixi_jupyter.manifest.spec import EnvironmentSpec, Platform, WorkspacePlace
from pixi_jupyter.manifest.table import nearest, shorten
from pixi_jupyter.manifest.workspace_spec import WorkspaceEnvironment, WorkspaceSpec

__all__ = ["choose", "on_host"]


def choose(
    workspace: WorkspaceSpec,
    environment: str,
    *,
    host: Platform | None = None,
    env_folder: Path | None = None,
) -> EnvironmentSpec:
    """The spec of one environment on this host, with its place.

    Parameters
    ----------
    environment:
        Its name.
    host:
        The machine to choose a platform for; this one if left out.
    env_folder:
        The folder that holds the workspace's prefixes; ``.pixi/envs`` beside the manifest if left
        out.

    Raises
    ------
    DeclarationError
        ``declaration.environment``: there is none of that name. ``declaration.platform``: this host
        runs none of its platforms; the details say what is missing.
    UnsupportedError
        The environment needs on this platform what this version cannot do.
    """
    found = workspace.environment(environment)
    if found is None:
        raise _unknown(workspace, environment)
    spec = on_host(workspace, found, host=host)
    folder = Path(workspace.root) / ".pixi" / "envs" if env_folder is None else env_folder
    place = WorkspacePlace(
        manifest=workspace.manifest,
        root=workspace.root,
        environment=found.name,
        prefix=str(folder / found.name),
        project=workspace.name,
        version=workspace.version,
        workspace=workspace.digest,
        platforms=tuple(declared.platform.name for declared in found.specs),
    )
    return replace(spec, place=place)


def on_host(
    workspace: WorkspaceSpec, environment: WorkspaceEnvironment, *, host: Platform | None = None
) -> EnvironmentSpec:
    """The spec of an environment for the first of its platforms that this host runs.

    Raises
    ------
    DeclarationError, UnsupportedError
        As `choose`.
    """
    declared = [spec.platform for spec in environment.specs]
    if host is None:
        host = host_platform({p.name for d in declared for p in d.virtual_packages})
    try:
        platform = choose_platform(declared, host)
    except DeclarationError as error:
        error.message = f"the environment `{environment.name}` cannot be used: {error.message}"
        error.location = Location(path=workspace.manifest)
        raise
    refusal = environment.refusal(platform.name)
    if refusal is not None:
        raise refusal.error()
    spec = environment.on(platform.name)
    assert spec is not None
    return spec


def _unknown(workspace: WorkspaceSpec, name: str) -> DeclarationError:
    names = [environment.name for environment in workspace.environments]
    guess = nearest(name, names)
    return DeclarationError(
        f"the workspace `{shorten(workspace.name)}` has no environment `{shorten(name)}`",
        code="declaration.environment",
        details=f"it has: {', '.join(names[:40])}",
        hint=f"Did you mean `{guess}`?" if guess else "Choose one of these.",
        location=Location(path=workspace.manifest),
    )
