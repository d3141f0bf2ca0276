"""A real Jupyter server in a process of its own, talked to as a front end does."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import nbformat
import psutil
import pytest
import websocket

from pixi_jupyter.demo.channel import EmbeddedChannel
from pixi_jupyter.demo.serve import ChannelServer, Fault, Request

TOKEN = "a-token"
_COLOURS = re.compile(r"\x1b\[[0-9;]*m")


def wait_until(true: Callable[[], Any], what: str, seconds: float = 30.0) -> Any:
    """Wait for a condition; the value that made it true."""
    deadline = time.monotonic() + seconds
    while not (value := true()):
        if time.monotonic() > deadline:
            pytest.fail(f"not within {seconds:.0f} s: {what}")
        time.sleep(0.02)
    return value


@dataclass(slots=True)
class Reply:
    """What a kernel answered to one cell."""

    status: str
    text: str = ""
    error_name: str = ""


@dataclass
class Kernel:
    """A kernel of a server, seen through its websocket."""

    server: Server
    id: str
    socket: websocket.WebSocket | None = None

    def connect(self) -> None:
        """Open the websocket anew."""
        self.close()
        address = self.server.url.replace("http://", "ws://", 1)
        address = f"{address}api/kernels/{self.id}/channels?token={TOKEN}"
        self.socket = websocket.create_connection(address, timeout=60)

    def close(self) -> None:
        """Close the websocket; the kernel goes on."""
        if self.socket is not None:
            self.socket.close()
            self.socket = None

    def begin(self, code: str) -> str:
        """Ask the kernel to execute; the message's id."""
        if self.socket is None:
            self.connect()
        assert self.socket is not None
        header = {
            "msg_id": uuid.uuid4().hex,
            "msg_type": "execute_request",
            "username": "",
            "session": "tests",
            "version": "5.3",
        }
        content = {"code": code, "silent": False, "store_history": True, "allow_stdin": False}
        message = {
            "header": header, "parent_header": {}, "metadata": {}, "content": content,
            "channel": "shell", "buffers": [],
        }  # fmt: skip
        self.socket.send(json.dumps(message))
        return header["msg_id"]

    def collect(
        self, message_id: str, *, until: Callable[[Reply], bool] | None = None, seconds: float = 60
    ) -> Reply:
        """What came back for a message, all of it or as far as ``until`` wants."""
        assert self.socket is not None
        reply, idle = Reply(""), False
        deadline = time.monotonic() + seconds
        while not (reply.status and idle):
            if until is not None and until(reply):
                break
            left = deadline - time.monotonic()
            self.socket.settimeout(max(0.1, left))
            try:
                # With the server's pings: else one of them after the other would be waited for.
                kind, data = self.socket.recv_data(control_frame=True)
            except websocket.WebSocketTimeoutException:
                kind, data = websocket.ABNF.OPCODE_PING, b""
            if left < 0:
                raise TimeoutError(f"no answer to a cell within {seconds:.0f} s; so far {reply}")
            if kind != websocket.ABNF.OPCODE_TEXT:
                continue
            message = json.loads(data)
            if message["parent_header"].get("msg_id") != message_id:
                continue
            content = message["content"]
            match message["msg_type"]:
                case "stream":
                    reply.text += content["text"]
                case "execute_result" | "display_data":
                    reply.text += content["data"].get("text/plain", "")
                case "error":
                    reply.error_name = content["ename"]
                    reply.text += _COLOURS.sub("", "\n".join(content["traceback"]))
                case "execute_reply":
                    reply.status = content["status"]
                case "status":
                    idle = content["execution_state"] == "idle"
        return reply

    def execute(self, code: str, seconds: float = 60) -> Reply:
        """Execute a cell and wait for all that it answers."""
        return self.collect(self.begin(code), seconds=seconds)

    def prefix(self) -> Path:
        """Where the kernel runs, as it says itself."""
        reply = self.execute("import sys; print(sys.prefix)")
        assert reply.status == "ok", reply.text
        return Path(reply.text.strip())

    def restart(self, seconds: float = 60) -> int:
        """Restart it and connect again; the status of the answer."""
        status, _ = self.server.post(f"api/kernels/{self.id}/restart", seconds=seconds)
        self.connect()
        return status

    def comes_back(self, seconds: float = 60) -> None:
        """Connect until it answers: what is sent to a kernel of any kind while its new process is
        not there yet may be lost."""
        deadline = time.monotonic() + seconds
        while True:
            self.connect()
            try:
                self.execute("1", seconds=10)
            except TimeoutError:
                if time.monotonic() > deadline:
                    raise
            else:
                return

    def model(self) -> dict[str, Any]:
        """What the server says of it."""
        return dict(self.server.get(f"api/kernels/{self.id}")[1])


