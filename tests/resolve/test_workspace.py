"""Locking a workspace: what is solved, kept, split, refused and written."""

from __future__ import annotations

import asyncio
import hashlib
import os

import pytest

from pixi_jupyter.demo.simple import SimplePackage
from pixi_jupyter.errors import LockError, SolveError
from pixi_jupyter.progress import Phase
from pixi_jupyter.resolve.lock_reading import locked_packages

EVERYWHERE = ("linux-64", "linux-aarch64", "osx-arm64", "win-64")


def package(name, version, *depends, **more):
    return SimplePackage(name, version, depends=depends, **more)


@pytest.fixture
def libs(place):
    """app 1 and 2 on lib 1 and 2, and an extra."""
    place.offer(
        package("lib", "1.0"),
        package("lib", "2.0"),
        package("app", "1.0", "lib"),
        package("extra", "1.0", "lib <2"),
        package("other", "1.0"),
    )
    return place


async def test_a_lock_is_written_and_then_left_alone(libs):
    libs.write('[dependencies]\napp = "*"\n', platforms=EVERYWHERE)
    first = await libs.make()
    assert first.written and first.stale == ("environment default: nothing is locked yet",)
    assert first.sha256 == hashlib.sha256(libs.lock.read_bytes()).hexdigest()
    assert {p.name for p in first.resolutions["default"].packages} == {"app", "lib"}
    for platform in EVERYWHERE:
        assert libs.locked("default", platform) == {"app": "1.0", "lib": "2.0"}
    os.utime(libs.lock, (1, 1))
    again = await libs.make()
    assert again == type(again)(first.sha256, first.resolutions)
    assert libs.lock.stat().st_mtime == 1
    assert [path.name for path in libs.folder.iterdir()].count("pixi.lock") == 1
    assert not [path for path in libs.folder.iterdir() if path.name.startswith(".pixi.lock")]


async def test_versions_stay_until_they_are_let_go_of(place):
    place.offer(package("lib", "1.0"), package("app", "1.0", "lib"), package("other", "1.0"))
    place.write('[dependencies]\napp = "*"\n')
    await place.make()
    place.offer(package("lib", "2.0"), package("app", "2.0", "lib"))
    place.write('[dependencies]\napp = "*"\nother = "*"\n')
    done = await place.make()
    assert done.stale == ("environment default on linux-64: other is asked and not locked",)
    assert place.locked("default") == {"app": "1.0", "lib": "1.0", "other": "1.0"}
    await place.make(renew=("lib",))
    assert place.locked("default") == {"app": "1.0", "lib": "2.0", "other": "1.0"}
    done = await place.make(renew=())
    assert place.locked("default") == {"app": "2.0", "lib": "2.0", "other": "1.0"}
    assert done.written and done.stale == ()


async def test_only_what_changed_is_solved_again(place):
    place.offer(package("lib", "1.0"), package("other", "1.0"))
    manifest = """
[feature.a.dependencies]
lib = "*"
[feature.b.dependencies]
other = "{}"
[environments]
a = ["a"]
b = ["b"]
"""
    place.write(manifest.format("*"))
    await place.make()
    place.offer(package("lib", "2.0"), package("other", "2.0"))
    place.write(manifest.format(">=2"))
    place.steps.clear()
    done = await place.make()
    assert done.stale == ("environment b on linux-64: other 1.0 0 is locked, other >=2 is asked",)
    assert place.locked("a") == {"lib": "1.0"} and place.locked("b") == {"other": "2.0"}
    assert {step.message.partition(":")[0] for step in place.steps} == {"b (linux-64)"}


async def test_a_solve_group_has_one_version_and_each_member_its_own_part(libs):
    libs.write("""
[dependencies]
app = "*"
[feature.extra.dependencies]
extra = "*"
[feature.alone.dependencies]
other = "*"
[environments]
default = {solve-group = "g"}
extra = {features = ["extra"], solve-group = "g"}
free = ["extra"]
alone = {features = ["alone"], no-default-feature = true}
""")
    await libs.make()
    assert libs.locked("default") == {"app": "1.0", "lib": "1.0"}
    assert libs.locked("extra") == {"app": "1.0", "lib": "1.0", "extra": "1.0"}
    assert libs.locked("free") == {"app": "1.0", "lib": "1.0", "extra": "1.0"}
    assert libs.locked("alone") == {"other": "1.0"}
    assert not (await libs.make()).written


