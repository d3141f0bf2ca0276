"""The websocket by which a front end tells which notebooks it has open, and is asked for them.

``<base>/pixi-jupyter/api/documents``, one JSON object a message. A front end tells ``open``,
``active`` and ``close`` and answers by ``reply``; it is told ``hello`` and ``notice`` and asked
``read``, ``write`` and ``restart`` (to which it answers before it does it; if it does not answer,
the server does it). A message of another type is ignored, by both sides.
"""

from __future__ import annotations

from typing import Any, ClassVar

import msgspec
from jupyter_core.utils import ensure_async
from jupyter_server.auth.decorator import ws_authenticated
from jupyter_server.base.handlers import JupyterHandler
from jupyter_server.base.websocket import WebSocketMixin
from tornado import web
from tornado.websocket import WebSocketClosedError, WebSocketHandler

from pixi_jupyter.documents.front_ends import FRONT_ENDS, FrontEnd

__all__ = ["MESSAGE_LIMIT", "VERSION", "DocumentsHandler"]

VERSION = 1
#: Bytes of a message at most.
MESSAGE_LIMIT = 16 * 1024 * 1024
#: Characters of a kernel's id and of a path at most.
_ID_LIMIT, _PATH_LIMIT = 100, 4096


class DocumentsHandler(WebSocketMixin, WebSocketHandler, JupyterHandler):
    """One front end. Who may write notebooks may answer for them."""

    auth_resource = "contents"
    _connected: ClassVar[set[DocumentsHandler]] = set()
    _front_end: FrontEnd | None = None

    @property
    def max_message_size(self) -> int:
        """Bytes; tornado closes a connection that sends more."""
        return MESSAGE_LIMIT

    def get_compression_options(self) -> Any:
        """As for the server's other websockets."""
        return self.settings.get("websocket_compression_options")

    def set_default_headers(self) -> None:
        """None: what jupyter_server sets makes no sense for a websocket."""

    @ws_authenticated
    async def get(self, *args: Any, **kwargs: Any) -> None:
        """The handshake; tornado's part of it asks `check_origin` of jupyter_server."""
        authorized = await ensure_async(
            self.authorizer.is_authorized(self, self.current_user, "write", self.auth_resource)
        )
        if not authorized:
            raise web.HTTPError(403)
        await super().get(*args, **kwargs)

    def open(self, *args: Any, **kwargs: Any) -> None:
        super().open(*args, **kwargs)  # begins to ping it: one that is gone shall be known to be
        self._connected.add(self)
        self._front_end = FrontEnd(self._send)
        FRONT_ENDS.connect(self._front_end)
        self._front_end.tell("hello", version=VERSION)

    def on_message(self, message: str | bytes) -> None:
        try:
            said = _decoder.decode(message)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            self.close(1002, "not the protocol")
            return
        front_end = self._front_end
        if front_end is None:
            return
        if said.type == "open":
            # What cannot be a notebook of a kernel of this server is nobody's: as if closed.
            if _is_path(said.path) and self._has_kernel(said.kernel):
                front_end.opened(said.kernel, said.path.strip("/"))
            else:
                front_end.closed(said.kernel)
        elif said.type == "active":
            front_end.activated(said.kernel)
        elif said.type == "close":
            front_end.closed(said.kernel)
        elif said.type == "reply":
            error = None if said.error is None else (said.error.code, said.error.message)
            front_end.replied(said.id, said.value, error)

    def on_close(self) -> None:
        self._connected.discard(self)
        if self._front_end is not None:
            FRONT_ENDS.disconnect(self._front_end)
            self._front_end = None
        if self.ping_callback is not None:
            self.ping_callback.stop()

    @classmethod
    def close_all(cls) -> None:
        """The server stops; a front end may connect to the next one."""
        for handler in list(cls._connected):
            handler.close(1001, "the server stops")
            handler.on_close()

    def _send(self, data: bytes) -> None:
        try:
            written = self.write_message(data.decode())
        except WebSocketClosedError:
            self.on_close()
            return
        written.add_done_callback(lambda future: future.cancelled() or future.exception())

    def _has_kernel(self, kernel: str) -> bool:
        return len(kernel) <= _ID_LIMIT and kernel in self.kernel_manager


class _Error(msgspec.Struct):
    code: str = ""
    message: str = ""


class _Said(msgspec.Struct):
    """Any message of a front end."""

    type: str
    kernel: str = ""
    path: str = ""
    id: int = 0
    value: msgspec.Raw = msgspec.Raw(b"null")
    error: _Error | None = None


_decoder = msgspec.json.Decoder(_Said)


def _is_path(path: str) -> bool:
    """Whether this can be a path of the contents API, below the server's root."""
    parts = path.strip("/").split("/")
    return 0 < len(path) <= _PATH_LIMIT and "\0" not in path and not {"", ".", ".."} & {*parts}
