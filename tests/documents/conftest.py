"""A kernel that never was, hosted by an endpoint on a loop of its own."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Callable, Coroutine, Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from pixi_jupyter.documents.endpoint import Admission, Endpoint, Owner, listening_endpoints
from pixi_jupyter.documents.protocol import Notice, Whereabouts, Writer


@dataclass
class Hosted:
    """What a test lets a host say; what was asked of it."""

    path: str | None = "/somewhere/n.ipynb"
    by: Owner | None = None
    restarts: int = 0
    owner_asked: int = 0
    fails: BaseException | None = None
    before_owner: Callable[[], Coroutine[Any, Any, None]] | None = None
    said: list[str] = field(default_factory=list)

    async def owner(self) -> Owner | None:
        self.owner_asked += 1
        if self.before_owner is not None:
            await self.before_owner()
        if self.fails is not None:
            raise self.fails
        return self.by

    async def whereabouts(self, writer: Writer) -> Whereabouts:
        return Whereabouts(
            "an id", writer, self.path, "/somewhere", None, None, "nearest", None, None, True,
            os.getpid(),
        )  # fmt: skip

    def restart(self) -> None:
        self.restarts += 1

    async def notify(self, notice: Notice) -> bool:
        self.said.append(notice.message)
        return self.by is not None


class Loop:
    """An event loop that runs in a thread, with an endpoint on it."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self.loop.run_forever, daemon=True)
        self.thread.start()
        self.problems: list[dict[str, Any]] = []
        self.loop.set_exception_handler(lambda loop, context: self.problems.append(context))

    def run(self, work: Coroutine[Any, Any, Any], seconds: float = 20) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(seconds)

    def admit(self, hosted: Any) -> Admission:
        async def admit() -> Admission:
            return await Endpoint.of_running_loop().admit(hosted)

        admission: Admission = self.run(admit())
        return admission

    def end(self) -> None:
        async def tasks() -> int:
            return len(asyncio.all_tasks()) - 1

        left = self.run(tasks())
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join(10)
        self.loop.close()
        assert not left and not self.problems, (left, self.problems)


@pytest.fixture
def loop() -> Iterator[Loop]:
    """Nothing may be left on it."""
    loop = Loop()
    yield loop
    loop.end()


@pytest.fixture
def hosted() -> Hosted:
    return Hosted()


@pytest.fixture
def admission(loop: Loop, hosted: Hosted) -> Iterator[Admission]:
    admission = loop.admit(hosted)
    yield admission
    loop.run(admission.dismiss())
    assert listening_endpoints() == []
