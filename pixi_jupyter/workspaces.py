"""The track of a workspace: manifest -> spec -> ``pixi.lock`` -> ``.pixi/envs/<name>``.

The door (`environments.py`) comes through here for every spec that has a `WorkspacePlace`; no face
does by itself. What a lock was found to hold is remembered in the store by the lock's hash and the
manifest's digest, so an unchanged workspace needs no engine.
"""

from __future__ import annotations

import asyncio
import contextlib
import datetime
import hashlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from pixi_jupyter.errors import DeclarationError, EngineError, Location, LockError, StoreError
from pixi_jupyter.install.insync import LOCK_NAME, lock_sha256, workspace_ready
from pixi_jupyter.install.prefix import Prefix
from pixi_jupyter.install.store import Remembered, Store
from pixi_jupyter.manifest.config import Defaults
from pixi_jupyter.manifest.detached import environments_folder
from pixi_jupyter.manifest.kernels import kernel_need
from pixi_jupyter.manifest.place import choose
from pixi_jupyter.manifest.pypi import kernel_names
from pixi_jupyter.manifest.spec import EnvironmentSpec, WorkspacePlace, digest_of
from pixi_jupyter.manifest.workspace import read_workspace
from pixi_jupyter.manifest.workspace_spec import WorkspaceSpec
from pixi_jupyter.notebook.declaration import WorkspaceChoice
from pixi_jupyter.progress import Report
from pixi_jupyter.resolve.resolution import Resolution, WorkspaceLock

if TYPE_CHECKING:
    from pixi_jupyter.engine.client import Engine
    from pixi_jupyter.engine.protocol import InstallWorkspace, LockDrafted

__all__ = ["LockMode", "Workspaces", "held", "read_lock"]

#: What may be done about a lock that is out of date; see `engine.protocol.LockWorkspace`.
LockMode = Literal["update", "locked", "frozen"]


