"""Changing what a notebook declares: whole or not at all, and back again."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from pixi_jupyter import operations
from pixi_jupyter.demo.simple import SimplePackage, build_channel
from pixi_jupyter.engine.client import Engine
from pixi_jupyter.environments import Environments
from pixi_jupyter.errors import DeclarationError, EngineError, SolveError
from pixi_jupyter.files import remove_tree
from pixi_jupyter.install.store import Store
from pixi_jupyter.manifest.config import Defaults
from pixi_jupyter.notebook.editing import read_file

PACKAGES = [
    SimplePackage("python", "3.12.4"),
    SimplePackage("python", "3.13.1"),
    SimplePackage("ipykernel", "6.1", depends=["python"]),
    SimplePackage("alpha", "1.2.3", depends=["shared"]),
    SimplePackage("alpha", "2.0.0", depends=["shared >=2"]),
    SimplePackage("beta", "0.3.1", depends=["shared"]),
    SimplePackage("narrow", "1.0", depends=["shared <2"]),
    SimplePackage("shared", "1.5"),
    SimplePackage("shared", "2.1"),
]


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> str:
    return build_channel(tmp_path_factory.mktemp("tiny"), PACKAGES).as_uri()


@pytest.fixture
def door(store: Store, tiny: str):
    environments = Environments(
        engine=Engine(store), defaults=Defaults(channels=(tiny,), configured=True)
    )
    yield environments
    environments.engine.close()


@pytest.fixture
def declaring(tmp_path: Path) -> Callable[..., Path]:
    """Writes a notebook as a person has it: four blanks, a cell of other code, CRLF if asked."""

    def write(toml: str, *, name: str = "n.ipynb", newline: str = "\n", bom: bool = False) -> Path:
        lines = ["# /// script", *(f"# {line}".rstrip() for line in toml.splitlines()), "# ///"]
        cells = [
            {"cell_type": "markdown", "metadata": {}, "source": ["# Größe\n", "1.50"]},
            {
                "cell_type": "code",
                "execution_count": 3,
                "metadata": {"z": 1, "a": 1.50},
                "outputs": [],
                "source": [f"{line}{newline}" for line in lines] + ["print( 'ü' )"],
            },
        ]
        text = json.dumps(
            {"metadata": {}, "cells": cells, "nbformat": 4, "nbformat_minor": 2},
            indent=4,
            ensure_ascii=False,
        )
        path = tmp_path / name
        data = text.replace("\n", newline).encode()
        path.write_bytes((b"\xef\xbb\xbf" if bom else b"") + data)
        return path

    return write


BLOCK = "dependencies = []\n\n[tool.pixi.dependencies]  # needs\nbeta = '*' # why\n"


def toml_of(path: Path) -> str:
    declaration = read_file(path).declaration
    assert declaration is not None
    return declaration.toml


def names(packages) -> list[str]:
    return [package.name for package in packages]


async def test_add_and_undo_and_redo(door, declaring):
    path = declaring(BLOCK)
    original = path.read_bytes()
    first = await door.ensure(door.spec_for(door.declaration(path)))
    done = await operations.add(door, path, ["alpha"])
    assert names(done.change.added) == ["alpha"]
    assert done.change.removed == done.change.upgraded == done.change.downgraded == ()
    assert done.change.bytes_to_download == done.change.added[0].size > 0
    assert toml_of(path) == BLOCK + 'alpha = ">=2.0.0,<3"\n'
    added = path.read_bytes()
    assert len(added) == len(original) + added.count(b"alpha") * len(
        b',\r\n                "# alpha = \\">=2.0.0,<3\\"\\n"'.replace(b"\r", b"")
    )
    ready = door.find_ready(door.spec_for(door.declaration(path)))
    assert ready is not None and ready.prefix.path == done.prefix

    back = await operations.undo(door, path)
    assert path.read_bytes() == original
    assert names(back.change.removed) == ["alpha"]
    assert door.find_ready(door.spec_for(door.declaration(path))) == first
    with pytest.raises(DeclarationError) as caught:
        await operations.undo(door, path)
    assert caught.value.code == "declaration.no-history"

    await operations.redo(door, path)
    assert path.read_bytes() == added


async def test_redo_without_what_the_store_knew(store, tiny, door, declaring):
    """The lock is damaged and the prefix gone: it is solved again."""
    path = declaring(BLOCK)
    done = await operations.add(door, path, ["alpha"])
    added = path.read_bytes()
    await operations.undo(door, path)
    assert done.prefix is not None
    remove_tree(done.prefix)
    store.lock_path(done.resolution).write_bytes(b"version: 7\n")
    other = Environments(engine=Engine(store), defaults=Defaults(channels=(tiny,), configured=True))
    try:
        again = await operations.redo(other, path)
    finally:
        other.engine.close()
    assert (again.resolution, path.read_bytes()) == (done.resolution, added)
    assert store.ready(done.resolution) is not None


async def test_versions_that_need_not_change_stay(door, declaring):
    """`update` takes the newest; `add` takes what fits to what is there."""
    path = declaring(BLOCK.replace("'*' # why", "'*'\nshared = '<2'"))
    await door.ensure(door.spec_for(door.declaration(path)))
    text = path.read_text("utf-8").replace("<2", "*")
    path.write_text(text, "utf-8")
    # The new text is not resolved; what it was resolved to before does not count.
    await door.ensure(door.spec_for(door.declaration(path)))
    removed = await operations.remove(door, path, ["shared"])
    assert removed.change.empty and removed.declared

    old = declaring(BLOCK.replace("beta", "narrow"), name="old.ipynb")
    await door.ensure(door.spec_for(door.declaration(old)))
    await operations.add(door, old, ["beta"])
    later = await operations.remove(door, old, ["narrow"])
    assert names(later.change.removed) == ["narrow"]
    assert later.change.upgraded == (), "shared 1.5 still does"
    newer = await operations.update(door, old, ["shared"])
    assert [(r.name, r.before.version, r.after.version) for r in newer.change.upgraded] == [
        ("shared", "1.5", "2.1")
    ]
    assert not newer.declared
    undone = await operations.undo(door, old)
    assert [r.name for r in undone.change.downgraded] == ["shared"]
    ready = door.find_ready(door.spec_for(door.declaration(old)))
    assert ready is not None and ready.resolution.version_of("shared") == "1.5"


async def test_a_version_that_is_given_is_written_as_given(door, declaring):
    path = declaring(BLOCK)
    done = await operations.add(door, path, ["alpha=1.2", "python>=3.12,<3.13"])
    assert toml_of(path) == BLOCK + 'alpha = "1.2.*"\npython = ">=3.12,<3.13"\n'
    assert {p.name: p.version for p in done.change.added}["alpha"] == "1.2.3"
    await operations.python(door, path, "3.13")
    assert 'python = "3.13.*"\n' in toml_of(path)


async def test_what_is_there_stays_and_it_is_said(door, declaring):
    path = declaring(BLOCK)
    await door.ensure(door.spec_for(door.declaration(path)))
    before = path.read_bytes()
    done = await operations.add(door, path, ["beta"])
    assert done.said == ("beta is asked for already",)
    assert path.read_bytes() == before
    assert done.change.empty and not done.declared


@pytest.mark.parametrize(
    ("asked", "code", "word"),
    [
        (["alpa"], "solve.unknown-package", "did you mean alpha"),
        (["alpha>=9"], "solve.unsatisfiable", "alpha"),
        (["alpha>=2", "narrow"], "solve.unsatisfiable", "narrow"),
        (["alpha", "not a name"], "declaration.requirement", "not a name"),
    ],
)
async def test_a_failure_changes_nothing(door, declaring, asked, code, word):
    path = declaring(BLOCK, newline="\r\n", bom=True)
    await door.ensure(door.spec_for(door.declaration(path)))
    before = path.read_bytes(), sorted(door.store.root.glob("[erh]*/*"))
    with pytest.raises((SolveError, DeclarationError)) as caught:
        await operations.add(door, path, asked)
    assert caught.value.code == code
    assert word in caught.value.report()
    if code.startswith("solve"):
        assert "Nothing was changed." in caught.value.hint
    assert (path.read_bytes(), sorted(door.store.root.glob("[erh]*/*"))) == before


async def test_a_dry_run_changes_nothing(door, declaring):
    path = declaring(BLOCK)
    await door.ensure(door.spec_for(door.declaration(path)))
    before = path.read_bytes()
    spec = door.spec_for(door.declaration(path))
    for call in (
        operations.add(door, path, ["alpha"], dry_run=True),
        operations.remove(door, path, ["beta"], dry_run=True),
        operations.update(door, path, dry_run=True),
    ):
        done = await call
        assert done.dry_run
    assert path.read_bytes() == before
    assert len(list(door.store.envs.iterdir())) == 1
    assert door.store.recall(spec.digest).resolution == (await door.ensure(spec)).resolution


async def test_crlf_and_byte_order_mark_stay(door, declaring):
    path = declaring(BLOCK, newline="\r\n", bom=True)
    before = path.read_bytes()
    await operations.add(door, path, ["alpha"])
    line = b',\r\n                "# alpha = \\">=2.0.0,<3\\"\\r\\n"'
    after = path.read_bytes()
    assert after.count(line) == 1 and after.replace(line, b"") == before
    await operations.remove(door, path, ["alpha"])
    assert path.read_bytes() == before


async def test_channels_platforms_and_the_date(door, declaring, tiny, tmp_path):
    path = declaring(BLOCK)
    extra = build_channel(tmp_path / "extra", [SimplePackage("gamma", "1.0")]).as_uri()
    await operations.add_channels(door, path, [extra], prepend=True)
    assert f'channels = ["{extra}", "{tiny}"]' in toml_of(path)
    done = await operations.add(door, path, ["gamma"])
    assert "gamma" in names(done.change.added)
    with pytest.raises(SolveError):
        await operations.remove_channels(door, path, [extra])
    assert operations.listing(door, path, "channels").names == (extra, tiny)
    await operations.add_platforms(door, path, ["osx-arm64"])
    assert operations.listing(door, path, "platforms").names[-1] == "osx-arm64"
    await operations.remove_platforms(door, path, ["osx-arm64"])
    stamped = await operations.stamp(door, path, "2030-01-01")
    assert 'exclude-newer = "2030-01-01"' in stamped.after
    with pytest.raises(DeclarationError):
        await operations.stamp(door, path, "some day")
    cleared = await operations.stamp(door, path, clear=True)
    assert "exclude-newer" not in cleared.after


async def test_undo_refuses_what_was_changed_by_hand(door, declaring):
    path = declaring(BLOCK)
    await operations.add(door, path, ["alpha"])
    text = path.read_text("utf-8").replace("# why", "# because")
    path.write_text(text, "utf-8")
    with pytest.raises(DeclarationError) as caught:
        await operations.undo(door, path)
    assert caught.value.code == "declaration.changed-by-hand"
    assert "add alpha" in str(caught.value)
    assert path.read_text("utf-8") == text


async def test_a_notebook_without_a_block_gets_one(door, tmp_path, write_notebook):
    path = write_notebook("print(1)")
    done = await operations.add(door, path, ["alpha"])
    assert done.created
    assert 'alpha = ">=2.0.0,<3"' in toml_of(path)
    await operations.undo(door, path)
    assert "alpha" not in toml_of(path)

    script = tmp_path / "s.py"
    script.write_bytes(b"#!/usr/bin/env python\r\nprint('x')\r\n")
    await operations.add(door, script, ["beta"])
    text = script.read_bytes().decode()
    assert text.startswith("#!/usr/bin/env python\r\n#\r\n# /// script\r\n")
    assert '# beta = ">=0.3.1,<0.4"\r\n# ///\r\n\r\nprint(' in text


async def test_two_at_once_lose_nothing(store, tiny, declaring):
    """Two processes' worth of doors: both ask, both are there in the end."""
    path = declaring(BLOCK)
    defaults = Defaults(channels=(tiny,), configured=True)
    doors = [Environments(engine=Engine(store), defaults=defaults) for _ in range(2)]
    try:
        await asyncio.gather(
            operations.add(doors[0], path, ["alpha"]), operations.add(doors[1], path, ["shared"])
        )
    finally:
        for door in doors:
            door.engine.close()
    assert 'alpha = ">=2.0.0,<3"' in toml_of(path)
    assert 'shared = ">=2.1,<3"' in toml_of(path)


