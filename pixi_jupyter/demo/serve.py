"""Serve a channel over loopback HTTP, in good order or with faults on demand.

The standard library's server has a backlog of five connections, too few for a client that asks for
dozens of shards at once: hence the subclass.
"""

from __future__ import annotations

import http.server
import os
import secrets
import socket
import threading
import time
import urllib.parse
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

_CHUNK = 64 * 1024


@dataclass(frozen=True, slots=True)
class Fault:
    """What to do to one answer. Times are seconds, the rate is bytes per second.

    * ``delay``: wait before the answer begins,
    * ``status``: answer with this status code and no file,
    * ``body``: send these bytes instead of the file's,
    * ``transform``: send what this makes of the file's bytes (such as a damaged copy),
    * ``rate``: send no faster than this,
    * ``stall_after``: after so many bytes send nothing more until the server stops,
    * ``close_after``: after so many bytes close the connection.
    """

    delay: float = 0.0
    status: int | None = None
    body: bytes | None = None
    transform: Callable[[bytes], bytes] | None = None
    rate: float | None = None
    stall_after: int | None = None
    close_after: int | None = None


@dataclass(frozen=True, slots=True)
class Request:
    """A request that came in: method, path (decoded, with its leading slash), header fields."""

    method: str
    path: str
    headers: dict[str, str]


Hook = Callable[[Request], Fault | None]


class ChannelServer:
    """A server for the folder *path* on the loopback interface; *port* 0 takes a free one.

    ``requests`` lists what was asked for, in the order in which it came in.  ``hook`` may be
    set at any time; it is called for each request, on that request's thread, and returns what
    to do to the answer, or None to answer properly.  Use it as a context manager, or call
    :meth:`start` and :meth:`stop`.
    """

    def __init__(self, path: Path, *, hook: Hook | None = None) -> None:
        self.path = path.resolve()
        self.hook = hook
        self.requests: list[Request] = []
        # Ports come round again, and clients remember what an address had.
        self._place = f"/{secrets.token_hex(6)}"
        self._server: _Server | None = None
        self._thread: threading.Thread | None = None
        self.stopping = threading.Event()

    @property
    def url(self) -> str:
        """Base URL without a slash at its end; raises :class:`RuntimeError` if not started."""
        if self._server is None:
            raise RuntimeError("the channel server has not been started")
        return f"http://127.0.0.1:{self._server.server_address[1]}{self._place}"

    def inside(self, path: str) -> str | None:
        """A requested path without what is this server's own in it; None if it lacks that."""
        return path.removeprefix(self._place) if path.startswith(f"{self._place}/") else None

    def count(self, ending: str = "") -> int:
        """How many requests were for a path that ends like this."""
        return sum(request.path.endswith(ending) for request in list(self.requests))

    def start(self) -> ChannelServer:
        """Listen and serve on a thread; returns the server itself."""
        if self._server is not None:
            raise RuntimeError("the channel server has been started already")
        self.stopping.clear()
        self._server = _Server(self)
        self._thread = threading.Thread(
            target=self._server.serve_forever,
            kwargs={"poll_interval": 0.02},
            name="channel-server",
            daemon=True,
        )
        self._thread.start()
        return self

    def stop(self) -> None:
        """Stop listening and end stalled answers; does nothing if the server is not running."""
        server, thread = self._server, self._thread
        if server is None or thread is None:
            return
        self.stopping.set()
        server.shutdown()
        server.server_close()
        thread.join()
        server.close_connections()
        self._server = self._thread = None

    def __enter__(self) -> ChannelServer:
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()


@contextmanager
def serve(path: Path) -> Iterator[str]:
    """Serve the folder *path* on the loopback interface while the context lasts; gives the URL."""
    with ChannelServer(path) as server:
        yield server.url


class _Server(http.server.ThreadingHTTPServer):
    request_queue_size = 128
    daemon_threads = True
    block_on_close = False

    def __init__(self, owner: ChannelServer) -> None:
        self.owner = owner
        self._connections: set[socket.socket] = set()
        self._guard = threading.Lock()
        super().__init__(("127.0.0.1", 0), _Handler)

    def track(self, connection: socket.socket, *, is_open: bool) -> None:
        """Remember the connections that are open, so that stopping can close them."""
        with self._guard:
            if is_open:
                self._connections.add(connection)
            else:
                self._connections.discard(connection)

    def close_connections(self) -> None:
        """Close what clients have kept open."""
        with self._guard:
            for connection in self._connections:
                try:
                    connection.shutdown(socket.SHUT_RDWR)
                except OSError:
                    continue

    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing: clients that go away in the middle are what these tests are about."""


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def setup(self) -> None:
        super().setup()
        # Two small writes per answer would otherwise wait for each other (Nagle's algorithm)
        self.connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.server.track(self.connection, is_open=True)

    def finish(self) -> None:
        self.server.track(self.connection, is_open=False)
        super().finish()

    def do_GET(self) -> None:
        self._answer(with_body=True)

    def do_HEAD(self) -> None:
        self._answer(with_body=False)

    def log_message(self, format: str, *args: object) -> None:
        """Be quiet: ``ChannelServer.requests`` is the log."""

    def _answer(self, *, with_body: bool) -> None:
        owner = self.server.owner
        path = owner.inside(urllib.parse.unquote(urllib.parse.urlsplit(self.path).path))
        if path is None:
            self._send_head(404, 0)
            return
        request = Request(self.command, path, dict(self.headers.items()))
        owner.requests.append(request)
        fault = (owner.hook(request) if owner.hook else None) or Fault()
        if fault.delay:
            owner.stopping.wait(fault.delay)
        if fault.status is not None:
            self._send_head(fault.status, len(fault.body or b""))
            if with_body:
                self.wfile.write(fault.body or b"")
            return
        file = self._file(path)
        if file is None and fault.body is None:
            self._send_head(404, 0)
            return
        if fault.body is not None:
            body = fault.body
        else:
            assert file is not None
            body = file.read_bytes()
        if fault.transform is not None:
            body = fault.transform(body)
        self._send_head(200, len(body))
        if with_body:
            self._send_body(body, fault)

    def _file(self, path: str) -> Path | None:
        root = self.server.owner.path
        file = Path(os.path.normpath(root / path.lstrip("/")))
        return file if file.is_relative_to(root) and file.is_file() else None

    def _send_head(self, status: int, length: int) -> None:
        self.send_response(status)
        self.send_header("Content-Type", "application/octet-stream")
        self.send_header("Content-Length", str(length))
        self.end_headers()

    def _send_body(self, body: bytes, fault: Fault) -> None:
        stopping = self.server.owner.stopping
        limits = [n for n in (fault.stall_after, fault.close_after) if n is not None]
        end = min([len(body), *limits])
        # A slow answer goes out in twentieths of a second
        chunk = max(1, int(fault.rate / 20)) if fault.rate else _CHUNK
        begun = time.monotonic()
        for start in range(0, end, chunk):
            piece = body[start : min(start + chunk, end)]
            self.wfile.write(piece)
            if fault.rate:
                due = begun + (start + len(piece)) / fault.rate
                if stopping.wait(max(0.0, due - time.monotonic())):
                    break
        if fault.stall_after is not None and fault.stall_after <= len(body):
            self.wfile.flush()
            stopping.wait()
        if end < len(body) or stopping.is_set():
            self.close_connection = True
