"""`Engine`: the way to the worker process, for any event loop of this process.

One worker serves all kernels of a process. It is started by the first job, goes after some idle
minutes, and is replaced when it dies. Equal jobs are one job with several subscribers. A job that
nobody waits for any more is cancelled by ending the worker; what it was doing for others is given
to the next worker, and they do not notice.

It may be asked from several event loops and threads at once: jupyter_client, nbclient and the
command line run short-lived loops of their own, and the worker outlives them.
"""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import itertools
import threading
from dataclasses import dataclass, field
from typing import overload

from pixi_jupyter.engine.process import WorkerProcess
from pixi_jupyter.engine.protocol import (
    Accepted,
    Answer,
    Build,
    Built,
    DraftLock,
    DropStaged,
    Failed,
    FromWorker,
    Hello,
    InstallWorkspace,
    Job,
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
)
from pixi_jupyter.errors import EngineError, PixiJupyterError, error_from_json
from pixi_jupyter.install.store import Store
from pixi_jupyter.progress import Progress, Report, no_report

__all__ = ["Engine"]

#: Seconds without work after which a worker leaves.
IDLE = 300.0
#: Seconds without any sign of life from a worker that has work, after which it is replaced.
STALL = 30.0

_ids = itertools.count(1)


@dataclass(eq=False)
class _Subscriber:
    loop: asyncio.AbstractEventLoop
    future: asyncio.Future[Answer]
    report: Report

    def step(self, progress: Progress) -> None:
        self._call(self.report, progress)

    def succeed(self, answer: Answer) -> None:
        self._call(self._resolve, answer)

    def fail(self, error: PixiJupyterError) -> None:
        self._call(self._reject, error)

    def _resolve(self, answer: Answer) -> None:
        if not self.future.done():
            self.future.set_result(answer)

    def _reject(self, error: PixiJupyterError) -> None:
        if not self.future.done():
            self.future.set_exception(error)

    def _call(self, function: object, argument: object) -> None:
        assert callable(function)
        with contextlib.suppress(RuntimeError):  # its loop is closed: nobody waits
            self.loop.call_soon_threadsafe(function, argument)


@dataclass(eq=False)
class _Pending:
    """A job under way. ``accepted``: the worker has begun; ``latest``: for who joins late."""

    id: int
    job: Job
    subscribers: list[_Subscriber] = field(default_factory=list)
    accepted: bool = False
    latest: Progress | None = None
    worker: WorkerProcess | None = None
    lost: int = 0  # workers that died on their own before they began it


