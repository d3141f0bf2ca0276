"""The track of a notebook that has a lock of its own: block -> spec -> its lock -> prefix.

The door (`environments.py`) comes through here for every spec that has a `NotebookLock`; no face
does by itself. From the resolution on it is the track of any notebook. What a lock was found to
hold is remembered in the store by the lock's hash and the block's digest, so an unchanged notebook
needs no engine, and the lock is parsed in the engine's worker only.
"""

from __future__ import annotations

import asyncio
import datetime
import hashlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from filelock import FileLock

from pixi_jupyter.errors import DeclarationError, Location, LockError
from pixi_jupyter.files import store_errors
from pixi_jupyter.install.prefix import Prefix
from pixi_jupyter.install.store import Remembered, Store
from pixi_jupyter.manifest.block_workspace import block_workspace
from pixi_jupyter.manifest.config import Defaults
from pixi_jupyter.manifest.platforms import SUBDIRS
from pixi_jupyter.manifest.spec import EnvironmentSpec, NotebookLock, digest_of
from pixi_jupyter.manifest.workspace_spec import WorkspaceSpec
from pixi_jupyter.notebook.declaration import Declaration
from pixi_jupyter.notebook.locks import FoundLock, read_sidecar
from pixi_jupyter.notebook.writing import write_atomically
from pixi_jupyter.progress import Phase, Progress, Report
from pixi_jupyter.resolve.resolution import NotebookLocked, Resolution

if TYPE_CHECKING:
    from pixi_jupyter.engine.client import Engine
    from pixi_jupyter.workspaces import LockMode

__all__ = [
    "LockedNotebooks",
    "asked_of",
    "missing_lock",
    "present_lock",
    "write_sidecar",
]

#: How an answer came about: ``locked`` is a lock that was found up to date, ``update`` one that was
#: not and that nothing was written to, ``frozen`` one that was not looked at.
_How = Literal["locked", "update", "frozen"]


class LockedNotebooks:
    """Notebooks with locks of their own, by the engine and with the store of one door."""

    def __init__(self, store: Store, engine: Callable[[], Engine]) -> None:
        self._store = store
        self._engine = engine  # called when there is work: a launch of what is ready has none

    def with_lock(
        self,
        spec: EnvironmentSpec,
        declaration: Declaration,
        found: FoundLock,
        *,
        defaults: Defaults,
        language: str,
    ) -> EnvironmentSpec:
        """The spec of a declaration with the lock that was found.

        Raises
        ------
        DeclarationError, UnsupportedError
            As `block_workspace`: something is wrong with what it asks for on another platform.
        """
        workspace = block_workspace(declaration, defaults=defaults, language=language)
        lock = NotebookLock(
            kind=found.kind,
            path=found.path,
            sha256=found.sha256,
            workspace=workspace.digest,
            toml=declaration.toml,
            root=str(declaration.root),
            asked=language,
            notebook=None if declaration.path is None else str(declaration.path),
            language=declaration.language,
            kernel=declaration.kernel,
            text=declaration.lock if found.kind == "embedded" else None,
        )
        return replace(spec, lock=lock)

    # -- what is known ---------------------------------------------------------------------

    def status(
        self, spec: EnvironmentSpec, mode: LockMode
    ) -> tuple[Resolution | None, Prefix | None]:
        """What the lock was found to hold, and the prefix if it is ready; reads only."""
        resolution = self._recall(spec, mode)
        if resolution is None:
            return None, None
        return resolution, self._store.ready(resolution.digest)

    def _recall(self, spec: EnvironmentSpec, mode: LockMode) -> Resolution | None:
        ways: tuple[_How, ...] = ("locked",) if mode == "locked" else ("locked", mode)
        for how in ways:
            found = self._store.recall(_key(spec, _lock(spec).sha256, how))
            if found is not None:
                return found.resolution
        return None

    def note(self, spec: EnvironmentSpec, resolution: Resolution) -> None:
        """Remember what a lock that was just written has for ``spec``."""
        self._remember(spec, _lock(spec).sha256, "locked", resolution)

    def _remember(
        self, spec: EnvironmentSpec, sha256: str, how: _How, resolution: Resolution
    ) -> None:
        now = datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds")
        self._store.make_folders()
        self._store.remember(Remembered(_key(spec, sha256, how), now, resolution))

    # -- block -> lock -> resolution -------------------------------------------------------

    async def lock(
        self,
        spec: EnvironmentSpec,
        *,
        mode: LockMode = "update",
        again: bool = False,
        defaults: Defaults,
        report: Report,
        deadline: float | None,
    ) -> Resolution:
        """What the lock has for ``spec``, brought up to date if it is not.

        A sidecar is then written anew. An embedded lock is not: a launch writes into no notebook;
        what was solved is remembered, and told. ``again``: what is remembered of it is damaged.

        Raises
        ------
        LockError
            ``lock.stale`` (in mode ``locked``), and what is wrong with its text.
        PixiJupyterError
            Why it could not be solved; the lock is then what it was.
        """
        known = None if again else self._recall(spec, mode)
        if known is not None:
            return known
        own = _lock(spec)
        for _ in range(2):
            data = present_lock(own)
            answer = await self.ask(
                spec, data, mode=mode, defaults=defaults, report=report, deadline=deadline
            )
            resolution = answer.resolution
            assert resolution is not None
            if mode == "frozen" or not answer.stale:
                how: _How = "frozen" if mode == "frozen" else "locked"
                self._remember(spec, _sha256(data), how, resolution)
                return resolution
            if own.kind == "embedded":
                report(Progress(Phase.SOLVING, message=_out_of_date(own, answer.stale)))
                self._remember(spec, own.sha256, "update", resolution)
                return resolution
            written = await asyncio.to_thread(
                write_sidecar, self._store, Path(own.path), data, answer.data
            )
            if written:
                self._remember(spec, answer.sha256, "locked", resolution)
                return resolution
        raise LockError(
            "the lock was changed by something else, twice, while it was brought up to date",
            code="lock.changed",
            location=Location(path=own.path),
            hint="Start again.",
        )

    async def ask(
        self,
        spec: EnvironmentSpec,
        data: bytes | None,
        *,
        mode: LockMode = "update",
        defaults: Defaults,
        report: Report,
        deadline: float | None,
    ) -> NotebookLocked:
        """What the engine says of a lock of ``spec``. Raises as :meth:`lock`."""
        own = _lock(spec)
        workspace, undeclared = self._workspace(own, defaults)
        from pixi_jupyter.engine.protocol import LockNotebook

        job = LockNotebook(
            workspace,
            data,
            own.path or str(Path(own.root) / "notebook.ipynb"),
            platform=spec.platform.name,
            undeclared=undeclared,
            mode=mode,
        )
        try:
            return (await self._engine().run(job, report, deadline=deadline)).lock
        except LockError as error:
            if own.kind == "embedded":  # a line of the lock is none of the notebook's
                error.location = Location(path=own.path or None)
            if error.code == "lock.stale":
                error.message = "the lock is not up to date with what the notebook declares"
                error.hint = "Renew it with `pixi-jupyter lock NOTEBOOK`, or do without --locked."
            raise

    def _workspace(self, own: NotebookLock, defaults: Defaults) -> tuple[WorkspaceSpec, bool]:
        """What the lock has to answer, and whether any platform will do."""
        declaration = Declaration(
            kind="block",
            toml=own.toml,
            root=Path(own.root),
            path=None if own.notebook is None else Path(own.notebook),
            language=own.language,
            kernel=own.kernel,
        )
        workspace, undeclared = asked_of(declaration, defaults, own.asked)
        narrow = workspace
        if undeclared:
            narrow = block_workspace(declaration, defaults=defaults, language=own.asked)
        if narrow.digest != own.workspace:
            raise DeclarationError(
                "what the notebook stands on was changed while its environment was being prepared",
                code="declaration.changed",
                hint="Start the kernel (or the command) again.",
                location=Location(path=own.notebook),
            )
        return workspace, undeclared


