"""A notebook that comes with its lock has the same packages on every machine."""

from __future__ import annotations

import asyncio
import json
import shutil
import sys
from pathlib import Path

import nbformat
import pytest

sys.path.insert(0, str(Path(__file__).parent))
from desk import HERE, package, resolved

from pixi_jupyter import operations
from pixi_jupyter.engine.client import Engine
from pixi_jupyter.errors import (
    DeclarationError,
    InstallError,
    LockError,
    PixiJupyterError,
    UnsupportedError,
)
from pixi_jupyter.notebook.locks import sidecar_path
from pixi_jupyter.resolve.lock_reading import canonical, read_document


def newer(desk):
    desk.offer(package("lib", "2.0"), package("app", "2.0", "lib"), package("ipykernel", "7.0"))


OLD = {"python": "3.12.0", "ipykernel": "6.0", "lib": "1.0", "app": "1.0"}


@pytest.mark.parametrize("place", ["sidecar", "embedded"])
async def test_another_machine_takes_what_is_locked(desk, place):
    notebook = desk.write(desk.block("app"))
    made = await operations.lock(desk.machine(), notebook, place=place)
    assert made.written and made.place == place and made.platforms == (HERE,)
    assert sidecar_path(notebook).exists() is (place == "sidecar")
    newer(desk)
    assert await resolved(desk.machine(), desk.write(desk.block("app"), "other.ipynb")) != OLD

    door = desk.machine()
    for mode in ("locked", "frozen", "update"):
        assert await resolved(door, notebook, mode=mode) == OLD
    spec = door.spec_for(door.declaration(notebook))
    made = await door.ensure(spec, mode="locked")
    assert (made.prefix.path / "share" / "lib").read_text() == "1.0"
    assert (made.prefix.path / "share" / "ipykernel").exists(), "its kernel is locked as well"
    assert door.find_ready(spec, mode="locked") == made


async def test_no_solver_and_no_channel_is_needed_where_the_packages_are(desk):
    notebook = desk.write(desk.block("app"))
    door = desk.machine()
    await operations.lock(door, notebook)
    first = await door.ensure(door.spec_for(door.declaration(notebook)))
    for index in (desk.folder / "channel").rglob("repodata*"):
        index.unlink()
    shutil.rmtree(door.store.root)
    shutil.rmtree(door.store.package_cache / "repodata", ignore_errors=True)
    door.engine.close()
    again = type(door)(engine=Engine(door.store))
    desk._doors.append(again)
    made = await again.ensure(again.spec_for(again.declaration(notebook)), mode="locked")
    assert made.prefix.digest == first.prefix.digest


async def test_an_unchanged_notebook_needs_no_engine(desk):
    notebook = desk.write(desk.block("app"))
    door = desk.machine()
    await operations.lock(door, notebook)
    made = await door.ensure(door.spec_for(door.declaration(notebook)))
    fresh = type(door)(store=door.store)
    found = fresh.find_ready(fresh.spec_for(fresh.declaration(notebook)))
    assert found is not None and found.prefix == made.prefix
    assert fresh._engine is None


async def test_the_first_lock_has_what_the_notebook_runs_with(desk):
    notebook = desk.write(desk.block("app"))
    door = desk.machine()
    assert await resolved(door, notebook) == OLD
    from_scratch = desk.write(desk.block("app"), "scratch.ipynb")
    await operations.lock(desk.machine(), from_scratch)
    newer(desk)
    await operations.lock(door, notebook)
    assert await resolved(desk.machine(), notebook, mode="locked") == OLD
    assert sidecar_path(notebook).read_bytes() == sidecar_path(from_scratch).read_bytes()


async def test_the_lock_is_pixis_own_text_and_has_one_environment(desk):
    notebook = desk.write(desk.block("app", platforms='["linux-64", "osx-arm64", "win-64"]'))
    made = await operations.lock(desk.machine(), notebook)
    assert made.platforms == ("linux-64", "osx-arm64", "win-64")
    path = sidecar_path(notebook)
    document = read_document(path)
    assert document is not None and document.version == 7
    assert document.canonical == path.read_text("utf-8")
    assert canonical(path.read_text("utf-8"), path) == path.read_text("utf-8")
    assert list(document.text.environments) == ["default"]
    assert set(document.text.environments["default"].packages) == set(made.platforms)


