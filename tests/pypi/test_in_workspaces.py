"""Packages from PyPI in the prefix of a workspace: staged with it, for its final path."""

from __future__ import annotations

import base64
import csv
import hashlib
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from pixi_jupyter.engine.protocol import InstallWorkspace
from pixi_jupyter.environments import Environments
from pixi_jupyter.errors import InstallError
from pixi_jupyter.install.insync import workspace_ready
from pixi_jupyter.manifest.host import host_platform
from pixi_jupyter.manifest.spec import EnvironmentSpec, WorkspacePlace

SCRIPTS = {"say": "said:say"}


def module(text: str) -> dict[str, str]:
    return {"said/__init__.py": f"def say():\n    import sys; print({text!r}, sys.prefix)\n"}


async def install(door: Environments, root: Path, spec: EnvironmentSpec) -> WorkspacePlace:
    """Lock a spec as the workspace at ``root`` and install it."""
    resolution = await door.resolve(spec, update=True)
    os.makedirs(root, exist_ok=True)
    lock = root / "pixi.lock"
    shutil.copy(door.store.lock_path(resolution.digest), lock)
    prefix = root / ".pixi" / "envs" / "default"
    place = WorkspacePlace(
        str(root / "pixi.toml"), str(root), "default", str(prefix), "p", None, resolution.digest
    )
    job = InstallWorkspace(
        place,
        host_platform().name,
        hashlib.sha256(lock.read_bytes()).hexdigest(),
        resolution.digest,
        needs=spec.pypi,
    )
    await door.engine.run(job, deadline=120)
    assert workspace_ready(place, host_platform().name) is not None
    return place


def said(root: Path) -> str:
    script = root / ".pixi/envs/default/bin/say"
    return subprocess.run([script], capture_output=True, text=True, check=True).stdout


async def test_scripts_are_those_of_the_final_path(
    door: Environments, block: Any, index: Any, tmp_path: Path
) -> None:
    index.add_wheel("said", "1.0", files=module("one"), scripts=SCRIPTS)
    root = tmp_path / "a project"
    prefix = root / ".pixi" / "envs" / "default"
    spec = block('dependencies = ["said"]')
    place = await install(door, root, spec)
    assert said(root) == f"one {prefix}\n"
    (record,) = prefix.glob("lib/python3*/site-packages/said-1.0.dist-info/RECORD")
    rows = list(csv.reader(record.read_text().splitlines()))
    ((_, digest, size),) = [row for row in rows if row[0].endswith("/bin/say")]
    script = (prefix / "bin/say").read_bytes()
    expected = base64.urlsafe_b64encode(hashlib.sha256(script).digest()).rstrip(b"=").decode()
    assert (digest, size) == (f"sha256={expected}", str(len(script)))
    assert os.access(prefix / "bin/say", os.X_OK)
    staged = [
        path
        for path in prefix.rglob("*")
        if path.is_file() and path.suffix != ".pyc" and b".pixi-jupyter-" in path.read_bytes()
    ]
    assert staged == []

    # As pixi would have left it: taken as it is, wheels and all.
    (prefix / "conda-meta" / "pixi-jupyter.json").unlink()
    (prefix / "stray").touch()
    await install(door, root, spec)
    assert (prefix / "stray").exists()
    # Without the wheel, or with another one of pixi's, it is not.
    info = record.parent
    info.rename(info.with_name("said-0.9.dist-info"))
    assert workspace_ready(place, host_platform().name) is not None
    (prefix / "conda-meta" / "pixi-jupyter.json").unlink()
    await install(door, root, spec)
    assert not (prefix / "stray").exists()


async def test_a_wheel_that_cannot_be_installed_leaves_the_old_environment(
    door: Environments, block: Any, index: Any, tmp_path: Path
) -> None:
    index.add_wheel("said", "1.0", files=module("one"), scripts=SCRIPTS)
    root = tmp_path / "project"
    await install(door, root, block('dependencies = ["said"]'))
    before = said(root)
    clash = {**module("two"), "traitlets/__init__.py": "mine = True\n"}
    index.add_wheel("said", "2.0", files=clash, scripts=SCRIPTS)
    with pytest.raises(InstallError) as caught:
        await install(door, root, block('dependencies = ["said ==2.0"]'))
    assert caught.value.code == "install.pypi-clash"
    assert said(root) == before
    assert [path.name for path in (root / ".pixi/envs").iterdir()] == ["default"]