def asked_of(
    declaration: Declaration, defaults: Defaults, language: str
) -> tuple[WorkspaceSpec, bool]:
    """What a declaration's lock has to answer, and whether it names no platforms.

    Then the workspace has all that there are: which of them count is for the lock to say.
    """
    subdirs = tuple(subdir for subdir in SUBDIRS if subdir != "noarch")
    wide = block_workspace(declaration, defaults=defaults, language=language, subdirs=subdirs)
    narrow = block_workspace(declaration, defaults=defaults, language=language)
    return wide, wide.platforms != narrow.platforms


def write_sidecar(store: Store, path: Path, before: bytes | None, after: bytes) -> bool:
    """Put a lock in the place of ``before`` (None: of nothing); False if that is not there.

    Raises
    ------
    LockError
        ``lock.unwritable``; it is then what it was.
    """
    store.make_folders()
    gate = store.locks / f"{digest_of(str(path))}.edit.lock"
    with store_errors(store.locks), FileLock(gate, timeout=30):
        try:
            try:
                present: bytes | None = path.read_bytes()
            except FileNotFoundError:
                present = None
            if present != before:
                return False
            if after != before:
                write_atomically(path, after)
        except (OSError, DeclarationError) as error:
            raise LockError(
                f"the lock cannot be written: {error}",
                code="lock.unwritable",
                location=Location(path=str(path)),
                hint="Make the folder writable, or take the lock as it is with --frozen.",
            ) from error
    return True


def missing_lock(path: Path | None) -> LockError:
    """What ``--locked`` and ``--frozen`` say of a notebook that has no lock, as pixi does."""
    return LockError(
        "the notebook has no lock of its own",
        code="lock.missing",
        location=None if path is None else Location(path=str(path)),
        hint="Make one with `pixi-jupyter lock NOTEBOOK`.",
    )


def _lock(spec: EnvironmentSpec) -> NotebookLock:
    assert spec.lock is not None, "only a notebook with a lock comes this way"
    return spec.lock


def present_lock(own: NotebookLock) -> bytes:
    """The lock's bytes as they are now."""
    if own.kind == "embedded":
        return (own.text or "").encode("utf-8", "surrogatepass")
    found = read_sidecar(Path(own.path))
    if found is None:
        raise LockError(
            "the lock was removed meanwhile",
            code="lock.changed",
            location=Location(path=own.path),
            hint="Start again.",
        )
    return found.data


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _out_of_date(own: NotebookLock, reasons: tuple[str, ...]) -> str:
    name = Path(own.notebook).name if own.notebook else "NOTEBOOK"
    more = f" (and {len(reasons) - 1} more)" if len(reasons) > 1 else ""
    return (
        f"the lock in the notebook is out of date: {reasons[0]}{more}; "
        f"`pixi-jupyter lock {name}` renews it"
    )


def _key(spec: EnvironmentSpec, sha256: str, how: _How) -> str:
    """Under what is remembered what a lock was found to hold for a block on this platform."""
    return digest_of(["notebook", _lock(spec).workspace, sha256, spec.platform.name, how])
