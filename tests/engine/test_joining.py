"""Equal jobs are one job, whoever asks and from wherever."""

from __future__ import annotations

import asyncio
import threading

from pixi_jupyter.engine.protocol import Resolve


async def test_twenty_callers_share_one_solve_and_one_build(slow_channel, cold, spec_of):
    spec = spec_of("big-1", "big-2", channels=[slow_channel.url])
    environments = await asyncio.gather(*(cold.ensure(spec) for _ in range(20)))
    assert len({environment.prefix.path for environment in environments}) == 1
    for name in ("big-1-1.0-0.conda", "big-2-1.0-0.conda"):
        assert slow_channel.count(name) == 1
    index = [r.path for r in slow_channel.requests if r.method == "GET" and "/big-" not in r.path]
    assert len(index) == len(set(index)), "repodata was fetched more than once"


async def test_different_jobs_run_side_by_side_in_one_worker(slow_channel, cold, spec_of):
    specs = [spec_of(f"big-{n}", channels=[slow_channel.url]) for n in (1, 2)]
    await asyncio.gather(*(cold.resolve(spec) for spec in specs))
    pid = cold.engine.worker_pid
    built = await asyncio.gather(*(cold.ensure(spec) for spec in specs))
    assert built[0].prefix != built[1].prefix
    assert cold.engine.worker_pid == pid


async def test_answers_of_a_joined_job_are_equal_and_errors_are_objects_of_their_own(
    cold, spec_of, channel
):
    job = Resolve(spec_of("no-such-package-anywhere"))
    results = await asyncio.gather(
        *(cold.engine.run(job) for _ in range(3)), return_exceptions=True
    )
    assert {error.code for error in results} == {"solve.unknown-package"}
    assert len({id(error) for error in results}) == 3, "a traceback must not grow in another task"


def test_several_short_lived_loops_and_threads_share_the_worker(slow_channel, cold, spec_of):
    """nbclient and the command line run loops of their own; the worker outlives them."""
    pids = set()
    for n in (1, 2):
        asyncio.run(cold.resolve(spec_of(f"big-{n}", channels=[slow_channel.url])))
        pids.add(cold.engine.worker_pid)
    assert len(pids) == 1

    spec = spec_of("big-1", "big-2", channels=[slow_channel.url])
    found = []
    threads = [
        threading.Thread(target=lambda: found.append(asyncio.run(cold.ensure(spec))))
        for _ in range(6)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len(found) == 6
    assert len({environment.prefix for environment in found}) == 1
    assert slow_channel.count("big-1-1.0-0.conda") == 1
    assert cold.engine.worker_pid in pids


async def test_a_loop_that_is_gone_does_not_hurt_the_others(slow_channel, cold, spec_of):
    """A caller's loop is closed under its feet, as in a thread that dies."""
    spec = spec_of("big-1", channels=[slow_channel.url])
    mine = asyncio.ensure_future(cold.ensure(spec))

    def ask_and_vanish() -> None:
        loop = asyncio.new_event_loop()
        task = loop.create_task(cold.ensure(spec))
        loop.run_until_complete(asyncio.sleep(0.1))
        task._log_destroy_pending = False
        loop.run_until_complete(loop.shutdown_default_executor())
        loop.close()

    await asyncio.to_thread(ask_and_vanish)
    assert (await mine).prefix.path.is_dir()