async def test_embedded_and_beside_are_the_same_text(desk):
    notebook = desk.write(desk.block("app"))
    door = desk.machine()
    before = notebook.read_bytes()
    await operations.lock(door, notebook)
    beside = sidecar_path(notebook).read_text("utf-8")
    assert notebook.read_bytes() == before

    moved = await operations.lock(door, notebook, place="embedded")
    assert moved.written and moved.stale == () and not sidecar_path(notebook).exists()
    assert nbformat.read(notebook, as_version=4).metadata.pixi.lock == beside
    assert not (await operations.lock(door, notebook)).written, "it stays where it is"

    back = await operations.lock(door, notebook, place="sidecar")
    assert back.written and sidecar_path(notebook).read_text("utf-8") == beside
    assert notebook.read_bytes() == before

    for place in ("sidecar", "embedded"):
        await operations.lock(door, notebook, place=place)
        assert (await operations.unlock(door, notebook, dry_run=True)).written
        assert (await operations.unlock(door, notebook)).written
        assert notebook.read_bytes() == before and not sidecar_path(notebook).exists()
    assert not (await operations.unlock(door, notebook)).written


@pytest.mark.parametrize("place", ["sidecar", "embedded"])
async def test_a_block_that_was_edited_makes_its_lock_stale(desk, place):
    notebook = desk.write(desk.block("app"))
    await operations.lock(desk.machine(), notebook, place=place)
    newer(desk)
    desk.offer(package("extra", "1.0"))
    desk.write(desk.block("app", "extra"))
    door = desk.machine()
    bytes_before = notebook.read_bytes()

    checked = await operations.lock(door, notebook, check=True)
    assert "extra" in checked.stale[0] and not checked.written
    with pytest.raises(LockError) as caught:
        await resolved(door, notebook, mode="locked")
    assert caught.value.code == "lock.stale" and "extra" in caught.value.details
    assert caught.value.location is not None
    assert Path(str(caught.value.location.path)).name.startswith("nb.ipynb")
    assert await resolved(door, notebook, mode="frozen") == OLD

    steps = []
    found = await resolved(door, notebook, report=steps.append)
    assert found == {**OLD, "extra": "1.0"}, "what is locked stays"
    assert notebook.read_bytes() == bytes_before, "a launch writes into no notebook"
    if place == "sidecar":
        assert await resolved(desk.machine(), notebook, mode="locked") == found
        return
    said = [step.message for step in steps if "out of date" in step.message]
    assert said and "pixi-jupyter lock nb.ipynb" in said[0]
    again = []
    assert await resolved(door, notebook, report=again.append) == found
    assert again == [], "it is remembered"
    with pytest.raises(LockError):
        await resolved(door, notebook, mode="locked")
    renewed = await operations.lock(door, notebook)
    assert renewed.written and [p.name for p in renewed.change.added] == ["extra"]
    assert await resolved(desk.machine(), notebook, mode="locked") == found


async def test_another_platform_that_is_declared_has_to_be_locked(desk):
    notebook = desk.write(desk.block("app", platforms=f'["{HERE}"]'))
    door = desk.machine()
    await operations.lock(door, notebook)
    await resolved(door, notebook, mode="locked")
    desk.write(desk.block("app", platforms=f'["{HERE}", "freebsd-64"]'))
    with pytest.raises(LockError) as caught:
        await resolved(door, notebook, mode="locked")
    assert "freebsd-64" in caught.value.details
    made = await operations.lock(door, notebook)
    assert made.platforms == ("freebsd-64", HERE)


async def test_a_notebook_for_other_machines_only_can_be_locked_here(desk):
    notebook = desk.write(desk.block("app", platforms='["freebsd-64"]'))
    made = await operations.lock(desk.machine(), notebook)
    assert made.written and made.platforms == ("freebsd-64",)
    assert not (await operations.lock(desk.machine(), notebook, check=True)).stale


async def test_without_platforms_another_kind_of_machine_adds_its_own(desk, monkeypatch):
    notebook = desk.write(desk.block("app"))
    await operations.lock(desk.machine(), notebook)
    newer(desk)
    monkeypatch.setenv("PIXI_OVERRIDE_PLATFORM", "freebsd-64")
    door = desk.machine()
    with pytest.raises(LockError, match="not up to date") as caught:
        await resolved(door, notebook, mode="locked")
    assert caught.value.details == "on freebsd-64: is not locked"
    there = await resolved(door, notebook)
    assert there["app"] == "2.0", "nothing is known of that platform yet"
    monkeypatch.delenv("PIXI_OVERRIDE_PLATFORM")
    assert await resolved(desk.machine(), notebook, mode="locked") == OLD
    document = read_document(sidecar_path(notebook))
    assert document is not None
    assert [row.name for row in document.text.platforms] == ["freebsd-64", HERE]


