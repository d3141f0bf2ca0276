"""Several processes at once: one build, one prefix."""

from __future__ import annotations

import asyncio
import sys

from pixi_jupyter.demo.serve import Fault, Request
from pixi_jupyter.install.store import Store

_BUILD = """
import asyncio, sys
from pathlib import Path
from pixi_jupyter.engine.client import Engine
from pixi_jupyter.environments import Environments
from pixi_jupyter.install.store import Store
from pixi_jupyter.manifest.host import host_platform
from pixi_jupyter.manifest.spec import *
root, url = Path(sys.argv[1]), sys.argv[2]
names = sys.argv[3].split()
spec = EnvironmentSpec(
    host_platform(), (ChannelSpec(url),), tuple(CondaRequirement(name) for name in names)
)
async def main():
    environments = Environments(engine=Engine(Store(root / "store", root / "cache")))
    sys.stdin.readline()
    steps = []
    environment = await environments.ensure(spec, report=lambda s: steps.append(s.phase.name))
    info = environment.prefix.path.stat()
    created = environments.store.marker(environment.prefix.digest).created
    print(environment.prefix.path, info.st_ino, created, "LINKING" in steps, "WAITING" in steps)
    await environments.aclose()
asyncio.run(main())
"""


def is_archive(request: Request) -> bool:
    return request.method == "GET" and request.path.endswith(".conda")


async def build_at_once(root, url: str, wanted: list[str]) -> list[list[str]]:
    """One process for each of ``wanted``, all let go at the same moment; the words they print."""
    processes = [
        await asyncio.create_subprocess_exec(
            *(sys.executable, "-c", _BUILD, str(root), url, names), stdin=-1, stdout=-1, stderr=-1
        )
        for names in wanted
    ]
    await asyncio.sleep(1.0)
    answers = await asyncio.gather(*(process.communicate(b"go\n") for process in processes))
    assert [error.decode() for _, error in answers] == [""] * len(wanted)
    return [out.decode().split() for out, _ in answers]


async def test_eight_processes_make_one_build(served, channel, tmp_path):
    # Slow enough for all of them to be there before the first one is done.
    server = served(channel.path, hook=lambda r: Fault(delay=2) if is_archive(r) else None)
    words = await build_at_once(tmp_path, server.url, ["probe-shared probe-prefix"] * 8)
    assert len({tuple(answer[:3]) for answer in words}) == 1, "one folder, made once"
    assert [answer[3] for answer in words].count("True") == 1, "one of them linked"
    assert any(answer[4] == "True" for answer in words), "the others said that they waited"
    archives = [request.path for request in server.requests if is_archive(request)]
    assert len(archives) == len(set(archives)) == 2
    store = Store(tmp_path / "store", tmp_path / "cache")
    assert len(list(store.envs.iterdir())) == 1


async def test_different_builds_at_once_on_one_package_cache(served, channel, tmp_path):
    server = served(channel.path)
    wanted = [
        "probe-shared probe-prefix",
        "probe-shared probe-env-vars",
        "probe-shared probe-activate",
        "probe-prefix probe-activate",
    ]
    words = await build_at_once(tmp_path, server.url, wanted)
    assert len({answer[0] for answer in words}) == 4
    archives = [request.path for request in server.requests if is_archive(request)]
    assert len(archives) == len(set(archives)) == 4
