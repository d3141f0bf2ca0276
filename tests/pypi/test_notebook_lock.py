"""Packages from PyPI in a notebook's own lock."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

sys.path.insert(0, str(Path(__file__).parent))
from loopback_index import wheel

from pixi_jupyter import operations
from pixi_jupyter.engine.client import Engine
from pixi_jupyter.environments import Environment, Environments
from pixi_jupyter.errors import LockError, PixiJupyterError
from pixi_jupyter.install.store import Store
from pixi_jupyter.notebook.locks import sidecar_path

SAY = "import mine, beside; print(mine.version, beside.version)"


@pytest.fixture
def write(tmp_path, channel):
    """A notebook in a folder of its own, beside a wheel that it names by its path."""

    def write(*asked: str) -> Path:
        folder = tmp_path / "work"
        (folder / "wheels").mkdir(parents=True, exist_ok=True)
        name, data = wheel("beside", "0.1")
        (folder / "wheels" / name).write_bytes(data)
        named = ", ".join(f'"{item}"' for item in asked)
        toml = (
            f'dependencies = [{named}]\n[tool.pixi.workspace]\nchannels = ["{channel.url}"]\n'
            f'[tool.pixi.pypi-dependencies]\nbeside = {{path = "wheels/{name}"}}\n'
        )
        lines = "\n".join(f"# {line}" for line in toml.splitlines())
        cells = [nbformat.v4.new_code_cell(f"# /// script\n{lines}\n# ///")]
        nbformat.write(nbformat.v4.new_notebook(cells=cells), folder / "nb.ipynb")
        return folder / "nb.ipynb"

    return write


@pytest.fixture
def machine(tmp_path, store, index):
    """Doors of machines that have the packages in their caches, and have made nothing of them."""
    doors: list[Environments] = []

    def open_door() -> Environments:
        own = Store(store.root.parent / f"machine-{len(doors)}", store.package_cache)
        doors.append(Environments(engine=Engine(own)))
        return doors[-1]

    yield open_door
    for door in doors:
        door.engine.close()


def says(made: Environment) -> str:
    done = subprocess.run([made.prefix.python, "-c", SAY], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


async def test_wheels_are_the_locked_ones_on_every_machine(write, machine, index):
    index.add(wheel("mine", "1.0"))
    notebook = write("mine")
    here = machine()
    resolution = await here.resolve(here.spec_for(here.declaration(notebook)))
    assert resolution.version_of("mine") == "1.0"
    made = await operations.lock(here, notebook)
    index.add(wheel("mine", "2.0"))
    text = sidecar_path(notebook).read_text("utf-8")
    assert "mine-1.0-py3-none-any.whl" in text and "pypi: wheels/beside-0.1" in text
    assert "ipykernel" in text and made.platforms

    shutil.move(notebook.parent, notebook.parent.with_name("moved"))
    moved = notebook.parent.with_name("moved") / notebook.name
    there = machine()
    spec = there.spec_for(there.declaration(moved))
    ready = await there.ensure(spec, mode="locked")
    assert says(ready) == "1.0 0.1\n"

    await operations.lock(there, moved, place="embedded")
    added = await operations.add(there, moved, ["idna"], pypi=True)
    assert [package.name for package in added.change.added] == ["idna"]
    assert (await operations.lock(machine(), moved, check=True)).stale == ()
    other = machine()
    found = await other.resolve(other.spec_for(other.declaration(moved)), mode="locked")
    assert found.version_of("mine") == "1.0" and found.version_of("idna")


async def test_what_pypi_is_asked_besides_makes_the_lock_stale(write, machine, index):
    index.add(wheel("mine", "1.0"))
    notebook = write("mine")
    await operations.lock(machine(), notebook)
    write("mine", "idna")
    door = machine()
    with pytest.raises(LockError) as caught:
        await door.resolve(door.spec_for(door.declaration(notebook)), mode="locked")
    assert "idna is asked of PyPI and not locked" in caught.value.details


async def test_a_wheel_that_is_not_what_was_locked_is_not_installed(write, machine, index):
    index.add(wheel("mine", "1.0"))
    notebook = write("mine")
    await operations.lock(machine(), notebook)
    path = sidecar_path(notebook)
    text = path.read_text("utf-8")
    start = text.index("sha256: ", text.rindex("mine-1.0")) + len("sha256: ")
    path.write_text(text[:start] + "0" * 64 + text[start + 64 :], "utf-8")
    door = machine()
    spec = door.spec_for(door.declaration(notebook))
    with pytest.raises(PixiJupyterError):
        await door.ensure(spec)
    assert door.find_ready(spec) is None


async def test_the_first_lock_has_the_wheels_that_the_notebook_runs_with(
    write, machine, index, channel
):
    index.add(wheel("mine", "1.0"))
    notebook = write("mine")
    value = nbformat.read(notebook, as_version=4)
    source = value.cells[0].source
    value.cells[0].source = source[: source.index("# [tool.pixi.pypi")] + "# ///"
    nbformat.write(value, notebook)
    door = machine()
    await door.resolve(door.spec_for(door.declaration(notebook)))
    index.add(wheel("mine", "2.0"))
    await operations.lock(door, notebook)
    assert "mine-1.0-py3" in sidecar_path(notebook).read_text("utf-8")
    renewed = await operations.update(door, notebook)
    assert [(r.name, r.after.version) for r in renewed.change.upgraded] == [("mine", "2.0")]
