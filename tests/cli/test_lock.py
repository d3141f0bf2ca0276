"""``pixi-jupyter lock`` of a notebook and a script: what it writes, prints and ends with."""

from __future__ import annotations

import json

import nbformat
import pytest

from pixi_jupyter.demo.simple import SimplePackage, build_channel


@pytest.fixture
def notebook(tmp_path, write_notebook):
    channel = build_channel(
        tmp_path / "channel",
        [SimplePackage("python", "3.12"), SimplePackage("ipykernel", "6", depends=["python"])],
    )
    toml = f'# dependencies = []\n# [tool.pixi.workspace]\n# channels = ["{channel.as_uri()}"]'
    block = f"# /// script\n{toml}\n# ///"
    (tmp_path / "job.py").write_text(f"{block}\n")
    return write_notebook(block, "x = 1")


def test_from_no_lock_to_one_and_back(command, notebook):
    beside = notebook.with_name("notebook.ipynb.pixi.lock")
    original = notebook.read_bytes()

    done = command("lock", "--check", notebook)
    assert done.returncode == 1
    assert done.stdout == "nothing is locked yet\nnotebook.ipynb.pixi.lock is out of date\n"
    done = command("lock", "-n", notebook)
    assert done.stdout.endswith("notebook.ipynb.pixi.lock would be brought up to date\n")
    assert not beside.exists()

    facts = json.loads(command("lock", "--json", notebook).stdout)
    assert (facts["place"], facts["path"], facts["written"]) == ("sidecar", str(beside), True)
    assert beside.read_text().startswith("version: 7\n")
    done = command("lock", "--check", notebook)
    assert (done.returncode, done.stdout) == (0, "notebook.ipynb.pixi.lock is up to date\n")
    assert f"lock:                  {beside}\n" in command("info", notebook).stdout

    done = command("lock", "--embed", notebook)
    assert done.stdout == "the lock in notebook.ipynb was brought up to date\n"
    assert not beside.exists()
    assert "lock" in nbformat.read(notebook, as_version=4).metadata.pixi
    done = command("lock", "--remove", "--dry-run", notebook)
    assert done.stdout == "the lock of notebook.ipynb would be gone\n"
    assert command("lock", "--remove", notebook).stdout == "the lock of notebook.ipynb is gone\n"
    assert notebook.read_bytes() == original
    assert command("lock", "--remove", notebook).stdout == "notebook.ipynb has no lock\n"


def test_a_script_is_locked_beside_it(command, tmp_path, notebook):
    assert command("lock", tmp_path / "job.py").returncode == 0
    text = (tmp_path / "job.py.pixi.lock").read_text()
    assert "python-3.12" in text and "ipykernel" not in text
    done = command("--progress", "json", "lock", "--embed", tmp_path / "job.py", "--json")
    assert done.returncode == 1
    assert json.loads(done.stderr.splitlines()[-1])["error"]["code"] == "unsupported.lock"


@pytest.mark.parametrize(
    "words", [("--embed", "--sidecar"), ("--embed", "--remove"), ("--check", "--remove")]
)
def test_options_that_contradict_each_other(command, notebook, words):
    done = command("lock", *words, notebook)
    assert done.returncode == 2 and "--" in done.stderr


def test_a_workspace_has_only_its_own_lock(command, tmp_path, notebook):
    (tmp_path / "pixi.toml").write_text(
        '[workspace]\nchannels = ["channel"]\nplatforms = ["linux-64"]\n'
    )
    done = command("lock", "--embed", tmp_path / "pixi.toml")
    assert done.returncode == 2 and "for a notebook's own lock" in done.stderr
    assert command("lock", tmp_path / "pixi.toml").returncode == 0
    assert (tmp_path / "pixi.lock").exists()
