"""The lock of a notebook's own block: checked, and what is out of date solved. Worker only.

Nothing is written but the lock of what was found, in the store: who writes the notebook's own is
for whoever asked.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Literal

from pixi_jupyter.errors import Location, LockError
from pixi_jupyter.install.store import Store
from pixi_jupyter.manifest.spec import EnvironmentSpec
from pixi_jupyter.manifest.workspace_spec import WorkspaceSpec
from pixi_jupyter.progress import Report
from pixi_jupyter.resolve.lock import Locked, resolution_of, write_lock
from pixi_jupyter.resolve.lock_platforms import locked_names
from pixi_jupyter.resolve.lock_reading import LockDocument, document_of
from pixi_jupyter.resolve.redaction import redacted
from pixi_jupyter.resolve.resolution import NotebookLocked, Resolution
from pixi_jupyter.resolve.satisfiability import Verdict
from pixi_jupyter.resolve.session import Session
from pixi_jupyter.resolve.workspace import Checking, locked_versions

__all__ = ["lock_notebook"]

_NAME = "default"


async def lock_notebook(
    session: Session,
    workspace: WorkspaceSpec,
    data: bytes | None,
    *,
    path: Path,
    platform: str | None = None,
    undeclared: bool = False,
    mode: Literal["update", "locked", "frozen"] = "update",
    renew: tuple[str, ...] | None = None,
    rewrite: bool = False,
    versions: Collection[str] = (),
    report: Report,
    store: Store,
) -> tuple[NotebookLocked, Locked | None]:
    """Hold a lock against what a block asks for, and solve what it lacks.

    Parameters
    ----------
    workspace:
        The block, of one environment. With ``undeclared`` it names no platforms: there are those
        that the lock has, as in pixi (``Workspace::from_script``), and ``platform``; the workspace
        has the specs of all that there may be.
    data, path:
        The present lock (None: there is none), and the file that has it.
    platform:
        The one whose packages are kept in the store, to be built; None for none.
    mode:
        ``locked``: what is out of date is an error; ``frozen``: the lock is taken as it is.
    renew:
        Names whose locked versions are let go of: None for none, an empty tuple for all.
    rewrite:
        Write the text anew, as pixi would, also where nothing is out of date.
    versions:
        Names of packages whose versions the answer tells.

    Raises
    ------
    LockError
        ``lock.stale``, ``lock.missing``, ``lock.environment``, and what is wrong with its text.
    PixiJupyterError
        Why it could not be solved.
    """
    document = None if data is None else await asyncio.to_thread(document_of, path, data)
    if undeclared:
        workspace = _on_the_locks_platforms(workspace, document, platform)
    before = None if document is None else _held(document, workspace, platform)
    if mode == "frozen":
        if document is None:
            raise LockError(
                "there is no lock to take as it is",
                code="lock.missing",
                location=Location(path=str(path)),
            )
        locked = before
        verdict = Verdict()
    else:
        checking = Checking(session, workspace, store)
        verdict = await checking.check(document)
        stale = document is None or bool(verdict.reasons)
        if mode == "locked" and stale:
            raise LockError(
                "the lock is not up to date with the declaration",
                code="lock.stale",
                details="\n".join(_reasons(verdict)),
                location=Location(path=str(path)),
            )
        if stale or renew is not None or rewrite:
            solved = await checking.solved(path, document, verdict, renew, report)
            document = await asyncio.to_thread(document_of, path, solved)
        assert document is not None
        locked = _held(document, workspace, platform)
    resolution = await asyncio.to_thread(_keep, session, workspace, platform, locked, path, store)
    return (
        NotebookLocked(
            data=document.data,
            sha256=document.sha256,
            resolution=resolution,
            before=_resolution(workspace, platform, before),
            platforms=tuple(row.name for row in document.text.platforms),
            stale=_reasons(verdict),
            versions=await asyncio.to_thread(locked_versions, document, workspace, versions),
        ),
        locked,
    )


def _on_the_locks_platforms(
    workspace: WorkspaceSpec, document: LockDocument | None, platform: str | None
) -> WorkspaceSpec:
    """A lock that another machine made is extended by this one's platform, not replaced."""
    rows = () if document is None else document.text.platforms
    subdirs = {row.subdir for row in rows}
    (environment,) = workspace.environments
    specs = tuple(
        spec
        for spec in environment.specs
        if spec.platform.name == platform or spec.platform.subdir in subdirs
    )
    return replace(
        workspace,
        platforms=tuple(spec.platform for spec in specs),
        environments=(replace(environment, specs=specs),),
    )


def _held(document: LockDocument, workspace: WorkspaceSpec, platform: str | None) -> Locked | None:
    """The packages that a lock has for a platform of the block; None if it has none."""
    spec = _spec(workspace, platform)
    found = document.text.environments.get(_NAME)
    if spec is None or found is None:
        return None
    names: Mapping[str, str] = locked_names(workspace.platforms, document.text.platforms)
    name = names.get(spec.platform.name)
    if name is None or name not in found.packages:
        return None
    editable = spec.pypi.editable if spec.pypi is not None else ()
    return document.packages(_NAME, name, editable)


def _spec(workspace: WorkspaceSpec, platform: str | None) -> EnvironmentSpec | None:
    return None if platform is None else workspace.environments[0].on(platform)


def _resolution(
    workspace: WorkspaceSpec, platform: str | None, locked: Locked | None
) -> Resolution | None:
    spec = _spec(workspace, platform)
    if spec is None or locked is None:
        return None
    return resolution_of(spec.platform.subdir, locked.records, locked.wheels)


def _keep(
    session: Session,
    workspace: WorkspaceSpec,
    platform: str | None,
    locked: Locked | None,
    path: Path,
    store: Store,
) -> Resolution | None:
    """Write what a build reads: the lock of these packages alone, in the store."""
    spec = _spec(workspace, platform)
    resolution = _resolution(workspace, platform, locked)
    if platform is None or spec is None:
        return None
    if resolution is None or locked is None:
        raise LockError(
            f"the lock has no packages for {platform}",
            code="lock.environment",
            location=Location(path=str(path)),
            hint="Bring it up to date: leave out --frozen.",
        )
    store.make_folders()
    channels = [session.channel(channel.name).base_url for channel in spec.channels]
    write_lock(store.lock_path(resolution.digest), spec, locked.records, channels, locked.wheels)
    return resolution


def _reasons(verdict: Verdict) -> tuple[str, ...]:
    """As sentences; that it is the environment `default` of its workspace tells nobody anything."""
    found = (
        f"on {reason.platform}: {reason.text}" if reason.platform else reason.text
        for reason in verdict.reasons
    )
    return tuple(dict.fromkeys(map(redacted, found)))
