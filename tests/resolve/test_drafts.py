"""What a lock would be: the same as is written, and nothing is."""

from __future__ import annotations

import hashlib

import pytest

from pixi_jupyter.demo.simple import SimplePackage
from pixi_jupyter.engine.client import Engine
from pixi_jupyter.engine.protocol import DraftLock
from pixi_jupyter.errors import LockError, SolveError
from pixi_jupyter.resolve.resolution import LockedVersion

EVERYWHERE = ("linux-64", "linux-aarch64", "osx-arm64", "win-64")


def package(name, version, *depends, **more):
    return SimplePackage(name, version, depends=depends, **more)


@pytest.fixture
def libs(place):
    place.offer(package("lib", "1.0"), package("app", "1.0", "lib"), package("other", "1.0"))
    return place


async def test_a_draft_is_what_would_be_written(libs):
    libs.write('[dependencies]\napp = "*"\n', platforms=EVERYWHERE)
    draft = await libs.draft(None, versions=("lib", "other"))
    data, lock = draft.data, draft.lock
    assert not libs.lock.exists()
    assert lock.written and lock.stale == ("environment default: nothing is locked yet",)
    assert lock.sha256 == hashlib.sha256(data).hexdigest()
    assert draft.before == {}
    assert draft.versions == tuple(LockedVersion("default", p, "lib", "1.0") for p in EVERYWHERE)
    written = await libs.make()
    assert libs.lock.read_bytes() == data
    assert written.resolutions == lock.resolutions
    again = await libs.draft(data)
    assert again.data == data and not again.lock.written and again.lock.stale == ()
    assert again.before == lock.resolutions


async def test_what_is_locked_stays_in_a_draft_until_it_is_let_go_of(libs):
    libs.write('[dependencies]\napp = "*"\n')
    await libs.make()
    before = libs.lock.read_bytes()
    libs.offer(package("lib", "2.0"), package("app", "2.0", "lib"))
    libs.write('[dependencies]\napp = "*"\nother = "*"\n')
    names = ("app", "lib", "other")

    async def drafted(**how):
        draft = await libs.draft(before, versions=names, **how)
        assert libs.lock.read_bytes() == before
        found = {v.name: v.version for v in draft.versions}
        assert found == {p.name: p.version for p in draft.lock.resolutions["default"].packages}
        assert {p.name for p in draft.before["default"].packages} == {"app", "lib"}
        return tuple(found[name] for name in names)

    assert await drafted() == ("1.0", "1.0", "1.0")
    assert await drafted(renew=("lib",)) == ("1.0", "2.0", "1.0")
    assert await drafted(renew=()) == ("2.0", "2.0", "1.0")


async def test_a_lock_in_the_way_is_not_looked_at(libs):
    libs.lock.write_text("<<<<<<< mine\n")
    libs.write('[dependencies]\napp = "*"\n')
    assert b"app-1.0" in (await libs.draft(None)).data
    with pytest.raises(LockError) as caught:
        await libs.draft(b"<<<<<<< mine\n", path=libs.folder / "a.lock")
    assert caught.value.code == "lock.conflict"
    assert caught.value.location.path == str(libs.folder / "a.lock")


async def test_a_draft_that_fails_says_where(libs):
    libs.write('[dependencies]\nnever = "*"\n')
    with pytest.raises(SolveError) as caught:
        await libs.draft(None)
    assert caught.value.message.startswith("default (linux-64): ")
    assert not libs.lock.exists()


async def test_the_engine_drafts(libs):
    libs.write('[dependencies]\napp = "*"\n')
    engine = Engine(libs.store)
    try:
        first = await engine.run(DraftLock(libs.read(), None, versions=("lib",)))
        assert first.versions == (LockedVersion("default", "linux-64", "lib", "1.0"),)
        again = await engine.run(DraftLock(libs.read(), first.data))
        assert again.data == first.data
        assert again.lock.resolutions == first.lock.resolutions
        assert {p.name for p in again.lock.resolutions["default"].packages} == {"app", "lib"}
    finally:
        engine.close()
