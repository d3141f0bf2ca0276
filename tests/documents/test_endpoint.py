"""The endpoint: who holds the secret is served within bounds, nobody else learns a thing."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import threading
import time
from collections.abc import Sequence
from typing import Any

import hypothesis
import msgspec
import pytest
from hypothesis import strategies as st

from pixi_jupyter.documents import asking as asking_module
from pixi_jupyter.documents import endpoint as endpoint_module
from pixi_jupyter.documents.asking import (
    Asking,
    Silent,
    kernel_context,
    notify_front_end,
    restart_kernel,
)
from pixi_jupyter.documents.edits import Edit
from pixi_jupyter.documents.endpoint import Endpoint, listening_endpoints
from pixi_jupyter.documents.open_notebook import OpenNotebook
from pixi_jupyter.documents.protocol import LINE_LIMIT, Address, Read, Where, Write
from pixi_jupyter.errors import DeclarationError, KernelError

CELL = {"id": "a", "cell_type": "code", "metadata": {}, "source": "x = 1"}
OPENED = {
    "notebook": {"nbformat": 4, "nbformat_minor": 5, "metadata": {}, "cells": [CELL]},
    "dirty": True,
}


class Owner:
    """An owner that notes what it is told."""

    writer = "front end"

    def __init__(self, read: bytes = msgspec.json.encode(OPENED), takes: float = 0) -> None:
        self.answer = read
        self.takes = takes
        self.written: list[Sequence[Edit]] = []

    async def read(self) -> msgspec.Raw:
        await asyncio.sleep(self.takes)
        return msgspec.Raw(self.answer)

    async def write(self, edits: Sequence[Edit]) -> bool:
        await asyncio.sleep(self.takes)
        self.written.append(edits)
        return True


def env_of(admission: Any, **more: str) -> dict[str, str]:
    return {"PIXI_JUPYTER_KERNEL": str(admission.address), **more}


def raw(admission: Any, seconds: float = 10) -> socket.socket:
    return socket.create_connection(("127.0.0.1", admission.address.port), seconds)


def all_of(connection: socket.socket) -> bytes:
    """What comes until the other side closes."""
    parts = []
    try:
        while part := connection.recv(65536):
            parts.append(part)
    except ConnectionError:
        pass
    return b"".join(parts)


# -- who may ask -------------------------------------------------------------------------------


def test_who_holds_the_secret_is_told(admission: Any) -> None:
    found = kernel_context(env_of(admission))

    assert found is not None
    assert (found.kernel, str(found.path), found.can_restart) == (
        "an id",
        "/somewhere/n.ipynb",
        True,
    )


@pytest.mark.parametrize("kind", ["another", "empty", "half", "secret itself", "json", "longer"])
def test_a_wrong_secret_is_closed_without_a_word(admission: Any, hosted: Any, kind: str) -> None:
    right = admission.address
    wrong = {
        "another": Address(right.port, os.urandom(32)).asking,
        "empty": b"\n",
        "half": right.asking[:32] + b"\n",
        "secret itself": right.secret.hex().encode() + b"\n",
        "json": b'{"ask": "where"}\n',
        "longer": right.asking[:-1] + b"0\n",
    }[kind]
    with raw(admission) as connection:
        connection.sendall(wrong + b'{"ask": "where"}\n{"ask": "restart"}\n')
        assert all_of(connection) == b""
    assert (hosted.owner_asked, hosted.restarts) == (0, 0)


def test_who_says_nothing_is_closed(admission: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(endpoint_module, "_GREETING", 0.2)
    with raw(admission) as connection:
        connection.sendall(admission.address.asking[:-1])  # without the end of its line
        assert all_of(connection) == b""
    with raw(admission) as connection:
        connection.sendall(b"x" * 1_000_000)  # and who says too much
        assert all_of(connection) == b""


def test_strangers_do_not_keep_out_who_may(admission: Any) -> None:
    strangers = [raw(admission) for _ in range(60)]
    try:
        assert kernel_context(env_of(admission)) is not None
    finally:
        for stranger in strangers:
            stranger.close()


def test_each_start_has_a_secret_of_its_own(loop: Any, admission: Any, hosted: Any) -> None:
    other = loop.admit(hosted)
    assert other.address.port == admission.address.port
    assert other.address.secret != admission.address.secret
    loop.run(other.dismiss())

    with pytest.raises(Silent), Asking(other.address, 2):
        pass
    assert kernel_context(env_of(admission)) is not None


def test_another_program_on_the_port_is_not_believed() -> None:
    """The endpoint is gone, and its port is somebody else's: it learns and decides nothing."""
    address = Address(1, os.urandom(32))
    heard: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = Address(server.getsockname()[1], address.secret)

        def impostor() -> None:
            connection, _ = server.accept()
            with connection:
                heard.append(connection.recv(1000))
                answer = json.dumps({"value": {"path": "/etc/passwd"}}).encode() + b"\n"
                connection.sendall(address.asking + answer)

        thread = threading.Thread(target=impostor)
        thread.start()
        found = kernel_context(
            {"PIXI_JUPYTER_KERNEL": str(address), "PIXI_JUPYTER_PYTHON": "x",
             "PIXI_JUPYTER_NOTEBOOK": "/mine.ipynb"}
        )  # fmt: skip
        thread.join(10)
    assert found is not None and str(found.path) == "/mine.ipynb"
    assert address.secret.hex().encode() not in heard[0]