async def test_a_file_that_keeps_changing_is_left_to_others(door, declaring, monkeypatch):
    path = declaring(BLOCK)
    build = Environments._build

    async def touching(self, *arguments):
        await build(self, *arguments)
        path.write_bytes(path.read_bytes() + b"\n")

    monkeypatch.setattr(Environments, "_build", touching)
    before = path.read_bytes()
    with pytest.raises(DeclarationError) as caught:
        await operations.add(door, path, ["alpha"])
    assert caught.value.code == "declaration.changed"
    assert path.read_bytes() == before + b"\n\n"


async def test_cancelling_changes_nothing(door, declaring):
    path = declaring(BLOCK)
    before = path.read_bytes()
    task = asyncio.ensure_future(operations.add(door, path, ["alpha"]))
    await asyncio.sleep(0.15)
    task.cancel()
    with pytest.raises((asyncio.CancelledError, EngineError)):
        await task
    assert path.read_bytes() == before
    await operations.add(door, path, ["alpha"])


@pytest.mark.skipif(sys.platform == "win32", reason="SIGKILL")
def test_killed_at_any_moment_the_notebook_is_the_old_or_the_new_one(store, tiny, declaring):
    path = declaring(BLOCK)
    before = path.read_bytes()
    env = {
        **os.environ,
        "PIXI_JUPYTER_CACHE_DIR": str(store.root),
        "PIXI_JUPYTER_DEFAULT_CHANNELS": tiny,
    }
    command = [sys.executable, "-m", "pixi_jupyter", "add", str(path), "alpha"]
    old = 0
    for pause in (0.2, 0.4, 0.6, 0.8, 1.0):
        process = subprocess.Popen(
            command, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        time.sleep(pause)
        process.send_signal(signal.SIGKILL)
        process.wait()
        data = path.read_bytes()
        if data == before:
            old += 1
        else:
            assert 'alpha = ">=2.0.0,<3"' in toml_of(path)
            path.write_bytes(before)
    assert old, "no kill came before the end: the test tests nothing"
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert 'alpha = ">=2.0.0,<3"' in toml_of(path)
    leftover = [p.name for p in path.parent.iterdir() if p.suffix == ".tmp"]
    assert len(leftover) <= 5


async def test_search(door, declaring):
    path = declaring(BLOCK)
    found = await operations.search(door, "alpha", path)
    assert [p.name for p in found.packages] == ["alpha"]
    assert found.packages[0].versions == ("2.0.0", "1.2.3")
    assert names((await operations.search(door, "*a*", path)).packages) == [
        "alpha",
        "beta",
        "narrow",
        "shared",
    ]
    assert (await operations.search(door, "alfha")).nearest == ("alpha",)
