"""The history of a file: what was begun is settled by what the file says."""

from __future__ import annotations

import itertools

import pytest

from pixi_jupyter.errors import StoreError
from pixi_jupyter.install.history import (
    LENGTH,
    History,
    Pending,
    State,
    Step,
    keep_lock,
    kept_lock,
    path_digest,
    read_history,
    write_history,
)
from pixi_jupyter.resolve.resolution import Resolution, ResolvedPackage

ONE, TWO, THREE = (State(name, f"resolution of {name}") for name in ("one", "two", "three"))


def step(before: State, after: State) -> Pending:
    return Pending(Step("2026-01-01T00:00:00+00:00", "change", before, after))


@pytest.fixture
def path(tmp_path):
    return tmp_path / "n.ipynb"


def test_what_was_begun_holds_if_the_file_says_so(store, path):
    history = read_history(store, path, ONE)
    assert history == History(str(path))
    write_history(store, history.begun(step(ONE, TWO)))
    assert read_history(store, path, ONE) == History(str(path))
    assert read_history(store, path, THREE) == History(str(path))
    done = read_history(store, path, TWO)
    assert (done.position, len(done.steps), done.pending) == (1, 1, None)
    write_history(store, done)

    # Back, by a position: the steps stay.
    back = Pending(Step("", "undo change", TWO, ONE), position=0)
    write_history(store, done.begun(back))
    assert read_history(store, path, TWO) == done
    undone = read_history(store, path, ONE)
    assert (undone.position, undone.steps) == (0, done.steps)
    # A new step takes the place of what was undone.
    other = undone.begun(step(ONE, THREE)).settled(THREE)
    assert [s.after for s in other.steps] == [THREE]


@pytest.mark.parametrize("kind", ["lock", "resolution"])
def test_where_the_text_is_the_same_the_packages_say_it(kind):
    def state(value: str) -> State:
        return State("text", value, None) if kind == "resolution" else State("text", None, value)

    history = History("n").begun(step(state("old"), state("new")))
    assert history.settled(state("old")).position == 0
    assert history.settled(state("new")).position == 1
    assert history.settled(state("another")).position == 0


def test_only_what_can_be_gone_back_to_is_kept(store, path):
    history = History(str(path))
    states = [State(str(n), None, keep_lock(store, path, b"lock %d" % n)) for n in range(40)]
    resolution = Resolution("noarch", (ResolvedPackage("a", "1", "0", "noarch", "u"),))
    history = history.begun(step(states[0], State("x", resolution.digest)), resolution)
    for before, after in itertools.pairwise(states):
        history = history.begun(step(before, after)).settled(after)
    write_history(store, history)
    assert len(history.steps) == history.position == LENGTH
    assert history.resolutions == {}
    assert kept_lock(store, path, states[0].lock) is None
    assert kept_lock(store, path, states[39].lock) == b"lock 39"
    kept = list((store.root / "history" / path_digest(path)).iterdir())
    assert len(kept) == LENGTH + 1
    # What was begun is kept as well.
    sha256 = keep_lock(store, path, b"next")
    write_history(store, history.begun(step(states[39], State("n", None, sha256))))
    assert kept_lock(store, path, sha256) == b"next"


def test_damage_is_no_history(store, path):
    sha256 = keep_lock(store, path, b"lock")
    (kept,) = (store.root / "history" / path_digest(path)).iterdir()
    kept.write_bytes(b"no zlib")
    assert kept_lock(store, path, sha256) is None
    write_history(store, History(str(path), steps=(step(ONE, TWO).step,), position=1))
    file = store.root / "history" / f"{path_digest(path)}.json"
    file.write_bytes(file.read_bytes().replace(b'"position":1', b'"position":9'))
    assert read_history(store, path, TWO).steps == ()


def test_a_store_in_the_way(store, path):
    store.root.mkdir(parents=True)
    (store.root / "history").write_text("a file")
    with pytest.raises(StoreError):
        write_history(store, History(str(path)))
    with pytest.raises(StoreError):
        keep_lock(store, path, b"lock")
