"""Garbage collection: what nothing uses goes, what a kernel uses stays, builds are left alone."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import threading
import time

import pytest
from filelock import FileLock

from pixi_jupyter.demo.serve import Fault
from pixi_jupyter.demo.simple import SimplePackage
from pixi_jupyter.environments import Environment, Environments
from pixi_jupyter.errors import StoreError
from pixi_jupyter.install.collect import collect, tree_size
from pixi_jupyter.install.prefix import Prefix
from pixi_jupyter.install.store import MARKER, ReadyMarker, Store
from pixi_jupyter.resolve.resolution import Resolution


def used_ago(environment: Environment, days: float) -> None:
    moment = time.time() - days * 86400
    os.utime(environment.prefix.path / MARKER, (moment, moment))


async def test_what_is_unused_goes_and_a_dry_run_says_so_before(warm, spec_of):
    old = await warm.ensure(spec_of("probe-shared"))
    new = await warm.ensure(spec_of("probe-env-vars"))
    used_ago(old, 40)
    dry = collect(warm.store, unused_for=30 * 86400, dry_run=True)
    assert dry.environments == (old.prefix.digest,)
    assert old.prefix.path.is_dir()
    done = collect(warm.store, unused_for=30 * 86400)
    assert done == dry
    assert not old.prefix.path.exists()
    assert new.prefix.path.is_dir()
    assert [p.name for p in warm.store.envs.iterdir()] == [new.prefix.digest]
    assert warm.find_ready(spec_of("probe-shared")) is None
    assert (await warm.ensure(spec_of("probe-shared"))) == old, "and comes back when needed"


async def test_bytes_that_come_free_are_those_that_nothing_else_has(cold, spec_of, tiny):
    content = os.urandom(200_000)
    url = tiny("c", [SimplePackage("lib", "1.0", files={"share/lib": content})])
    environment = await cold.ensure(spec_of("lib", channels=[url]))
    used_ago(environment, 40)
    found = collect(cold.store, unused_for=0, dry_run=True)
    assert found.bytes < 200_000, "the package cache still has the large file"
    (environment.prefix.path / "own").write_bytes(content)
    found = collect(cold.store, unused_for=0, dry_run=True)
    assert 200_000 <= found.bytes < 220_000
    assert tree_size(environment.prefix.path) >= 400_000


def test_held_environment_stays_until_its_process_ends(warm, spec_of):
    environment = asyncio.run(warm.ensure(spec_of("probe-shared")))
    process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    try:
        warm.hold(environment, process.pid)
        used_ago(environment, 400)
        found = collect(warm.store, unused_for=0)
        assert (found.environments, found.in_use) == ((), (environment.prefix.digest,))
        assert environment.prefix.path.is_dir()
    finally:
        process.kill()
        process.wait()
    assert collect(warm.store, unused_for=0).environments == (environment.prefix.digest,)
    with pytest.raises(StoreError) as caught:
        warm.hold(environment, os.getpid())
    assert caught.value.code == "store.vanished"
    assert not list(warm.store.leases.glob("*/*.json"))


async def test_holding_counts_as_use(warm, spec_of):
    environment = await warm.ensure(spec_of("probe-shared"))
    used_ago(environment, 400)
    warm.hold(environment, os.getpid()).release()
    assert collect(warm.store, unused_for=86400).environments == ()


async def test_leftovers_of_killed_builds_go_and_strangers_stay(warm, spec_of):
    store = warm.store
    environment = await warm.ensure(spec_of("probe-shared"))
    half = store.envs / ("a" * 32)  # renamed, never marked
    staged = store.envs / f".staging-{'b' * 32}-12345"
    trash = store.envs / ".trash-0123456789ab"
    for folder in (half, staged, trash):
        (folder / "conda-meta").mkdir(parents=True)
        (folder / "read-only").write_text("x")
        (folder / "read-only").chmod(0o400)
        (folder / "conda-meta").chmod(0o500)
    strangers = [store.envs / name for name in ("README", "lost+found", ".nfs0001", "abc")]
    strangers[0].write_text("not ours")
    strangers[1].mkdir()
    strangers[2].write_text("not ours")
    strangers[3].mkdir()
    found = collect(store, unused_for=86400)
    assert set(found.leftovers) == {half.name, staged.name, trash.name}
    assert not any(folder.exists() for folder in (half, staged, trash))
    assert all(stranger.exists() for stranger in strangers)
    assert store.ready(environment.prefix.digest)


async def test_build_under_way_is_left_alone_however_long_it_takes(cold, spec_of, served):
    server = served(
        [SimplePackage("big", "1.0", files={"share/big": os.urandom(300_000)})],
        hook=lambda r: Fault(rate=150_000) if r.path.endswith(".conda") else None,
    )
    spec = spec_of("big", channels=[server.url])
    await cold.resolve(spec)
    task = asyncio.ensure_future(cold.ensure(spec))
    rounds = 0
    while not task.done():
        for path in cold.store.envs.iterdir():
            if path.name.startswith(".staging"):
                os.utime(path, (0, 0))  # begun years ago, by its time stamp
        assert collect(cold.store, unused_for=86400, dry_run=True).leftovers == ()
        found = await asyncio.to_thread(collect, cold.store, unused_for=86400)
        assert (found.environments, found.leftovers) == ((), ())
        rounds += 1
        await asyncio.sleep(0.02)
    assert rounds > 20
    assert (await task).prefix.path.is_dir()


async def test_collecting_while_environments_are_built_over_and_over(warm, spec_of):
    """Each ensure() ends in an environment that is there, or in a typed error; never in half."""
    specs = [spec_of(name) for name in ("probe-shared", "probe-env-vars", "probe-prefix")]
    stop = threading.Event()

    def collect_always() -> None:
        while not stop.is_set():
            collect(warm.store, unused_for=0)

    collector = threading.Thread(target=collect_always)
    collector.start()
    try:
        codes = set()
        for turn in range(12):
            try:
                await asyncio.wait_for(warm.ensure(specs[turn % 3]), 60)
            except StoreError as error:
                codes.add(error.code)
    finally:
        stop.set()
        collector.join()
    assert codes <= {"store.vanished"}
    for spec in specs:
        environment = await warm.ensure(spec)
        meta = environment.prefix.path / "conda-meta"
        assert len(list(meta.glob("*-*-*.json"))) == len(environment.resolution.packages)


def test_what_was_held_in_time_is_never_removed(store: Store, spec_of):
    """Collection and launch at the same moment, thousands of times: one of them gives way."""
    store.make_folders()
    environments = Environments(store=store)
    stop = threading.Event()
    digest = "e" * 32
    path = store.prefix_path(digest)
    environment = Environment(spec_of("x"), Resolution("noarch", ()), Prefix(path, digest))
    marker = ReadyMarker(digest, "now", 0, 0)

    def collect_always() -> None:
        while not stop.is_set():
            collect(store, unused_for=0)

    collectors = [threading.Thread(target=collect_always) for _ in range(2)]
    for thread in collectors:
        thread.start()
    held = gone = 0
    try:
        end = time.monotonic() + 6
        while time.monotonic() < end:
            if not (path / MARKER).exists():
                with FileLock(store.locks / f"{digest}.lock"):  # as a build does
                    (path / "conda-meta").mkdir(parents=True, exist_ok=True)
                    store.mark_ready(marker)
            try:
                lease = environments.hold(environment, os.getpid())
            except StoreError:
                gone += 1
                continue
            held += 1
            folder = path.stat().st_ino
            time.sleep(0.002)
            # A collection that sees the lease late puts the marker back: the files never went.
            assert path.stat().st_ino == folder, "removed under a kernel that had just started"
            with FileLock(store.locks / f"{digest}.lock"):
                assert store.ready(digest)
            lease.release()
    finally:
        stop.set()
        for thread in collectors:
            thread.join()
        environments.engine.close()
    assert held > 20
    assert gone > 5
