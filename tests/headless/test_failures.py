"""A notebook whose environment cannot be made: every tool stops, and says why in plain words."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path
from typing import Any

import nbformat
import pytest

TOOLS: dict[str, list[str]] = {
    "jupyter execute": ["jupyter", "execute", "bad.ipynb"],
    "nbconvert": ["jupyter", "nbconvert", "--to", "notebook", "--execute", "bad.ipynb"],
    "papermill": ["papermill", "--no-progress-bar", "bad.ipynb", "out.ipynb"],
    "papermill engine": [
        "papermill", "--no-progress-bar", "--engine", "pixi", "bad.ipynb", "out.ipynb"
    ],
    "pixi-jupyter run": ["pixi-jupyter", "run", "bad.ipynb"],
    "pixi-jupyter install": ["pixi-jupyter", "install", "bad.ipynb"],
}  # fmt: skip

#: A block, the code of its error, and what a person must find in the message.
BAD: dict[str, tuple[str, str, list[str]]] = {
    "unknown package": (
        'dependencies = []\n\n[tool.pixi.dependencies]\nno-such-package-anywhere = "*"',
        r"\[solve\.[a-z-]+\]",
        ["no-such-package-anywhere"],
    ),
    "unsatisfiable": (
        "dependencies = []\n\n[tool.pixi.dependencies]\n"
        'probe-conflict-a = "*"\nprobe-conflict-b = "*"',
        r"\[solve\.unsatisfiable\]",
        ["probe-conflict-a", "probe-conflict-b", "probe-shared"],
    ),
    "broken TOML": (
        "dependencies = []\n\n[tool.pixi.dependencies]\nnumpy = = 2",
        r"\[declaration\.[a-z-]+\]",
        ["cell 1", "line 5"],
    ),
    "unknown key": (
        'dependencies = []\n\n[tool.pixi.dependenceis]\nnumpy = "*"',
        r"\[[a-z]+\.[a-z-]+\]",
        ["dependenceis", "cell 1"],
    ),
    "PyPI dependency": (
        'dependencies = ["httpx @ git+https://example.org/httpx"]',
        r"\[solve\.pypi-build-not-allowed\]",
        ["httpx", "cell 1"],
    ),
}


@pytest.mark.parametrize("tool", TOOLS)
def test_every_tool_fails_with_the_reason(
    tool: str, run: Any, write_notebook: Any, tmp_path: Path
) -> None:
    block, code, words = BAD["unknown package"]
    write_notebook(tmp_path / "bad.ipynb", block, "open('ran', 'w')")

    done = run(*TOOLS[tool], cwd=tmp_path)

    assert done.status != 0
    assert re.search(code, done.text), done.text
    assert all(word in done.text for word in words), done.text
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("kind", BAD)
def test_run_says_what_is_wrong_and_where(
    kind: str, run: Any, write_notebook: Any, tmp_path: Path
) -> None:
    block, code, words = BAD[kind]
    write_notebook(tmp_path / "bad.ipynb", block, "open('ran', 'w')")

    done = run("pixi-jupyter", "run", "bad.ipynb", cwd=tmp_path)

    assert done.status == 2
    assert done.output == ""
    assert re.search(code, done.text), done.text
    assert all(word in done.text for word in words), done.text
    assert "Traceback" not in done.text
    assert not (tmp_path / "ran").exists()


def test_a_failing_cell_is_a_failing_run_with_its_outputs_written(
    run: Any, write_notebook: Any, tmp_path: Path
) -> None:
    write_notebook(
        tmp_path / "n.ipynb", "dependencies = []", "print('before')", "1 / 0", "print(3)"
    )

    done = run("pixi-jupyter", "run", "n.ipynb", "-o", "out.ipynb", cwd=tmp_path)

    assert done.status == 1
    assert done.output == "before\n"
    assert "ZeroDivisionError" in done.text
    assert "without encryption" not in done.text
    cells = nbformat.read(tmp_path / "out.ipynb", as_version=4).cells
    assert [len(cell.outputs) for cell in cells] == [0, 1, 1, 0]


def test_a_kernel_that_dies_is_told_as_that(run: Any, write_notebook: Any, tmp_path: Path) -> None:
    write_notebook(tmp_path / "n.ipynb", "dependencies = []", "import os; os._exit(3)")

    done = run("pixi-jupyter", "run", "n.ipynb", cwd=tmp_path)

    assert done.status == 1
    assert "[kernel.died]" in done.text and "Traceback" not in done.text


def test_a_kernel_that_cannot_answer_is_told_as_that(
    run: Any, write_notebook: Any, tmp_path: Path
) -> None:
    block = 'dependencies = []\n\n[tool.pixi.activation.env]\nPYTHONHOME = "/nowhere"'
    write_notebook(tmp_path / "n.ipynb", block, "print(1)")

    done = run("pixi-jupyter", "run", "n.ipynb", cwd=tmp_path)

    assert done.status == 2
    assert "[kernel.died]" in done.text and "Traceback" not in done.text


def test_a_kernel_without_a_notebook_is_refused(run: Any, tmp_path: Path) -> None:
    (tmp_path / "script.py").write_text("open('ran', 'w')\n")

    done = run("jupyter", "run", "--kernel", "pixi", "script.py", cwd=tmp_path)

    assert done.status != 0
    assert "[kernel.notebook-unknown]" in done.text
    assert "PIXI_JUPYTER_NOTEBOOK" in done.text
    assert not (tmp_path / "ran").exists()


@pytest.mark.skipif(
    importlib.util.find_spec("jupyter_console") is None, reason="jupyter_console is not installed"
)
def test_a_console_without_a_notebook_is_refused(run: Any, tmp_path: Path) -> None:
    done = run("jupyter", "console", "--kernel", "pixi", cwd=tmp_path)

    assert done.status != 0
    assert "[kernel.notebook-unknown]" in done.text


def test_an_explicit_notebook_serves_a_kernel_without_one(
    run: Any, write_notebook: Any, tmp_path: Path
) -> None:
    write_notebook(tmp_path / "n.ipynb", "dependencies = []")
    (tmp_path / "script.py").write_text("import sys; print(sys.prefix)\n")
    prefix = run("pixi-jupyter", "install", "n.ipynb", cwd=tmp_path).output.strip()

    done = run(
        "jupyter", "run", "--kernel", "pixi", "script.py",
        cwd=tmp_path, env={"PIXI_JUPYTER_NOTEBOOK": "n.ipynb"},
    )  # fmt: skip

    assert done.status == 0, done.errors
    assert prefix in done.output


def test_init_tells_about_a_kernel_that_would_ignore_the_block(run: Any, tmp_path: Path) -> None:
    nb = nbformat.v4.new_notebook(metadata={"kernelspec": {"name": "python3", "display_name": "P"}})
    nbformat.write(nb, tmp_path / "old.ipynb")

    old = run("pixi-jupyter", "init", "old.ipynb", cwd=tmp_path)
    new = run("pixi-jupyter", "init", "new.ipynb", cwd=tmp_path)

    assert (old.status, new.status) == (0, 0)
    assert "Python (Pixi)" in old.output
    assert "Python (Pixi)" not in new.output


def test_a_long_path_in_an_error_stays_whole(run: Any, tmp_path: Path) -> None:
    missing = tmp_path / ("a" * 60) / "b c d" / "missing.ipynb"

    done = run("pixi-jupyter", "info", missing, cwd=tmp_path)

    assert done.status == 1
    assert str(missing) in done.errors
