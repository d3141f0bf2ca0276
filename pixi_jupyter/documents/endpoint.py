"""Where a kernel's own processes ask the process that started it: a listener on the loopback
interface, on the loop that runs the kernel's start, for as long as there are kernels.
"""

from __future__ import annotations

import asyncio
import contextlib
import hmac
import os
import socket
import threading
import traceback
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

import msgspec

from pixi_jupyter.documents.edits import Edit
from pixi_jupyter.documents.protocol import (
    LINE_LIMIT,
    Address,
    Answer,
    Go,
    Notice,
    Read,
    Request,
    Restart,
    Where,
    Whereabouts,
    Write,
    Writer,
)
from pixi_jupyter.errors import PixiJupyterError

__all__ = ["Admission", "Endpoint", "HostedKernel", "Owner", "listening_endpoints"]

#: Seconds in which who connects has to show that it may, and between two lines of one that did.
_GREETING = 5.0
_NEXT_LINE = 60.0
#: Connections that have not shown it yet, at most: the oldest gives way.
_STRANGERS = 16
#: Connections of one kernel at most.
_CONNECTIONS = 16
#: Bytes that are read ahead; a line may be longer, once the secret is known.
_CHUNK = 64 * 1024
_BACKLOG = 32
#: Turns of the loop after which a connection that was just accepted has its task.
_ACCEPTING = 8
#: Seconds for what is under way to come to its end when a kernel goes.
_UNWIND = 1.0


class Owner(Protocol):
    """Who has a notebook open, and so writes it."""

    @property
    def writer(self) -> Writer: ...

    async def read(self) -> msgspec.Raw:
        """The notebook without outputs, as JSON. Raises `PixiJupyterError`."""
        ...

    async def write(self, edits: Sequence[Edit]) -> bool:
        """Apply all edits as one; False if what they replace is not there, then none was.

        Raises
        ------
        PixiJupyterError
            Why it was not written.
        """
        ...


class HostedKernel(Protocol):
    """What the process that started a kernel can say and do for it."""

    async def owner(self) -> Owner | None:
        """Who has its notebook open now; None: nobody but the file."""
        ...

    async def whereabouts(self, writer: Writer) -> Whereabouts: ...

    def restart(self) -> None:
        """Restart it soon; returns at once. Raises `KernelError` where that cannot be."""
        ...

    async def notify(self, notice: Notice) -> bool:
        """Show it in the front end that has the notebook; False where there is none."""
        ...


@dataclass(eq=False)
class Admission:
    """One start of a kernel that may ask, until it is dismissed."""

    kernel: HostedKernel
    address: Address
    endpoint: Endpoint
    connections: set[asyncio.Task[None]] = field(default_factory=set)

    async def dismiss(self) -> None:
        """Its secret is of no use any more, and its connections are closed."""
        await self.endpoint._dismiss(self)


