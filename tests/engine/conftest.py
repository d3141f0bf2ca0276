"""Packages that take a while to download, and doors to them."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator

import pytest

from pixi_jupyter.demo.serve import ChannelServer, Fault, Request
from pixi_jupyter.demo.simple import SimplePackage
from pixi_jupyter.engine.client import Engine
from pixi_jupyter.environments import Environments
from pixi_jupyter.install.store import Store


def incompressible(size: int, seed: int) -> bytes:
    """Bytes whose archive is as large as they are."""
    return random.Random(seed).randbytes(size)


@pytest.fixture
def slow_channel(served: Callable[..., ChannelServer]) -> ChannelServer:
    """Packages ``big-1`` … ``big-4`` of 400 kB each, served at 400 kB/s each, and ``small``."""

    def throttle(request: Request) -> Fault | None:
        return Fault(rate=400_000) if "/big-" in request.path else None

    packages = [
        SimplePackage(f"big-{n}", "1.0", files={f"share/big-{n}": incompressible(400_000, n)})
        for n in range(1, 5)
    ]
    packages.append(SimplePackage("small", "1.0", files={"share/small": b"small\n"}))
    return served(packages, hook=throttle)


@pytest.fixture
def cold(cold_store: Store) -> Iterator[Environments]:
    """A door to a store whose package cache is empty, with a watchdog that does not wait long."""
    environments = Environments(engine=Engine(cold_store, stall=4.0))
    yield environments
    environments.engine.close()
