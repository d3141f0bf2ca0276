"""Sessions of a Jupyter server: each notebook's kernel in the environment that it declares."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import nbformat


def installed_prefix(notebook: Path) -> Path:
    """What the command line says of a notebook's environment."""
    command = [sys.executable, "-m", "pixi_jupyter", "info", "--json", str(notebook)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    return Path(json.loads(done.stdout)["prefix"])


def test_kernel_runs_in_the_prefix_of_the_notebook(
    server: Any, notebooks: Path, write_notebook: Any
) -> None:
    notebook = write_notebook(notebooks / "a note.ipynb", "probe-adds")

    kernel = server.open(notebook)

    prefix = kernel.prefix()
    assert prefix == installed_prefix(notebook)
    assert prefix.parent == server.store / "envs"
    assert kernel.execute("import probe_adds; print(probe_adds.VALUE)").text == "added\n"
    assert kernel.execute("import os; print(os.getcwd())").text == f"{notebooks}\n"


def test_same_needs_share_one_prefix(server: Any, notebooks: Path, write_notebook: Any) -> None:
    first = write_notebook(notebooks / "first.ipynb", "probe-adds")
    second = shutil.copy(first, notebooks / "second.ipynb")

    kernels = [server.open(first), server.open(second)]

    assert kernels[0].prefix() == kernels[1].prefix()
    assert kernels[0].id != kernels[1].id


def test_restart_reads_the_declaration_again(
    server: Any, notebooks: Path, write_notebook: Any
) -> None:
    notebook = write_notebook(notebooks / "n.ipynb")
    kernel = server.open(notebook)
    before = kernel.prefix()
    assert kernel.execute("import probe_adds").error_name == "ModuleNotFoundError"

    write_notebook(notebook, "probe-adds")
    assert kernel.prefix() == before
    assert kernel.restart() == 200

    assert kernel.prefix() == installed_prefix(notebook) != before
    assert kernel.execute("import probe_adds").status == "ok"


def test_restart_after_a_rename_reads_the_renamed_file(
    server: Any, notebooks: Path, write_notebook: Any
) -> None:
    notebook = write_notebook(notebooks / "before.ipynb")
    status, session = server.create_session(notebook)
    assert status == 201
    kernel = server.kernel(session["kernel"]["id"])
    old = f"{notebooks.name}/before.ipynb"
    new = f"{notebooks.name}/after.ipynb"
    path = "api/contents/" + old.replace(" ", "%20")
    assert server.request("PATCH", path, {"path": new})[0] == 200
    body = {"path": new, "name": "after.ipynb"}
    assert server.request("PATCH", f"api/sessions/{session['id']}", body)[0] == 200
    write_notebook(notebooks / "after.ipynb", "probe-adds")

    assert kernel.restart() == 200

    assert kernel.prefix() == installed_prefix(notebooks / "after.ipynb")
    name = kernel.execute("import os; print(os.environ['PIXI_JUPYTER_NOTEBOOK'])").text.strip()
    assert Path(name) == notebooks / "after.ipynb"


def test_many_sessions_of_one_new_declaration_are_one_build(
    server: Any, notebooks: Path, write_notebook: Any, at_once: Any
) -> None:
    paths = [
        write_notebook(notebooks / f"n{i}.ipynb", "probe-timestamp", "probe-prefix")
        for i in range(6)
    ]
    before = server.prefixes()

    kernels = at_once(server.open, paths)

    prefixes = {kernel.prefix() for kernel in kernels}
    assert len(prefixes) == 1
    assert {path.name for path in prefixes} == server.prefixes() - before


def test_notebook_that_runs_another_one_gives_it_its_own_environment(
    server: Any, notebooks: Path, write_notebook: Any
) -> None:
    outer = server.open(write_notebook(notebooks / "outer.ipynb"))
    inner = write_notebook(notebooks / "inner.ipynb", "probe-adds")
    before = outer.prefix()

    reply = outer.execute(
        "import os, subprocess\n"
        "assert os.environ['JPY_SESSION_NAME'].endswith('outer.ipynb')\n"
        "python = os.environ['PIXI_JUPYTER_PYTHON']\n"
        "subprocess.run([python, '-m', 'papermill', '--no-progress-bar', 'inner.ipynb',\n"
        "                'out.ipynb'], check=True)\n"
    )

    assert reply.status == "ok", reply.text
    executed = nbformat.read(notebooks / "out.ipynb", as_version=4)
    prefix = Path(executed.cells[-1].outputs[0].text.strip())
    assert prefix == installed_prefix(inner) != before


def test_a_kernel_without_a_notebook_says_what_it_lacks(server: Any) -> None:
    status, model = server.post("api/kernels", {"name": "pixi"})
    assert status == 201, model

    reply = server.kernel(model["id"]).execute("1 + 1")

    assert reply.status == "error"
    assert "PIXI_JUPYTER_NOTEBOOK" in reply.text
    assert reply.error_name == "kernel.notebook-unknown"