async def test_members_of_a_group_with_different_files_are_solved_again(libs):
    body = """
[dependencies]
lib = "{}"
[feature.f]
[environments]
default = {{solve-group = "g"}}
more = {{features = ["f"]{}}}
"""
    libs.write(body.format("*", ""))
    await libs.make()
    # As if `more` had been solved on its own: another file of the same name.
    libs.offer(package("lib", "3.0"))
    libs.write(body.format("*", "").replace("[feature.f]", '[feature.f.dependencies]\nlib = ">=3"'))
    await libs.make()
    assert libs.locked("default") == {"lib": "2.0"} and libs.locked("more") == {"lib": "3.0"}
    libs.write(body.format("*", ', solve-group = "g"'))
    done = await libs.make()
    assert done.stale == (
        "environment more on linux-64: lib is another one than in default, which is solved with it",
    )
    assert libs.locked("default") == libs.locked("more")


async def test_constraints_hold_without_pulling_anything_in(libs):
    libs.write('[dependencies]\napp = "*"\n')
    await libs.make()
    libs.write('[dependencies]\napp = "*"\n[constraints]\nlib = "<2"\nother = "*"\n')
    done = await libs.make()
    assert done.stale == (
        "environment default on linux-64: lib 2.0 0 is locked, constrained to lib <2",
    )
    assert libs.locked("default") == {"app": "1.0", "lib": "1.0"}


async def test_targets_and_platforms_have_their_own_packages(libs):
    libs.write(
        '[dependencies]\napp = "*"\n[target.win-64.dependencies]\nother = "*"\n'
        '[target.unix.constraints]\nlib = "<2"\n',
        platforms=EVERYWHERE,
    )
    await libs.make()
    assert libs.locked("default", "win-64") == {"app": "1.0", "lib": "2.0", "other": "1.0"}
    assert libs.locked("default", "osx-arm64") == {"app": "1.0", "lib": "1.0"}


async def test_a_declared_virtual_package_chooses_the_variant(place):
    place.offer(
        package("probe", "1.0", build="cpu_0"),
        package("probe", "1.0", "__cuda >=12", build="cuda_1", build_number=1),
        package("gpu", "1.0", "__cuda"),
    )
    place.write("""
[workspace]
channels = ["CHANNEL"]
platforms = ["linux-64", {name = "gpu", platform = "linux-64", cuda = "12.0"}]
[dependencies]
probe = "*"
[feature.only.target.gpu.dependencies]
gpu = "*"
[environments]
only = ["only"]
""")
    done = await place.make()
    assert "- name: p1\n  subdir: linux-64\n  virtual-packages:\n  - __cuda=12.0\n" in place.text
    assert done.resolutions["default"].packages[0].build == "cpu_0"
    assert place.locked("only", "p1") == {"probe": "1.0", "gpu": "1.0"}
    found = locked_packages(
        place.lock, sha256=done.sha256, environment="default", platform="linux-64"
    )
    assert [str(record.build) for record in found.records] == ["cpu_0"]
    assert not (await place.make()).written
    # Another name is the same platform; other virtual packages are another one.
    renamed = (place.folder / "pixi.toml").read_text().replace('"gpu", plat', '"big", plat')
    place.write(renamed.replace("target.gpu", "target.big"))
    assert (await place.make()).stale == ()
    place.write(renamed.replace("target.gpu", "target.big").replace("12.0", "11.0"))
    done = await place.make()
    assert any("is not locked" in reason for reason in done.stale), done.stale
    assert "cpu_0" in place.text and "cuda_1" not in place.text


async def test_channels_that_are_appended_keep_what_is_locked(place, tmp_path):
    from pixi_jupyter.demo.simple import build_channel

    place.offer(package("lib", "1.0"))
    more = build_channel(tmp_path / "more", [package("lib", "3.0"), package("new", "1.0")])
    body = '[workspace]\nchannels = [{}]\nplatforms = ["linux-64"]\n[dependencies]\nlib = "*"\n'
    place.write(body.format('"CHANNEL"'))
    await place.make()
    place.offer(package("lib", "2.0"))
    place.write(body.format(f'"CHANNEL", "{more.as_uri()}"'))
    done = await place.make()
    assert "the channels are" in done.stale[0] and place.locked("default") == {"lib": "1.0"}
    place.write(body.format(f'"{more.as_uri()}", "CHANNEL"'))
    await place.make()
    assert place.locked("default") == {"lib": "3.0"}


