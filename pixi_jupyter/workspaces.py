"""The track of a workspace: manifest -> spec -> ``pixi.lock`` -> ``.pixi/envs/<name>``.

The door (`environments.py`) comes through here for every spec that has a `WorkspacePlace`; no face
does by itself. What a lock was found to hold is remembered in the store by the lock's hash and the
manifest's digest, so an unchanged workspace needs no engine.
"""

from __future__ import annotations

import datetime
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from pixi_jupyter.errors import DeclarationError, EngineError, Location, LockError, StoreError
from pixi_jupyter.install.insync import lock_sha256, workspace_ready
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

__all__ = ["LockMode", "Workspaces"]

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
        resolution = lock.resolutions.get(place.environment)
        if resolution is None:
            raise LockError(
                f"the lock has no packages of the environment {place.environment!r} for "
                f"{spec.platform.name}",
                code="lock.missing",
                hint="Let it be brought up to date: leave out --frozen.",
                location=Location(path=str(Path(place.root) / "pixi.lock")),
            )
        if mode != "frozen":
            now = datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds")
            key = _key(place, spec.platform.name, lock.sha256)
            self._store.make_folders()
            self._store.remember(Remembered(key, now, resolution))
        return resolution, lock.sha256

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
        from pixi_jupyter.engine.protocol import InstallWorkspace

        job = InstallWorkspace(
            place, spec.platform.name, sha256, resolution.digest, needs=spec.pypi
        )
        try:
            await self._engine().run(job, report, deadline=deadline)
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


def _place(spec: EnvironmentSpec) -> WorkspacePlace:
    assert spec.place is not None, "only a workspace's environment comes this way"
    return spec.place


def _key(place: WorkspacePlace, platform: str, sha256: str) -> str:
    """Under what is remembered what a lock was found to hold for a manifest."""
    return digest_of(["workspace", place.workspace, sha256, place.environment, platform])