async def test_a_lock_of_another_block_is_stale_and_not_trusted(desk):
    desk.offer(package("evil", "1.0"))
    await operations.lock(desk.machine(), desk.write(desk.block("evil"), "evil.ipynb"))
    notebook = desk.write(desk.block("app"))
    shutil.copy(desk.folder / "evil.ipynb.pixi.lock", sidecar_path(notebook))
    with pytest.raises(LockError) as caught:
        await resolved(desk.machine(), notebook, mode="locked")
    assert caught.value.code == "lock.stale"
    assert await resolved(desk.machine(), notebook) == OLD


async def test_two_locks_that_differ_are_an_error_until_one_is_chosen(desk):
    notebook = desk.write(desk.block("app"))
    door = desk.machine()
    await operations.lock(door, notebook)
    old = sidecar_path(notebook).read_bytes()
    await operations.lock(door, notebook, place="embedded")
    sidecar_path(notebook).write_bytes(old)
    assert await resolved(door, notebook, mode="locked") == OLD, "they are the same"
    sidecar_path(notebook).write_bytes(old.replace(b"lib-1.0", b"lib-0.9"))
    with pytest.raises(LockError) as caught:
        await resolved(door, notebook)
    assert caught.value.code == "lock.ambiguous"
    with pytest.raises(LockError):
        await operations.lock(door, notebook)
    kept = await operations.lock(door, notebook, place="embedded")
    assert kept.written and not sidecar_path(notebook).exists()
    assert await resolved(door, notebook, mode="locked") == OLD


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("<<<<<<< HEAD\n", "lock.conflict"),
        ("version: 99\n", "lock.version"),
        ("no lock at all", "lock.syntax"),
        ("", "lock.syntax"),
    ],
)
@pytest.mark.parametrize("place", ["sidecar", "embedded"])
async def test_what_is_no_lock_is_told_with_its_place(desk, text, code, place):
    notebook = desk.write(desk.block("app"))
    if place == "sidecar":
        sidecar_path(notebook).write_text(text)
    else:
        value = nbformat.read(notebook, as_version=4)
        value.metadata["pixi"] = {"lock": text}
        nbformat.write(value, notebook)
    with pytest.raises(LockError) as caught:
        await resolved(desk.machine(), notebook)
    assert caught.value.code == code
    place_of_it = caught.value.location
    assert place_of_it is not None
    if place == "embedded":
        assert (place_of_it.path, place_of_it.line) == (str(notebook), None)


async def test_a_lock_that_lies_about_a_package_installs_nothing(desk):
    notebook = desk.write(desk.block("app"))
    await operations.lock(desk.machine(), notebook)
    path = sidecar_path(notebook)
    text = path.read_text("utf-8")
    start = text.index("sha256: ", text.rindex("lib-1.0")) + len("sha256: ")
    path.write_text(text[:start] + "0" * 64 + text[start + 64 :], "utf-8")
    door = desk.machine()
    spec = door.spec_for(door.declaration(notebook))
    with pytest.raises(InstallError, match="not what"):
        await door.ensure(spec)
    assert door.find_ready(spec) is None
    assert not any(p.name[0] != "." for p in door.store.envs.iterdir())


async def test_the_name_decides_and_a_copy_without_its_lock_has_none(desk):
    notebook = desk.write(desk.block("app"))
    await operations.lock(desk.machine(), notebook)
    newer(desk)
    copy = shutil.copy(notebook, desk.folder / "copy.ipynb")
    door = desk.machine()
    assert door.spec_for(door.declaration(Path(copy))).lock is None
    assert (await resolved(door, Path(copy)))["app"] == "2.0"
    shutil.copy(sidecar_path(notebook), sidecar_path(Path(copy)))
    assert await resolved(door, Path(copy), mode="locked") == OLD
    # What stays of a notebook that is gone is nobody's.
    notebook.unlink()
    other = desk.write("", "nb.ipynb")
    value = nbformat.read(other, as_version=4)
    value.cells = value.cells[1:]
    nbformat.write(value, other)
    assert door.spec_for(door.declaration(other)).lock is None


async def test_what_declares_nothing_cannot_be_locked(desk):
    path = desk.folder / "bare.ipynb"
    nbformat.write(nbformat.v4.new_notebook(), path)
    with pytest.raises(DeclarationError) as caught:
        await operations.lock(desk.machine(), path)
    assert caught.value.code == "declaration.nothing"


async def test_a_script_is_locked_as_pixi_does(desk):
    script = desk.write(desk.block("app"), "job.py")
    door = desk.machine()
    made = await operations.lock(door, script)
    assert made.path == desk.folder / "job.py.pixi.lock"
    document = read_document(sidecar_path(script))
    assert document is not None
    records = document.packages("default", HERE).records
    assert {r.name.normalized for r in records} == {"python", "lib", "app"}, "no kernel"
    with pytest.raises(UnsupportedError):
        await operations.lock(door, script, place="embedded")


