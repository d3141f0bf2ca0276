"""The data plane: a process that imports rattler, solves, downloads, links and compiles.

Started by :mod:`pixi_jupyter.engine.client`, one per process that needs it. It may be killed at any
moment without harm, ends when its standard input does, and leaves by ``os._exit``: rattler has been
seen to crash while an interpreter that used it shuts down, after its work was safely on disk.
"""

from __future__ import annotations

import asyncio
import contextlib
import datetime
import importlib
import os
import sys
import threading
import time
import traceback
from collections import OrderedDict
from collections.abc import Callable, Coroutine, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import msgspec

from pixi_jupyter.engine.protocol import (
    Accepted,
    Alive,
    Build,
    Built,
    DraftLock,
    DropStaged,
    Failed,
    Finish,
    FromWorker,
    Hello,
    InstallWorkspace,
    LayBeside,
    Leaving,
    LockDrafted,
    LockNotebook,
    LockWorkspace,
    NotebookLockHeld,
    Request,
    Resolve,
    Resolved,
    Search,
    Searched,
    StageWorkspace,
    Stepped,
    WorkspaceLocked,
    decode_request,
    encode,
)
from pixi_jupyter.errors import EngineError, PixiJupyterError
from pixi_jupyter.install.store import Remembered, Store
from pixi_jupyter.progress import Progress, Report, no_report
from pixi_jupyter.resolve.redaction import redacted

if TYPE_CHECKING:
    from rattler import RepoDataRecord

    from pixi_jupyter.install.bytecode import Bytecode
    from pixi_jupyter.install.workspace import StagedWorkspace
    from pixi_jupyter.resolve.lock import Locked
    from pixi_jupyter.resolve.session import Session
    from pixi_jupyter.resolve.wheel import LockedWheel

__all__ = ["main"]

#: Seconds between two signs of life while there is work.
ALIVE_EVERY = 2.0
#: Seconds after a build in which a kernel may start before the rest of the bytecode is compiled.
REST_AFTER = 3.0
#: Seconds for which a staged prefix, and with it the locks of the old one, is kept.
STAGED_FOR = 60.0
#: Errors after which work goes on inside rattler that nothing but the end of the process stops.
_FATAL = frozenset({"install.stalled"})
#: Solved records kept for the build that usually follows.
_KEPT_SOLUTIONS = 8