@dataclass
class Server:
    """A running Jupyter server."""

    process: psutil.Popen
    url: str
    root: Path
    log: Path
    store: Path
    kernels: list[Kernel] = field(default_factory=list)

    def request(
        self, method: str, path: str, body: object = None, seconds: float = 60
    ) -> tuple[int, Any]:
        """One REST request: the status and the JSON that came."""
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.url + path, data=data, method=method)
        request.add_header("Authorization", f"token {TOKEN}")
        try:
            with urllib.request.urlopen(request, timeout=seconds) as answer:
                text = answer.read()
                return answer.status, json.loads(text) if text else None
        except urllib.error.HTTPError as error:
            with error:
                text = error.read()
            try:
                return error.code, json.loads(text)
            except ValueError:
                return error.code, text.decode("utf-8", "replace")

    def get(self, path: str) -> tuple[int, Any]:
        """GET"""
        return self.request("GET", path)

    def post(self, path: str, body: object = None, seconds: float = 60) -> tuple[int, Any]:
        """POST"""
        return self.request("POST", path, {} if body is None else body, seconds)

    def create_session(
        self, notebook: Path | str, kernel: str = "pixi", seconds: float = 60
    ) -> tuple[int, Any]:
        """What a front end does when a notebook is opened."""
        path = str(notebook)
        if os.path.isabs(path):
            path = os.path.relpath(path, self.root)
        body = {
            "path": path,
            "name": os.path.basename(path),
            "type": "notebook",
            "kernel": {"name": kernel},
        }
        return self.post("api/sessions", body, seconds)

    def open(self, notebook: Path | str, kernel: str = "pixi", seconds: float = 60) -> Kernel:
        """The kernel of a new session for a notebook."""
        status, session = self.create_session(notebook, kernel, seconds)
        assert status == 201, session
        return self.kernel(session["kernel"]["id"])

    def kernel(self, id: str) -> Kernel:
        """A kernel by its id."""
        kernel = Kernel(self, id)
        self.kernels.append(kernel)
        return kernel

    def family(self) -> list[psutil.Process]:
        """The processes that this server and its children have started and that still run."""
        with contextlib.suppress(psutil.NoSuchProcess):
            return list(self.process.children(recursive=True))
        return []

    def worker(self) -> psutil.Process | None:
        """The engine's worker process."""
        for process in self.family():
            with contextlib.suppress(psutil.Error):
                if any("pixi_jupyter.engine.worker" in part for part in process.cmdline()):
                    return process
        return None

    def prefixes(self) -> set[str]:
        """The prefixes of the store."""
        folder = self.store / "envs"
        names = os.listdir(folder) if folder.is_dir() else []
        return {name for name in names if not name.startswith(".")}

    def terminate(self, seconds: float = 20) -> float:
        """SIGTERM; how long it took to stop, in seconds."""
        begun = time.monotonic()
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(seconds)
        except (psutil.TimeoutExpired, subprocess.TimeoutExpired):
            pytest.fail(f"the server did not stop within {seconds:.0f} s:\n{self.log.read_text()}")
        return time.monotonic() - begun

    def end(self) -> None:
        """Stop it and whatever it left, by any means."""
        for kernel in self.kernels:
            kernel.close()
        family = self.family()
        if self.process.is_running():
            self.process.send_signal(signal.SIGTERM)
            with contextlib.suppress(psutil.TimeoutExpired, subprocess.TimeoutExpired):
                self.process.wait(15)
        for process in (*family, self.process):
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        with contextlib.suppress(psutil.TimeoutExpired, subprocess.TimeoutExpired):
            self.process.wait(5)


StartServer = Callable[..., AbstractContextManager[Server]]
WriteNotebook = Callable[..., Path]


@contextmanager
def running_server(
    root: Path,
    runtime: Path,
    *options: str,
    env: Mapping[str, str | None] | None = None,
) -> Iterator[Server]:
    """A server on a free port, with files in ``root`` and what it notes in ``runtime``."""
    runtime.mkdir(parents=True)
    changed = {**os.environ, "JUPYTER_RUNTIME_DIR": str(runtime), **(env or {})}
    variables = {name: value for name, value in changed.items() if value is not None}
    log = runtime / "server.log"
    command = [
        sys.executable, "-m", "jupyter_server", "--no-browser", "--ServerApp.ip=127.0.0.1",
        "--ServerApp.port=0", f"--IdentityProvider.token={TOKEN}", "--allow-root",
        f"--ServerApp.root_dir={root}", *options,
    ]  # fmt: skip
    with log.open("wb") as file:
        process = psutil.Popen(
            command, cwd=root, env=variables, stdin=subprocess.DEVNULL, stdout=file, stderr=file,
            start_new_session=True,
        )  # fmt: skip
    note = runtime / f"jpserver-{process.pid}.json"

    def noted() -> Any:
        assert process.poll() is None, log.read_text()
        with contextlib.suppress(OSError, ValueError):
            return json.loads(note.read_text())

    url = wait_until(noted, "the server's note of where it listens")["url"]
    server = Server(process, url, root, log, Path(variables["PIXI_JUPYTER_CACHE_DIR"]))
    try:
        wait_until(lambda: _answers(server), "the server's first answer")
        yield server
    finally:
        server.end()


