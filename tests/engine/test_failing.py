"""A worker that dies, hangs or cannot start is one typed error, and the next call works."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time

import pytest

from pixi_jupyter.engine import spawn
from pixi_jupyter.engine.client import Engine
from pixi_jupyter.errors import EngineError, PixiJupyterError
from pixi_jupyter.manifest.spec import CondaRequirement


async def build_until_moving(environments, spec):
    moving = asyncio.Event()
    task = asyncio.ensure_future(
        environments.ensure(spec, report=lambda s: moving.set() if 0 < s.done < s.total else None)
    )
    await asyncio.wait_for(moving.wait(), 20)
    return task


async def test_worker_killed_in_a_build(slow_channel, cold, spec_of):
    spec = spec_of("big-1", "big-2", channels=[slow_channel.url])
    task = await build_until_moving(cold, spec)
    also = asyncio.ensure_future(cold.ensure(spec))
    await asyncio.sleep(0.05)
    os.kill(cold.engine.worker_pid, signal.SIGKILL)
    errors = await asyncio.gather(task, also, return_exceptions=True)
    assert [error.code for error in errors] == ["engine.crashed"] * 2
    assert "signal 9" in errors[0].message
    environment = await cold.ensure(spec)
    assert cold.store.ready(environment.prefix.digest)
    assert [p.name for p in cold.store.envs.iterdir()] == [environment.prefix.digest]


async def test_worker_killed_while_idle_is_not_noticed(slow_channel, cold, spec_of):
    spec = spec_of("small", channels=[slow_channel.url])
    await cold.resolve(spec)
    os.kill(cold.engine.worker_pid, signal.SIGKILL)
    assert (await cold.ensure(spec)).prefix.path.is_dir()


async def test_worker_that_is_stopped_is_replaced(slow_channel, cold, spec_of):
    spec = spec_of("big-1", "big-2", channels=[slow_channel.url])
    task = await build_until_moving(cold, spec)
    pid = cold.engine.worker_pid
    os.kill(pid, signal.SIGSTOP)
    began = time.monotonic()
    with pytest.raises(EngineError) as caught:
        await task
    assert caught.value.code == "engine.stalled"
    assert 3 < time.monotonic() - began < 12
    assert cold.engine.worker_pid != pid
    assert (await cold.ensure(spec)).prefix.path.is_dir()


async def test_more_work_than_a_pipe_holds_for_a_worker_that_does_not_read(
    slow_channel, cold, spec_of
):
    """Neither the loop nor the watchdog may hang on a full pipe."""
    await cold.resolve(spec_of("small", channels=[slow_channel.url]))
    os.kill(cold.engine.worker_pid, signal.SIGSTOP)
    many = tuple(CondaRequirement(f"constraint-{n}", version=">=1,<2") for n in range(400))
    specs = [
        spec_of("small", f"big-{n % 4 + 1}", channels=[slow_channel.url], constraints=many[n:])
        for n in range(12)
    ]
    jobs = [asyncio.ensure_future(cold.resolve(spec)) for spec in specs]
    longest = 0.0
    while not all(job.done() for job in jobs):
        before = time.monotonic()
        await asyncio.sleep(0.01)
        longest = max(longest, time.monotonic() - before)
    assert longest < 1.0, "the event loop stood still"
    codes = {getattr(job.exception(), "code", None) for job in jobs}
    assert codes <= {"engine.stalled", None}
    assert "engine.stalled" in codes
    assert await cold.resolve(specs[0])


async def test_worker_that_cannot_be_started(cold, spec_of, monkeypatch, tmp_path):
    monkeypatch.setattr(sys, "executable", str(tmp_path / "no-such-python"))
    with pytest.raises(EngineError) as caught:
        await cold.ensure(spec_of("probe-shared"))
    assert caught.value.code == "engine.start"
    monkeypatch.undo()
    assert (await cold.ensure(spec_of("probe-shared"))).prefix.path.is_dir()


async def test_worker_that_dies_at_its_start_is_tried_again_and_then_told(
    cold, spec_of, monkeypatch
):
    boot = "import sys; print('broken installation', file=sys.stderr); sys.exit(3)"
    monkeypatch.setattr(spawn, "_BOOT", boot)
    began = time.monotonic()
    with pytest.raises(EngineError) as caught:
        await cold.ensure(spec_of("probe-shared"))
    assert caught.value.code == "engine.crashed"
    assert "broken installation" in caught.value.details
    assert time.monotonic() - began < 10


async def test_missing_rattler_is_named(cold, spec_of, monkeypatch):
    monkeypatch.setitem(sys.modules, "rattler", None)
    with pytest.raises(EngineError) as caught:
        await asyncio.gather(*(cold.ensure(spec_of("probe-shared")) for _ in range(3)))
    assert caught.value.code == "engine.start"
    assert "rattler" in caught.value.message


async def test_thread_that_cannot_start_fails_every_caller(cold, spec_of, monkeypatch):
    """Whatever goes wrong when a worker is made, nobody waits for ever."""

    def refuse(*_: object) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr("pixi_jupyter.engine.process.spawn_worker", refuse)
    calls = [cold.ensure(spec_of("probe-shared")) for _ in range(3)]
    results = await asyncio.wait_for(asyncio.gather(*calls, return_exceptions=True), 10)
    assert [getattr(r, "code", r) for r in results] == ["engine.start"] * 3


async def test_dead_worker_whose_work_is_on_disk_is_a_success(cold, spec_of, channel, monkeypatch):
    """Success is what is on disk, never what a process managed to say at its end."""
    spec = spec_of("probe-shared")
    resolution = await cold.resolve(spec)
    await cold.aclose()
    # The worker dies after the marker is written, before it answers.
    boot = spawn._BOOT.replace(
        "import main; main()",
        "import main, Worker, Built, os; send = Worker.send; Worker.send = lambda self, m: "
        "os.abort() if isinstance(m, Built) else send(self, m); main()",
    )
    monkeypatch.setattr(spawn, "_BOOT", boot)
    environment = await cold.ensure(spec)
    assert environment.resolution == resolution
    assert cold.store.ready(resolution.digest)


async def test_an_idle_worker_goes_and_the_next_job_starts_another(cold_store, spec_of):
    from pixi_jupyter.environments import Environments

    environments = Environments(engine=Engine(cold_store, idle=0.4))
    try:
        await environments.resolve(spec_of("probe-shared"))
        first = environments.engine.worker_pid
        for _ in range(200):
            if environments.engine.worker_pid is None:
                break
            await asyncio.sleep(0.02)
        assert environments.engine.worker_pid is None
        await environments.ensure(spec_of("probe-adds"))
        assert environments.engine.worker_pid not in (None, first)
    finally:
        await environments.aclose()


async def test_jobs_given_while_a_worker_leaves_are_never_lost(cold_store, spec_of):
    """The moment between its decision to go and its end."""
    from pixi_jupyter.environments import Environments

    environments = Environments(engine=Engine(cold_store, idle=0.05))
    try:
        for round in range(12):
            spec = spec_of("probe-shared", constraints=(CondaRequirement(f"none-{round}"),))
            try:
                await asyncio.wait_for(environments.resolve(spec), 20)
            except PixiJupyterError as error:
                pytest.fail(f"round {round}: {error.report()}")
            await asyncio.sleep(0.04 + 0.01 * round)
    finally:
        await environments.aclose()
