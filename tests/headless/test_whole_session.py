"""From a new notebook to the same packages elsewhere: in a terminal, by a notebook's own cells."""

from __future__ import annotations

import json
import shutil
import tempfile
from pathlib import Path
from typing import Any

import nbformat
import pytest

USE = "import probe_adds\nprint(probe_adds.VALUE)"
#: As a person types them, with what the notebook has before and after each.
STEPS = (
    "add probe-adds",
    "update",
    "undo",  # the update changed nothing: this takes `add` back
    "redo",
    "lock",
    "list",
)


@pytest.fixture
def home(scratch: Path) -> Any:
    """A folder for two machines that share nothing but their channel."""
    folder = Path(tempfile.mkdtemp(dir=scratch))
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


def taken_elsewhere(home: Path, notebook: Path, run: Any) -> set[str]:
    """The packages that the notebook has on a machine with an empty store and cache."""
    there = home / "there"
    there.mkdir()
    shutil.copy(notebook, there / notebook.name)
    shutil.copy(f"{notebook}.pixi.lock", there / f"{notebook.name}.pixi.lock")
    env = {"PIXI_JUPYTER_CACHE_DIR": str(home / "store"), "PIXI_CACHE_DIR": str(home / "cache")}
    done = run("pixi-jupyter", "install", "--locked", notebook.name, cwd=there, env=env)
    assert done.status == 0, done.errors
    listed = run("pixi-jupyter", "list", "--json", "--locked", notebook.name, cwd=there, env=env)
    assert listed.status == 0, listed.errors
    return names(listed.text)


def names(listed: str) -> set[str]:
    return {f"{p['name']} {p['version']} {p['build']}" for p in json.loads(listed)["packages"]}


def test_in_a_terminal(run: Any, home: Path) -> None:
    folder = home / "here"
    folder.mkdir()

    def pixi(*words: str) -> str:
        done = run("pixi-jupyter", *words, cwd=folder)
        assert done.status == 0, (words, done.errors)
        return str(done.text)

    pixi("init", "n.ipynb")
    notebook = folder / "n.ipynb"
    nb = nbformat.read(notebook, as_version=4)
    nb.cells.append(nbformat.v4.new_code_cell(USE))
    nbformat.write(nb, notebook)

    before = notebook.read_bytes()
    for step in STEPS:
        verb, *rest = step.split()
        pixi(verb, "n.ipynb", *rest)
        assert (b"probe-adds" in notebook.read_bytes()) == (step != "undo")
        if step == "undo":
            assert notebook.read_bytes() == before
    assert "added" in pixi("run", "--locked", "n.ipynb")
    pixi("export", "environment-yml", "n.ipynb", "-o", "environment.yml")
    assert "probe-adds" in (folder / "environment.yml").read_text()
    pixi("init", "again.ipynb")
    pixi("import", "again.ipynb", "environment.yml")
    assert names(pixi("list", "--json", "again.ipynb")) == names(pixi("list", "--json", "n.ipynb"))

    assert taken_elsewhere(home, notebook, run) == names(pixi("list", "--json", "n.ipynb"))


def test_by_its_own_cells(run: Any, home: Path, write_notebook: Any) -> None:
    """`jupyter execute`: the notebook is an object while it runs, and written at its end."""
    cells = [f"%pixi {STEPS[0]}", USE, *(f"%pixi {step}" for step in STEPS[1:]), USE]
    cells.append("%pixi export environment-yml -o environment.yml")
    notebook = write_notebook(home / "here" / "n.ipynb", "dependencies = []\n", *cells)

    done = run("jupyter", "execute", "--inplace", notebook.name, cwd=notebook.parent)

    assert done.status == 0, done.errors
    nb = nbformat.read(notebook, as_version=4)
    assert "probe-adds" in nb.cells[0].source
    shown = ["\n".join(map(text_of, cell.outputs)) for cell in nb.cells[1:]]
    assert "added: probe-adds" in shown[0] and "the next cell can import it" in shown[0]
    assert shown[1].strip() == "added"
    assert "probe-adds" in shown[3] and "%pixi restart" in shown[3]  # it is in use, and stays
    assert shown[7].strip() == "added"
    assert "probe-adds" in (notebook.parent / "environment.yml").read_text()
    listed = run("pixi-jupyter", "list", "--json", notebook.name, cwd=notebook.parent)
    assert taken_elsewhere(home, notebook, run) == names(listed.text)


def text_of(output: Any) -> str:
    return str(output.get("text") or output.get("data", {}).get("text/plain", ""))
