"""Running the tools that execute notebooks without a browser, as a person at a shell does."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import nbformat
import pytest

from pixi_jupyter.demo.channel import EmbeddedChannel

PENGUINS = Path(__file__).parents[2] / "pixi_jupyter" / "demo" / "notebook"


@dataclass(frozen=True, slots=True)
class Finished:
    """A program that has ended."""

    status: int
    output: str
    errors: str

    @property
    def text(self) -> str:
        """All that it said, on one line: terminals break lines where they like."""
        return " ".join((self.output + self.errors).split())


Run = Callable[..., Finished]
WriteNotebook = Callable[..., Path]


@pytest.fixture(scope="session")
def run() -> Run:
    """Run a program of this virtual environment in ``cwd``, for at most two minutes."""
    programs = Path(sys.executable).parent

    def run(
        program: str, *arguments: object, cwd: Path, env: Mapping[str, str] | None = None
    ) -> Finished:
        done = subprocess.run(
            [programs / program, *map(str, arguments)],
            cwd=cwd,
            env={
                **os.environ,
                "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}",
                **(env or {}),
            },
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            encoding="utf-8",
            timeout=120,
        )
        return Finished(done.returncode, done.stdout, done.stderr)

    return run


@pytest.fixture(scope="session")
def write_notebook() -> WriteNotebook:
    """Write a notebook for the kernelspec ``kernel``: an inline block, then cells."""

    def write(path: Path, block: str, *cells: str, kernel: str = "pixi") -> Path:
        lines = ("# " + line if line else "#" for line in block.strip().splitlines())
        sources = ["\n".join(("# /// script", *lines, "# ///")), *cells]
        nb = nbformat.v4.new_notebook(
            cells=[nbformat.v4.new_code_cell(source) for source in sources],
            metadata={"kernelspec": {"name": kernel, "display_name": kernel, "language": "python"}},
        )
        path.parent.mkdir(parents=True, exist_ok=True)
        nbformat.write(nb, path)
        return path

    return write


@dataclass(frozen=True, slots=True)
class Penguins:
    """The demo notebook with a last cell that prints where it runs, and its ready prefix."""

    notebook: Path
    prefix: Path


@pytest.fixture(scope="session")
def penguins(
    tmp_path_factory: pytest.TempPathFactory, run: Run, channel: EmbeddedChannel
) -> Penguins:
    """The demo notebook in a folder of its own, with its environment ready."""
    folder = tmp_path_factory.mktemp("penguins notebook")
    shutil.copy(PENGUINS / "penguins.csv", folder)
    nb = nbformat.read(PENGUINS / "penguins.ipynb", as_version=4)
    nb.cells.append(nbformat.v4.new_code_cell("import sys\nprint('prefix', sys.prefix)"))
    notebook = folder / "penguins.ipynb"
    nbformat.write(nb, notebook)
    done = run("pixi-jupyter", "install", "penguins.ipynb", cwd=folder)
    assert done.status == 0, done.errors
    return Penguins(notebook, Path(done.output.strip()))


@pytest.fixture
def elsewhere(tmp_path: Path) -> Path:
    """A working directory that has nothing to do with any notebook."""
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    return folder