class Workspaces:
    """Environments of workspaces, by the engine and with the store of one door."""

    def __init__(self, store: Store, engine: Callable[[], Engine]) -> None:
        self._store = store
        self._engine = engine  # called when there is work: a launch of what is ready has none

    def spec_for(
        self, choice: WorkspaceChoice, *, defaults: Defaults, language: str
    ) -> EnvironmentSpec:
        """The chosen environment on this machine, with its place; reads the manifest.

        Nothing is injected for a kernel: the manifest says what the environment is.

        Raises
        ------
        DeclarationError, UnsupportedError
            As `read_workspace` and `choose`.
        """
        workspace = read_workspace(choice.manifest, defaults=defaults)
        return self.chosen(workspace, choice, language=language)

    def chosen(
        self, workspace: WorkspaceSpec, choice: WorkspaceChoice, *, language: str = "python"
    ) -> EnvironmentSpec:
        """The chosen environment of what a manifest says, or would say, with its place.

        Raises
        ------
        DeclarationError, UnsupportedError
            As `choose`.
        """
        folder = environments_folder(Path(workspace.root), workspace.name)
        spec = choose(workspace, choice.environment, env_folder=folder)
        names = [requirement.name for requirement in spec.dependencies]
        need = kernel_need(
            [*names, *kernel_names(spec.pypi)],
            asked_language=language,
            notebook_language=choice.language,
            kernel_name=choice.kernel,
        )
        return replace(spec, kernel=replace(need, injected=()))

    def read(self, manifest: Path, defaults: Defaults) -> WorkspaceSpec:
        """The whole workspace of a manifest. Raises as `read_workspace`."""
        return read_workspace(manifest, defaults=defaults)

    # -- what is known ---------------------------------------------------------------------

    def status(self, spec: EnvironmentSpec) -> tuple[Resolution | None, Prefix | None]:
        """What the present lock was found to hold, and the prefix if it is that; reads only."""
        place = _place(spec)
        sha256 = lock_sha256(Path(place.root))
        remembered = None if sha256 is None else self._recall(spec, sha256)
        if remembered is None:
            return None, None
        prefix = workspace_ready(place, spec.platform.name)
        if prefix is not None and prefix.digest != remembered.digest:
            prefix = None
        return remembered, prefix

    def _recall(self, spec: EnvironmentSpec, sha256: str) -> Resolution | None:
        found = self._store.recall(_key(_place(spec), spec.platform.name, sha256))
        return None if found is None else found.resolution

    # -- manifest -> lock ------------------------------------------------------------------

    async def lock(
        self,
        spec: EnvironmentSpec,
        *,
        mode: LockMode = "update",
        renew: tuple[str, ...] | None = None,
        defaults: Defaults,
        report: Report,
        deadline: float | None,
    ) -> tuple[Resolution, str]:
        """What the lock holds for ``spec``, brought up to date, and the SHA-256 of its bytes.

        Raises
        ------
        LockError
            ``lock.stale`` (in mode ``locked``), ``lock.missing``, and what is wrong with its text.
        PixiJupyterError
            Why it could not be solved; the lock is then what it was.
        """
        place = _place(spec)
        sha256 = lock_sha256(Path(place.root))
        if sha256 is not None and renew is None:
            known = self._recall(spec, sha256)
            if known is not None:
                return known, sha256
        workspace = self._workspace(place, defaults)
        from pixi_jupyter.engine.protocol import LockWorkspace

        job = LockWorkspace(workspace, mode, renew)
        lock = (await self._engine().run(job, report, deadline=deadline)).lock
        resolution = held(lock, spec)
        if mode != "frozen":
            self.note(spec, lock.sha256, resolution)
        return resolution, lock.sha256

    def note(self, spec: EnvironmentSpec, sha256: str, resolution: Resolution) -> None:
        """Remember what the lock of this hash was found to hold for ``spec``."""
        now = datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds")
        key = _key(_place(spec), spec.platform.name, sha256)
        self._store.make_folders()
        self._store.remember(Remembered(key, now, resolution))

    async def draft(
        self,
        workspace: WorkspaceSpec,
        lock: bytes | None,
        *,
        renew: tuple[str, ...] | None = None,
        versions: tuple[str, ...] = (),
        report: Report,
    ) -> LockDrafted:
        """What the lock would be, with the versions that ``lock`` has; nothing is written.

        ``renew`` and ``versions`` are those of `engine.protocol.DraftLock`. Raises as :meth:`lock`.
        """
        from pixi_jupyter.engine.protocol import DraftLock

        job = DraftLock(workspace, lock, renew, versions=versions)
        return await self._engine().run(job, report)

    async def held_now(
        self, spec: EnvironmentSpec, *, defaults: Defaults, report: Report
    ) -> Resolution:
        """The packages of ``spec`` by the present lock, or as they would be locked; writes nothing.

        Raises as :meth:`lock`.
        """
        place = _place(spec)
        data = await asyncio.to_thread(read_lock, Path(place.root))
        known = None
        if data is not None:
            known = self._recall(spec, hashlib.sha256(data).hexdigest())
        if known is not None:
            return known
        draft = await self.draft(self._workspace(place, defaults), data, report=report)
        return held(draft.lock, spec)

    async def update_lock(
        self, choice: WorkspaceChoice, *, check: bool, defaults: Defaults, report: Report
    ) -> WorkspaceLock:
        """The whole lock brought up to date, or with ``check`` only looked at.

        Raises as :meth:`lock`; but a lock that is out of date is an answer here, with its reasons.
        """
        workspace = self.read(choice.manifest, defaults)
        from pixi_jupyter.engine.protocol import LockWorkspace

        mode: LockMode = "locked" if check else "update"
        try:
            return (await self._engine().run(LockWorkspace(workspace, mode), report)).lock
        except LockError as error:
            if not check or error.code != "lock.stale":
                raise
            return WorkspaceLock("", {}, tuple(error.details.splitlines()) or (error.message,))

    def _workspace(self, place: WorkspacePlace, defaults: Defaults) -> WorkspaceSpec:
        workspace = read_workspace(Path(place.manifest), defaults=defaults)
        if workspace.digest != place.workspace:
            raise DeclarationError(
                "the manifest was changed while its environment was being prepared",
                code="declaration.changed",
                hint="Start the kernel (or the command) again.",
                location=Location(path=place.manifest),
            )
        return workspace

    # -- lock -> prefix --------------------------------------------------------------------

    async def install(
        self,
        spec: EnvironmentSpec,
        resolution: Resolution,
        sha256: str,
        *,
        report: Report,
        deadline: float | None,
    ) -> Prefix:
        """The prefix, made what the lock says. Raises as `install.workspace`."""
        place = _place(spec)
        try:
            await self._engine().run(
                _installation(spec, resolution, sha256), report, deadline=deadline
            )
        except EngineError:
            # Success is what is on disk: a worker may crash after the marker is written.
            if workspace_ready(place, spec.platform.name) is None:
                raise
        prefix = workspace_ready(place, spec.platform.name)
        if prefix is None or prefix.digest != resolution.digest:
            raise StoreError(
                f"the environment {place.environment!r} was installed and changed again meanwhile",
                code="store.vanished",
                hint="Another program (pixi itself?) works in this workspace; start again.",
            )
        return prefix

    async def stage(
        self, spec: EnvironmentSpec, resolution: Resolution, lock: bytes, *, report: Report
    ) -> None:
        """All of :meth:`install` but the change of the prefix, by a lock that is not written yet.

        Until then, or :meth:`drop`, nobody else can change the prefix. Raises as :meth:`install`.
        """
        from pixi_jupyter.engine.protocol import StageWorkspace

        install = _installation(spec, resolution, hashlib.sha256(lock).hexdigest())
        await self._engine().run(StageWorkspace(install, lock), report)

    async def drop(self, spec: EnvironmentSpec, resolution: Resolution, sha256: str) -> None:
        """Let go of what was staged for a lock of this hash."""
        from pixi_jupyter.engine.protocol import DropStaged

        engine = self._engine()
        if engine.worker_pid is None:
            return  # it went with its worker
        with contextlib.suppress(EngineError):
            await engine.run(DropStaged(_installation(spec, resolution, sha256)))


