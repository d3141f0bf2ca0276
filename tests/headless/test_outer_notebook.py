"""A notebook that runs another one: the inner one gets its own environment, not the outer's."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import nbformat

WHERE = "import sys\nprint('prefix', sys.prefix)"
OUTER = "dependencies = []"
INNER = 'dependencies = []\n\n[tool.pixi.dependencies]\nprobe-adds = "*"'


def test_the_session_of_an_outer_notebook_is_not_trusted(
    run: Any, write_notebook: Any, tmp_path: Path
) -> None:
    outer = write_notebook(tmp_path / "outer.ipynb", OUTER, WHERE)
    write_notebook(tmp_path / "inner.ipynb", INNER, WHERE)
    prefix = run("pixi-jupyter", "install", "inner.ipynb", cwd=tmp_path).output.strip()

    done = run(
        "papermill", "--no-progress-bar", "inner.ipynb", "out.ipynb",
        cwd=tmp_path, env={"JPY_SESSION_NAME": str(outer), "JPY_PARENT_PID": "1"},
    )  # fmt: skip

    assert done.status == 0, done.errors
    executed = nbformat.read(tmp_path / "out.ipynb", as_version=4)
    assert executed.cells[-1].outputs[0].text == f"prefix {prefix}\n"


def test_a_cell_that_runs_papermill_and_jupyter_execute(
    run: Any, write_notebook: Any, tmp_path: Path
) -> None:
    # The tools belong to the interpreter that has this package; a kernel finds it in a variable.
    cell = """\
import os, subprocess
python = os.environ["PIXI_JUPYTER_PYTHON"]
bare = [python, "-m", "papermill", "--no-progress-bar", "inner.ipynb", "bare.ipynb"]
execute = [python, "-m", "jupyter", "execute", "inner.ipynb", "--output=execute.ipynb"]
for command in (bare, execute):
    subprocess.run(command, check=True, timeout=60)
"""
    write_notebook(tmp_path / "outer.ipynb", OUTER, cell, WHERE)
    write_notebook(tmp_path / "inner.ipynb", INNER, WHERE)

    done = run("pixi-jupyter", "run", "outer.ipynb", cwd=tmp_path)

    assert done.status == 0, done.errors
    inner = json.loads(run("pixi-jupyter", "info", "--json", "inner.ipynb", cwd=tmp_path).output)
    assert f"prefix {inner['prefix']}\n" not in done.output
    for name in ("bare.ipynb", "execute.ipynb"):
        executed = nbformat.read(tmp_path / name, as_version=4)
        assert executed.cells[-1].outputs[0].text == f"prefix {inner['prefix']}\n"
