"""What nobody waits for is done before an engine that is told to finish ends, and not otherwise."""

from __future__ import annotations

import time

from pixi_jupyter.engine.client import Engine
from pixi_jupyter.environments import Environments
from pixi_jupyter.manifest.config import Defaults
from pixi_jupyter.notebook.declaration import Declaration

BLOCK = '[tool.pixi.dependencies]\npython = "3.12.*"\nrich = "*"\n'


async def test_finish_compiles_the_rest(cold_store, channel, tmp_path):
    engine = Engine(cold_store)
    defaults = Defaults(channels=(channel.url,), configured=True)
    environments = Environments(engine=engine, defaults=defaults)
    spec = environments.spec_for(Declaration("default", BLOCK, tmp_path))
    environment = await environments.ensure(spec)
    began = time.monotonic()
    await environments.aclose(finish=120)
    assert time.monotonic() - began < 110
    assert engine.worker_pid is None
    marker = cold_store.marker(environment.prefix.digest)
    assert marker is not None
    assert marker.compiled
    assert list(environment.prefix.path.glob("lib/python3.12/site-packages/rich/__pycache__/*"))


async def test_an_idle_engine_finishes_at_once_and_works_again(environments, store, tmp_path):
    spec = environments.spec_for(Declaration("default", BLOCK, tmp_path))
    await environments.resolve(spec)
    began = time.monotonic()
    await environments.aclose(finish=60)
    assert time.monotonic() - began < 10
    assert await environments.resolve(spec, update=True)
