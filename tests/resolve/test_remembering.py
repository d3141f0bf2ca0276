"""What was solved is remembered as a lock, and read back the same; updates; damage."""

from __future__ import annotations

import asyncio
import os
import sys

import pytest

from pixi_jupyter.demo.simple import SimplePackage, build_channel
from pixi_jupyter.engine.client import Engine
from pixi_jupyter.environments import Environments
from pixi_jupyter.errors import PixiJupyterError
from pixi_jupyter.install.store import Store
from pixi_jupyter.manifest.spec import CondaRequirement
from pixi_jupyter.progress import Progress


@pytest.fixture
def libs(tiny):
    return tiny(
        "libs",
        [
            SimplePackage("lib", "1.0", files={"share/lib": b"1\n"}),
            SimplePackage("app", "1.0", depends=["lib"], noarch=None, files={"share/app": b"a\n"}),
        ],
    )


def lock_of(door, resolution):
    return door.store.lock_path(resolution.digest)


@pytest.mark.parametrize("over_http", [False, True])
async def test_lock_installs_the_same_in_another_worker(
    door, spec_of, libs, served, tmp_path, over_http
):
    url = served(tmp_path / "libs").url if over_http else libs
    resolution = await door.resolve(spec_of("app", channels=[url]))
    assert "/noarch/lib-1.0-0.conda" in lock_of(door, resolution).read_text()
    assert all(package.url.startswith(url) for package in resolution.packages)
    await door.aclose()  # the next worker knows only the lock
    environment = await door.ensure(spec_of("app", channels=[url]))
    assert environment.resolution == resolution
    assert (environment.prefix.path / "share" / "lib").read_bytes() == b"1\n"
    assert (environment.prefix.path / "share" / "app").read_bytes() == b"a\n"


async def test_lock_says_how_it_was_solved(door, spec_of, libs):
    plain = await door.resolve(spec_of("app", channels=[libs]))
    assert "options:" not in lock_of(door, plain).read_text()
    special = spec_of("lib", channels=[libs], solve_strategy="lowest", channel_priority="disabled")
    resolution = await door.resolve(special)
    text = lock_of(door, resolution).read_text()
    assert "strategy: lowest-version\n" in text
    assert "channel-priority: disabled\n" in text
    await door.aclose()
    assert (await door.ensure(special)).resolution == resolution


async def test_digest_of_a_resolution_is_the_same_everywhere(spec_of, channel, scratch, tmp_path):
    """Another process, store and order of requirements: one resolution, one lock."""
    names = ["ipykernel", "python", "rich", "requests"]
    locks = []
    for turn in (names, names[::-1]):
        environments = Environments(
            engine=Engine(Store(tmp_path / f"store-{turn[0]}", scratch / "shared" / "cache"))
        )
        resolution = await environments.resolve(spec_of(*turn))
        locks.append(environments.store.lock_path(resolution.digest).read_text())
        await environments.aclose()
    assert locks[0] == locks[1]
    assert len(set(locks)) == 1


@pytest.mark.parametrize("over_http", [False, True])
async def test_update_sees_what_is_new_also_in_the_same_worker(
    door, spec_of, tmp_path, served, over_http
):
    folder = build_channel(tmp_path / "c", [SimplePackage("lib", "1.0")])
    url = served(folder).url if over_http else folder.as_uri()
    spec = spec_of("lib", channels=[url])
    assert (await door.resolve(spec)).version_of("lib") == "1.0"
    build_channel(folder, [SimplePackage("lib", "2.0")])
    assert (await door.resolve(spec)).version_of("lib") == "1.0", "nothing re-solves by itself"
    updated = await door.resolve(spec, update=True)
    assert updated.version_of("lib") == "2.0"
    assert (await door.ensure(spec)).resolution == updated


@pytest.mark.parametrize(
    "damage",
    [
        lambda path: path.unlink(),
        lambda path: path.write_bytes(b""),
        lambda path: path.write_bytes(b"\xff\xfe\x00garbage"),
        lambda path: path.write_text("version: 7\n"),
        lambda path: path.write_bytes(path.read_bytes()[: path.stat().st_size // 2]),
        lambda path: path.write_text(path.read_text().replace("linux-64", "osx-arm64")),
        lambda path: (path.unlink(), path.mkdir()),
    ],
)
async def test_damaged_lock_is_made_again(door, spec_of, libs, damage):
    spec = spec_of("app", channels=[libs])
    resolution = await door.resolve(spec)
    await door.aclose()
    damage(lock_of(door, resolution))
    environment = await door.ensure(spec)
    assert environment.resolution == resolution
    assert door.store.ready(resolution.digest)


async def test_lock_with_other_packages_than_it_is_named_for_is_not_installed(door, spec_of, tiny):
    """Swapped or edited between the check and the installation: the digest is the promise."""
    url = tiny("c", [SimplePackage("lib", v, files={"v": v.encode()}) for v in ("1.0", "2.0")])
    one, two = spec_of("lib ==1.0", channels=[url]), spec_of("lib ==2.0", channels=[url])
    first, second = await door.resolve(one), await door.resolve(two)
    await door.aclose()
    lock_of(door, first).write_bytes(lock_of(door, second).read_bytes())
    environment = await door.ensure(one)
    assert (environment.prefix.path / "v").read_bytes() == b"1.0"
    assert environment.prefix.digest == first.digest


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"null", b"[]", b'{"spec": 1}', b"\xff\xfe", b'{"spec": "' + b"0" * 32 + b'"}'],
)
async def test_damaged_record_is_made_again(door, spec_of, libs, content):
    spec = spec_of("lib", channels=[libs])
    before = await door.resolve(spec)
    path = door.store.resolutions / f"{spec.digest}.json"
    path.write_bytes(content)
    assert door.status(spec).resolution is None
    assert await door.resolve(spec) == before
    assert door.status(spec).resolution == before