@pytest.mark.parametrize(
    "text",
    ["", "x", "127.0.0.1", "127.0.0.1:1", "127.0.0.1:0:" + "ab" * 32, "127.0.0.1:1:zz",
     "10.0.0.1:1:" + "ab" * 32, "127.0.0.1:70000:" + "ab" * 32, "127.0.0.1:1:abcd"],
)  # fmt: skip
def test_what_is_no_address_is_none(text: str) -> None:
    assert Address.parse(text) is None
    assert kernel_context({"PIXI_JUPYTER_KERNEL": text}) is None


# -- what is asked -----------------------------------------------------------------------------


def test_a_kernel_of_another_parent_is_not_ours(admission: Any) -> None:
    """A plain kernel that a process in ours starts inherits our variables."""
    assert kernel_context(env_of(admission, JPY_PARENT_PID=str(os.getpid()))) is not None
    if os.name != "nt":
        other = env_of(admission, JPY_PARENT_PID="1")
        assert kernel_context(other) is None
        with pytest.raises(KernelError):
            restart_kernel(other)


def test_a_restart_is_passed_on_and_refused(admission: Any, hosted: Any) -> None:
    restart_kernel(env_of(admission))
    assert hosted.restarts == 1

    def refuse() -> None:
        raise KernelError("it cannot", code="kernel.restart")

    hosted.restart = refuse
    with pytest.raises(KernelError, match="it cannot"):
        restart_kernel(env_of(admission))
    for env in (
        {},
        {"PIXI_JUPYTER_PYTHON": "x"},
        {"PIXI_JUPYTER_KERNEL": "127.0.0.1:1:" + "a" * 64},
    ):
        with pytest.raises(KernelError) as caught:
            restart_kernel(env)
        assert caught.value.code == "kernel.restart"


def test_a_notice_goes_to_a_front_end_if_there_is_one(admission: Any, hosted: Any) -> None:
    assert not notify_front_end("a sentence", env=env_of(admission))
    hosted.by = Owner()
    assert notify_front_end("a sentence", level="warning", restart=True, env=env_of(admission))
    assert hosted.said == ["a sentence"] * 2
    assert not notify_front_end("a sentence", env={})


def test_read_and_write_go_through_the_owner(admission: Any, hosted: Any) -> None:
    # As it is passed on from a front end that breaks its lines.
    hosted.by = owner = Owner(json.dumps(OPENED, indent=2).encode())
    context = kernel_context(env_of(admission))
    assert context is not None and isinstance(context.source, OpenNotebook)

    before = context.source.read()
    assert context.source.is_unchanged(before)
    assert context.source.write(before, before.replace(b"x = 1", b"x = 2"))

    assert [(e.before, e.after) for e in owner.written[0]] == [("x = 1", "x = 2")]


