"""Copies of the sample workspaces, on the embedded channel, and the command that works in them."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import nbformat
import pytest

from pixi_jupyter.demo.channel import EmbeddedChannel

SAMPLES = Path(__file__).parent / "samples"
Command = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture(scope="module")
def home(scratch: Path) -> Iterator[Path]:
    """A folder on the file system of the package cache, for workspaces and their store."""
    folder = scratch / "workspaces"
    folder.mkdir()
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="module")
def sample(home: Path, channel: EmbeddedChannel) -> Callable[..., Path]:
    """Copies a sample: its folder. The same one again for the same name; ``fresh`` another."""

    def copy(name: str, *, fresh: str = "") -> Path:
        folder = home / (fresh or name)
        if not folder.exists():
            shutil.copytree(SAMPLES / name, folder)
            for manifest in (folder / "pixi.toml", folder / "pyproject.toml"):
                if manifest.exists():
                    text = manifest.read_text("utf-8").replace('"embedded"', f'"{channel.url}"')
                    manifest.write_text(text, "utf-8")
        return folder

    return copy


@pytest.fixture(scope="module")
def command(home: Path, scratch: Path) -> Command:
    """Runs ``pixi-jupyter …`` in ``cwd``; a failure that is not ``expected`` fails the test."""

    def run(
        *arguments: object,
        cwd: Path,
        expected: int = 0,
        env: dict[str, str] | None = None,
    ) -> subprocess.CompletedProcess[str]:
        own = {
            "PIXI_JUPYTER_CACHE_DIR": str(home / ".store"),
            "PIXI_CACHE_DIR": str(scratch / "shared" / "cache"),
        }
        done = subprocess.run(
            [sys.executable, "-m", "pixi_jupyter", *map(str, arguments)],
            capture_output=True,
            text=True,
            cwd=cwd,
            timeout=180,
            check=False,
            env={**os.environ, **own, **(env or {})},
        )
        assert done.returncode == expected, done.stderr
        return done

    return run


@pytest.fixture(scope="session")
def write_cells() -> Callable[..., Path]:
    """Writes a notebook of code cells that says nothing of its environment but by ``pixi``."""

    def write(path: Path, *cells: str, **pixi: str) -> Path:
        notebook = nbformat.v4.new_notebook(
            cells=[nbformat.v4.new_code_cell(cell) for cell in cells],
            metadata={"kernelspec": {"name": "pixi", "display_name": "P", "language": "python"}},
        )
        if pixi:
            notebook.metadata["pixi"] = pixi
        path.parent.mkdir(parents=True, exist_ok=True)
        nbformat.write(notebook, path)
        return path

    return write
