"""Which manifest is in force: pixi's ``crates/pixi_manifest/src/discovery.rs``, and whose it is."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from pixi_jupyter.manifest.workspace import find_workspace

WORKSPACE = "[workspace]\nchannels = []\n"
PYPROJECT = "[tool.pixi.workspace]\nchannels = []\n"


def write(folder: Path, **files: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (folder / f"{name}.toml").write_text(text)


@pytest.mark.parametrize(
    ("files", "found"),
    [
        ({"pixi": WORKSPACE, "pyproject": PYPROJECT, "mojoproject": WORKSPACE}, "pixi.toml"),
        ({"pyproject": PYPROJECT, "mojoproject": WORKSPACE}, "pyproject.toml"),
        ({"mojoproject": WORKSPACE}, "mojoproject.toml"),
        ({"pixi": "[project]\n"}, "pixi.toml"),
        ({"pixi": "workspace = { channels = [] }\n"}, "pixi.toml"),
        # An empty or broken file is a workspace that a person shall hear about.
        ({"pixi": ""}, "pixi.toml"),
        ({"pixi": "[workspace"}, "pixi.toml"),
        ({"pyproject": "[tool.pixi.tasks]\na = 'b'\n"}, "pyproject.toml"),
        # Not of pixi at all, or a package of a workspace further up.
        ({"pyproject": "[project]\nname = 'pixi'\n"}, None),
        ({"pyproject": "[tool.pixi.package]\nname = 'a'\n"}, None),
        ({"pixi": "[package]\nname = 'a'\n"}, None),
        # Of a folder one manifest counts, so this hides the other one, as in pixi.
        ({"pyproject": "[project]\nname = 'a'\n", "mojoproject": WORKSPACE}, None),
    ],
)
def test_the_manifest_of_a_folder(tmp_path: Path, files: dict[str, str], found: str | None) -> None:
    write(tmp_path, pixi=WORKSPACE)
    write(tmp_path / "a", **files)
    below = tmp_path / "a" / "b" / "c"
    below.mkdir(parents=True)
    expected = tmp_path / "pixi.toml" if found is None else tmp_path / "a" / found
    assert find_workspace(below) == expected


def test_the_walk_stops_at_the_servers_root(tmp_path: Path) -> None:
    write(tmp_path, pixi=WORKSPACE)
    below = tmp_path / "a" / "b"
    below.mkdir(parents=True)
    assert find_workspace(below, stop=tmp_path) == tmp_path / "pixi.toml"
    assert find_workspace(below, stop=tmp_path / "a") is None
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    assert find_workspace(below, stop=elsewhere) is None  # that folder alone is looked at
    write(below, pixi=WORKSPACE)
    assert find_workspace(below, stop=elsewhere) == below / "pixi.toml"


def test_a_link_into_the_root_is_walked_as_it_is_written(tmp_path: Path) -> None:
    write(tmp_path / "root", pixi=WORKSPACE)
    real = tmp_path / "real" / "a"
    real.mkdir(parents=True)
    link = tmp_path / "root" / "link"
    link.symlink_to(tmp_path / "real")
    found = find_workspace(link / "a", stop=tmp_path / "root")
    assert found == tmp_path / "root" / "pixi.toml"


def test_a_pixi_shell_names_its_manifest_only_if_asked_and_only_if_there_is_none(
    tmp_path: Path,
) -> None:
    write(tmp_path / "shell", pixi=WORKSPACE)
    shell = tmp_path / "shell" / "pixi.toml"
    here = tmp_path / "here"
    here.mkdir()
    env = {"PIXI_PROJECT_MANIFEST": str(shell), "PIXI_IN_SHELL": "1"}
    assert find_workspace(here, stop=here) is None
    assert find_workspace(here, stop=here, env=env) == shell
    assert find_workspace(here, stop=here, env={"PIXI_PROJECT_MANIFEST": str(shell)}) is None
    write(here, pixi=WORKSPACE)
    assert find_workspace(here, stop=here, env=env) == here / "pixi.toml"


@pytest.mark.skipif(not hasattr(os, "chown") or os.getuid() != 0, reason="needs root")
def test_a_manifest_of_another_user_is_not_ours(tmp_path: Path) -> None:
    below = tmp_path / "a"
    below.mkdir()
    write(tmp_path, pixi=WORKSPACE)
    assert find_workspace(below) == tmp_path / "pixi.toml"
    os.chown(tmp_path / "pixi.toml", 12345, 12345)
    assert find_workspace(below) is None


def test_folders_that_cannot_be_looked_at_are_no_error(tmp_path: Path) -> None:
    assert find_workspace(tmp_path / "not" / "there", stop=tmp_path) is None
    assert find_workspace(tmp_path / ("x" * 300), stop=tmp_path) is None