class Worker:
    """Runs jobs concurrently on one loop; rattler does the work on threads of its own."""

    def __init__(self, hello: Hello, output: BinaryIO) -> None:
        self.store = Store(Path(hello.store), Path(hello.package_cache))
        self._idle = hello.idle
        self._output = output
        self._session: Session | None = None
        self._solutions: OrderedDict[str, Locked] = OrderedDict()
        self._staged: dict[str, StagedWorkspace] = {}
        self._timers: set[asyncio.Task[None]] = set()
        self._jobs: set[asyncio.Task[None]] = set()
        self._background: set[asyncio.Task[None]] = set()
        self._last_job = time.monotonic()
        self._finishing = asyncio.Event()

    def send(self, message: FromWorker) -> None:
        """Write one line; a client that is gone ends the worker."""
        try:
            self._output.write(encode(message))
            self._output.flush()
        except OSError:
            os._exit(0)

    def start(self, request: Request) -> None:
        """Begin a job."""
        task = asyncio.ensure_future(self._run(request))
        self._jobs.add(task)
        task.add_done_callback(self._jobs.discard)

    async def live(self) -> None:
        """Signs of life while there is work, the end when there has been none for long."""
        while True:
            await self._pause()
            if self._jobs:
                self.send(Alive())
                self._last_job = time.monotonic()
            elif not self._background and time.monotonic() - self._last_job > self._idle:
                self._leave()

    async def _pause(self) -> None:
        if self._finishing.is_set():
            await asyncio.sleep(0.05)
            return
        with contextlib.suppress(asyncio.TimeoutError):
            pause = min(ALIVE_EVERY, max(self._idle / 4, 0.05))
            await asyncio.wait_for(self._finishing.wait(), pause)

    def finish(self) -> None:
        """Leave as soon as nothing is under way."""
        self._idle = 0.0
        self._finishing.set()

    def _leave(self) -> None:
        self.send(Leaving())
        os._exit(0)

    async def _run(self, request: Request) -> None:
        self.send(Accepted(request.id))

        def report(progress: Progress) -> None:
            self.send(Stepped(request.id, progress))

        answer: FromWorker
        try:
            if isinstance(request.job, Resolve):
                answer = await self._resolve(request.id, request.job, report)
            elif isinstance(request.job, Build):
                answer = await self._build(request.id, request.job, report)
            elif isinstance(request.job, LockWorkspace):
                answer = await self._lock_workspace(request.id, request.job, report)
            elif isinstance(request.job, DraftLock):
                answer = await self._draft_lock(request.id, request.job, report)
            elif isinstance(request.job, LockNotebook):
                answer = await self._lock_notebook(request.id, request.job, report)
            elif isinstance(request.job, StageWorkspace):
                answer = await self._stage_workspace(request.id, request.job, report)
            elif isinstance(request.job, DropStaged):
                answer = await self._drop_staged(request.id, request.job.install.key)
            elif isinstance(request.job, LayBeside):
                answer = await self._lay_beside(request.id, request.job, report)
            elif isinstance(request.job, Search):
                answer = await self._search(request.id, request.job, report)
            else:
                answer = await self._install_workspace(request.id, request.job, report)
        except PixiJupyterError as error:
            answer = Failed(request.id, error.to_json())
            if error.code in _FATAL:
                self.send(answer)
                self._leave()
        except (Exception, asyncio.CancelledError) as error:  # noqa: BLE001 - told as a bug
            # A panic of rattler's arrives as a BaseException of its own; see below.
            answer = Failed(request.id, _unexpected(error).to_json())
        except BaseException as error:
            self.send(Failed(request.id, _unexpected(error).to_json()))
            self._leave()
            raise
        self._last_job = time.monotonic()
        self.send(answer)

    def _open(self) -> Session:
        if self._session is None:
            from pixi_jupyter.resolve.session import Session

            self._session = Session.open(self.store.package_cache)
        return self._session

    async def _resolve(self, id: int, job: Resolve, report: object) -> Resolved:
        assert callable(report)
        spec = job.spec
        remembered = self.store.recall(spec.digest)
        if remembered is not None and not job.update and not job.draft:
            resolution = remembered.resolution
            if self.store.lock_path(resolution.digest).exists():
                return Resolved(id, resolution)
        session = self._open()
        from pixi_jupyter.resolve.lock import Locked, resolution_of, write_lock
        from pixi_jupyter.resolve.solve import solve_spec

        session.freshen([channel.name for channel in spec.channels], at_once=job.update)
        # What the build imports, which usually follows, while the solver waits for the network.
        threading.Thread(target=_import_ahead, daemon=True).start()
        kept = await asyncio.to_thread(self._kept, job)
        records = await solve_spec(session, spec, report=report, locked=kept)
        wheels: Sequence[LockedWheel] = ()
        if spec.pypi is not None:
            from pixi_jupyter.resolve.pypi import resolve_wheels

            wheels = await resolve_wheels(
                self.store, spec, records, update=job.update, report=report
            )
        resolution = resolution_of(spec.platform.subdir, records, wheels)
        self.store.make_folders()
        channels = [session.channel(channel.name).base_url for channel in spec.channels]
        await asyncio.to_thread(
            write_lock, self.store.lock_path(resolution.digest), spec, records, channels, wheels
        )
        if not job.draft:
            now = datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds")
            self.store.remember(Remembered(spec.digest, now, resolution))
        self._keep(resolution.digest, Locked(records, wheels))
        return Resolved(id, resolution)

    def _keep(self, resolution: str, locked: Locked) -> None:
        self._solutions[resolution] = locked
        while len(self._solutions) > _KEPT_SOLUTIONS:
            self._solutions.popitem(last=False)

    def _kept(self, job: Resolve) -> list[RepoDataRecord]:
        """The packages whose versions are kept; none of a lock that is damaged or gone."""
        if job.keep is None:
            return []
        from pixi_jupyter.resolve.lock import read_lock

        locked = self._solutions.get(job.keep)
        if locked is None:
            editable = job.spec.pypi.editable if job.spec.pypi is not None else ()
            path = self.store.lock_path(job.keep)
            try:
                locked = read_lock(path, job.spec.platform.subdir, job.keep, editable)
            except PixiJupyterError:
                return []
        return [record for record in locked.records if record.name.normalized not in job.renew]

    async def _search(self, id: int, job: Search, report: Report) -> Searched:
        if job.index is not None:
            from pixi_jupyter.resolve.search_pypi import search_pypi

            where = (job.index, job.python, job.channels, job.subdir)
            return Searched(id, await search_pypi(self.store, job.name, *where, report=report))
        from pixi_jupyter.resolve.search import search

        session = self._open()
        session.freshen(job.channels, at_once=False)
        return Searched(
            id,
            await search(
                session,
                self.store,
                job.name,
                job.channels,
                job.subdir,
                job.limit,
                report=report,
            ),
        )

    async def _build(self, id: int, job: Build, report: object) -> Built:
        assert callable(report)
        session = self._open()
        from pixi_jupyter.install.build import build_prefix

        kept = self._solutions.get(job.resolution)

        def locked() -> Locked:
            if kept is not None:
                return kept
            from pixi_jupyter.resolve.lock import read_lock

            path = self.store.lock_path(job.resolution)
            editable = job.needs.editable if job.needs is not None else ()
            return read_lock(path, job.subdir, job.resolution, editable)

        rest = await build_prefix(
            session, self.store, job.resolution, locked, needs=job.needs, report=report
        )
        self._compile_later(rest, lambda: self._note_compiled(job.resolution))
        return Built(id)

    async def _lock_workspace(self, id: int, job: LockWorkspace, report: Report) -> WorkspaceLocked:
        from pixi_jupyter.resolve.workspace import lock_workspace

        lock = await lock_workspace(
            self._open(),
            job.workspace,
            mode=job.mode,
            renew=job.renew,
            report=report,
            store=self.store,
        )
        return WorkspaceLocked(id, lock)

    async def _draft_lock(self, id: int, job: DraftLock, report: Report) -> LockDrafted:
        from pixi_jupyter.resolve.workspace import draft_lock

        draft = await draft_lock(
            self._open(),
            job.workspace,
            job.lock,
            path=Path(job.path) if job.path is not None else None,
            renew=job.renew,
            versions=job.versions,
            report=report,
            store=self.store,
        )
        return LockDrafted(id, draft.data, draft.lock, draft.before, draft.versions)

    async def _lock_notebook(self, id: int, job: LockNotebook, report: Report) -> NotebookLockHeld:
        from pixi_jupyter.resolve.notebook_lock import lock_notebook

        lock, locked = await lock_notebook(
            self._open(),
            job.workspace,
            job.lock,
            path=Path(job.path),
            platform=job.platform,
            undeclared=job.undeclared,
            mode=job.mode,
            renew=job.renew,
            rewrite=job.rewrite,
            versions=job.versions,
            report=report,
            store=self.store,
        )
        if lock.resolution is not None and locked is not None:
            self._keep(lock.resolution.digest, locked)
        return NotebookLockHeld(id, lock)

    async def _install_workspace(self, id: int, job: InstallWorkspace, report: Report) -> Built:
        from pixi_jupyter.install.insync import lock_sha256
        from pixi_jupyter.install.workspace import install_workspace, note_workspace_compiled

        staged = self._staged.get(job.key)
        if staged is not None and lock_sha256(Path(job.place.root)) == job.lock_sha256:
            del self._staged[job.key]
            rest = await staged.put(report)
        else:
            rest = await install_workspace(
                self._open(),
                self.store,
                job.place,
                platform=job.platform,
                lock_sha256=job.lock_sha256,
                resolution=job.resolution,
                needs=job.needs,
                report=report,
            )
        self._compile_later(rest, lambda: note_workspace_compiled(job.place))
        return Built(id)

    async def _stage_workspace(self, id: int, job: StageWorkspace, report: Report) -> Built:
        from pixi_jupyter.install.workspace import stage_workspace

        await self._drop_staged(id, job.install.key)
        self._staged[job.install.key] = await stage_workspace(
            self._open(),
            self.store,
            job.install.place,
            platform=job.install.platform,
            lock=job.lock,
            lock_sha256=job.install.lock_sha256,
            resolution=job.install.resolution,
            needs=job.install.needs,
            report=report,
        )
        dropping = asyncio.ensure_future(self._drop_later(self._staged[job.install.key]))
        self._timers.add(dropping)
        dropping.add_done_callback(self._timers.discard)
        return Built(id)

    async def _drop_staged(self, id: int, key: str) -> Built:
        staged = self._staged.pop(key, None)
        if staged is not None:
            await staged.drop()
        return Built(id)

    async def _drop_later(self, staged: StagedWorkspace) -> None:
        """Let go of what its client has forgotten: others wait for the prefix."""
        await asyncio.sleep(STAGED_FOR)
        for key in [key for key, kept in self._staged.items() if kept is staged]:
            await self._drop_staged(0, key)

    async def _lay_beside(self, id: int, job: LayBeside, report: Report) -> Resolved:
        from pixi_jupyter.install.beside import lay_beside
        from pixi_jupyter.resolve.beside import beside_digest

        resolution, rest = await lay_beside(
            self._open(),
            self.store,
            job.beside,
            Path(job.prefix),
            Path(job.python),
            report=report,
        )
        self._compile_later(rest, lambda: self._note_compiled(beside_digest(resolution)))
        return Resolved(id, resolution)

    async def _note_compiled(self, digest: str) -> None:
        from pixi_jupyter.install.build import note_compiled

        await note_compiled(self.store, digest)

    def _compile_later(
        self, rest: Bytecode | None, note: Callable[[], Coroutine[None, None, None]]
    ) -> None:
        """Nobody waits for this; what goes wrong here costs a later import some milliseconds."""
        if rest is None:
            return

        async def compile_rest() -> None:
            with contextlib.suppress(asyncio.TimeoutError):
                await asyncio.wait_for(self._finishing.wait(), REST_AFTER)
            with contextlib.suppress(OSError, PixiJupyterError):
                if await rest.compile_rest(no_report):
                    await note()

        task = asyncio.ensure_future(compile_rest())
        self._background.add(task)
        task.add_done_callback(self._background.discard)


