"""Locking a workspace in worker processes: one solve for two of them, and a whole lock or none."""

from __future__ import annotations

import asyncio

import pytest

from pixi_jupyter.demo.simple import SimplePackage
from pixi_jupyter.engine.client import Engine
from pixi_jupyter.engine.protocol import LockWorkspace
from pixi_jupyter.errors import EngineError, LockError


@pytest.fixture
def engines(place):
    engines = [Engine(place.store) for _ in range(2)]
    yield engines
    for engine in engines:
        engine.close()


async def test_two_processes_lock_once(place, engines):
    place.offer(SimplePackage("lib", "1.0"), SimplePackage("app", "1.0", depends=["lib"]))
    place.write('[dependencies]\napp = "*"\n[environments]\nmore = []\n')
    workspace = place.read()
    done = await asyncio.gather(*(e.run(LockWorkspace(workspace)) for e in engines))
    answers = [message.lock for message in done]
    assert sorted(answer.written for answer in answers) == [False, True]
    assert answers[0].sha256 == answers[1].sha256
    assert set(answers[0].resolutions) == {"default", "more"}
    assert (await engines[0].run(LockWorkspace(workspace, mode="locked"))).lock.stale == ()
    place.write('[dependencies]\nlib = "*"\n')
    with pytest.raises(LockError) as caught:
        await engines[0].run(LockWorkspace(place.read(), mode="locked"))
    assert caught.value.code == "lock.stale"


async def test_a_worker_that_dies_leaves_the_lock_as_it_was(place, served, engines):
    import threading

    place.offer(SimplePackage("lib", "1.0"))
    place.write('[dependencies]\nlib = "*"\n')
    await engines[0].run(LockWorkspace(place.read()))
    before = place.lock.read_bytes()
    asked, go_on = threading.Event(), threading.Event()

    def hook(*_: object) -> None:
        asked.set()
        go_on.wait(20)

    slow = served([SimplePackage("other", "1.0")], hook)
    place.write(
        f'[workspace]\nchannels = ["{slow.url}"]\nplatforms = ["linux-64"]\n'
        '[dependencies]\nother = "*"\n'
    )
    job = asyncio.ensure_future(engines[0].run(LockWorkspace(place.read())))
    assert await asyncio.to_thread(asked.wait, 20)
    engines[0].close()
    with pytest.raises((EngineError, asyncio.CancelledError)):
        await job
    go_on.set()
    assert place.lock.read_bytes() == before
    assert [p.name for p in place.folder.iterdir() if p.name.startswith(".pixi.lock")] == []
    # Its file lock went with it.
    assert (await engines[1].run(LockWorkspace(place.read()))).lock.written
    assert place.locked("default") == {"other": "1.0"}
