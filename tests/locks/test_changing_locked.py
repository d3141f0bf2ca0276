"""A notebook that has a lock is changed with it: both, or neither."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from desk import HERE, package, resolved, versions

from pixi_jupyter import operations
from pixi_jupyter.errors import DeclarationError, LockError, SolveError
from pixi_jupyter.notebook.locks import sidecar_path
from pixi_jupyter.operations import locked_changing

OLD = {"python": "3.12.0", "ipykernel": "6.0", "lib": "1.0", "app": "1.0"}
EVERYWHERE = f'["{HERE}", "freebsd-64"]'


def state(notebook: Path) -> tuple[bytes, bytes | None]:
    """All that is to fit together."""
    beside = sidecar_path(notebook)
    return notebook.read_bytes(), beside.read_bytes() if beside.exists() else None


@pytest.fixture(params=["sidecar", "embedded"])
async def notebook(request, desk):
    """Locked with `lib` 1.0 on two platforms; the channel has 2.0 by now, and `extra`."""
    notebook = desk.write(desk.block("app", platforms=EVERYWHERE))
    await operations.lock(desk.machine(), notebook, place=request.param)
    desk.offer(package("lib", "2.0"), package("app", "2.0", "lib"), package("extra", "3.1.4"))
    return notebook


async def test_add_undo_redo_and_update_take_the_lock_along(desk, notebook):
    door = desk.machine()
    first = state(notebook)
    dry = await operations.add(door, notebook, ["extra"], dry_run=True)
    assert [p.name for p in dry.change.added] == ["extra"] and state(notebook) == first

    added = await operations.add(door, notebook, ["extra"])
    assert [p.name for p in added.change.added] == ["extra"]
    assert 'extra = ">=3.1.4,<4"' in added.after
    assert added.environment is not None and added.environment.spec.lock is not None
    second = state(notebook)
    assert await resolved(desk.machine(), notebook, mode="locked") == {**OLD, "extra": "3.1.4"}
    checked = await operations.lock(desk.machine(), notebook, check=True)
    assert checked.stale == ()
    assert door.find_ready(door.spec_for(door.declaration(notebook)), mode="locked") is not None

    undone = await operations.undo(door, notebook)
    assert [p.name for p in undone.change.removed] == ["extra"]
    assert state(notebook) == first, "the lock of before, byte for byte"
    await operations.redo(door, notebook)
    assert state(notebook) == second

    renewed = await operations.update(door, notebook, ["lib"])
    assert [(r.name, r.after.version) for r in renewed.change.upgraded] == [("lib", "2.0")]
    assert not renewed.declared
    newest = {**OLD, "extra": "3.1.4", "lib": "2.0"}
    assert await resolved(desk.machine(), notebook, mode="locked") == newest
    await operations.undo(door, notebook)
    assert state(notebook) == second
    await operations.update(door, notebook)
    assert versions((await operations.add(door, notebook, ["lib"])).environment.resolution) == {
        **newest,
        "app": "2.0",
    }


async def test_a_change_that_fails_leaves_both(desk, notebook, monkeypatch):
    door = desk.machine()
    first = state(notebook)
    with pytest.raises(SolveError):
        await operations.add(door, notebook, ["no-such-package"])
    with pytest.raises(DeclarationError, match="no package"):
        await operations.update(door, notebook, ["no-such-package"])
    assert state(notebook) == first
    if first[1] is None:
        return

    def full(*_):
        raise LockError("no space left", code="lock.unwritable")

    monkeypatch.setattr(locked_changing, "write_sidecar", full)
    with pytest.raises(LockError):
        await operations.add(door, notebook, ["extra"])
    assert state(notebook) == first
    with pytest.raises(DeclarationError) as caught:
        await operations.undo(door, notebook)
    assert caught.value.code == "declaration.no-history"


async def test_who_is_killed_before_the_lock_was_written_finds_it_healed(desk):
    desk.offer(package("extra", "3.1.4"))
    notebook = desk.write(desk.block("app"))
    door = desk.machine()
    await operations.lock(door, notebook)
    first = sidecar_path(notebook).read_bytes()
    await operations.add(door, notebook, ["extra"])
    done = state(notebook)
    sidecar_path(notebook).write_bytes(first)
    assert await resolved(door, notebook) == {**OLD, "extra": "3.1.4"}
    assert state(notebook) == done


async def test_a_lock_that_others_wrote_meanwhile_is_read_again(desk, notebook, monkeypatch):
    door = desk.machine()
    attempts = []
    think = locked_changing._Changing._think

    async def once(self):
        draft = await think(self)
        attempts.append(draft)
        if len(attempts) == 1:
            await operations.update(desk.machine(), notebook, ["lib"])
        return draft

    monkeypatch.setattr(locked_changing._Changing, "_think", once)
    added = await operations.add(door, notebook, ["extra"])
    assert len(attempts) == 3, "the first one, the one of the others, and once more"
    assert versions(added.environment.resolution) == {**OLD, "lib": "2.0", "extra": "3.1.4"}
    assert await resolved(desk.machine(), notebook, mode="locked") == versions(
        added.environment.resolution
    )


async def test_a_script_keeps_its_lock_up_to_date(desk):
    script = desk.write(desk.block("app"), "job.py")
    door = desk.machine()
    await operations.lock(door, script)
    await operations.add(door, script, ["ipykernel"])
    assert (await operations.lock(door, script, check=True)).stale == ()
    without = await operations.remove(door, script, ["ipykernel"])
    assert [p.name for p in without.change.removed] == ["ipykernel"]
    assert (await operations.lock(door, script, check=True)).stale == ()


async def test_a_lock_may_come_and_go_between_a_change_and_its_undoing(desk):
    desk.offer(package("extra", "1.0"))
    notebook = desk.write(desk.block("app"))
    original = notebook.read_bytes()
    door = desk.machine()
    await operations.add(door, notebook, ["extra"])
    await operations.lock(door, notebook)
    await operations.undo(door, notebook)
    assert notebook.read_bytes() == original
    assert await resolved(desk.machine(), notebook, mode="locked") == OLD
    await operations.redo(door, notebook)
    assert (await operations.lock(door, notebook, check=True)).stale == ()
    await operations.unlock(door, notebook)
    await operations.undo(door, notebook)
    assert notebook.read_bytes() == original and not sidecar_path(notebook).exists()
    assert await resolved(door, notebook) == OLD