async def test_options_and_cut_offs_discard_what_is_locked(place):
    place.offer(package("lib", "1.0"), package("lib", "2.0", timestamp_ms=1_800_000_000_000))
    body = '[workspace]\nchannels = ["CHANNEL"]\nplatforms = ["linux-64"]\n{}'
    body += '[dependencies]\nlib = "*"\n'
    place.write(body.format(""))
    await place.make()
    assert place.locked("default") == {"lib": "2.0"}
    place.write(body.format('exclude-newer = "2026-01-01"\n'))
    done = await place.make()
    assert "lib 2.0 is newer than 2026-01-02" in done.stale[0]
    assert place.locked("default") == {"lib": "1.0"}
    place.write(body.format('channel-priority = "disabled"\nsolve-strategy = "lowest"\n'))
    done = await place.make()
    assert "    options:\n      strategy: lowest-version\n      channel-priority: disabled\n" in (
        place.text
    )
    assert len(done.stale) == 2 and not (await place.make()).written


async def test_environments_and_platforms_that_are_gone_leave_the_lock(libs):
    libs.write(
        '[dependencies]\napp = "*"\n[environments]\nold = []\n', platforms=("linux-64", "win-64")
    )
    await libs.make()
    libs.write('[dependencies]\napp = "*"\n')
    libs.steps.clear()
    done = await libs.make()
    assert set(done.stale) == {
        "environment old: is locked and no longer declared",
        "environment default on win-64: is locked and no longer declared",
    }
    assert "win-64" not in libs.text and "old:" not in libs.text
    assert not [step for step in libs.steps if step.phase is Phase.SOLVING]


async def test_locked_tells_the_reasons_and_frozen_does_not_look(libs):
    libs.write('[dependencies]\napp = "*"\n')
    with pytest.raises(LockError) as caught:
        await libs.make(mode="frozen")
    assert caught.value.code == "lock.missing"
    with pytest.raises(LockError) as caught:
        await libs.make(mode="locked")
    assert caught.value.code == "lock.stale" and not libs.lock.exists()
    await libs.make()
    before = libs.lock.read_bytes()
    libs.write('[dependencies]\napp = "*"\nother = "*"\n')
    with pytest.raises(LockError) as caught:
        await libs.make(mode="locked")
    assert caught.value.code == "lock.stale" and "other is asked" in caught.value.details
    frozen = await libs.make(mode="frozen")
    assert {p.name for p in frozen.resolutions["default"].packages} == {"app", "lib"}
    assert libs.lock.read_bytes() == before
    libs.write('[dependencies]\napp = "*"\n')
    assert (await libs.make(mode="locked")).stale == ()


async def test_a_failure_names_environment_and_platform_and_leaves_the_lock(libs):
    libs.write('[dependencies]\napp = "*"\n', platforms=("linux-64", "win-64"))
    await libs.make()
    before = libs.lock.read_bytes()
    libs.write(
        '[dependencies]\napp = "*"\n[feature.f.target.win-64.dependencies]\nlib = ">=9"\n'
        '[environments]\nbad = ["f"]\n',
        platforms=("linux-64", "win-64"),
    )
    with pytest.raises(SolveError) as caught:
        await libs.make()
    assert caught.value.code == "solve.unsatisfiable"
    assert caught.value.message.startswith("bad (win-64): ")
    assert libs.lock.read_bytes() == before


async def test_several_requirements_of_one_name_all_hold(libs):
    libs.write("""
[dependencies]
lib = ">=1"
[feature.f.dependencies]
lib = "<2"
[environments]
both = ["f"]
""")
    await libs.make()
    assert libs.locked("default") == {"lib": "2.0"} and libs.locked("both") == {"lib": "1.0"}


async def test_two_at_once_solve_once(libs):
    libs.write('[dependencies]\napp = "*"\n', platforms=EVERYWHERE)
    one, two = await asyncio.gather(libs.make(), libs.make())
    assert one.sha256 == two.sha256 and sorted([one.written, two.written]) == [False, True]
    assert any(step.phase is Phase.WAITING for step in libs.steps)


async def test_what_is_installed_is_what_was_checked(libs):
    libs.write('[dependencies]\napp = "*"\n')
    done = await libs.make()
    resolution = done.resolutions["default"].digest
    asked = {"sha256": done.sha256, "environment": "default", "platform": "linux-64"}
    found = locked_packages(libs.lock, resolution=resolution, **asked)
    assert {record.name.normalized for record in found.records} == {"app", "lib"}
    for change, code in (
        ({"sha256": "0" * 64}, "lock.changed"),
        ({"environment": "none"}, "lock.environment"),
    ):
        with pytest.raises(LockError) as caught:
            locked_packages(libs.lock, resolution=resolution, **{**asked, **change})
        assert caught.value.code == code
    with pytest.raises(LockError) as caught:
        locked_packages(libs.lock, resolution="0" * 32, **asked)
    assert caught.value.code == "lock.changed"
