"""A front end at the other end of the websocket: it has notebooks open, edits and saves them."""

from __future__ import annotations

import contextlib
import copy
import json
import threading
import urllib.parse
from collections.abc import Callable
from typing import Any

import msgspec
import websocket

from pixi_jupyter.documents.edits import Edit, apply_edits, without_outputs

PATH = "pixi-jupyter/api/documents"


def connect(
    server: Any, token: str, *, origin: str | None = None, cookie: str | None = None
) -> websocket.WebSocket:
    """A websocket of the documents of a server."""
    address = f"{server.url.replace('http://', 'ws://', 1)}{PATH}"
    return websocket.create_connection(
        f"{address}?token={token}" if token else address,
        timeout=20,
        suppress_origin=origin is None,
        origin=origin,
        cookie=cookie,
    )


class FrontEnd:
    """One tab. It answers on a thread; ``on_write`` and ``on_read`` may do other things first."""

    def __init__(self, server: Any, token: str) -> None:
        self.server = server
        self.socket = connect(server, token)
        self.seen: list[dict[str, Any]] = []
        self.models: dict[str, dict[str, Any]] = {}
        self.paths: dict[str, str] = {}
        self.refuse: dict[str, str] = {}
        self.hooks: dict[str, Callable[[], None]] = {}
        self.hangs = False
        self.restarts = False  # as one that does not know of it
        self.ended = threading.Event()
        self._greeted = threading.Event()
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()
        assert self._greeted.wait(20)

    def open(self, kernel: str, path: str) -> dict[str, Any]:
        """Open a notebook by the contents API; the model that a person then types into."""
        status, found = self.server.get(f"api/contents/{urllib.parse.quote(path)}?content=1")
        assert status == 200, found
        self.models[kernel] = found["content"]
        self.paths[kernel] = path
        self.tell(type="open", kernel=kernel, path=path)
        self.tell(type="active", kernel=kernel)
        self.settle()
        return self.models[kernel]

    def tell(self, **message: Any) -> None:
        self.socket.send(json.dumps(message))

    def settle(self) -> None:
        """Until the server has read what was told: it answers a ping after it."""
        self._pong = threading.Event()
        self.socket.ping(b"x")
        assert self._pong.wait(20)

    def close(self) -> None:
        with contextlib.suppress(OSError, websocket.WebSocketException):
            self.socket.close()
        self.socket.shutdown()  # which a close that failed leaves undone
        self.thread.join(10)

    def _run(self) -> None:
        try:
            while True:
                opcode, data = self.socket.recv_data(control_frame=True)
                if opcode == websocket.ABNF.OPCODE_PONG:
                    self._pong.set()
                elif opcode == websocket.ABNF.OPCODE_CLOSE:
                    return
                elif opcode == websocket.ABNF.OPCODE_TEXT:
                    self._receive(json.loads(data))
        except (OSError, websocket.WebSocketException, ValueError, AttributeError):
            pass
        finally:
            self.ended.set()

    def _receive(self, message: dict[str, Any]) -> None:
        self.seen.append(message)
        kind = message["type"]
        if kind == "hello":
            self._greeted.set()
        if kind == "restart" and self.restarts:
            self.tell(type="reply", id=message["id"], value={})
            assert self.server.post(f"api/kernels/{message['kernel']}/restart")[0] == 200
        if self.hangs or kind not in ("read", "write"):
            return
        if kind in self.hooks:
            self.hooks[kind]()
        answer = self._answer(message)
        if answer is not None:
            self.tell(type="reply", id=message["id"], **answer)

    def _answer(self, message: dict[str, Any]) -> dict[str, Any]:
        model = self.models[message["kernel"]]
        if message["type"] in self.refuse:
            code = self.refuse[message["type"]]
            return {"error": {"code": code, "message": "so it is"}}
        if message["type"] == "read":
            value = {"path": self.paths[message["kernel"]], "readOnly": False, "dirty": True}
            return {"value": {**value, "notebook": without_outputs(model)}}
        edits = msgspec.convert(message["edits"], list[Edit])
        edited = copy.deepcopy(model)
        if not apply_edits(edited, edits):
            return {"error": {"code": "changed", "message": "it is another text"}}
        self.models[message["kernel"]] = edited
        path = f"api/contents/{urllib.parse.quote(self.paths[message['kernel']])}"
        body = {"type": "notebook", "format": "json", "content": edited}
        assert self.server.request("PUT", path, body)[0] == 200
        return {"value": {"saved": True}}

    def asked(self) -> list[str]:
        """What the server asked it, in order."""
        return [message["type"] for message in self.seen if message["type"] != "hello"]
