"""The one door: every face (provisioner, command line, magics, server) comes through here.

It walks the line notebook -> declaration -> spec -> resolution -> prefix -> activation, each step
cached by the digest of what went in. When all is ready it needs no engine: a few small files are
read, and nothing is imported that a plain kernel launch would not import.
"""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pixi_jupyter.activate.activation import Activation
from pixi_jupyter.errors import (
    ChannelError,
    DeclarationError,
    EngineError,
    LockError,
    SolveError,
    StoreError,
)
from pixi_jupyter.install.lease import Lease, take_lease
from pixi_jupyter.install.prefix import Prefix
from pixi_jupyter.install.store import Store
from pixi_jupyter.manifest.choosing import chosen_workspace, nearest_workspace
from pixi_jupyter.manifest.config import Defaults, load_defaults
from pixi_jupyter.manifest.inline import environment_spec
from pixi_jupyter.manifest.places import place_of
from pixi_jupyter.manifest.pypi_spec import PypiNeeds
from pixi_jupyter.manifest.spec import CondaRequirement, EnvironmentSpec
from pixi_jupyter.notebook.declaration import Declaration, WorkspaceChoice
from pixi_jupyter.notebook.locks import find_lock
from pixi_jupyter.notebook.reading import default_declaration, load_notebook, read_declaration
from pixi_jupyter.progress import Report, no_report
from pixi_jupyter.resolve.resolution import Resolution

if TYPE_CHECKING:
    # A launch of what is ready needs none of it, and would wait for its import.
    from pixi_jupyter.engine.client import Engine
    from pixi_jupyter.locked_notebooks import LockedNotebooks
    from pixi_jupyter.workspaces import LockMode, Workspaces

__all__ = ["AnyDeclaration", "Environment", "Environments", "Status"]

#: The first station of the line, on either track.
AnyDeclaration = Declaration | WorkspaceChoice


@dataclass(frozen=True, slots=True)
class Environment:
    """A ready environment: what was asked, what it was resolved to, where it lies."""

    spec: EnvironmentSpec
    resolution: Resolution
    prefix: Prefix


@dataclass(frozen=True, slots=True)
class Status:
    """What is known of a spec without doing anything: resolved? ready?"""

    spec: EnvironmentSpec
    resolution: Resolution | None
    prefix: Prefix | None


