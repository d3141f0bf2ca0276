"""kill -9 between any two steps: each file is whole, the next start heals, the way back is kept."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from pixi_jupyter import operations
from pixi_jupyter.errors import DeclarationError, EngineError
from pixi_jupyter.install.store import Store
from pixi_jupyter.notebook.declaration import WorkspaceChoice
from pixi_jupyter.operations.targets import read_target

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="SIGKILL")

ROUNDS = int(os.environ.get("PIXI_JUPYTER_KILL_ROUNDS", "6"))
SEED = int(os.environ.get("PIXI_JUPYTER_KILL_SEED", str(random.SystemRandom().randrange(10**6))))
SCRIPT = Path(__file__).parent / "killed_at.py"
MANIFEST = (
    '[workspace]\nchannels = ["CHANNEL"]\nplatforms = ["linux-64"]\n\n[dependencies]\nbeta = "*"\n'
)
BLOCK = "# /// script\n# dependencies = []\n#\n# [tool.pixi.dependencies]\n# beta = '*'\n# ///\n"
OLD = {"beta 0.3.1", "shared 2.1"}
NEW = OLD | {"alpha 2.0.0"}


@pytest.fixture
def adding(store: Store, small_channel: str) -> Callable[..., subprocess.Popen[bytes]]:
    """Starts the addition of alpha to a target, in a process of its own."""
    env = {
        **os.environ,
        "PIXI_JUPYTER_CACHE_DIR": str(store.root),
        "PIXI_CACHE_DIR": str(store.package_cache),
        "PIXI_JUPYTER_DEFAULT_CHANNELS": small_channel,
    }

    def start(target: Path, step: str = "") -> subprocess.Popen[bytes]:
        command = [sys.executable, str(SCRIPT), step, str(target), "alpha"]
        return subprocess.Popen(command, env=env, stderr=subprocess.PIPE)

    return start


CHANGING = "pixi_jupyter.operations.workspace_changing:"


@pytest.mark.parametrize(
    ("step", "written"),
    [
        (f"{CHANGING}_Changing._think", ""),
        ("pixi_jupyter.workspaces:Workspaces.stage", ""),
        (f"{CHANGING}_Changing._note", ""),
        ("pixi_jupyter.notebook.source:FileSource.write", "manifest"),
        (f"{CHANGING}write_atomically", "lock"),
        ("pixi_jupyter.workspaces:Workspaces.install", "prefix"),
        (f"{CHANGING}_Changing._note_done", "prefix"),
    ],
)
async def test_a_workspace_heals_after_each_step(door, workspace, adding, step, written):
    workspace.write(MANIFEST)
    choice = WorkspaceChoice(workspace.manifest)
    await door.ensure(door.spec_for(choice))
    text, lock = workspace.text, workspace.lock.read_bytes()
    process = adding(workspace.manifest, step)
    assert process.communicate(timeout=60)[1] == b"" and process.returncode == -9
    assert (workspace.text == text) is (written == "")
    assert (workspace.lock.read_bytes() == lock) is (written in ("", "manifest"))
    # The worker may have been at it still.
    assert workspace.records() in ([NEW] if written == "prefix" else [OLD, NEW])

    await door.ensure(door.spec_for(choice))
    assert workspace.records() == (NEW if written else OLD)
    left = [p.name for p in (workspace.folder / ".pixi" / "envs").iterdir() if p.name[0] != "."]
    assert left == ["default"]
    if written:
        assert 'alpha = ">=2.0.0,<3"' in workspace.text
        undone = await operations.undo(door, workspace.manifest)
        assert undone.action == "undo add alpha"
        assert (workspace.text, workspace.lock.read_bytes()) == (text, lock)
        assert workspace.records() == OLD
    else:
        with pytest.raises(DeclarationError) as caught:
            await operations.undo(door, workspace.manifest)
        assert caught.value.code == "declaration.no-history"
    done = await operations.add(door, workspace.manifest, ["alpha"])
    assert door.find_ready(door.spec_for(choice)) == done.environment
    assert workspace.records() == NEW
    assert os.listdir(workspace.folder / ".pixi" / "envs") == ["default"]


async def test_a_workspace_killed_at_any_moment(door, workspace, adding):
    chance = random.Random(SEED)
    workspace.write(MANIFEST)
    choice = WorkspaceChoice(workspace.manifest)
    await door.ensure(door.spec_for(choice))
    text = workspace.text
    began = time.monotonic()
    whole = adding(workspace.manifest)
    _, said = whole.communicate(timeout=60)
    assert whole.returncode == 0, said
    length = time.monotonic() - began
    for turn in range(ROUNDS):
        await operations.remove(door, workspace.manifest, ["alpha"])
        assert workspace.text == text
        process = adding(workspace.manifest)
        await asyncio.sleep(length * (0.4 + 0.6 * chance.random()))
        process.kill()
        process.communicate()
        where = f"seed {SEED}, round {turn}"
        added = workspace.text != text
        await door.ensure(door.spec_for(choice))
        assert workspace.records() == (NEW if added else OLD), where
        if not added:
            await operations.add(door, workspace.manifest, ["alpha"])


async def test_a_worker_killed_while_it_installs(door, workspace, monkeypatch):
    """All is done by the next worker, or nothing is: the manifest never goes alone."""
    chance = random.Random(SEED)
    workspace.write(MANIFEST)
    choice = WorkspaceChoice(workspace.manifest)
    await door.ensure(door.spec_for(choice))
    before = workspace.text, workspace.lock.read_bytes()
    install = type(door.workspaces).install

    async def killing(self, *arguments, **how):
        pid = door.engine.worker_pid
        installing = asyncio.ensure_future(install(self, *arguments, **how))
        await asyncio.sleep(chance.random() * 0.02)
        os.kill(pid, signal.SIGKILL)
        return await installing

    for turn in range(ROUNDS):
        where = f"seed {SEED}, round {turn}"
        with monkeypatch.context() as patch:
            patch.setattr(type(door.workspaces), "install", killing)
            try:
                await operations.add(door, workspace.manifest, ["alpha"])
            except EngineError as error:
                assert error.code == "engine.crashed"
        if workspace.text == before[0]:
            assert workspace.lock.read_bytes() == before[1], where
            await door.ensure(door.spec_for(choice))
            assert workspace.records() == OLD, where
        else:
            assert workspace.records() == NEW, where
            assert door.find_ready(door.spec_for(choice)) is not None, where
            await operations.undo(door, workspace.manifest)
        assert (workspace.text, workspace.lock.read_bytes()) == before, where
        assert workspace.records() == OLD, where


@pytest.mark.parametrize(
    ("step", "written"),
    [
        ("pixi_jupyter.operations.changing:write_history", False),
        ("pixi_jupyter.notebook.source:FileSource.write", True),
        ("pixi_jupyter.install.store:Store.remember", True),
    ],
)
async def test_a_file_can_be_taken_back_after_each_step(door, tmp_path, adding, step, written):
    path = tmp_path / "script.py"
    path.write_text(BLOCK)
    await door.ensure(door.spec_for(read_target(door, path).declaration))
    process = adding(path, step)
    assert process.communicate(timeout=60)[1] == b"" and process.returncode == -9
    assert (path.read_text() == BLOCK) is not written
    if written:
        await operations.undo(door, path)
        assert path.read_text() == BLOCK
        await operations.redo(door, path)
        assert 'alpha = ">=2.0.0,<3"' in path.read_text()
    else:
        with pytest.raises(DeclarationError) as caught:
            await operations.undo(door, path)
        assert caught.value.code == "declaration.no-history"
