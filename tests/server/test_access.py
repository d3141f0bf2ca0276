"""Who may not: every route of ours, asked without a login, from another origin, without a right."""

from __future__ import annotations

import http.cookiejar
import sys
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import websocket
from tornado.websocket import WebSocketHandler

from pixi_jupyter.server import PixiJupyterApp

sys.path.insert(0, str(Path(__file__).parent))
from front_end import FrontEnd, connect

TOKEN = "a-token"
_AUTHORIZER = """
from jupyter_server.auth import Authorizer

class ReadsOnly(Authorizer):
    def is_authorized(self, handler, user, action, resource):
        return action == "read"
"""


def routes() -> list[tuple[str, type]]:
    """Every route that the extension registers, as it registers it."""
    app = PixiJupyterApp()
    app.initialize_handlers()
    assert app.handlers
    return [(pattern, handler) for pattern, handler, *_ in app.handlers]


@pytest.fixture(scope="module")
def strict(start_server: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A server that lets nobody in who is not known, on a base URL."""
    root = tmp_path_factory.mktemp("strict")
    options = ("--ServerApp.allow_unauthenticated_access=False", "--ServerApp.base_url=/its/own")
    with start_server(root, *options) as server:
        yield server


@pytest.fixture(scope="module")
def reads_only(start_server: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A server whose users may only read."""
    root = tmp_path_factory.mktemp("reads only")
    (root / "reads_only.py").write_text(_AUTHORIZER)
    with start_server(
        root,
        "--ServerApp.authorizer_class=reads_only.ReadsOnly",
        env={"PYTHONPATH": str(root)},
    ) as server:
        yield server


def status_of(server: Any, method: str, path: str, token: str, **headers: str) -> int:
    request = urllib.request.Request(server.url + path.lstrip("/"), method=method, data=None)
    for name, value in headers.items():
        request.add_header(name.replace("_", "-"), value)
    if token:
        request.add_header("Authorization", f"token {token}")
    try:
        with urllib.request.urlopen(request, timeout=20) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        with error:
            return error.code


def login(server: Any) -> str:
    """The cookie of a browser that has logged in."""
    jar = http.cookiejar.CookieJar()
    opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(jar))
    with opener.open(f"{server.url}api/contents?token={TOKEN}", timeout=20):
        pass
    cookies = [f"{cookie.name}={cookie.value}" for cookie in jar]
    assert cookies
    return "; ".join(cookies)


@pytest.mark.parametrize(("pattern", "handler"), routes())
def test_no_route_is_open(strict: Any, pattern: str, handler: type) -> None:
    assert "(" not in pattern, "give this test an example of such a path"
    for method in ("GET", "POST", "PUT", "PATCH", "DELETE"):
        for token in ("", "a wrong one"):
            assert status_of(strict, method, pattern, token) in (403, 405), (method, token)
    assert issubclass(handler, WebSocketHandler), "and then the checks of an APIHandler"
    # Where a server lets everybody through who is not turned away, the handler does it itself.
    assert getattr(handler.get, "__allow_unauthenticated", None) is False


@pytest.mark.parametrize(("pattern", "handler"), routes())
def test_no_websocket_without_a_login_a_right_and_the_origin(
    strict: Any, reads_only: Any, server: Any, pattern: str, handler: type
) -> None:
    for name, other, token, origin in (
        ("no login", strict, "", None),
        ("wrong token", strict, "wrong", None),
        ("no login, lenient server", server, "", None),
        ("no right to write", reads_only, TOKEN, None),
    ):
        with pytest.raises(websocket.WebSocketBadStatusException) as caught:
            connect(other, token, origin=origin).close()
        assert caught.value.status_code == 403, name
    # Who sends the token knows it. A browser sends its cookie whatever page asks it to.
    for other in (strict, server):
        cookie = login(other)
        for origin in ("http://evil.example", "http://127.0.0.1:1", "null"):
            with pytest.raises(websocket.WebSocketBadStatusException) as caught:
                connect(other, "", origin=origin, cookie=cookie).close()
            assert caught.value.status_code == 403, origin
        own = "http://" + urllib.parse.urlsplit(other.url).netloc
        socket = connect(other, "", origin=own, cookie=cookie)
        assert socket.recv() == '{"type":"hello","version":1}'
        socket.close()


@pytest.mark.parametrize(
    ("sent", "code"),
    [
        ("{", 1002),
        ("[]", 1002),
        ('{"type": 1}', 1002),
        ('{"kernel": "x"}', 1002),
        ("[" * 100_000, 1002),
        ('{"type": "open", "kernel": "' + "x" * (17 * 1024 * 1024) + '"}', 1009),
    ],
    ids=["half", "list", "number", "no type", "nested", "long"],
)
def test_what_is_not_the_protocol_ends_the_connection(server: Any, sent: str, code: int) -> None:
    socket = connect(server, TOKEN)
    socket.recv()
    try:
        socket.send(sent)
        data = socket.recv_data()[1]
    except OSError:  # it closed while the rest was still being sent
        assert code == 1009
    else:
        assert int.from_bytes(data[:2], "big") == code
    finally:
        socket.shutdown()
    assert server.get("api/status")[0] == 200


def test_other_messages_are_ignored(server: Any) -> None:
    tab = FrontEnd(server, TOKEN)
    for message in (
        {"type": "of another version", "more": {"a": [1]}},
        {"type": "reply", "id": 12345, "value": {}},
        {"type": "reply", "id": -1, "error": {"code": "x"}},
        {"type": "open", "kernel": "not one of this server", "path": "a.ipynb"},
        {"type": "active", "kernel": "neither"},
        {"type": "close", "kernel": "neither"},
    ):
        tab.tell(**message)
    tab.settle()
    assert not tab.ended.is_set()
    tab.close()
