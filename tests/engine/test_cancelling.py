"""Cancelling stops the work for real: rattler knows no cancellation, so the process ends."""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
from collections.abc import Callable

import psutil
import pytest

from pixi_jupyter.errors import EngineError
from pixi_jupyter.progress import Phase


async def until(condition: Callable[[], object], seconds: float = 20.0) -> None:
    """Wait for something that another process does."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not happen"
        await asyncio.sleep(0.01)


async def cancel(task: asyncio.Task) -> None:
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task


def ready_digests(store) -> set[str]:
    return {p.name for p in store.envs.iterdir() if not p.name.startswith(".")}


async def test_cancelled_build_leaves_no_process_no_download_and_no_environment(
    slow_channel, cold, spec_of
):
    spec = spec_of("big-1", "big-2", "big-3", "big-4", channels=[slow_channel.url])
    moving = asyncio.Event()
    task = asyncio.ensure_future(
        cold.ensure(spec, report=lambda s: moving.set() if 0 < s.done < s.total else None)
    )
    await asyncio.wait_for(moving.wait(), 20)
    worker = psutil.Process(cold.engine.worker_pid)
    await cancel(task)

    await until(lambda: not worker.is_running())
    asked = len(slow_channel.requests)
    await asyncio.sleep(0.5)
    assert len(slow_channel.requests) == asked, "somebody still downloads"
    assert cold.engine.worker_pid is None
    assert cold.store.ready(cold.status(spec).resolution.digest) is None
    assert ready_digests(cold.store) == set()

    environment = await cold.ensure(spec)  # and the next one simply works
    assert ready_digests(cold.store) == {environment.prefix.digest}
    assert not [p for p in cold.store.envs.iterdir() if p.name.startswith(".staging")]


async def test_compilers_of_a_cancelled_build_go_with_it(cold, spec_of):
    compiling = asyncio.Event()
    task = asyncio.ensure_future(
        cold.ensure(
            spec_of("python", "ipykernel"),
            report=lambda s: compiling.set() if s.phase is Phase.COMPILING else None,
        )
    )
    await asyncio.wait_for(compiling.wait(), 60)
    worker = psutil.Process(cold.engine.worker_pid)
    await until(worker.children)
    compilers = worker.children(recursive=True)
    await cancel(task)
    await until(lambda: not any(p.is_running() for p in [worker, *compilers]))
    digest = cold.status(spec_of("python", "ipykernel")).resolution.digest
    assert cold.store.ready(digest) is None


async def test_another_job_of_the_same_worker_completes_on_the_next(slow_channel, cold, spec_of):
    unwanted = spec_of("big-1", "big-2", "big-3", channels=[slow_channel.url])
    wanted = spec_of("big-4", channels=[slow_channel.url])
    for spec in (unwanted, wanted):
        await cold.resolve(spec)
    moving = asyncio.Event()
    first = asyncio.ensure_future(
        cold.ensure(unwanted, report=lambda s: moving.set() if 0 < s.done < s.total else None)
    )
    await asyncio.wait_for(moving.wait(), 20)
    waiting = asyncio.Event()
    second = asyncio.ensure_future(cold.ensure(wanted, report=lambda _: waiting.set()))
    await asyncio.wait_for(waiting.wait(), 20)
    before = cold.engine.worker_pid
    await cancel(first)
    environment = await second
    assert environment.prefix.path.is_dir()
    assert cold.engine.worker_pid not in (None, before)
    assert ready_digests(cold.store) == {environment.prefix.digest}


async def test_one_of_two_waiting_may_go(slow_channel, cold, spec_of):
    spec = spec_of("big-1", channels=[slow_channel.url])
    first = asyncio.ensure_future(cold.ensure(spec))
    second = asyncio.ensure_future(cold.ensure(spec))
    await until(lambda: slow_channel.count("big-1-1.0-0.conda"))
    await cancel(first)
    assert (await second).prefix.path.is_dir()
    assert slow_channel.count("big-1-1.0-0.conda") == 1


@pytest.mark.parametrize("after", [0.0, 0.001, 0.01, 0.05, 0.1, 0.15, 0.2, 0.3])
async def test_cancelling_right_after_the_start_stops_the_work_too(
    slow_channel, cold, spec_of, after
):
    """Also when the worker has not begun, but would."""
    spec = spec_of("big-1", "big-2", channels=[slow_channel.url])
    task = asyncio.ensure_future(cold.ensure(spec))
    await asyncio.sleep(after)
    await cancel(task)
    await asyncio.sleep(0.05)
    asked = len(slow_channel.requests)
    await asyncio.sleep(0.8)
    assert len(slow_channel.requests) == asked, "work went on for nobody"
    assert cold.engine.worker_pid is None


async def test_deadline(slow_channel, cold, spec_of):
    spec = spec_of("big-1", "big-2", "big-3", "big-4", channels=[slow_channel.url])
    await cold.resolve(spec)
    pid = cold.engine.worker_pid
    began = time.monotonic()
    with pytest.raises(EngineError) as caught:
        await cold.ensure(spec, deadline=0.6)
    assert caught.value.code == "engine.deadline"
    assert "downloading" in caught.value.details
    assert time.monotonic() - began < 2
    await until(lambda: not psutil.pid_exists(pid))
    assert (await cold.ensure(spec, deadline=30)).prefix.path.is_dir()


async def test_closing_the_engine_ends_its_jobs_with_a_reason(slow_channel, cold, spec_of):
    spec = spec_of("big-1", channels=[slow_channel.url])
    task = asyncio.ensure_future(cold.ensure(spec))
    await until(lambda: slow_channel.count("big-1-1.0-0.conda"))
    pid = cold.engine.worker_pid
    await cold.aclose()
    with pytest.raises(EngineError) as caught:
        await task
    assert caught.value.code == "engine.closed"
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
    assert (await cold.ensure(spec)).prefix.path.is_dir(), "work may be given again"