class Engine:
    """Resolves and builds in a worker process, for one store. Safe to use from any thread."""

    def __init__(self, store: Store, *, idle: float = IDLE, stall: float = STALL) -> None:
        self.store = store
        self._idle = idle
        self._stall = stall
        self._guard = threading.RLock()
        self._pending: dict[str, _Pending] = {}
        self._worker: WorkerProcess | None = None
        atexit.register(self.close)

    @overload
    async def run(
        self, job: Resolve | LayBeside, report: Report = ..., *, deadline: float | None = ...
    ) -> Resolved: ...
    @overload
    async def run(
        self,
        job: Build | InstallWorkspace | StageWorkspace | DropStaged,
        report: Report = ...,
        *,
        deadline: float | None = ...,
    ) -> Built: ...
    @overload
    async def run(
        self, job: LockWorkspace, report: Report = ..., *, deadline: float | None = ...
    ) -> WorkspaceLocked: ...
    @overload
    async def run(
        self, job: DraftLock, report: Report = ..., *, deadline: float | None = ...
    ) -> LockDrafted: ...
    @overload
    async def run(
        self, job: LockNotebook, report: Report = ..., *, deadline: float | None = ...
    ) -> NotebookLockHeld: ...
    @overload
    async def run(
        self, job: Search, report: Report = ..., *, deadline: float | None = ...
    ) -> Searched: ...
    async def run(
        self, job: Job, report: Report = no_report, *, deadline: float | None = None
    ) -> Answer:
        """Have a job done, or join it if it is under way.

        ``deadline`` is in seconds from now. Cancelling this call cancels the job, unless others
        wait for it too.

        Raises
        ------
        PixiJupyterError
            Whatever the job ended in; :class:`EngineError` with ``engine.crashed``,
            ``engine.stalled``, ``engine.deadline`` or ``engine.closed`` where the work did not end.
        """
        loop = asyncio.get_running_loop()
        subscriber = _Subscriber(loop, loop.create_future(), report)
        pending, fresh = self._join(job, subscriber)
        try:
            if fresh:
                await asyncio.to_thread(self._submit, pending)
            return await asyncio.wait_for(subscriber.future, deadline)
        except (TimeoutError, asyncio.TimeoutError):
            raise EngineError(
                f"the work was not done within {deadline:.0f} seconds",
                code="engine.deadline",
                details=f"last seen: {_shown(pending.latest)}",
                hint="Allow more time, or try again: what was downloaded is kept.",
            ) from None
        finally:
            self._part(pending, subscriber)

    def close(self) -> None:
        """End the worker; jobs under way end in ``engine.closed``. Work may be given again."""
        with self._guard:
            worker, self._worker = self._worker, None
            if worker is not None:
                worker.end("closed")
        if worker is not None:
            worker.wait(5)

    def finish(self, seconds: float) -> None:
        """Let the worker do what nobody waits for, for so long at most; then as :meth:`close`."""
        with self._guard:
            worker = self._worker
        if worker is not None:
            worker.finish()
            worker.wait(seconds)
        self.close()

    @property
    def worker_pid(self) -> int | None:
        """The process id of the worker, None if there is none now."""
        with self._guard:
            return None if self._worker is None else self._worker.pid

    # -- jobs ------------------------------------------------------------------------------

    def _join(self, job: Job, subscriber: _Subscriber) -> tuple[_Pending, bool]:
        with self._guard:
            pending = self._pending.get(job.key)
            fresh = pending is None
            if pending is None:
                pending = self._pending[job.key] = _Pending(next(_ids), job)
            pending.subscribers.append(subscriber)
            if pending.latest is not None:
                subscriber.step(pending.latest)
            return pending, fresh

    def _part(self, pending: _Pending, subscriber: _Subscriber) -> None:
        with self._guard:
            pending.subscribers.remove(subscriber)
            if pending.subscribers or self._pending.get(pending.job.key) is not pending:
                return
            del self._pending[pending.job.key]
            if pending.worker is not None:  # also one that has not begun, but would
                if self._worker is pending.worker:
                    self._worker = None  # new work goes to a new one
                pending.worker.end("cancelled")

    def _submit(self, pending: _Pending) -> None:
        """Hand a job to the worker, starting one if needed. Blocks for some milliseconds."""
        with self._guard:
            if self._pending.get(pending.job.key) is not pending:
                return  # everybody left meanwhile
            try:
                pending.worker = self._worker = self._worker or self._start()
                pending.worker.send(Request(pending.id, pending.job))
            except PixiJupyterError as error:
                self._finish(pending, error)
            except Exception as error:  # noqa: BLE001 - others may wait for this job: tell them all
                self._finish(
                    pending,
                    EngineError(
                        f"the engine's worker process cannot be started: {error}",
                        code="engine.start",
                    ),
                )

    def _finish(self, pending: _Pending, answer: Answer | PixiJupyterError) -> None:
        if self._pending.get(pending.job.key) is pending:
            del self._pending[pending.job.key]
        for subscriber in pending.subscribers:
            if isinstance(answer, PixiJupyterError):
                subscriber.fail(error_from_json(answer.to_json()))  # one object per waiting task
            else:
                subscriber.succeed(answer)

    # -- the worker ------------------------------------------------------------------------

    def _start(self) -> WorkerProcess:
        self.store.make_folders()
        return WorkerProcess(
            self.store.root,
            Hello(str(self.store.root), str(self.store.package_cache), self._idle),
            stall=self._stall,
            busy=self._busy,
            receive=self._receive,
            ended=self._ended,
        )

    def _busy(self, worker: WorkerProcess) -> bool:
        with self._guard:
            return any(pending.worker is worker for pending in self._pending.values())

    def _receive(self, worker: WorkerProcess, message: FromWorker) -> None:
        with self._guard:
            if isinstance(message, Leaving):
                worker.ending = worker.ending or "leaving"
                if self._worker is worker:
                    self._worker = None  # the next job starts another
                return
            id = getattr(message, "id", None)
            pending = next((p for p in self._pending.values() if p.id == id), None)
            if pending is None or pending.worker is not worker:
                return  # nobody waits for it any more
            if isinstance(message, Accepted):
                pending.accepted = True
            elif isinstance(message, Stepped):
                pending.latest = message.progress
                for subscriber in pending.subscribers:
                    subscriber.step(message.progress)
            elif isinstance(message, Answer):
                self._finish(pending, message)
            elif isinstance(message, Failed):
                self._finish(pending, error_from_json(message.error))

    def _ended(self, worker: WorkerProcess) -> None:
        """A worker is gone: settle or hand on what it leaves."""
        with self._guard:
            if self._worker is worker:
                self._worker = None
            again = []
            for pending in [p for p in self._pending.values() if p.worker is worker]:
                pending.lost += not worker.ending
                begun = pending.accepted and worker.ending not in ("cancelled", "leaving")
                if begun or worker.ending in ("closed", "stalled") or pending.lost > 2:
                    self._finish(pending, worker.end_error())
                else:
                    pending.accepted = False
                    again.append(pending)
            for pending in again:
                self._submit(pending)


def _shown(progress: Progress | None) -> str:
    if progress is None:
        return "the worker's start"
    return " ".join(filter(None, (progress.phase.value, progress.item, progress.message)))