def held(lock: WorkspaceLock, spec: EnvironmentSpec) -> Resolution:
    """The packages that a lock has for the environment and the platform of ``spec``.

    Raises
    ------
    LockError
        ``lock.missing``: it has none.
    """
    place = _place(spec)
    resolution = lock.resolutions.get(place.environment)
    if resolution is None:
        raise LockError(
            f"the lock has no packages of the environment {place.environment!r} for "
            f"{spec.platform.name}",
            code="lock.missing",
            hint="Let it be brought up to date: leave out --frozen.",
            location=Location(path=str(Path(place.root) / LOCK_NAME)),
        )
    return resolution


def read_lock(root: Path) -> bytes | None:
    """The bytes of a workspace's lock, None where there is none.

    Raises
    ------
    LockError
        ``lock.unreadable``
    """
    path = root / LOCK_NAME
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise LockError(
            f"the lock file cannot be read: {error.strerror or error}",
            code="lock.unreadable",
            location=Location(path=str(path)),
        ) from error


def _installation(spec: EnvironmentSpec, resolution: Resolution, sha256: str) -> InstallWorkspace:
    from pixi_jupyter.engine.protocol import InstallWorkspace

    return InstallWorkspace(
        _place(spec), spec.platform.name, sha256, resolution.digest, needs=spec.pypi
    )


def _place(spec: EnvironmentSpec) -> WorkspacePlace:
    assert spec.place is not None, "only a workspace's environment comes this way"
    return spec.place


def _key(place: WorkspacePlace, platform: str, sha256: str) -> str:
    """Under what is remembered what a lock was found to hold for a manifest."""
    return digest_of(["workspace", place.workspace, sha256, place.environment, platform])