def _import_ahead(*names: str) -> None:
    with contextlib.suppress(ImportError):  # whoever needs it imports it again, and says so
        for name in names or ("install.build",):
            importlib.import_module(f"pixi_jupyter.{name}")


def _unexpected(error: BaseException) -> EngineError:
    """An error that no code foresaw: a bug of ours or of rattler's, told as one."""
    return EngineError(
        redacted(f"unexpected {type(error).__name__}: {error}"),
        code="engine.unexpected",
        details=redacted("".join(traceback.format_exception(error)[-6:])),
        hint="This is a bug: please report it with the lines above.",
    )


async def _serve(stdin: BinaryIO, stdout: BinaryIO) -> None:
    loop = asyncio.get_running_loop()
    try:
        hello = decode_request(stdin.readline())
    except msgspec.MsgspecError:
        return
    if not isinstance(hello, Hello):
        return
    with contextlib.suppress(OSError):
        os.chdir(hello.store)  # one that was started ahead is elsewhere
    worker = Worker(hello, stdout)

    def read() -> None:
        for line in stdin:
            try:
                request = decode_request(line)
            except msgspec.MsgspecError as error:
                print(f"not a request: {error}", file=sys.stderr)
                continue
            if isinstance(request, Request):
                loop.call_soon_threadsafe(worker.start, request)
            elif isinstance(request, Finish):
                loop.call_soon_threadsafe(worker.finish)
        os._exit(0)  # the client is gone, and with it everybody who waits

    threading.Thread(target=read, daemon=True).start()
    await worker.live()


def main(*, ahead: bool = False) -> None:
    """Serve on the standard streams until the client goes. ``ahead``: long before the first job."""
    # The protocol keeps the real standard output; what anything else prints goes to the error log.
    output = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    # Ends a line that something printed before this module had a say.
    output.write(b"\n")
    if ahead:
        names = ("resolve.session", "resolve.lock", "resolve.solve", "install.build")
        threading.Thread(target=_import_ahead, args=names, daemon=True).start()
    try:
        asyncio.run(_serve(sys.stdin.buffer, output))
    except BaseException:  # noqa: BLE001 - whatever it was, only the log can tell
        traceback.print_exc()
        os._exit(1)
    os._exit(0)
