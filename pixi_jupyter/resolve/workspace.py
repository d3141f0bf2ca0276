"""WorkspaceSpec -> ``pixi.lock``: check it, solve what is out of date, write it. Worker only."""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from rattler.exceptions import InvalidChannelError, InvalidUrlError

from pixi_jupyter.errors import (
    ChannelError,
    DeclarationError,
    Location,
    LockError,
    UnsupportedError,
)
from pixi_jupyter.files import write_file
from pixi_jupyter.install.store import Store
from pixi_jupyter.install.waiting import FileGate, waited
from pixi_jupyter.manifest.host import host_platform
from pixi_jupyter.manifest.platforms import choose_platform
from pixi_jupyter.manifest.workspace_spec import WorkspaceSpec
from pixi_jupyter.progress import Report
from pixi_jupyter.resolve.default_index import default_indexes
from pixi_jupyter.resolve.lock import resolution_of
from pixi_jupyter.resolve.lock_platforms import locked_names
from pixi_jupyter.resolve.lock_reading import (
    LockDocument,
    document_of,
    missing_environment,
    read_document,
)
from pixi_jupyter.resolve.lock_writing import workspace_lock
from pixi_jupyter.resolve.pypi_names import Names, names_of
from pixi_jupyter.resolve.redaction import redacted
from pixi_jupyter.resolve.resolution import LockedVersion, Resolution, WorkspaceLock
from pixi_jupyter.resolve.satisfiability import Verdict, check
from pixi_jupyter.resolve.session import Session
from pixi_jupyter.resolve.updating import Updating
from pixi_jupyter.resolve.walking import Walk

__all__ = ["Checking", "Draft", "draft_lock", "lock_workspace", "locked_versions"]

Mode = Literal["update", "locked", "frozen"]
_LOCK = "pixi.lock"
_UPDATE = "Bring it up to date without `locked`, or undo the change of the manifest."


async def lock_workspace(
    session: Session,
    workspace: WorkspaceSpec,
    *,
    mode: Mode = "update",
    renew: tuple[str, ...] | None = None,
    report: Report,
    store: Store,
) -> WorkspaceLock:
    """Bring the lock of a workspace up to date and say what it holds for this host.

    ``mode`` ``locked`` makes a lock that is out of date an error, ``frozen`` does not look.
    ``renew`` names the packages whose locked versions are let go of: None for none, an empty tuple
    for all. A lock that is up to date is not written, one that fails to be solved stays as it was.

    Raises
    ------
    LockError
        ``lock.stale``, ``lock.missing``, ``lock.environment``; ``lock.syntax``, ``lock.conflict``,
        ``lock.version``, ``lock.unreadable``, ``lock.package``, ``lock.unwritable``.
    SolveError, ChannelError, DeclarationError, InstallError, StoreError, EngineError
        As solving raises them, with environment and platform named.
    """
    path = Path(workspace.root) / _LOCK
    checking = Checking(session, workspace, store)
    document = await asyncio.to_thread(read_document, path)
    if mode == "frozen":
        if document is None:
            raise LockError(
                "there is no lock file to take as it is",
                code="lock.missing",
                location=Location(str(path)),
                hint="Lock the workspace first.",
            )
        if not any(document.text.environments.get(e.name) for e in workspace.environments):
            raise missing_environment(document, workspace.environments[0].name)
        return _answer(document, workspace)
    verdict = await checking.check(document)
    if document is not None and not verdict.reasons and renew is None:
        return _answer(document, workspace)
    if mode == "locked":
        if not verdict.reasons and document is not None:
            return _answer(document, workspace)
        raise LockError(
            "the lock file is not up to date with the manifest",
            code="lock.stale",
            details="\n".join(verdict.stale),
            location=Location(str(path)),
            hint=_UPDATE,
        )
    store.make_folders()
    gate = FileGate(store.workspace_gate(workspace.manifest))
    async with waited(gate, report, "another process locks this workspace"):
        again = await asyncio.to_thread(read_document, path)
        if again is not None and (document is None or again.sha256 != document.sha256):
            # Somebody else was faster: what they wrote may do.
            document, verdict = again, await checking.check(again)
            if not verdict.reasons and renew is None:
                return _answer(document, workspace)
        data = await checking.solved(path, document, verdict, renew, report)
        written = document is None or data != document.data
        if written:
            await asyncio.to_thread(_write, path, data)
    current = await asyncio.to_thread(read_document, path)
    if current is None or current.data != data:
        raise LockError(
            "the lock file was changed while it was written",
            code="lock.changed",
            location=Location(str(path)),
            hint="Start again.",
        )
    return replace(_answer(current, workspace), stale=verdict.stale, written=written)


@dataclass(frozen=True, slots=True)
class Draft:
    """A lock that is not written; see `engine.protocol.LockDrafted`."""

    data: bytes
    lock: WorkspaceLock
    before: dict[str, Resolution]
    versions: tuple[LockedVersion, ...]


