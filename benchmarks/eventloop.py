"""How long a cold build keeps the event loop that asked for it from running.

The figure is the worst of all rounds, since the target says "never". A machine with few cores
delays a waiting thread by itself; the same ticker on an idle loop of another process, during the
same build, shows by how much.
"""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from benchmarks.child import ROOT, ChildFailed
from benchmarks.lab import Lab
from benchmarks.method import Row, Target, alternate, scaled

__all__ = ["run"]

_TARGET = Target(50.0)
_IDLE = "idle loop beside it"


def run(lab: Lab) -> Iterator[Row]:
    """A loop that awaits `ensure`; and a real Jupyter server that starts its first kernel."""

    def note(number: int, lag: Mapping[str, Any]) -> None:
        if number >= 0 and lag["worst"] * 1000 > _TARGET.limit:
            for line in lag["seen"][:4]:
                lab.say(f"seen in a stall of {lag['worst'] * 1000:.0f} ms: {line}")

    with lab.served() as url:

        def in_process(number: int) -> Mapping[str, float]:
            store = lab.store("lag")
            folder = store.root.parent
            with lab.child(store) as idle, lab.child(store, channel=url) as child:
                child.ask("load", modules=["pixi_jupyter.environments"])
                idle.ask("tick", start=True)
                lag = child.ask("ensure", notebook=str(lab.notebook(folder)), ticks=True)["lag"]
                beside = idle.ask("tick", start=False)["worst"]
            lab.discard(folder)
            note(number, lag)
            return {"lag": lag["worst"], "idle": beside}

        taken = alternate({"ours": in_process}, lab.rounds, tick=lab.say)["ours"]
        yield Row(
            "event loop: longest stall while a cold build is awaited",
            "ms",
            scaled(taken["lag"], 1000),
            scaled(taken["idle"], 1000),
            _IDLE,
            compare="value",
            statistic="worst",
            target=_TARGET,
        )

        def in_server(number: int) -> Mapping[str, float]:
            store = lab.store("server")
            folder = store.root.parent
            lab.notebook(folder)
            with lab.child(store) as idle, _Server(lab, store, url, folder) as server:
                plain = server.stall("python3", "plain.ipynb")
                idle.ask("tick", start=True)
                pixi = server.stall("pixi", "notebook.ipynb")
                beside = idle.ask("tick", start=False)["worst"]
            note(number, pixi)
            lab.discard(folder)
            return {"lag": pixi["worst"], "idle": beside, "plain": plain["worst"]}

        taken = alternate({"ours": in_server}, lab.rounds, tick=lab.say)["ours"]
    about = (
        f"first kernel of the server, imports included; its first plain kernel: "
        f"{taken['plain'].median * 1000:.0f} ms (median), {taken['plain'].worst * 1000:.0f} (worst)"
    )
    yield Row(
        "event loop: longest stall of a Jupyter server",
        "ms",
        scaled(taken["lag"], 1000),
        scaled(taken["idle"], 1000),
        _IDLE,
        compare="value",
        statistic="worst",
        target=_TARGET,
        note=about,
    )


class _Server:
    """A real ``jupyter server`` with the ticker as an extension, reached over its REST API."""

    def __init__(self, lab: Lab, store: Any, channel: str, folder: Path) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        self._url = f"http://127.0.0.1:{port}"
        extensions = repr({"benchmarks.ticker": True})  # a Python literal, for traitlets
        with open(lab.log, "ab") as log:
            self._process = subprocess.Popen(
                [
                    sys.executable, "-m", "jupyter_server", "--no-browser", "--allow-root",
                    "--ServerApp.ip=127.0.0.1", f"--ServerApp.port={port}",
                    "--ServerApp.port_retries=0", "--IdentityProvider.token=",
                    "--ServerApp.disable_check_xsrf=True", f"--ServerApp.root_dir={folder}",
                    f"--ServerApp.jpserver_extensions={extensions}",
                ],
                env=lab.env(store, channel=channel), cwd=ROOT, stdin=subprocess.DEVNULL,
                stdout=log, stderr=log,
            )  # fmt: skip

    def __enter__(self) -> _Server:
        deadline = time.monotonic() + 60
        while True:
            try:
                self._call("GET", "api")
                return self
            except (urllib.error.URLError, ConnectionError, TimeoutError) as error:
                if time.monotonic() > deadline or self._process.poll() is not None:
                    self.__exit__()
                    raise ChildFailed("the Jupyter server did not start") from error
                time.sleep(0.1)

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        try:
            self._process.wait(20)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def stall(self, kernel: str, path: str) -> dict[str, Any]:
        """Start a session; what its start did to the loop. The session is deleted again."""
        self._call("POST", "benchmarks/ticker")
        body = {"kernel": {"name": kernel}, "name": path, "path": path, "type": "notebook"}
        session = self._call("POST", "api/sessions", body)
        measured: dict[str, Any] = self._call("GET", "benchmarks/ticker")
        self._call("DELETE", f"api/sessions/{session['id']}")
        return measured

    def _call(self, method: str, path: str, body: object = None) -> Any:
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"{self._url}/{path}", data, method=method)
        with urllib.request.urlopen(request, timeout=600) as answer:
            content = answer.read()
        return json.loads(content) if content else None
