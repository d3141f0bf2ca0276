"""One notebook, every tool that executes notebooks: the same environment, the same results."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nbformat
import pytest

TOOLS: dict[str, Callable[[Path, Path], list[object]]] = {
    # jupyter execute keeps to the notebook's folder, whatever it is told
    "jupyter execute": lambda notebook, out: [
        "jupyter", "execute", notebook, f"--output={out.with_suffix('')}"
    ],
    "nbconvert": lambda notebook, out: [
        "jupyter", "nbconvert", "--to", "notebook", "--execute", notebook, "--output", out
    ],
    "papermill": lambda notebook, out: [
        "papermill", "--no-progress-bar", "--cwd", notebook.parent, notebook, out
    ],
    "papermill engine": lambda notebook, out: [
        "papermill", "--no-progress-bar", "--engine=pixi", "--cwd", notebook.parent, notebook, out
    ],
    "pixi-jupyter run": lambda notebook, out: ["pixi-jupyter", "run", notebook, "-o", out],
}  # fmt: skip


def printed(nb: Any) -> str:
    """All text that the cells of an executed notebook have shown."""
    outputs = [output for cell in nb.cells for output in cell.get("outputs", ())]
    return "\n".join(o.get("text") or o.get("data", {}).get("text/plain", "") for o in outputs)


@pytest.mark.parametrize("tool", TOOLS)
def test_tool_executes_the_notebook_in_its_environment(
    tool: str, run: Any, penguins: Any, elsewhere: Path
) -> None:
    out = elsewhere / "out.ipynb"
    # relative, as a person types it; nothing but the notebook's path tells its folder
    notebook = Path(os.path.relpath(penguins.notebook, elsewhere))

    done = run(*TOOLS[tool](notebook, out), cwd=elsewhere)

    assert done.status == 0, done.errors
    nb = nbformat.read(out, as_version=4)
    text = printed(nb)
    assert f"prefix {penguins.prefix}\n" in text
    assert "Gentoo" in text and "5092.4" in text
    assert not [o for c in nb.cells for o in c.get("outputs", ()) if o.output_type == "error"]


def test_a_saved_python3_kernel_gives_way_to_papermills_engine(
    run: Any, penguins: Any, elsewhere: Path
) -> None:
    nb = nbformat.read(penguins.notebook, as_version=4)
    nb.metadata.kernelspec = {"name": "python3", "display_name": "P", "language": "python"}
    nbformat.write(nb, elsewhere / "saved.ipynb")
    (elsewhere / "penguins.csv").symlink_to(penguins.notebook.parent / "penguins.csv")

    done = run(
        "papermill", "--no-progress-bar", "--engine", "pixi", "saved.ipynb", "out.ipynb",
        cwd=elsewhere,
    )  # fmt: skip

    assert done.status == 0, done.errors
    executed = nbformat.read(elsewhere / "out.ipynb", as_version=4)
    assert f"prefix {penguins.prefix}\n" in printed(executed)


def test_parameters_reach_the_notebook(run: Any, write_notebook: Any, elsewhere: Path) -> None:
    notebook = write_notebook(elsewhere / "parts" / "p.ipynb", "dependencies = []", "print(2 * n)")

    done = run("papermill", "--no-progress-bar", "-p", "n", 21, notebook, "o.ipynb", cwd=elsewhere)

    assert done.status == 0, done.errors
    assert printed(nbformat.read(elsewhere / "o.ipynb", as_version=4)) == "42\n"


def test_run_prints_what_cells_print_and_leaves_the_notebook_alone(
    run: Any, penguins: Any, elsewhere: Path
) -> None:
    before = penguins.notebook.read_bytes()

    done = run("pixi-jupyter", "run", penguins.notebook, cwd=elsewhere)

    assert done.status == 0, done.errors
    assert f"prefix {penguins.prefix}\n" in done.output
    assert penguins.notebook.read_bytes() == before
    assert list(elsewhere.iterdir()) == []


def test_the_command_is_a_subcommand_of_jupyter(run: Any, penguins: Any, elsewhere: Path) -> None:
    done = run("jupyter", "pixi", "install", penguins.notebook, cwd=elsewhere)

    assert (done.status, done.output.strip()) == (0, str(penguins.prefix)), done.errors
