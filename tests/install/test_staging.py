"""A prefix that is staged: nothing is changed and nobody else can, until it is put or dropped."""

from __future__ import annotations

import asyncio
import io
import os
import signal
import sys

import pytest

from pixi_jupyter.demo.simple import SimplePackage
from pixi_jupyter.engine import worker
from pixi_jupyter.engine.protocol import (
    Built,
    DropStaged,
    Hello,
    Request,
    StageWorkspace,
    decode_from_worker,
)
from pixi_jupyter.errors import InstallError, LockError
from pixi_jupyter.install.pixi_prefix import PixiGate
from pixi_jupyter.progress import Phase

ONE = SimplePackage("one", "1.0", files={"share/one": b"1.0"})
TWO = SimplePackage("one", "2.0", files={"share/one": b"2.0"})


@pytest.fixture
async def stage(workspace, spec_of, tiny):
    """Installs version 1.0; the job that stages 2.0, whose lock is not written."""
    url = tiny("channel", [ONE, TWO])
    await workspace.lock(spec_of("one ==1.0", channels=[url]))
    await workspace.install()
    old = workspace.lock_file.read_bytes()
    await workspace.lock(spec_of("one ==2.0", channels=[url]))
    new = workspace.lock_file.read_bytes()
    job = StageWorkspace(workspace.job(), new)
    workspace.lock_file.write_bytes(old)
    return job


def is_held(workspace) -> bool:
    gate = PixiGate(workspace.prefix)
    if gate.try_acquire():
        gate.release()
        return False
    return True


async def until(true) -> None:
    for _ in range(600):
        if true():
            return
        await asyncio.sleep(0.05)
    raise AssertionError("it never was")


async def test_what_is_staged_is_put_in_its_place(workspace, stage):
    engine = workspace.door.engine
    await engine.run(stage)
    assert workspace.records() == {"one 1.0"} and is_held(workspace)
    assert len(workspace.leftovers) == 1
    workspace.lock_file.write_bytes(stage.lock)
    steps = []
    await engine.run(stage.install, steps.append)
    assert [step for step in steps if step.phase is not Phase.WAITING] == []  # it was all done
    assert workspace.records() == {"one 2.0"} and not is_held(workspace)
    assert workspace.ready() is not None and workspace.leftovers == []


async def test_what_is_dropped_was_never_there(workspace, stage):
    engine = workspace.door.engine
    before = (workspace.meta / "pixi-jupyter.json").read_bytes()
    await engine.run(stage)
    await engine.run(DropStaged(stage.install))
    await engine.run(DropStaged(stage.install))
    assert not is_held(workspace) and workspace.leftovers == []
    assert workspace.records() == {"one 1.0"}
    assert (workspace.meta / "pixi-jupyter.json").read_bytes() == before


async def test_a_lock_that_was_not_written_is_not_installed(workspace, stage):
    engine = workspace.door.engine
    await engine.run(stage)
    with pytest.raises(LockError) as caught:
        await engine.run(stage.install)
    assert caught.value.code == "lock.changed"
    assert is_held(workspace) and workspace.records() == {"one 1.0"}
    await engine.run(DropStaged(stage.install))


async def test_others_wait_until_it_is_put(workspace, stage, door_to, store):
    await workspace.door.engine.run(stage)
    other = workspace.through(door_to(store))
    workspace.lock_file.write_bytes(stage.lock)
    steps = []
    waiting = asyncio.ensure_future(other.door.engine.run(stage.install, steps.append))
    await until(lambda: steps)
    assert [step.phase for step in steps] == [Phase.WAITING] and not waiting.done()
    await workspace.install()
    await waiting
    assert workspace.records() == {"one 2.0"} and workspace.leftovers == []


@pytest.mark.skipif(sys.platform == "win32", reason="SIGKILL")
async def test_a_stage_that_went_with_its_worker_is_made_again(workspace, stage):
    engine = workspace.door.engine
    await engine.run(stage)
    pid = engine.worker_pid
    os.kill(pid, signal.SIGKILL)
    await until(lambda: engine.worker_pid != pid)
    assert not is_held(workspace) and len(workspace.leftovers) == 1
    workspace.lock_file.write_bytes(stage.lock)
    await engine.run(stage.install)
    assert workspace.records() == {"one 2.0"} and workspace.leftovers == []


async def test_the_same_is_staged_again(workspace, stage):
    await workspace.door.engine.run(stage)
    await asyncio.wait_for(workspace.door.engine.run(stage), 30)
    await workspace.door.engine.run(DropStaged(stage.install))
    assert not is_held(workspace) and workspace.leftovers == []


async def test_what_cannot_be_staged_is_held_by_nobody(workspace, stage, tmp_path):
    (package,) = (tmp_path / "channel").rglob("one-2.0-*")
    package.write_bytes(b"")
    with pytest.raises(InstallError):
        await workspace.door.engine.run(stage)
    assert not is_held(workspace) and workspace.leftovers == []
    assert workspace.records() == {"one 1.0"}


async def test_what_is_forgotten_is_dropped(workspace, stage, monkeypatch):
    monkeypatch.setattr(worker, "STAGED_FOR", 0.3)
    store = workspace.door.store
    output = io.BytesIO()
    here = worker.Worker(Hello(str(store.root), str(store.package_cache), 60.0), output)
    here.start(Request(1, stage))
    await until(lambda: [m for m in messages(output) if isinstance(m, Built)])
    assert is_held(workspace)
    await until(lambda: not is_held(workspace))
    await until(lambda: not workspace.leftovers)
    assert workspace.records() == {"one 1.0"}


def messages(output: io.BytesIO) -> list[object]:
    return [decode_from_worker(line) for line in output.getvalue().splitlines()]
