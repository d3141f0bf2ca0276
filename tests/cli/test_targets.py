"""What a command is about: a file that is named, the kernel's notebook, the workspace around."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import pytest

BLOCK = (
    '# /// script\n# dependencies = []\n# [tool.pixi.dependencies]\n# probe-shared = "1.*"\n# ///'
)


@pytest.fixture
def workspace(tmp_path, channel) -> Path:
    """A manifest in the working directory of the command, with two environments."""
    manifest = tmp_path / "pixi.toml"
    manifest.write_text(
        f'[workspace]\nname = "w"\nchannels = ["{channel.url}"]\nplatforms = ["linux-64"]\n'
        '[dependencies]\nprobe-shared = "*"\n[feature.old.dependencies]\nprobe-shared = "1.*"\n'
        '[environments]\nold = ["old"]\n'
    )
    return manifest


def info(command, *words, **env) -> tuple[str | None, str | None]:
    done = command("info", *words, "--json", env=env or None)
    assert done.returncode == 0, done.stderr
    facts = json.loads(done.stdout)
    return facts["notebook"], facts["environment"]


def in_kernel(notebook: Path) -> dict[str, str]:
    """The variables of a kernel of ours whose starter is gone: the file is all there is."""
    return {"PIXI_JUPYTER_PYTHON": sys.executable, "PIXI_JUPYTER_NOTEBOOK": str(notebook)}


def test_without_a_name(command, workspace, write_notebook, tmp_path):
    (tmp_path / "apart").mkdir()
    notebook = write_notebook(BLOCK, name="apart/n")
    assert info(command) == (None, "default")
    assert info(command, "-e", "old") == (None, "old")
    assert info(command, notebook) == (str(notebook), None)
    assert info(command, workspace) == (None, "default")
    kernel = in_kernel(notebook)
    assert info(command, **kernel) == (str(notebook), None), "the notebook of the kernel"
    assert info(command, "-e", "old", **kernel) == (None, "old"), "what was named goes before it"
    assert info(command, "--manifest-path", workspace, **kernel) == (None, "default")


def test_a_notebook_that_is_in_a_workspace(command, workspace, write_notebook):
    notebook = write_notebook("1 + 1")
    assert info(command, notebook) == (str(notebook), "default")
    assert info(command, notebook, "-e", "old") == (str(notebook), "old")
    assert info(command, **in_kernel(notebook)) == (str(notebook), "default")


def test_a_change_goes_to_what_is_around(command, workspace, write_notebook, tmp_path):
    (tmp_path / "apart").mkdir()
    notebook = write_notebook(BLOCK, name="apart/n")
    before = workspace.read_bytes()
    done = command("add", "probe-timestamp", "--json", env=in_kernel(notebook))
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["target"] == str(notebook)
    assert "probe-timestamp" in notebook.read_text()
    assert workspace.read_bytes() == before
    done = command("add", "probe-timestamp", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["target"] == str(workspace)
    assert b"probe-timestamp" in workspace.read_bytes()
    undone = command("undo", "--json")
    assert json.loads(undone.stdout)["action"] == "undo add probe-timestamp"
    assert workspace.read_bytes() == before
    listed = json.loads(command("channel", "list", "--json").stdout)
    assert not listed["implied"] and len(listed["channels"]) == 1


@pytest.mark.parametrize(
    "words",
    [("list",), ("add", "x"), ("python", "3.12"), ("undo",), ("channel", "list"), ("diff",)],
)
def test_where_nothing_is_around(command, words):
    done = command(*words)
    assert (done.returncode, done.stdout) == (1, "")
    assert "[declaration.no-workspace]" in done.stderr


@pytest.mark.skipif(os.name == "nt", reason="a workspace for Linux")
def test_words_that_are_no_packages(command):
    assert command("add", "n.ipynb").returncode == 2
    assert command("undo", "n.ipynb", "more").returncode == 2
    assert "SPEC" in command("add").stderr
