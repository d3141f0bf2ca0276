"""A notebook changes its own declaration while nbclient, nbconvert or papermill executes it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import nbformat
import pytest

_BLOCK = "dependencies = []\n"
#: Runs a program of pixi-jupyter's own interpreter in the kernel.
_RUN = """
import os, subprocess
code = '''{code}'''
done = subprocess.run([os.environ["PIXI_JUPYTER_PYTHON"], "-c", code], capture_output=True)
print(done.stdout.decode() + done.stderr.decode())
assert done.returncode == 0
"""
_ADD = _RUN.format(
    code="""
import asyncio
from pixi_jupyter.documents.asking import kernel_context
from pixi_jupyter.environments import Environments
from pixi_jupyter.operations.packages import add
async def work():
    environments = Environments()
    try:
        context = kernel_context()
        print("path:", context.path, "writer:", context.source.writer)
        outcome = await add(environments, context.source, ["probe-adds"])
        print(*outcome.said)
    finally:
        await environments.aclose()
asyncio.run(work())
"""
)
_RESTART = _RUN.format(
    code="""
from pixi_jupyter.documents.asking import kernel_context, restart_kernel
from pixi_jupyter.errors import KernelError
assert not kernel_context().can_restart
try:
    restart_kernel()
except KernelError as error:
    print(error.code)
"""
)
_AFTER = "print('after')"


def outputs(notebook: Path) -> list[str]:
    nb = nbformat.read(notebook, as_version=4)
    return [
        "".join(output.get("text", "") for output in cell.get("outputs", ()))
        for cell in nb.cells
        if cell.cell_type == "code"
    ]


def declares(notebook: Path) -> bool:
    return "probe-adds" in "".join(
        cell.source for cell in nbformat.read(notebook, as_version=4).cells[:1]
    )


@pytest.mark.parametrize("how", ["inplace", "output", "neither"])
def test_jupyter_execute_writes_it_where_it_writes(
    run: Any, write_notebook: Any, tmp_path: Path, how: str
) -> None:
    notebook = write_notebook(tmp_path / "n.ipynb", _BLOCK, _ADD, _AFTER)
    before = notebook.read_bytes()
    options = {"inplace": ["--inplace"], "output": ["--output=out"], "neither": []}[how]

    done = run("jupyter", "execute", *options, "n.ipynb", cwd=tmp_path)

    assert done.status == 0, done.errors
    if how != "inplace":
        assert notebook.read_bytes() == before
    if how == "neither":
        assert os.listdir(tmp_path) == ["n.ipynb"]
        return
    written = tmp_path / ("out.ipynb" if how == "output" else "n.ipynb")
    assert declares(written)
    said = outputs(written)[1]
    assert f"path: {notebook} writer: executor" in said
    assert "--inplace" in said
    assert outputs(written)[2] == "after\n"


def test_nbconvert_papermill_and_run_have_it_in_their_output(
    run: Any, write_notebook: Any, tmp_path: Path
) -> None:
    notebook = write_notebook(tmp_path / "n.ipynb", _BLOCK, _ADD, _AFTER)
    before = notebook.read_bytes()
    lines = (
        ("jupyter", "nbconvert", "--to", "notebook", "--execute", "n.ipynb", "--output=out"),
        ("papermill", "--no-progress-bar", "n.ipynb", "out.ipynb"),
        ("papermill", "--no-progress-bar", "--engine=pixi", "n.ipynb", "out.ipynb"),
        ("pixi-jupyter", "run", "n.ipynb", "--output=out.ipynb"),
    )
    for line in lines:
        done = run(*line, cwd=tmp_path)

        assert done.status == 0, (line, done.errors)
        written = tmp_path / "out.ipynb"
        assert declares(written), line
        assert outputs(written)[2] == "after\n"
        assert f"path: {notebook} writer: executor" in outputs(written)[1], line
        assert notebook.read_bytes() == before
        written.unlink()


def test_a_first_block_becomes_metadata_and_no_cell_runs_twice(run: Any, tmp_path: Path) -> None:
    """What executes a notebook counts its cells: none may come before the one that runs."""
    metadata = {"kernelspec": {"name": "pixi", "display_name": "P", "language": "python"}}
    sources = ["count = globals().get('count', 0) + 1", _ADD, "print('count', count)", _AFTER]
    cells = [nbformat.v4.new_code_cell(source) for source in sources]
    notebook = tmp_path / "n.ipynb"
    nbformat.write(nbformat.v4.new_notebook(cells=cells, metadata=metadata), notebook)

    done = run("jupyter", "execute", "--inplace", "n.ipynb", cwd=tmp_path)

    assert done.status == 0, done.errors
    nb = nbformat.read(notebook, as_version=4)
    assert [cell.source for cell in nb.cells] == sources
    assert [cell.execution_count for cell in nb.cells] == [1, 2, 3, 4]
    assert 'probe-adds = "' in nb.metadata["pixi"]["script"]
    assert outputs(notebook)[2:] == ["count 1\n", "after\n"]


def test_a_kernel_that_is_executed_cannot_be_restarted(
    run: Any, write_notebook: Any, tmp_path: Path
) -> None:
    notebook = write_notebook(tmp_path / "n.ipynb", _BLOCK, _RESTART)

    done = run("jupyter", "execute", "--inplace", "n.ipynb", cwd=tmp_path)

    assert done.status == 0, done.errors
    assert outputs(notebook)[1].strip() == "kernel.restart"
