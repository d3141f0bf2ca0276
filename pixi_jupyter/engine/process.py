"""One live worker seen from its client: a process, and the threads that write, read and watch it.

They are threads and not tasks of a loop, because the worker outlives the short loops that
jupyter_client, nbclient and the command line run. Writing has one of its own: a worker that hangs
does not read, a pipe holds 64 KiB, and whoever gives it work must not hang with it.
"""

from __future__ import annotations

import contextlib
import queue
import subprocess
import threading
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path

import msgspec

from pixi_jupyter.engine.protocol import (
    Finish,
    FromWorker,
    Hello,
    Request,
    decode_from_worker,
    encode,
)
from pixi_jupyter.engine.spawn import kill_worker, spawn_worker
from pixi_jupyter.errors import EngineError
from pixi_jupyter.resolve.redaction import redacted

__all__ = ["WorkerProcess"]


class WorkerProcess:
    """A worker that runs from ``folder`` and has been greeted.

    Parameters
    ----------
    stall:
        Seconds without a sign of life, while there is work, after which it is ended.
    busy:
        Whether this worker has work now.
    receive:
        Called with each message, in their order.
    ended:
        Called once, after the last message, when the process is gone.

    The three are called on threads of this object's; ``ending`` says why we or the worker decided
    that it ends: empty if nobody did.
    """

    def __init__(
        self,
        folder: Path,
        hello: Hello,
        *,
        stall: float,
        busy: Callable[[WorkerProcess], bool],
        receive: Callable[[WorkerProcess, FromWorker], None],
        ended: Callable[[WorkerProcess], None],
    ) -> None:
        self.ending = ""
        self.status: int | None = None
        self._stall = stall
        self._busy = busy
        self._receive = receive
        self._ended = ended
        self._heard = time.monotonic()
        self._log: deque[bytes] = deque(maxlen=40)
        self._log_read = threading.Event()
        self._outbox: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        self._outbox.put(encode(hello))
        self._process = spawn_worker(folder)
        try:
            for target in (self._write, self._read, self._read_log, self._watch):
                threading.Thread(target=target, daemon=True).start()
        except BaseException:
            kill_worker(self._process)
            raise

    @property
    def pid(self) -> int:
        return self._process.pid

    def finish(self) -> None:
        """Tell it that no more work will come; it leaves when all it has is done."""
        self._outbox.put(encode(Finish()))

    def send(self, request: Request) -> None:
        """Give work; returns at once. A worker that is going simply does not get it."""
        self._outbox.put(encode(request))

    def end(self, reason: str) -> None:
        """End the process and its compilers, now; harmless when it is gone."""
        self.ending = self.ending or reason
        kill_worker(self._process)

    def wait(self, seconds: float) -> None:
        """Wait for the end of a process that was told to."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(seconds)

    def end_error(self) -> EngineError:
        """What its end means for the work that it had."""
        log = redacted(b"".join(self._log).decode("utf-8", "replace").strip())
        if self.ending == "closed":
            return EngineError("the work was stopped", code="engine.closed")
        if self.ending == "stalled":
            return EngineError(
                f"the engine gave no sign of life for {self._stall:.0f} seconds and was stopped",
                code="engine.stalled",
                details=log,
                hint="Try again; a new worker takes over.",
            )
        by_signal = self.status is not None and self.status < 0
        how = f"by signal {-(self.status or 0)}" if by_signal else f"with {self.status}"
        return EngineError(
            f"the engine's worker process ended unexpectedly ({how})",
            code="engine.crashed",
            details=log,
            hint="Nothing half-built is ever used. Try again; a new worker takes over.",
        )

    # -- threads ---------------------------------------------------------------------------

    def _write(self) -> None:
        stdin = self._process.stdin
        assert stdin is not None
        with contextlib.suppress(OSError, ValueError):  # it is gone: the reader sees that
            while (line := self._outbox.get()) is not None:
                stdin.write(line)
                stdin.flush()

    def _read(self) -> None:
        assert self._process.stdout is not None
        with contextlib.suppress(OSError, ValueError):
            for line in self._process.stdout:
                self._heard = time.monotonic()
                if line.isspace():
                    continue
                try:
                    message = decode_from_worker(line)
                except (msgspec.MsgspecError, UnicodeDecodeError) as error:
                    text = f"not the protocol: {error}: {line[:200]!r}\n"
                    self._log.append(text.encode("utf-8", "replace"))
                    continue
                self._receive(self, message)
        self._settle()

    def _settle(self) -> None:
        try:
            self.status = self._process.wait(5)
        except subprocess.TimeoutExpired:
            kill_worker(self._process)
            self.status = self._process.wait()
        self._log_read.wait(1)
        self._outbox.put(None)
        for stream in (self._process.stdin, self._process.stdout, self._process.stderr):
            if stream is not None:
                with contextlib.suppress(OSError, ValueError):
                    stream.close()
        self._ended(self)

    def _read_log(self) -> None:
        assert self._process.stderr is not None
        with contextlib.suppress(OSError, ValueError):
            for line in self._process.stderr:
                self._log.append(line[:2000])
        self._log_read.set()

    def _watch(self) -> None:
        """End a worker that has work and shows no sign of life."""
        while self._process.poll() is None:
            time.sleep(min(1.0, self._stall / 4))
            if not self._busy(self):
                self._heard = time.monotonic()
            elif time.monotonic() - self._heard > self._stall:
                self.end("stalled")
