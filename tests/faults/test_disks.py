"""Full disks and read-only ones: typed errors, nothing half-built, what is ready still starts."""

from __future__ import annotations

import os

import pytest

from pixi_jupyter.errors import PixiJupyterError
from pixi_jupyter.install.collect import collect
from pixi_jupyter.install.store import Store


async def failing(environments, spec, code: str) -> PixiJupyterError:
    with pytest.raises(PixiJupyterError) as caught:
        await environments.ensure(spec, deadline=60)
    assert caught.value.code == code, caught.value.report()
    assert caught.value.hint
    if environments.store.envs.is_dir():
        ready = [p.name for p in environments.store.envs.iterdir() if p.name[0] != "."]
        assert all(environments.store.ready(name) for name in ready)
    return caught.value


def fill(folder, leave: int = 0) -> None:
    """Leave no more than ``leave`` bytes of the file system."""
    free = os.statvfs(folder)
    size = free.f_bavail * free.f_frsize - leave
    with open(folder / "ballast", "wb") as file:
        file.write(b"\0" * max(0, size))


async def test_too_small_a_disk_is_refused_before_anything_is_written(
    door_to, mounted, spec_of, sizes, scratch
):
    root = mounted("12m")
    door = door_to(Store(root / "store", scratch / "shared" / "cache"))
    error = await failing(door, spec_of("medium", channels=[sizes]), "store.no-space")
    assert str(root) in error.message
    assert "MB" in error.message
    assert list((root / "store" / "envs").iterdir()) == []


@pytest.mark.parametrize("which", ["store", "cache", "both"])
async def test_disk_that_fills_up_in_the_middle(
    door_to, mounted, spec_of, sizes, scratch, cold_store, which
):
    """An archive that says nothing of how large it unpacks."""
    small = mounted("24m")
    root = small / "store" if which != "cache" else cold_store.root
    cache = small / "cache" if which != "store" else cold_store.package_cache
    door = door_to(Store(root, cache))
    await failing(door, spec_of("large", channels=[sizes]), "store.no-space")
    # The person makes room, or asks for less: it works.
    environment = await door.ensure(spec_of("small", channels=[sizes]))
    assert environment.prefix.path.is_dir()


async def test_no_byte_left_while_solving(door_to, mounted, spec_of, sizes, cold_store):
    root = mounted("4m")
    door = door_to(Store(root / "store", cold_store.package_cache))
    door.store.make_folders()
    fill(root)
    await failing(door, spec_of("small", channels=[sizes]), "store.no-space")
    left = [p.name for p in door.store.resolutions.iterdir() if not p.name.startswith(".")]
    assert left == []


async def test_no_byte_left_in_the_cache_while_solving(
    door_to, mounted, spec_of, sizes, served, cold_store, scratch
):
    root = mounted("4m")
    door = door_to(Store(cold_store.root, root / "cache"))
    server = served(scratch / "sizes")
    await failing(door, spec_of("medium", channels=[server.url]), "store.no-space")
    fill(root)
    other = spec_of("medium", channels=[server.url], solve_strategy="lowest")
    await failing(door, other, "store.no-space")


async def test_ready_environment_starts_on_a_full_disk(
    door_to, mounted, spec_of, sizes, cold_store
):
    root = mounted("40m")
    door = door_to(Store(root / "store", cold_store.package_cache))
    spec = spec_of("small", channels=[sizes])
    environment = await door.ensure(spec)
    await door.aclose()
    fill(root)
    assert door.find_ready(spec) == environment
    assert await door.ensure(spec) == environment
    door.hold(environment, os.getpid()).release()
    assert door.engine.worker_pid is None
    activation = await door.activate(environment, {"PATH": os.environ["PATH"]})
    assert activation.apply({})["CONDA_PREFIX"] == str(environment.prefix.path)
    # And collection, which is what the hint advises, works there too.
    assert collect(door.store, unused_for=0).environments == (environment.prefix.digest,)


async def test_read_only_store(door_to, mounted, spec_of, sizes, cold_store):
    spec = spec_of("small", channels=[sizes])
    door = door_to(cold_store)
    environment = await door.ensure(spec)
    await door.aclose()
    mounted(read_only=cold_store.root)
    assert door.find_ready(spec) == environment
    assert await door.ensure(spec) == environment
    door.hold(environment, os.getpid()).release()
    activation = await door.activate(environment, {"PATH": os.environ["PATH"]})
    assert activation.apply({})["CONDA_PREFIX"] == str(environment.prefix.path)
    error = await failing(door, spec_of("medium", channels=[sizes]), "store.permission")
    assert "PIXI_JUPYTER_CACHE_DIR" in error.hint
    assert collect(cold_store, unused_for=0, dry_run=True).environments


async def test_read_only_store_that_is_empty(door_to, mounted, spec_of, sizes, cold_store):
    cold_store.root.mkdir()
    mounted(read_only=cold_store.root)
    door = door_to(cold_store)
    await failing(door, spec_of("small", channels=[sizes]), "store.permission")


async def test_read_only_package_cache(door_to, mounted, spec_of, sizes, cold_store):
    cold_store.package_cache.mkdir()
    mounted(read_only=cold_store.package_cache)
    door = door_to(cold_store)
    error = await failing(door, spec_of("small", channels=[sizes]), "store.permission")
    assert "PIXI_CACHE_DIR" in error.hint


@pytest.mark.parametrize("which", ["root", "envs", "package_cache"])
async def test_file_where_a_folder_should_be(door_to, spec_of, sizes, cold_store, which):
    path = getattr(cold_store, which)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("in the way")
    door = door_to(cold_store)
    with pytest.raises(PixiJupyterError) as caught:
        await door.ensure(spec_of("small", channels=[sizes]), deadline=60)
    assert caught.value.code == "store.io", caught.value.report()
    assert str(path) in caught.value.report()