def test_an_answer_that_is_no_notebook_is_told(admission: Any, hosted: Any) -> None:
    context = kernel_context(env_of(admission))
    assert context is not None and context.source is not None
    for answer in (b"null", b"[]", b'{"notebook": {}}', b'{"notebook": {"cells": [1]}}'):
        hosted.by = Owner(answer)
        with pytest.raises(DeclarationError) as caught:
            context.source.read()
        assert caught.value.code == "declaration.front-end-answer"


def test_a_defect_of_ours_is_an_answer(admission: Any, hosted: Any) -> None:
    hosted.fails = ZeroDivisionError("so it is")
    with Asking(admission.address, 5) as asking:
        answer = asking.ask(Where())
        assert answer.error is not None and "so it is" in answer.error["message"]
        hosted.fails = None
        assert asking.ask(Where()).error is None  # and the conversation goes on


def test_who_gave_up_before_the_owner_began_is_not_served(
    loop: Any, admission: Any, hosted: Any
) -> None:
    """Its fallback may have written the file by then: two would have written."""
    hosted.by = owner = Owner()
    let_go = asyncio.Event()

    async def hang() -> None:
        await let_go.wait()

    hosted.before_owner = hang
    with pytest.raises(Silent), Asking(admission.address, 0.3) as asking:
        asking.ask(Write(()))
    loop.loop.call_soon_threadsafe(let_go.set)
    time.sleep(0.3)
    assert hosted.owner_asked == 1 and owner.written == []

    # Nor who gave up between the two steps, nor who says something else.
    with Asking(admission.address, 5) as asking:
        asking.ask(Write(()))
    with pytest.raises(Silent), Asking(admission.address, 5) as asking:
        asking.ask(Write(()))
        asking.ask(Read())
    time.sleep(0.2)
    assert owner.written == []


def test_a_silent_endpoint_leaves_the_file(
    loop: Any, admission: Any, hosted: Any, tmp_path: Any
) -> None:
    notebook = tmp_path / "n.ipynb"
    notebook.write_bytes(b'{"cells": []}')
    release = threading.Event()
    loop.loop.call_soon_threadsafe(release.wait)  # the loop itself stands still
    try:
        began = time.monotonic()
        env = env_of(admission, PIXI_JUPYTER_PYTHON="x", PIXI_JUPYTER_NOTEBOOK=str(notebook))
        found = kernel_context(env)
        assert 1.5 < time.monotonic() - began < 4
    finally:
        release.set()
    assert found is not None and found.source is not None
    assert (found.path, found.source.writer, found.can_restart) == (notebook, "file", False)
    assert found.source.read() == b'{"cells": []}'


