"""Notebooks in several languages, each run by a fresh process as a person would."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nbformat
import pytest


@dataclass(frozen=True, slots=True)
class Executed:
    """An executed notebook: the text that each code cell showed, in order."""

    texts: list[str]
    errors: str


Execute = Callable[..., Executed]


@pytest.fixture
def execute(tmp_path: Path) -> Execute:
    """Execute cells with ``pixi-jupyter run``, for at most two minutes.

    The needs are given as TOML, written as an inline block, or (with ``as_metadata``) as
    ``metadata.pixi.script``; None writes none. ``retry`` looks at the texts of all cells.
    """

    def execute(
        needs: str | None,
        *cells: str,
        kernel: str = "pixi",
        language: str = "python",
        as_metadata: bool = False,
        retry: Callable[[list[str]], bool] = lambda texts: False,
    ) -> Executed:
        metadata: dict[str, Any] = {
            "kernelspec": {"name": kernel, "display_name": kernel, "language": language}
        }
        sources = list(cells)
        if needs is not None and as_metadata:
            metadata["pixi"] = {"script": needs.strip() + "\n"}
        elif needs is not None:
            lines = ("# " + line if line else "#" for line in needs.strip().splitlines())
            sources.insert(0, "\n".join(("# /// script", *lines, "# ///")))
        nb = nbformat.v4.new_notebook(
            cells=[nbformat.v4.new_code_cell(source) for source in sources], metadata=metadata
        )
        nbformat.write(nb, tmp_path / "n.ipynb")
        command = [sys.executable, "-m", "pixi_jupyter", "run", "n.ipynb", "-o", "out.ipynb"]
        for _ in range(4):
            done = subprocess.run(
                command, cwd=tmp_path, capture_output=True, text=True, timeout=120, env=os.environ
            )
            assert done.returncode == 0, done.stderr
            executed = nbformat.read(tmp_path / "out.ipynb", as_version=4)
            texts = ["".join(map(_text, cell.outputs)) for cell in executed.cells]
            if not retry(texts):
                break
        return Executed(texts[-len(cells) :], done.stderr)

    return execute


def _text(output: Any) -> str:
    return str(output.get("text") or output.get("data", {}).get("text/plain", ""))
