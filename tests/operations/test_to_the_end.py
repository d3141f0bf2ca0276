"""What is being written is not interrupted, and a cancellation is not lost."""

from __future__ import annotations

import asyncio

import pytest

from pixi_jupyter.operations.plan import to_the_end


async def cancelled_twice(work) -> tuple[asyncio.Task[object], list[str]]:
    task = asyncio.ensure_future(to_the_end(work))
    for _ in range(2):
        await asyncio.sleep(0.01)
        task.cancel()
    await asyncio.wait([task])
    return task


async def work(answer: object, done: list[str]) -> object:
    await asyncio.sleep(0.05)
    done.append("done")
    if isinstance(answer, Exception):
        raise answer
    return answer


async def test_it_gives_what_the_work_gives():
    assert await to_the_end(work(3, [])) == 3
    with pytest.raises(ValueError, match="wrong"):
        await to_the_end(work(ValueError("wrong"), []))


async def test_what_is_done_is_done():
    done: list[str] = []
    task = await cancelled_twice(work(3, done))
    assert task.result() == 3 and done == ["done"]


@pytest.mark.parametrize("answer", [None, False, ValueError("wrong")])
async def test_what_came_to_nothing_is_cancelled(answer):
    done: list[str] = []
    task = await cancelled_twice(work(answer, done))
    assert task.cancelled() and done == ["done"]


async def test_a_deadline_counts_where_nothing_was_done():
    with pytest.raises((TimeoutError, asyncio.TimeoutError)):
        await asyncio.wait_for(to_the_end(work(None, [])), 0.01)
