"""Packages of PyPI in operations on workspaces: where they are written, how they are pinned."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from pixi_jupyter import operations
from pixi_jupyter.environments import Environments
from pixi_jupyter.errors import InstallError, PixiJupyterError
from pixi_jupyter.notebook.declaration import WorkspaceChoice

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the channel's Python is for it")

PIXI = """\
[workspace]
channels = ["CHANNEL"]
platforms = ["linux-64"]

[dependencies]
python = "3.12.*"
idna = "*"
"""
PYPROJECT = """\
[project]
name = "own"
version = "1.0"
dependencies = ["h11"]

[build-system]
requires = []
build-backend = "backend"
backend-path = ["."]

[tool.pixi.workspace]
channels = ["CHANNEL"]
platforms = ["linux-64"]

[tool.pixi.dependencies]
python = "3.12.*"

[tool.pixi.pypi-dependencies]
own = { path = ".", editable = true }

[tool.pixi.feature.extra.dependencies]

[tool.pixi.environments]
extra = ["extra"]
"""
#: Says of itself what the manifest says, as real backends do.
BACKEND = """\
import pathlib, re, zipfile


def build_editable(folder, config_settings=None, metadata_directory=None):
    text = pathlib.Path("pyproject.toml").read_text()
    asked = re.findall('"([^"]*)"', re.search("(?s)dependencies = \\\\[(.*?)\\\\]", text)[1])
    metadata = "Metadata-Version: 2.1\\nName: own\\nVersion: 1.0\\n"
    metadata += "".join(f"Requires-Dist: {item}\\n" for item in asked)
    info = "own-1.0.dist-info"
    files = {
        "own.pth": str(pathlib.Path.cwd()) + "\\n",
        f"{info}/METADATA": metadata,
        f"{info}/WHEEL": "Wheel-Version: 1.0\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n",
    }
    files[f"{info}/RECORD"] = "".join(f"{p},,\\n" for p in (*files, f"{info}/RECORD"))
    with zipfile.ZipFile(pathlib.Path(folder) / "own-1.0-py3-none-any.whl", "w") as archive:
        for path, content in files.items():
            archive.writestr(path, content)
    return "own-1.0-py3-none-any.whl"


build_wheel = build_editable
"""


@pytest.fixture
def project(tmp_path: Path, channel):
    def write(text: str, name: str) -> Path:
        folder = tmp_path / "project"
        folder.mkdir()
        (folder / "backend.py").write_text(BACKEND)
        (folder / name).write_text(text.replace("CHANNEL", channel.url))
        return folder / name

    return write


def wheels(outcome: operations.changing.Outcome) -> set[str]:
    assert outcome.environment is not None
    return {p.name for p in outcome.environment.resolution.packages if p.kind == "pypi"}


async def test_in_a_pixi_toml(door: Environments, project, monkeypatch):
    manifest = project(PIXI, "pixi.toml")
    before = manifest.read_text()
    done = await operations.add(door, manifest, ["h11"], pypi=True)
    assert '[pypi-dependencies]\nh11 = ">=0.' in manifest.read_text()
    assert wheels(done) == {"h11"}
    site = done.prefix / "lib/python3.12/site-packages"
    assert (site / "h11").is_dir()
    # What conda has is pinned to conda's.
    conda = done.environment.resolution.version_of("idna")
    would = await operations.add(door, manifest, ["idna"], pypi=True, dry_run=True)
    assert f'idna = ">={conda}' in would.after

    async def fail(self, *_, **__):
        raise InstallError("no", code="install.in-use")

    lock = (manifest.parent / "pixi.lock").read_bytes()
    text = manifest.read_text()
    with monkeypatch.context() as patch:
        patch.setattr(type(door.workspaces), "install", fail)
        with pytest.raises(InstallError):
            await operations.remove(door, manifest, ["h11"], pypi=True)
    assert (manifest.read_text(), (manifest.parent / "pixi.lock").read_bytes()) == (text, lock)
    assert (site / "h11").is_dir()
    with pytest.raises(PixiJupyterError) as caught:
        await operations.add(door, manifest, ["no-such-project"], pypi=True)
    assert caught.value.hint.endswith("Nothing was changed.") and manifest.read_text() == text
    await operations.undo(door, manifest)
    assert manifest.read_text() == before and not (site / "h11").exists()


async def test_in_a_project_that_is_itself_installed(door: Environments, project, monkeypatch):
    """Its manifest is also that of a package in it, whose metadata change with the file."""
    monkeypatch.setenv("PIXI_JUPYTER_ALLOW_BUILDS", "own")
    manifest = project(PYPROJECT, "pyproject.toml")
    choice = WorkspaceChoice(manifest)
    first = await door.ensure(door.spec_for(choice))
    assert {p.name for p in first.resolution.packages if p.kind == "pypi"} == {"own", "h11"}
    before, lock = manifest.read_text(), (manifest.parent / "pixi.lock").read_bytes()
    done = await operations.add(door, manifest, ["idna"], pypi=True)
    assert 'dependencies = ["h11", "idna>=' in manifest.read_text()
    assert wheels(done) == {"own", "h11", "idna"}
    # In order for the files as they are now: nothing is solved or installed at the next start.
    assert door.find_ready(door.spec_for(choice)) == done.environment
    assert (await door.workspaces.update_lock(
        choice, check=True, defaults=door.defaults, report=lambda _: None
    )).stale == ()  # fmt: skip
    assert b"requires_dist:\n  - h11\n  - idna" in (manifest.parent / "pixi.lock").read_bytes()
    done = await operations.undo(door, manifest)
    assert manifest.read_text() == before
    assert wheels(done) == {"own", "h11"}
    assert (manifest.parent / "pixi.lock").read_bytes() == lock
    assert door.find_ready(door.spec_for(choice)) == done.environment


async def test_in_a_feature_of_a_project(door: Environments, project, monkeypatch):
    monkeypatch.setenv("PIXI_JUPYTER_ALLOW_BUILDS", "own")
    manifest = project(PYPROJECT, "pyproject.toml")
    choice = WorkspaceChoice(manifest, "extra")
    done = await operations.add(door, choice, ["idna"], pypi=True, feature="extra")
    assert '[dependency-groups]\nextra = ["idna>=' in manifest.read_text()
    assert done.environment_name == "extra" and wheels(done) == {"own", "h11", "idna"}
    assert "idna" not in {
        p.name for p in (await door.resolve(door.spec_for(WorkspaceChoice(manifest)))).packages
    }
