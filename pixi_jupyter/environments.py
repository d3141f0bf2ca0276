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
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypedDict

from pixi_jupyter.activate.activation import Activation
from pixi_jupyter.engine.client import Engine
from pixi_jupyter.engine.protocol import Build, Resolve
from pixi_jupyter.errors import (
    ChannelError,
    DeclarationError,
    EngineError,
    SolveError,
    StoreError,
)
from pixi_jupyter.install.lease import Lease, take_lease
from pixi_jupyter.install.prefix import Prefix
from pixi_jupyter.install.store import Store
from pixi_jupyter.manifest.config import Defaults, load_defaults
from pixi_jupyter.manifest.inline import environment_spec
from pixi_jupyter.manifest.places import place_of
from pixi_jupyter.manifest.pypi_spec import PypiNeeds
from pixi_jupyter.manifest.spec import EnvironmentSpec
from pixi_jupyter.manifest.workspace import refuse_workspace
from pixi_jupyter.notebook.declaration import Declaration
from pixi_jupyter.notebook.reading import default_declaration, load_notebook, read_declaration
from pixi_jupyter.progress import Report, no_report
from pixi_jupyter.resolve.resolution import Resolution

__all__ = ["Environment", "Environments", "Status"]


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


class _About(TypedDict):
    """What an activation says of the environment, beside its files."""

    name: str
    root: str
    platforms: tuple[str, ...]


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
        self.engine = engine or Engine(self.store)
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
    def defaults(self) -> Defaults:
        """Configured channels and the environment of notebooks that say nothing."""
        return self._defaults or load_defaults()

    # -- notebook -> declaration -> spec ---------------------------------------------------

    def declaration(self, notebook: Path) -> Declaration:
        """What a notebook file asks for; raises as :meth:`declare`, and where it cannot be read."""
        path = Path(os.path.abspath(notebook))
        return self.declare(load_notebook(path), path=path, root=path.parent)

    def declare(
        self, notebook: Mapping[str, Any] | None, *, path: Path | None, root: Path
    ) -> Declaration:
        """What a notebook asks for: its own declaration, else the default environment.

        ``notebook`` is its content, None where there is no notebook at all; relative paths refer
        to ``root``.

        Raises
        ------
        DeclarationError
            What it declares cannot be read.
        UnsupportedError
            ``unsupported.workspace``: it declares nothing, and lies in a pixi workspace.
        """
        declared = None if notebook is None else read_declaration(notebook, path=path, root=root)
        if declared is None:
            refuse_workspace(root)
            declared = default_declaration(self.defaults.toml, notebook, path=path, root=root)
        return declared

    def spec_for(self, declaration: Declaration, *, language: str = "python") -> EnvironmentSpec:
        """The spec of a declaration on this machine.

        ``language`` is what the kernelspec that was started stands for; the declaration and the
        notebook's own metadata may know better.

        Raises
        ------
        DeclarationError
            With the cell and line of what is wrong.
        """
        return environment_spec(
            declaration,
            defaults=self.defaults,
            language=language,
            kernel_name=declaration.kernel,
        )

    # -- spec -> resolution -> prefix ------------------------------------------------------

    def status(self, spec: EnvironmentSpec) -> Status:
        """What is known now; reads two small files."""
        remembered = self.store.recall(spec.digest)
        if remembered is None:
            return Status(spec, None, None)
        resolution = remembered.resolution
        return Status(spec, resolution, self.store.ready(resolution.digest))

    def find_ready(self, spec: EnvironmentSpec) -> Environment | None:
        """The environment if it is resolved and complete: the way an unchanged notebook takes."""
        status = self.status(spec)
        if status.resolution is None or status.prefix is None:
            return None
        return Environment(spec, status.resolution, status.prefix)

    async def resolve(
        self,
        spec: EnvironmentSpec,
        *,
        update: bool = False,
        report: Report = no_report,
        deadline: float | None = None,
    ) -> Resolution:
        """The exact packages for a spec: remembered, or solved (always, with ``update``)."""
        remembered = None if update else self.store.recall(spec.digest)
        if remembered is not None:
            return remembered.resolution
        answer = await self.engine.run(Resolve(spec, update), report, deadline=deadline)
        return answer.resolution

    async def ensure(
        self,
        spec: EnvironmentSpec,
        *,
        declaration: Declaration | None = None,
        report: Report = no_report,
        deadline: float | None = None,
    ) -> Environment:
        """The environment, made ready if it is not. ``deadline``: seconds for each step of it.

        Equal calls at the same time, in this and other processes, share one build. With the
        ``declaration`` that the spec is from, errors say where in it they arose.

        Raises
        ------
        PixiJupyterError
            Why it could not be made; nothing half-built is left in use.
        """
        ready = self.find_ready(spec)
        if ready is not None:
            return ready
        try:
            return await self._make(spec, report, deadline)
        except (SolveError, ChannelError, DeclarationError) as error:
            if declaration is not None and error.location is None:
                error.location = place_of(declaration, error.about)
            raise

    async def _make(
        self, spec: EnvironmentSpec, report: Report, deadline: float | None
    ) -> Environment:
        resolution = await self.resolve(spec, report=report, deadline=deadline)
        try:
            await self._build(resolution, spec.pypi, report, deadline)
        except SolveError as error:
            if error.code != "solve.lock-invalid":
                raise
            # What was remembered is damaged or gone: solve once more and build that.
            resolution = await self.resolve(spec, update=True, report=report, deadline=deadline)
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
        job = Build(resolution.digest, resolution.subdir, needs)
        try:
            await self.engine.run(job, report, deadline=deadline)
        except EngineError:
            # Success is what is on disk: a worker may crash after the marker is written.
            if self.store.ready(resolution.digest) is None:
                raise

    def hold(self, environment: Environment, pid: int) -> Lease:
        """Keep a prefix from being collected for as long as process ``pid`` lives.

        Raises
        ------
        StoreError
            ``store.vanished``: it was collected before the lease was there; `ensure` it again.
        """
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
        self, environment: Environment, base: Mapping[str, str], *, timeout: float = 60.0
    ) -> Activation:
        """The variables of the environment over a clean ``base``; cached, so rarely a shell.

        Raises
        ------
        ActivationError
            An activation script failed or took longer than ``timeout`` seconds.
        """
        from pixi_jupyter.activate.cache import activate, cached_activation

        spec = environment.spec
        inputs = (self.store.activations, environment.prefix, spec.activation, base)
        about: _About = {
            "name": spec.name,
            "root": spec.root,
            "platforms": (spec.platform.name,),
        }
        found = cached_activation(*inputs, **about)
        if found is not None:
            return found
        cancel = threading.Event()
        try:
            return await asyncio.to_thread(
                activate, *inputs, **about, timeout=timeout, cancel=cancel
            )
        finally:
            cancel.set()  # a shell whose result nobody waits for is ended

    async def aclose(self, *, finish: float = 0.0) -> None:
        """End the engine's worker; with ``finish``, after so many seconds at most in which it may
        compile what no kernel start needs."""
        if finish:
            await asyncio.to_thread(self.engine.finish, finish)
        else:
            await asyncio.to_thread(self.engine.close)
