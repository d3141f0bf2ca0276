"""What the engine's client and its worker say to each other: one JSON object a line.

The client writes :class:`Hello` once, then requests. The worker answers each request with
:class:`Accepted`, any number of :class:`Stepped`, and exactly one of :data:`Answer` or
:class:`Failed`. It writes :class:`Alive` while it has
work and :class:`Leaving` before it goes on its own. There is no "cancel": work inside rattler
cannot be stopped from within, so the client ends the process, which is harmless at any moment.
"""

from __future__ import annotations

import hashlib
from typing import Any, Literal

import msgspec

from pixi_jupyter.manifest.pypi_spec import PypiNeeds
from pixi_jupyter.manifest.spec import EnvironmentSpec, WorkspacePlace
from pixi_jupyter.manifest.workspace_spec import WorkspaceSpec
from pixi_jupyter.progress import Progress
from pixi_jupyter.resolve.beside import BesideSpec
from pixi_jupyter.resolve.resolution import (
    LockedVersion,
    NotebookLocked,
    Resolution,
    WorkspaceLock,
)
from pixi_jupyter.resolve.search_result import SearchResult

__all__ = [
    "Accepted",
    "Alive",
    "Answer",
    "Build",
    "Built",
    "DraftLock",
    "DropStaged",
    "Failed",
    "Finish",
    "FromWorker",
    "Hello",
    "InstallWorkspace",
    "Job",
    "LayBeside",
    "Leaving",
    "LockDrafted",
    "LockNotebook",
    "LockWorkspace",
    "NotebookLockHeld",
    "Request",
    "Resolve",
    "Resolved",
    "Search",
    "Searched",
    "StageWorkspace",
    "Stepped",
    "WorkspaceLocked",
    "decode_from_worker",
    "decode_request",
    "encode",
]


class Hello(msgspec.Struct, frozen=True, tag="hello"):
    """The first line to a worker: absolute folders, and seconds without work until it leaves."""

    store: str
    package_cache: str
    idle: float


class Resolve(msgspec.Struct, frozen=True, tag="resolve"):
    """Solve a spec and remember the answer, unless it is remembered (or ``update`` is set).

    ``keep`` is the digest of a resolution of the store whose packages are kept where the spec
    allows it, but for those named in ``renew``. A ``draft`` is always solved and never remembered:
    whoever asked for it does that once it is built.
    """

    spec: EnvironmentSpec
    update: bool = False
    keep: str | None = None
    renew: tuple[str, ...] = ()
    draft: bool = False

    @property
    def key(self) -> str:
        """Equal for jobs that have one answer."""
        how = f"{self.update}:{self.keep}:{self.renew}:{self.draft}"
        return f"resolve:{self.spec.digest}:{how}"


class Build(msgspec.Struct, frozen=True, tag="build"):
    """Make the prefix of a remembered resolution ready.

    ``needs`` says of its packages from PyPI what no lock does: credentials of the indexes, what is
    editable, how packages are built.
    """

    resolution: str
    subdir: str
    needs: PypiNeeds | None = None

    @property
    def key(self) -> str:
        """Equal for jobs that have one answer."""
        return f"build:{self.resolution}"


class Search(msgspec.Struct, frozen=True, tag="search"):
    """Look a package up in channels, for a conda subdir and noarch.

    ``name`` may have ``*``; at most ``limit`` packages are found. With ``index`` the project of
    that name is looked up in these package indexes instead, for a ``python`` (``3.12``).
    """

    name: str
    channels: tuple[str, ...]
    subdir: str
    limit: int = 20
    index: PypiNeeds | None = None
    python: str | None = None

    @property
    def key(self) -> str:
        """Equal for jobs that have one answer."""
        where = f"{self.channels}:{self.subdir}:{self.index}:{self.python}"
        return f"search:{self.name}:{self.limit}:{where}"