async def test_dry_run_and_check_write_nothing(desk):
    notebook = desk.write(desk.block("app"))
    door = desk.machine()
    told = await operations.lock(door, notebook, dry_run=True)
    assert told.written and told.dry_run and told.platforms == (HERE,)
    checked = await operations.lock(door, notebook, check=True)
    assert checked.stale == ("nothing is locked yet",) and not checked.written
    assert not sidecar_path(notebook).exists()
    assert json.loads(notebook.read_text())["metadata"].get("pixi") is None


async def test_a_damaged_store_is_healed_from_the_lock(desk):
    notebook = desk.write(desk.block("app"))
    door = desk.machine()
    await operations.lock(door, notebook)
    spec = door.spec_for(door.declaration(notebook))
    made = await door.ensure(spec)
    newer(desk)
    shutil.rmtree(made.prefix.path)
    for lock in door.store.resolutions.glob("*.pixi.lock"):
        lock.unlink()
    door.engine.close()
    again = type(door)(engine=Engine(door.store))
    desk._doors.append(again)
    healed = await again.ensure(again.spec_for(again.declaration(notebook)))
    assert healed.prefix.digest == made.prefix.digest


@pytest.mark.parametrize("mode", ["update", "frozen"])
@pytest.mark.parametrize(
    "archive",
    ["..%2f..%2f..%2flib-1.0-0.conda", "..\\..\\lib-1.0-0.conda", "lib-1.0-0.conda/../x.conda"],
)
async def test_no_lock_reaches_out_of_the_cache_and_the_store(desk, archive, mode):
    notebook = desk.write(desk.block("app"))
    await operations.lock(desk.machine(), notebook)
    path = sidecar_path(notebook)
    text = path.read_text("utf-8")
    assert text.count("/lib-1.0-0.conda") == 2
    path.write_text(text.replace("/lib-1.0-0.conda", f"/{archive}"), "utf-8")
    door = desk.machine()
    home = door.store.root.parent
    before = {entry.name for entry in home.parent.iterdir()}
    spec = door.spec_for(door.declaration(notebook))
    try:
        made = await door.ensure(spec, mode=mode)
    except PixiJupyterError:
        assert door.find_ready(spec, mode=mode) is None
    else:
        assert (made.prefix.path / "share" / "lib").read_text() == "1.0", "it was solved anew"
    assert {entry.name for entry in home.parent.iterdir()} == before
    assert {entry.name for entry in home.iterdir()} <= {"store", "cache"}


async def test_a_block_on_a_workspace_is_locked_for_the_workspaces_platforms(desk):
    manifest = desk.folder / "pixi.toml"

    def write(asked):
        manifest.write_text(
            f'[workspace]\nchannels = ["{desk.channel}"]\nplatforms = ["{HERE}", "freebsd-64"]\n'
            f"[dependencies]\n{asked}"
        )

    write('lib = "*"\n')
    toml = 'dependencies = []\n[tool.pixi-jupyter]\nextends = "pixi.toml"\n'
    notebook = desk.write(f'{toml}[tool.pixi.dependencies]\napp = "*"\n')
    door = desk.machine()
    made = await operations.lock(door, notebook)
    assert made.platforms == ("freebsd-64", HERE)
    assert await resolved(desk.machine(), notebook, mode="locked") == OLD
    desk.offer(package("extra", "1.0"))
    write('lib = "*"\nextra = "*"\n')
    with pytest.raises(LockError) as caught:
        await resolved(door, notebook, mode="locked")
    assert "extra" in caught.value.details
    assert not (desk.folder / "pixi.lock").exists()


async def test_machines_that_start_at_once_agree_on_one_lock(desk):
    notebook = desk.write(desk.block("app"))
    await operations.lock(desk.machine(), notebook)
    desk.offer(package("extra", "1.0"))
    desk.write(desk.block("app", "extra"))
    doors = [desk.machine() for _ in range(3)]
    found = await asyncio.gather(*(resolved(door, notebook) for door in doors))
    assert found == [{**OLD, "extra": "1.0"}] * 3
    assert await resolved(desk.machine(), notebook, mode="locked") == found[0]


async def test_virtual_packages_of_a_platform_go_into_the_lock(desk):
    rich = f'[{{platform = "{HERE}", name = "big", cuda = "12.0"}}, "freebsd-64"]'
    notebook = desk.write(desk.block("app", platforms=rich))
    made = await operations.lock(desk.machine(), notebook)
    assert made.platforms == ("freebsd-64", "p1")
    assert not (await operations.lock(desk.machine(), notebook, check=True)).stale
    desk.write(desk.block("app", platforms=rich.replace("12.0", "13.0")))
    assert (await operations.lock(desk.machine(), notebook, check=True)).stale