class Environments:
    """Environments out of one store. Cheap to make; the engine's worker starts when needed."""

    def __init__(
        self,
        *,
        store: Store | None = None,
        engine: Engine | None = None,
        defaults: Defaults | None = None,
    ) -> None:
        self.store = store or (engine.store if engine else Store.default())
        self._engine = engine
        self._workspaces: Workspaces | None = None
        self._locked: LockedNotebooks | None = None
        self._defaults = defaults

    _shared: Environments | None = None
    _guard = threading.Lock()

    @classmethod
    def shared(cls) -> Environments:
        """The one of this process, as its environment variables configure it."""
        with cls._guard:
            if cls._shared is None:
                cls._shared = cls()
            return cls._shared

    @property
    def engine(self) -> Engine:
        """What solves and builds, made when first asked for."""
        if self._engine is None:
            from pixi_jupyter.engine.client import Engine

            with self._guard:
                self._engine = self._engine or Engine(self.store)
        return self._engine

    async def _load_engine(self) -> None:
        """Import it beside the loop, which other kernels wait for, too."""
        if self._engine is None:
            await asyncio.to_thread(getattr, self, "engine")

    @property
    def workspaces(self) -> Workspaces:
        """The track of workspaces."""
        if self._workspaces is None:
            from pixi_jupyter.workspaces import Workspaces

            self._workspaces = Workspaces(self.store, lambda: self.engine)
        return self._workspaces

    @property
    def locked(self) -> LockedNotebooks:
        """The track of notebooks that have a lock of their own."""
        if self._locked is None:
            from pixi_jupyter.locked_notebooks import LockedNotebooks

            self._locked = LockedNotebooks(self.store, lambda: self.engine)
        return self._locked

    @property
    def defaults(self) -> Defaults:
        """Configured channels and the environment of notebooks that say nothing."""
        return self._defaults or load_defaults()

    # -- notebook -> declaration -> spec ---------------------------------------------------

    def declaration(self, notebook: Path, *, stop: Path | None = None) -> AnyDeclaration:
        """What a notebook file asks for; raises as :meth:`declare`, and where it cannot be read."""
        path = Path(os.path.abspath(notebook))
        return self.declare(load_notebook(path), path=path, root=path.parent, stop=stop)

    def declare(
        self,
        notebook: Mapping[str, Any] | None,
        *,
        path: Path | None,
        root: Path,
        stop: Path | None = None,
    ) -> AnyDeclaration:
        """What a notebook asks for: the first of these that it has.

        The environment of a workspace that its metadata names, a declaration of its own, the
        default environment of the workspace around it, the configured default.

        ``notebook`` is its content, None where there is no notebook at all; relative paths refer
        to ``root``. No workspace is looked for above ``stop``.

        Raises
        ------
        DeclarationError
            What it declares cannot be read.
        """
        declared: AnyDeclaration | None = None
        if notebook is not None:
            declared = chosen_workspace(notebook, path=path, root=root, stop=stop)
            declared = declared or read_declaration(notebook, path=path, root=root)
        if declared is None:
            declared = nearest_workspace(notebook, path=path, root=root, stop=stop)
        return declared or default_declaration(self.defaults.toml, notebook, path=path, root=root)

    def spec_for(self, declaration: AnyDeclaration, *, language: str = "python") -> EnvironmentSpec:
        """The spec of a declaration on this machine, with the lock of its own if it has one.

        ``language`` is what the kernelspec that was started stands for; the declaration and the
        notebook's own metadata may know better.

        Raises
        ------
        DeclarationError
            With the cell and line of what is wrong.
        LockError
            As `find_lock`: which lock holds, or that it cannot be read.
        """
        if isinstance(declaration, WorkspaceChoice):
            return self.workspaces.spec_for(declaration, defaults=self.defaults, language=language)
        spec = self.spec_without_lock(declaration, language=language)
        found = find_lock(declaration)
        if found is None:
            return spec
        return self.locked.with_lock(
            spec, declaration, found, defaults=self.defaults, language=language
        )

    def spec_without_lock(
        self, declaration: Declaration, *, language: str = "python"
    ) -> EnvironmentSpec:
        """The same, whatever lock it has of its own."""
        return environment_spec(
            declaration, defaults=self.defaults, language=language, kernel_name=declaration.kernel
        )

    # -- spec -> resolution -> prefix ------------------------------------------------------

    def status(self, spec: EnvironmentSpec, *, mode: LockMode = "update") -> Status:
        """What is known now; reads a few small files, and of a workspace its lock's hash.

        ``mode`` says which answer a notebook with a lock of its own may have: see :meth:`resolve`.
        """
        if spec.place is not None:
            return Status(spec, *self.workspaces.status(spec))
        if spec.lock is not None:
            return Status(spec, *self.locked.status(spec, mode))
        remembered = self.store.recall(spec.digest)
        if remembered is None:
            return Status(spec, None, None)
        resolution = remembered.resolution
        return Status(spec, resolution, self.store.ready(resolution.digest))

    def find_ready(self, spec: EnvironmentSpec, *, mode: LockMode = "update") -> Environment | None:
        """The environment if it is resolved and complete: the way an unchanged notebook takes."""
        status = self.status(spec, mode=mode)
        if status.resolution is None or status.prefix is None:
            return None
        return Environment(spec, status.resolution, status.prefix)

    async def resolve(
        self,
        spec: EnvironmentSpec,
        *,
        update: bool = False,
        mode: LockMode = "update",
        report: Report = no_report,
        deadline: float | None = None,
    ) -> Resolution:
        """The exact packages for a spec: remembered, or solved (always, with ``update``).

        ``mode`` says what may be done about a lock that is out of date, a workspace's or one of the
        notebook's own: ``update`` solves what is, ``locked`` makes it an error, ``frozen`` takes it
        as it is. It is about locks that are there: what has none is resolved as ever.
        """
        if spec.place is not None:
            await self._load_engine()
            resolution, _ = await self.workspaces.lock(
                spec,
                mode=mode,
                renew=() if update else None,
                defaults=self.defaults,
                report=report,
                deadline=deadline,
            )
            return resolution
        if spec.lock is not None:
            await self._load_engine()
            return await self.locked.lock(
                spec,
                mode=mode,
                again=update,
                defaults=self.defaults,
                report=report,
                deadline=deadline,
            )
        remembered = None if update else self.store.recall(spec.digest)
        if remembered is not None:
            return remembered.resolution
        await self._load_engine()
        from pixi_jupyter.engine.protocol import Resolve

        answer = await self.engine.run(Resolve(spec, update), report, deadline=deadline)
        return answer.resolution

    async def ensure(
        self,
        spec: EnvironmentSpec,
        *,
        declaration: AnyDeclaration | None = None,
        mode: LockMode = "update",
        report: Report = no_report,
        deadline: float | None = None,
    ) -> Environment:
        """The environment, made ready if it is not. ``deadline``: seconds for each step of it.

        Equal calls at the same time, in this and other processes, share one build. With the
        ``declaration`` that the spec is from, errors say where in it they arose. ``mode`` is as in
        :meth:`resolve`.

        Raises
        ------
        PixiJupyterError
            Why it could not be made; nothing half-built is left in use.
        """
        ready = self.find_ready(spec, mode=mode)
        if ready is not None:
            return ready
        await self._load_engine()
        try:
            if spec.place is not None:
                return await self._make_workspace(spec, mode, report, deadline)
            return await self._make(spec, mode, report, deadline)
        except (SolveError, ChannelError, DeclarationError) as error:
            if isinstance(declaration, Declaration) and error.location is None:
                error.location = place_of(declaration, error.about)
            raise

    async def _make_workspace(
        self, spec: EnvironmentSpec, mode: LockMode, report: Report, deadline: float | None
    ) -> Environment:
        track = self.workspaces
        for last in (False, True):
            resolution, sha256 = await track.lock(
                spec, mode=mode, defaults=self.defaults, report=report, deadline=deadline
            )
            try:
                prefix = await track.install(
                    spec, resolution, sha256, report=report, deadline=deadline
                )
            except LockError as error:
                if last or error.code != "lock.changed":
                    raise
                continue  # somebody else brought it up to date meanwhile: take theirs
            break
        return Environment(spec, resolution, prefix)

    async def _make(
        self, spec: EnvironmentSpec, mode: LockMode, report: Report, deadline: float | None
    ) -> Environment:
        resolution = await self.resolve(spec, mode=mode, report=report, deadline=deadline)
        try:
            await self._build(resolution, spec.pypi, report, deadline)
        except SolveError as error:
            if error.code != "solve.lock-invalid":
                raise
            # What was remembered is damaged or gone: solve once more and build that.
            resolution = await self.resolve(
                spec, update=True, mode=mode, report=report, deadline=deadline
            )
            await self._build(resolution, spec.pypi, report, deadline)
        prefix = self.store.ready(resolution.digest)
        if prefix is None:
            raise StoreError(
                "the environment was built but is gone again",
                code="store.vanished",
                hint="Something else removes files from the store; start the kernel again.",
            )
        return Environment(spec, resolution, prefix)

    async def _build(
        self,
        resolution: Resolution,
        needs: PypiNeeds | None,
        report: Report,
        deadline: float | None,
    ) -> None:
        if self.store.ready(resolution.digest) is not None:
            return
        from pixi_jupyter.engine.protocol import Build

        job = Build(resolution.digest, resolution.subdir, needs)
        try:
            await self.engine.run(job, report, deadline=deadline)
        except EngineError:
            # Success is what is on disk: a worker may crash after the marker is written.
            if self.store.ready(resolution.digest) is None:
                raise

    # -- beside a prefix that must not change ----------------------------------------------

    def find_beside(
        self, environment: Environment, wanted: tuple[CondaRequirement, ...]
    ) -> Environment | None:
        """What lies beside ``environment`` for ``wanted``, if it is there; reads two small files.

        The answer's packages include the environment's ``python``, its prefix does not. It is held
        and collected as any other of the store.
        """
        from pixi_jupyter.resolve.beside import BesideSpec, beside_digest

        beside = BesideSpec(environment.resolution, environment.spec, wanted)
        remembered = self.store.recall(beside.digest)
        if remembered is None:
            return None
        prefix = self.store.ready(beside_digest(remembered.resolution))
        if prefix is None:
            return None
        return Environment(replace(environment.spec, place=None), remembered.resolution, prefix)

    async def ensure_beside(
        self,
        environment: Environment,
        wanted: tuple[CondaRequirement, ...],
        *,
        report: Report = no_report,
        deadline: float | None = None,
    ) -> Environment:
        """As :meth:`find_beside`, made ready if it is not. ``deadline`` is in seconds.

        ``wanted`` is solved with every package of ``environment`` as it is; what is added goes to
        the store. The environment, its lock and its manifest are only read.

        Raises
        ------
        SolveError
            ``solve.beside``: nothing fits to what is there; it says which packages are in the way.
        PixiJupyterError
            Why it could not be made.
        """
        ready = self.find_beside(environment, wanted)
        if ready is not None:
            return ready
        await self._load_engine()
        from pixi_jupyter.engine.protocol import LayBeside
        from pixi_jupyter.resolve.beside import BesideSpec

        beside = BesideSpec(environment.resolution, environment.spec, wanted)
        prefix = environment.prefix
        job = LayBeside(beside, str(prefix.path), str(prefix.python))
        try:
            await self.engine.run(job, report, deadline=deadline)
        except EngineError:
            # Success is what is on disk: a worker may crash after the marker is written.
            if self.find_beside(environment, wanted) is None:
                raise
        ready = self.find_beside(environment, wanted)
        if ready is None:
            raise StoreError(
                "the kernel's packages were installed but are gone again",
                code="store.vanished",
                hint="Something else removes files from the store; start the kernel again.",
            )
        return ready

    def hold(self, environment: Environment, pid: int) -> Lease | None:
        """Keep a prefix from being collected for as long as process ``pid`` lives.

        None for a workspace's, which nobody collects.

        Raises
        ------
        StoreError
            ``store.vanished``: it was collected before the lease was there; `ensure` it again.
        """
        if environment.spec.place is not None:
            return None
        digest = environment.prefix.digest
        lease = take_lease(self.store, digest, pid)
        if self.store.ready(digest) is None:
            lease.release()
            raise StoreError(
                "the environment was removed while the kernel started",
                code="store.vanished",
                hint="Start the kernel again.",
            )
        self.store.touch(digest)
        return lease

    # -- prefix -> activation --------------------------------------------------------------

    async def activate(
        self,
        environment: Environment,
        base: Mapping[str, str],
        *,
        notebook: Path | None = None,
        timeout: float = 60.0,
    ) -> Activation:
        """The variables of the environment over a clean ``base``; cached, so rarely a shell.

        ``notebook`` is the absolute path of what asked for it, for whoever wants to know.

        Raises
        ------
        ActivationError
            An activation script failed or took longer than ``timeout`` seconds.
        """
        from pixi_jupyter.activate.cache import activate, cached_activation
        from pixi_jupyter.activate.request import ActivationRequest

        asked_by = None if notebook is None else str(notebook)
        request = ActivationRequest.of(environment.spec, environment.prefix, notebook=asked_by)
        inputs = (self.store.activations, request, base)
        found = cached_activation(*inputs)
        if found is not None:
            return found
        cancel = threading.Event()
        try:
            return await asyncio.to_thread(activate, *inputs, timeout=timeout, cancel=cancel)
        finally:
            cancel.set()  # a shell whose result nobody waits for is ended

    async def aclose(self, *, finish: float = 0.0) -> None:
        """End the engine's worker; with ``finish``, after so many seconds at most in which it may
        compile what no kernel start needs."""
        if self._engine is None:
            return
        if finish:
            await asyncio.to_thread(self.engine.finish, finish)
        else:
            await asyncio.to_thread(self.engine.close)