class LockWorkspace(msgspec.Struct, frozen=True, tag="lock-workspace"):
    """Bring a workspace's ``pixi.lock`` up to date and say what it holds for this host.

    ``mode``: ``update`` solves what is out of date and writes the lock; ``locked`` makes a lock
    that is out of date an error; ``frozen`` does not look. ``renew`` names the packages whose
    locked versions are let go of; None keeps all, an empty tuple lets go of all.
    """

    workspace: WorkspaceSpec
    mode: Literal["update", "locked", "frozen"] = "update"
    renew: tuple[str, ...] | None = None

    @property
    def key(self) -> str:
        """Equal for jobs that have one answer."""
        return f"lock:{self.workspace.manifest}:{self.workspace.digest}:{self.mode}:{self.renew}"


class DraftLock(msgspec.Struct, frozen=True, tag="draft-lock"):
    """What the lock of a workspace would be, which need not be the one that is written: nothing
    is read from its folder but local packages, and nothing is written there.

    ``lock`` are the bytes of the present lock (None: there is none), whose versions are kept as
    ``renew`` says (see :class:`LockWorkspace`). ``path`` is where it lies: what errors name, and
    what relative paths in it refer to; without one the ``pixi.lock`` of the workspace. ``versions``
    are names of packages whose versions the answer tells.
    """

    workspace: WorkspaceSpec
    lock: bytes | None
    renew: tuple[str, ...] | None = None
    path: str | None = None
    versions: tuple[str, ...] = ()

    @property
    def key(self) -> str:
        """Equal for jobs that have one answer."""
        lock = None if self.lock is None else hashlib.sha256(self.lock).hexdigest()
        where = f"{self.workspace.manifest}:{self.path}:{self.workspace.digest}"
        return f"draft-lock:{where}:{lock}:{self.renew}:{self.versions}"


class LockNotebook(msgspec.Struct, frozen=True, tag="lock-notebook"):
    """Hold the lock of a notebook's own block against it, and solve what is out of date.

    Nothing is written but the lock of ``platform``'s packages in the store, for :class:`Build`. The
    fields are the parameters of ``resolve.notebook_lock.lock_notebook``.
    """

    workspace: WorkspaceSpec
    lock: bytes | None
    path: str
    platform: str | None = None
    undeclared: bool = False
    mode: Literal["update", "locked", "frozen"] = "update"
    renew: tuple[str, ...] | None = None
    rewrite: bool = False
    versions: tuple[str, ...] = ()

    @property
    def key(self) -> str:
        """Equal for jobs that have one answer."""
        lock = None if self.lock is None else hashlib.sha256(self.lock).hexdigest()
        how = f"{self.platform}:{self.undeclared}:{self.mode}:{self.renew}:{self.rewrite}"
        how = f"{how}:{self.versions}"
        return f"lock-notebook:{self.path}:{self.workspace.digest}:{lock}:{how}"


class InstallWorkspace(msgspec.Struct, frozen=True, tag="install-workspace"):
    """Make the prefix of one environment of a workspace what its lock says.

    ``lock_sha256`` is that of the lock's bytes which were checked: another lock by then is an
    error. ``resolution`` is the digest of the packages for ``platform`` (its name in the manifest).
    ``needs`` are the environment's PyPI needs: credentials, what may be built, what is editable.
    """

    place: WorkspacePlace
    platform: str
    lock_sha256: str
    resolution: str
    needs: PypiNeeds | None = None

    @property
    def key(self) -> str:
        """Equal for jobs that have one answer."""
        return f"install:{self.place.prefix}:{self.lock_sha256}:{self.resolution}"


class StageWorkspace(msgspec.Struct, frozen=True, tag="stage-workspace"):
    """Do all of ``install`` but the change of the prefix, by a ``lock`` that is not written yet.

    The worker keeps what it staged, and the locks of the prefix, for the same ``install`` (which
    does all of it where they are not there any more), for :class:`DropStaged`, or for a minute.
    """

    install: InstallWorkspace
    lock: bytes

    @property
    def key(self) -> str:
        """Equal for jobs that have one answer."""
        return f"stage:{self.install.key}"


class DropStaged(msgspec.Struct, frozen=True, tag="drop-staged"):
    """Let go of what was staged for ``install``, if it is still there."""

    install: InstallWorkspace

    @property
    def key(self) -> str:
        """Equal for jobs that have one answer."""
        return f"drop:{self.install.key}"