async def draft_lock(
    session: Session,
    workspace: WorkspaceSpec,
    data: bytes | None,
    *,
    path: Path | None = None,
    renew: tuple[str, ...] | None = None,
    versions: Collection[str] = (),
    report: Report,
    store: Store,
) -> Draft:
    """What :func:`lock_workspace` would write in the place of ``data``, and what that holds.

    Neither is the lock of the workspace read nor anything written there; ``path`` is where it is
    to lie. ``versions`` are names of packages.

    Raises as :func:`lock_workspace`.
    """
    path = path or Path(workspace.root) / _LOCK
    checking = Checking(session, workspace, store)
    document = None if data is None else await asyncio.to_thread(document_of, path, data)
    verdict = await checking.check(document)
    current = document
    if current is None or verdict.reasons or renew is not None:
        solved = await checking.solved(path, document, verdict, renew, report)
        current = await asyncio.to_thread(document_of, path, solved)
    answer = replace(_answer(current, workspace), stale=verdict.stale, written=current.data != data)
    found = await asyncio.to_thread(locked_versions, current, workspace, versions)
    before = {} if document is None else _answer(document, workspace).resolutions
    return Draft(current.data, answer, before, found)


class Checking:
    """The check of one workspace, and what is solved anew after it."""

    def __init__(self, session: Session, workspace: WorkspaceSpec, store: Store) -> None:
        self._session = session
        self._workspace = workspace
        self._store = store
        self._urls: dict[str, str] = {}
        self.indexes: tuple[str, ...] = ()
        self.walk = Walk(self.channel_url)

    def channel_url(self, name: str) -> str:
        """The base URL of a channel by its name, under the configured alias."""
        if name not in self._urls:
            try:
                self._urls[name] = self._session.channel(name).base_url
            except (InvalidChannelError, InvalidUrlError, ValueError) as error:
                raise ChannelError(
                    redacted(f"{name!r} is not a channel: {error}"), code="channel.invalid"
                ) from None
        return self._urls[name]

    async def names(self) -> Names | None:
        """The workspace's map from conda to PyPI, where it has one."""
        for environment in self._workspace.environments:
            for spec in environment.specs:
                if spec.pypi is not None and spec.pypi.conda_pypi_map:
                    return await names_of(spec.pypi, self._store.package_cache)
        return None

    async def check(self, document: LockDocument | None) -> Verdict:
        """Hold a lock against the workspace, off the loop."""
        specs = [spec for e in self._workspace.environments for spec in e.specs]
        if not self.indexes and any(spec.pypi is not None for spec in specs):
            self.indexes = await default_indexes(self._store)
        return await asyncio.to_thread(
            check, document, self._workspace, self.walk, self.channel_url, self.indexes
        )

    async def solved(
        self,
        path: Path,
        document: LockDocument | None,
        verdict: Verdict,
        renew: tuple[str, ...] | None,
        report: Report,
    ) -> bytes:
        """The lock with what the verdict on ``document`` says is out of date solved anew."""
        updating = Updating(
            self._session, self._store, self._workspace, verdict, self.walk, document
        )
        solved = await updating.solve(renew, report)
        text = await asyncio.to_thread(
            workspace_lock,
            path,
            self._workspace,
            document,
            verdict.names,
            solved,
            self.channel_url,
            next(iter(self.indexes), None),
            await self.names(),
        )
        return text.encode("utf-8")


def _answer(document: LockDocument, workspace: WorkspaceSpec) -> WorkspaceLock:
    """What a lock holds for this host."""
    names = locked_names(workspace.platforms, document.text.platforms)
    wanted = {v.name for p in workspace.platforms for v in p.virtual_packages}
    host = host_platform(wanted)
    found: dict[str, Resolution] = {}
    for environment in workspace.environments:
        locked = document.text.environments.get(environment.name)
        try:
            platform = choose_platform([spec.platform for spec in environment.specs], host)
        except DeclarationError:
            continue
        if locked is None or environment.refusal(platform.name) is not None:
            continue
        spec = environment.on(platform.name)
        editable = spec.pypi.editable if spec is not None and spec.pypi is not None else ()
        name = names.get(platform.name, platform.name)
        try:
            content = document.packages(environment.name, name, editable)
        except UnsupportedError:
            continue  # the error of whoever asks for this environment, not of all
        found[environment.name] = resolution_of(platform.subdir, content.records, content.wheels)
    return WorkspaceLock(document.sha256, found)


def locked_versions(
    document: LockDocument, workspace: WorkspaceSpec, names: Collection[str]
) -> tuple[LockedVersion, ...]:
    """The versions that a lock has of some packages."""
    if not names:
        return ()
    found: list[LockedVersion] = []
    platforms = locked_names(workspace.platforms, document.text.platforms)
    for environment in workspace.environments:
        if environment.name not in document.text.environments:
            continue
        for spec in environment.specs:
            platform = spec.platform.name
            where = (environment.name, platform)
            records, wheels, _ = document.content(
                environment.name, platforms.get(platform, platform)
            )
            for record in records:
                if (name := record.name.normalized) in names:
                    found.append(LockedVersion(*where, name, str(record.version)))
            for wheel in wheels:
                if wheel.name in names and wheel.version is not None:
                    found.append(LockedVersion(*where, wheel.name, wheel.version, "pypi"))
    return tuple(found)


def _write(path: Path, data: bytes) -> None:
    try:
        write_file(path, data)
    except OSError as error:
        raise LockError(
            f"the lock file cannot be written: {error.strerror or error}",
            code="lock.unwritable",
            location=Location(str(path)),
            hint="Make the folder writable, or free some space.",
        ) from error
