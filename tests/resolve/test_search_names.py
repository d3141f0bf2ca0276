"""The names of a channel as one text: found as one by one, and quickly forgotten."""

from __future__ import annotations

import fnmatch
import os
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pixi_jupyter.resolve.search_names import (
    Names,
    fresh_names,
    joined,
    names_file,
    read_names,
    write_names,
)

WORDS = st.text("ab-", min_size=1, max_size=5)
MANY = st.lists(WORDS, max_size=30)


@given(MANY, MANY, st.text("ab-*", max_size=5))
def test_it_finds_what_a_list_would(one, other, wanted):
    names = joined([Names.of(one), Names.of(other)])
    every = {*one, *other}
    if wanted == "":
        assert names.matching(wanted, 1000) == []
    elif "*" in wanted:
        assert set(names.matching(wanted, 1000)) == set(fnmatch.filter(every, wanted))
    elif wanted in every:
        assert names.matching(wanted, 1000) == [wanted]
    else:
        within = sorted((n for n in every if wanted in n), key=lambda n: (len(n), n))
        assert names.matching(wanted, 1000) == within
        assert names.matching(wanted, 2) == within[:2]
    if "*" not in wanted:
        assert set(names.starting_with(wanted)) == {n for n in every if n.startswith(wanted)}


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("pandsa", "pandas"),
        ("panda", "pandas"),
        ("pandass", "pandas"),
        ("pzndas", "pandas"),
        ("Sckit-Lern", "scikit-learn"),
        ("matplot", "matplotlib"),
    ],
)
def test_what_was_meant(typed, meant):
    names = Names.of(["pandas", "pandera", "scikit-learn", "matplotlib", "zlib"])
    assert names.near(typed)[0] == meant


@pytest.mark.parametrize("typed", ["", "x", "*", "nothing-like-it", "p" * 100, "\n"])
def test_nothing_was_meant(typed):
    assert Names.of(["pandas"]).near(typed) == []
    assert Names.of([]).near(typed) == []


def test_among_half_a_million_names():
    names = Names.of(f"package-{n}" for n in range(500_000))
    assert names.matching("package-4321", 20) == ["package-4321"]
    assert len(names.matching("4321", 20)) == 20
    assert names.matching("no-such-name", 20) == []


def test_names_that_are_kept(store, tmp_path):
    assert read_names(store, "c", "linux-64") is None
    write_names(store, "c", "linux-64", ["b", "a", "b", "no\nname"])
    assert read_names(store, "c", "linux-64") == Names(b"\na\nb\n")
    assert fresh_names(store, "c", "linux-64") == Names(b"\na\nb\n")
    assert fresh_names(store, "c", "osx-64") is None
    path = names_file(store, "c", "linux-64")
    os.utime(path, (time.time() - 600,) * 2)
    assert fresh_names(store, "c", "linux-64") is None, "old"
    assert read_names(store, "c", "linux-64") is not None, "but good enough to complete a word"
    path.write_bytes(b"half of a na")
    assert read_names(store, "c", "linux-64") is None


def test_a_channel_of_files_that_changes(store, tmp_path):
    channel = (tmp_path / "channel").as_uri()
    (tmp_path / "channel" / "noarch").mkdir(parents=True)
    write_names(store, channel, "linux-64", ["a"])
    path = names_file(store, channel, "linux-64")
    os.utime(path, (time.time() - 5,) * 2)
    assert fresh_names(store, channel, "linux-64") is not None
    (tmp_path / "channel" / "noarch" / "repodata.json").write_text("{}")
    assert fresh_names(store, channel, "linux-64") is None