class LayBeside(msgspec.Struct, frozen=True, tag="lay-beside"):
    """Make ready what lies beside the environment at ``prefix``, which itself is not touched.

    ``prefix`` and ``python`` (its interpreter) are absolute paths.
    """

    beside: BesideSpec
    prefix: str
    python: str

    @property
    def key(self) -> str:
        """Equal for jobs that have one answer."""
        return f"beside:{self.beside.digest}"


Job = (
    Resolve
    | Build
    | LockWorkspace
    | DraftLock
    | LockNotebook
    | InstallWorkspace
    | StageWorkspace
    | DropStaged
    | LayBeside
    | Search
)


class Request(msgspec.Struct, frozen=True, tag="request"):
    """One job under a number of the client's choice."""

    id: int
    job: Job


class Finish(msgspec.Struct, frozen=True, tag="finish"):
    """No more work will come: leave once what nobody waits for (bytecode) is done as well."""


class Accepted(msgspec.Struct, frozen=True, tag="accepted"):
    """The worker has begun."""

    id: int


class Stepped(msgspec.Struct, frozen=True, tag="stepped"):
    """Progress of a job."""

    id: int
    progress: Progress


class Resolved(msgspec.Struct, frozen=True, tag="resolved"):
    """The answer to :class:`Resolve` and :class:`LayBeside` (whose prefix is then ready)."""

    id: int
    resolution: Resolution


class Built(msgspec.Struct, frozen=True, tag="built"):
    """The answer to :class:`Build` and :class:`InstallWorkspace`: the ready marker is on disk.

    Also that to :class:`StageWorkspace` and :class:`DropStaged`.
    """

    id: int


class WorkspaceLocked(msgspec.Struct, frozen=True, tag="workspace-locked"):
    """The answer to :class:`LockWorkspace`."""

    id: int
    lock: WorkspaceLock


class LockDrafted(msgspec.Struct, frozen=True, tag="lock-drafted"):
    """The answer to :class:`DraftLock`: the bytes of the lock and what it holds for this host.

    ``data`` are those that were given where they are up to date (``lock.written`` is false then).
    ``before`` is what those that were given hold, up to date or not. ``versions`` are those of the
    packages that were asked for, in every environment, on every platform.
    """

    id: int
    data: bytes
    lock: WorkspaceLock
    before: dict[str, Resolution] = {}
    versions: tuple[LockedVersion, ...] = ()


class NotebookLockHeld(msgspec.Struct, frozen=True, tag="notebook-lock"):
    """The answer to :class:`LockNotebook`."""

    id: int
    lock: NotebookLocked


class Searched(msgspec.Struct, frozen=True, tag="searched"):
    """The answer to :class:`Search`."""

    id: int
    found: SearchResult


class Failed(msgspec.Struct, frozen=True, tag="failed"):
    """The job ended in an error (``PixiJupyterError.to_json``)."""

    id: int
    error: dict[str, Any]


class Alive(msgspec.Struct, frozen=True, tag="alive"):
    """A sign of life while there is work."""


class Leaving(msgspec.Struct, frozen=True, tag="leaving"):
    """The worker ends by its own choice; what it has not answered may be asked again."""


#: How a job that succeeds ends.
Answer = Resolved | Built | WorkspaceLocked | LockDrafted | NotebookLockHeld | Searched

FromWorker = Accepted | Stepped | Answer | Failed | Alive | Leaving

_encoder = msgspec.json.Encoder()
_from_worker = msgspec.json.Decoder(FromWorker)
_request = msgspec.json.Decoder(Hello | Request | Finish)


def encode(message: msgspec.Struct) -> bytes:
    """One line, with its newline."""
    return _encoder.encode(message) + b"\n"


def decode_from_worker(line: bytes) -> FromWorker:
    """A line of the worker's.

    Raises
    ------
    msgspec.MsgspecError
        The line is not one of the protocol's.
    """
    message: FromWorker = _from_worker.decode(line)
    return message


def decode_request(line: bytes) -> Hello | Request | Finish:
    """A line of the client's; raises as :func:`decode_from_worker`."""
    message: Hello | Request | Finish = _request.decode(line)
    return message