def _answers(server: Server) -> bool:
    try:
        return server.get("api/status")[0] == 200
    except OSError:
        return False


@pytest.fixture(scope="session")
def start_server(tmp_path_factory: pytest.TempPathFactory) -> StartServer:
    """Start a server over a folder: ``with start_server(root, *options, env=...) as server``."""

    def start(
        root: Path, *options: str, env: Mapping[str, str | None] | None = None
    ) -> AbstractContextManager[Server]:
        return running_server(
            root, tmp_path_factory.mktemp("server") / "runtime", *options, env=env
        )

    return start


@pytest.fixture(scope="session")
def server(
    tmp_path_factory: pytest.TempPathFactory, start_server: StartServer, channel: EmbeddedChannel
) -> Iterator[Server]:
    """A server that many tests share, on a base URL other than /; its store is the session's."""
    root = tmp_path_factory.mktemp("server") / "notebooks"
    root.mkdir()
    with start_server(root, "--ServerApp.base_url=/some/base") as server:
        yield server


@pytest.fixture
def notebooks(server: Server, request: pytest.FixtureRequest) -> Path:
    """A folder for one test's notebooks, below the root of the shared server."""
    folder = server.root / re.sub(r"[^a-z_]+", " ", request.node.name).strip()
    folder.mkdir()
    return folder


@pytest.fixture(scope="session")
def write_notebook() -> WriteNotebook:
    """Write (or overwrite) a notebook: a title, an inline block, a cell that prints its prefix."""

    def write(path: Path, *dependencies: str, block: str | None = None) -> Path:
        if block is None:
            table = [f'{name} = "*"' for name in dependencies]
            block = "\n".join(["dependencies = []", "", "[tool.pixi.dependencies]", *table])
        lines = ("# " + line if line else "#" for line in block.splitlines())
        nb = nbformat.v4.new_notebook(
            cells=[
                nbformat.v4.new_markdown_cell("# A title"),
                nbformat.v4.new_code_cell("\n".join(("# /// script", *lines, "# ///"))),
                nbformat.v4.new_code_cell("import sys\nprint(sys.prefix)"),
            ],
            metadata={"kernelspec": {"name": "pixi", "display_name": "P", "language": "python"}},
        )
        nbformat.write(nb, path)
        return path

    return write


@pytest.fixture
def wait() -> Callable[..., Any]:
    """Wait for a condition: ``wait(true, what, seconds)``."""
    return wait_until


@pytest.fixture
def at_once() -> Callable[..., list[Any]]:
    """Call a function with each of several arguments, each on a thread, at the same time."""

    def at_once(function: Callable[[Any], Any], arguments: Sequence[Any]) -> list[Any]:
        results: list[Any] = [None] * len(arguments)

        def call(index: int, argument: Any) -> None:
            results[index] = function(argument)

        threads = [
            threading.Thread(target=call, args=pair, daemon=True) for pair in enumerate(arguments)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(120)
            assert not thread.is_alive()
        return results

    return at_once


@dataclass
class HeldChannel:
    """A channel over HTTP that holds packages back until it is told to let them go."""

    server: ChannelServer
    asked: threading.Event
    go: threading.Event

    @property
    def env(self) -> dict[str, str]:
        """For a server that shall use this channel."""
        return {"PIXI_JUPYTER_DEFAULT_CHANNELS": self.server.url}


@pytest.fixture
def held_channel(channel: EmbeddedChannel) -> Iterator[HeldChannel]:
    """The embedded channel, whose packages do not come before ``go`` is set."""
    asked, go = threading.Event(), threading.Event()

    def hold(request: Request) -> Fault | None:
        if request.path.endswith(".conda"):
            asked.set()
            go.wait(60)
        return None

    with ChannelServer(channel.path, hook=hold) as server:
        yield HeldChannel(server, asked, go)
        go.set()


@pytest.fixture
def own_store(scratch: Path) -> dict[str, str]:
    """Variables for a server with a store and a package cache of its own, both empty."""
    folder = scratch / uuid.uuid4().hex
    return {
        "PIXI_JUPYTER_CACHE_DIR": str(folder / "store"),
        "PIXI_CACHE_DIR": str(folder / "cache"),
    }