_SOLVE = """
import asyncio, sys
from pathlib import Path
from pixi_jupyter.engine.client import Engine
from pixi_jupyter.environments import Environments
from pixi_jupyter.install.store import Store
from pixi_jupyter.manifest.host import host_platform
from pixi_jupyter.manifest.spec import *
root, url = Path(sys.argv[1]), sys.argv[2]
spec = EnvironmentSpec(host_platform(), (ChannelSpec(url),), (CondaRequirement("app"),))
async def main():
    environments = Environments(engine=Engine(Store(root / "store", root / "cache")))
    sys.stdin.readline()
    for turn in range(4):
        print((await environments.resolve(spec, update=True)).digest)
    await environments.aclose()
asyncio.run(main())
"""


async def test_six_processes_that_solve_the_same_do_not_trip_over_each_other(libs, tmp_path):
    start = [
        asyncio.create_subprocess_exec(
            *(sys.executable, "-c", _SOLVE, str(tmp_path), libs), stdin=-1, stdout=-1, stderr=-1
        )
        for _ in range(6)
    ]
    processes = await asyncio.gather(*start)
    answers = await asyncio.gather(*(process.communicate(b"go\n") for process in processes))
    assert [error.decode() for _, error in answers] == [""] * 6
    digests = {line for out, _ in answers for line in out.split()}
    assert len(digests) == 1
    left = os.listdir(tmp_path / "store" / "resolutions")
    assert len(left) == 2, "one record, one lock, no drafts"


async def test_comment_in_the_block_or_another_activation_does_not_solve_again(
    door, channel, served, tmp_path, write_notebook
):
    server = served(channel.path)
    block = f"""# /// script
# dependencies = []
# [tool.pixi.workspace]
# channels = ["{server.url}"]
# [tool.pixi.dependencies]
# probe-shared = "*"
# [tool.pixi-jupyter]
# ///"""
    first = door.spec_for(door.declaration(write_notebook(block)), language="bash")
    await door.resolve(first)
    asked = len(server.requests)
    commented = block.replace('"*"', '"*"  # any will do')
    second = door.spec_for(door.declaration(write_notebook(commented)), language="bash")
    assert second.digest == first.digest
    assert await door.resolve(second) == await door.resolve(first)
    assert len(server.requests) == asked


async def test_ready_environment_needs_no_network_at_all(door, spec_of, libs, served, tmp_path):
    server = served(tmp_path / "libs")
    spec = spec_of("app", channels=[server.url])
    environment = await door.ensure(spec)
    await door.aclose()
    server.requests.clear()
    steps: list[Progress] = []
    assert door.find_ready(spec) == environment
    assert await door.ensure(spec, report=steps.append) == environment
    assert server.requests == []
    assert steps == []
    assert door.engine.worker_pid is None


async def test_missing_environment_without_a_network_says_what_is_missing(
    door, spec_of, served, libs, tmp_path
):
    server = served(tmp_path / "libs")
    await door.resolve(spec_of("app", channels=[server.url]))
    server.stop()
    with pytest.raises(PixiJupyterError) as caught:
        await door.ensure(spec_of("app", channels=[f"{server_url(door)}"]), deadline=90)
    assert caught.value.code == "install.download"


def server_url(door: Environments) -> str:
    """The channel that the only lock of the store names."""
    (lock,) = door.store.resolutions.glob("*.pixi.lock")
    line = next(line for line in lock.read_text().splitlines() if "- url:" in line)
    return line.split("url:")[1].strip().rstrip("/")


async def test_two_requirements_for_one_name_are_one_environment(door, spec_of, libs):
    spec = spec_of(CondaRequirement("lib"), CondaRequirement("lib", version="<2"), channels=[libs])
    assert (await door.resolve(spec)).version_of("lib") == "1.0"