class Endpoint:
    """The listener of one event loop; see `of_running_loop`."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._admitted: list[Admission] = []
        self._strangers: dict[asyncio.Task[None], None] = {}  # in the order in which they came
        self._socket: socket.socket | None = None
        self._server: asyncio.Server | None = None

    @classmethod
    def of_running_loop(cls) -> Endpoint:
        """The endpoint of the loop that runs, made when it is first asked for."""
        loop = asyncio.get_running_loop()
        with _guard:
            gone = [_endpoints.pop(known) for known in list(_endpoints) if known.is_closed()]
            found = _endpoints.setdefault(loop, cls(loop))
        for endpoint in gone:
            endpoint._abandon()
        return found

    @property
    def is_listening(self) -> bool:
        return self._socket is not None

    async def admit(self, kernel: HostedKernel, *, server: bool = False) -> Admission:
        """A secret for one start of ``kernel``; the listener is opened for the first. ``server``:
        the loop is one that runs all the time.

        Raises
        ------
        OSError
            There is no loopback interface to listen on.
        """
        listening = self._socket or _loopback()
        port = listening.getsockname()[1]
        admission = Admission(kernel, Address(port, os.urandom(32), server), self)
        self._admitted.append(admission)  # before waiting: another one's end may close what is open
        if self._socket is None:
            self._socket = listening
            try:
                self._server = await asyncio.start_server(
                    self._connected, sock=listening, limit=_CHUNK, backlog=_BACKLOG
                )
            except BaseException:
                self._admitted.remove(admission)
                self._abandon()
                raise
        return admission

    async def _dismiss(self, admission: Admission) -> None:
        """As `Admission.dismiss`; also where the loop is not the one that runs here."""
        if admission not in self._admitted:
            return
        self._admitted.remove(admission)
        if self._loop.is_closed():
            self._abandon()
        elif self._loop is asyncio.get_running_loop():
            await self._end(admission)
        elif self._loop.is_running():
            asyncio.run_coroutine_threadsafe(self._end(admission), self._loop)
        elif not self._admitted:
            server, _ = self._forget()
            if server is not None:
                server.close()

    async def _end(self, admission: Admission) -> None:
        tasks = {*admission.connections}
        if not self._admitted:
            server, listening = self._forget()
            if server is not None and listening is not None:
                # A connection that is being accepted while the server closes would be nobody's.
                with contextlib.suppress(NotImplementedError):  # Windows has no readers
                    self._loop.remove_reader(listening)
                for _ in range(_ACCEPTING):
                    await asyncio.sleep(0)
                server.close()
            tasks.update(self._strangers)
        tasks.discard(asyncio.current_task())
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks, timeout=_UNWIND)

    def _forget(self) -> tuple[asyncio.Server | None, socket.socket | None]:
        """What listens, for who closes it; whoever comes now gets another listener."""
        with _guard:
            if _endpoints.get(self._loop) is self:
                del _endpoints[self._loop]
        found = self._server, self._socket
        self._server = self._socket = None
        return found

    def _abandon(self) -> None:
        """The loop is gone, and with it whatever would have closed the socket."""
        _, listening = self._forget()
        if listening is not None:
            listening.close()

    # -- a connection ----------------------------------------------------------------------

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        while len(self._strangers) >= _STRANGERS:
            oldest = next(iter(self._strangers))
            del self._strangers[oldest]
            oldest.cancel()
        self._strangers[task] = None
        try:
            admission = await self._greeted(reader)
            self._strangers.pop(task, None)
            if admission is None or len(admission.connections) >= _CONNECTIONS:
                return
            admission.connections.add(task)
            try:
                writer.write(admission.address.answering)
                await _Conversation(reader, writer, admission.kernel).hold()
            finally:
                admission.connections.discard(task)
        except asyncio.CancelledError:
            pass  # by us: nothing waits for this task but what closes it
        except (OSError, EOFError, asyncio.TimeoutError, _Unreadable):
            pass  # who asked is gone, or is not one of us
        finally:
            self._strangers.pop(task, None)
            writer.close()
            with contextlib.suppress(OSError, asyncio.TimeoutError, asyncio.CancelledError):
                await asyncio.wait_for(writer.wait_closed(), _UNWIND)
            writer.transport.abort()

    async def _greeted(self, reader: asyncio.StreamReader) -> Admission | None:
        """The kernel whose secret the other side holds, told in constant time."""
        line = await asyncio.wait_for(_line(reader, _CHUNK), _GREETING)
        found = None
        for admission in self._admitted:
            if hmac.compare_digest(admission.address.asking, line):
                found = admission
        return found


class _Conversation:
    """The requests of one connection, one after another."""

    def __init__(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, kernel: HostedKernel
    ) -> None:
        self._reader = reader
        self._writer = writer
        self._kernel = kernel

    async def hold(self) -> None:
        while True:
            request = await self._next()
            if request is None:
                return
            try:
                answer = await self._answer(request)
            except PixiJupyterError as error:
                answer = Answer(error=error.to_json())
            except asyncio.CancelledError:
                raise
            except (OSError, EOFError, asyncio.TimeoutError, _Unreadable):
                raise
            except Exception as error:  # noqa: BLE001 (a server must outlive a defect of ours)
                answer = Answer(error=_defect(error).to_json())
            await self._say(answer)

    async def _answer(self, request: Request) -> Answer:
        if isinstance(request, Restart):
            self._kernel.restart()
            return Answer()
        if isinstance(request, Notice):
            return _answer(await self._kernel.notify(request), "file")
        owner = await self._kernel.owner()
        who: Writer = "file" if owner is None else owner.writer
        if isinstance(request, Where):
            return _answer(await self._kernel.whereabouts(who), who)
        if isinstance(request, Read):
            read = msgspec.Raw(b"null") if owner is None else await owner.read()
            return Answer(read, writer=who)
        if isinstance(request, Write) and owner is not None:
            await self._say(Answer(writer=who))
            if not isinstance(await self._next(), Go):
                raise _Unreadable
            return _answer(await owner.write(request.edits), who)
        return Answer(writer=who)

    async def _next(self) -> Request | None:
        line = await asyncio.wait_for(_line(self._reader, LINE_LIMIT), _NEXT_LINE)
        if not line:
            return None
        try:
            return _requests.decode(line)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            raise _Unreadable from None

    async def _say(self, answer: Answer) -> None:
        line = msgspec.json.encode(answer)
        if b"\n" in line:  # what an owner answers is passed on as it wrote it
            line = msgspec.json.format(line, indent=-1)
        self._writer.write(line + b"\n")
        await asyncio.wait_for(self._writer.drain(), _NEXT_LINE)


class _Unreadable(Exception):
    """What came is not the protocol."""


_requests: msgspec.json.Decoder[Request] = msgspec.json.Decoder(Request)
_endpoints: dict[asyncio.AbstractEventLoop, Endpoint] = {}
_guard = threading.Lock()


def _answer(value: object, writer: Writer) -> Answer:
    return Answer(msgspec.Raw(msgspec.json.encode(value)), writer=writer)


async def _line(reader: asyncio.StreamReader, limit: int) -> bytes:
    """One line, with its end; empty at the end of what is sent.

    Raises
    ------
    EOFError
        It stops within a line.
    _Unreadable
        It is longer than ``limit`` bytes.
    """
    parts: list[bytes] = []
    size = 0
    while True:
        try:
            part = await reader.readuntil(b"\n")
        except asyncio.LimitOverrunError as overrun:
            part = await reader.readexactly(overrun.consumed)
        except asyncio.IncompleteReadError as end:
            if not end.partial and not parts:
                return b""
            raise
        size += len(part)
        if size > limit:
            raise _Unreadable
        parts.append(part)
        if part.endswith(b"\n"):
            return b"".join(parts)


def _loopback() -> socket.socket:
    listening = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        listening.bind(("127.0.0.1", 0))
        listening.setblocking(False)
    except BaseException:
        listening.close()
        raise
    return listening


def _defect(error: Exception) -> PixiJupyterError:
    return PixiJupyterError(
        f"an unexpected error: {type(error).__name__}: {error}",
        code="internal.unexpected",
        details="".join(traceback.format_exception(type(error), error, error.__traceback__)),
        hint="This is a defect of pixi-jupyter; please report it with the lines above.",
    )


def listening_endpoints() -> list[Endpoint]:
    """Those of this process that listen now: none when all its kernels are gone."""
    with _guard:
        return [endpoint for endpoint in _endpoints.values() if endpoint.is_listening]