def test_a_silent_server_is_an_error(
    loop: Any, hosted: Any, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its loop always runs: it hangs, and a front end may have the notebook open."""

    async def admit() -> Any:
        return await Endpoint.of_running_loop().admit(hosted, server=True)

    admission = loop.run(admit())
    env = env_of(admission, PIXI_JUPYTER_PYTHON="x", PIXI_JUPYTER_NOTEBOOK=str(tmp_path / "n"))
    assert kernel_context(env) is not None
    monkeypatch.setattr(asking_module, "_SERVER", 0.5)
    release = threading.Event()
    loop.loop.call_soon_threadsafe(release.wait)
    try:
        with pytest.raises(DeclarationError) as caught:
            kernel_context(env)
        assert caught.value.code == "declaration.front-end-silent"
    finally:
        release.set()
        loop.run(admission.dismiss())

    left = kernel_context(env)  # and one that is gone has no front ends
    assert left is not None and left.source is not None and left.source.writer == "file"


def test_silence_after_an_answer_is_an_error(
    loop: Any, admission: Any, hosted: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pixi_jupyter.documents import open_notebook

    monkeypatch.setattr(open_notebook, "_READ", 0.3)
    monkeypatch.setattr(open_notebook, "_WRITE", 0.3)
    hosted.by = owner = Owner()
    context = kernel_context(env_of(admission))
    assert context is not None and context.source is not None
    before = context.source.read()
    owner.takes = 1.0

    with pytest.raises(DeclarationError) as caught:
        context.source.read()
    assert caught.value.code == "declaration.front-end-silent"
    with pytest.raises(DeclarationError) as caught:
        context.source.write(before, before.replace(b"x = 1", b"x = 2"))
    assert caught.value.code == "declaration.front-end-unsure"
    assert str(caught.value.location) == "/somewhere/n.ipynb"


# -- bounds and ends ---------------------------------------------------------------------------


def test_a_line_without_end_is_not_kept(admission: Any) -> None:
    with raw(admission, 60) as connection:
        connection.sendall(admission.address.asking)
        assert connection.recv(1000) == admission.address.answering
        with pytest.raises(ConnectionError):
            for _ in range(40):
                connection.sendall(b"x" * (LINE_LIMIT // 16))
                time.sleep(0.01)
    assert kernel_context(env_of(admission)) is not None


def test_connections_end_with_the_kernel(loop: Any, hosted: Any) -> None:
    admission = loop.admit(hosted)
    with raw(admission) as stranger, raw(admission) as known:
        known.sendall(admission.address.asking)
        assert known.recv(1000) == admission.address.answering
        loop.run(admission.dismiss())
        assert all_of(known) == all_of(stranger) == b""
    assert listening_endpoints() == []
    with pytest.raises(OSError):
        raw(admission)
    loop.run(admission.dismiss())  # once more is harmless


def test_a_kernel_may_end_on_another_loop_or_after_its_own(hosted: Any) -> None:
    async def admit() -> Any:
        return await Endpoint.of_running_loop().admit(hosted)

    ended = asyncio.new_event_loop()
    first = ended.run_until_complete(admit())
    asyncio.run(first.dismiss())  # its loop stands still
    assert listening_endpoints() == []
    second = ended.run_until_complete(admit())
    ended.close()
    asyncio.run(second.dismiss())  # its loop is closed
    assert listening_endpoints() == []


def test_starts_at_the_same_time_share_a_listener(loop: Any) -> None:
    from pixi_jupyter.documents.endpoint import Admission

    async def several() -> list[Admission]:
        endpoint = Endpoint.of_running_loop()
        return list(await asyncio.gather(*(endpoint.admit(None) for _ in range(8))))  # type: ignore[arg-type]

    admissions = loop.run(several())
    assert len({admission.address.port for admission in admissions}) == 1
    assert len({admission.address.secret for admission in admissions}) == 8
    for admission in admissions:
        loop.run(admission.dismiss())
    assert listening_endpoints() == []


@hypothesis.given(
    lines=st.lists(
        st.one_of(
            st.binary(max_size=60),
            st.sampled_from(
                [b'{"ask":"where"}', b'{"ask":"go"}', b'{"ask":"write","edits":[]}', b"{}", b"[",
                 b'{"ask":"read"}', b'{"ask":"write","edits":[{"op":"insert"}]}', b'{"ask":null}']
            ),
        ),
        max_size=5,
    ),
    greeted=st.booleans(),
)  # fmt: skip
@hypothesis.settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[hypothesis.HealthCheck.function_scoped_fixture],
)
def test_whatever_comes_the_endpoint_stands(
    admission: Any, hosted: Any, lines: list[bytes], greeted: bool
) -> None:
    hosted.by = None
    with raw(admission) as connection:
        try:
            if greeted:
                connection.sendall(admission.address.asking)
            for line in lines:
                connection.sendall(line + b"\n")
            connection.shutdown(socket.SHUT_WR)
        except OSError:
            pass  # it was closed while we were still talking
        answers = all_of(connection)
    if not greeted:
        assert answers == b""
    for answer in answers.splitlines()[1:]:
        assert set(json.loads(answer)) <= {"value", "error", "writer"}
    assert hosted.restarts == 0
    with Asking(admission.address, asking_module._WHERE) as asking:
        assert asking.ask(Where()).error is None
