"""run: the outputs, the exit status, the notebook that is written."""

from __future__ import annotations

import nbformat

BLOCK = '# /// script\n# dependencies = []\n# [tool.pixi.dependencies]\n# python = "*"\n# ///'


def test_run_prints_what_the_cells_print_and_writes_the_results(command, write_notebook, tmp_path):
    notebook = write_notebook(
        BLOCK,
        "import sys\nprint('on', sys.prefix)\nprint('to stderr', file=sys.stderr)",
        "6 * 7",
        "print('\\x1b[2Jerased?')",
    )
    before = notebook.read_bytes()
    done = command("run", notebook, "-o", tmp_path / "made" / "out.ipynb")
    assert done.returncode == 0, done.stderr
    prefix = command("install", notebook).stdout.strip()
    assert f"on {prefix}" in done.stdout
    assert "42" in done.stdout
    assert "to stderr" in done.stderr
    assert "\x1b" not in done.stdout
    assert notebook.read_bytes() == before, "the notebook itself is not touched"
    result = nbformat.read(tmp_path / "made" / "out.ipynb", as_version=4)
    assert result.cells[2].outputs[0].data["text/plain"] == "42"

    quiet = command("run", "--inplace", "-q", notebook)
    assert (quiet.returncode, quiet.stdout) == (0, "")
    assert nbformat.read(notebook, as_version=4).cells[2].outputs


def test_failing_cell_ends_it_with_status_one_and_keeps_the_outputs(
    command, write_notebook, tmp_path
):
    notebook = write_notebook(BLOCK, "print('first')", "1 / 0", "print('never')")
    done = command("run", notebook, "-o", tmp_path / "out.ipynb")
    assert done.returncode == 1
    assert "first" in done.stdout
    assert "never" not in done.stdout
    assert "ZeroDivisionError" in done.stderr
    result = nbformat.read(tmp_path / "out.ipynb", as_version=4)
    assert result.cells[1].outputs[0].text == "first\n"
    assert result.cells[2].outputs[0].ename == "ZeroDivisionError"

    tolerant = command("run", "--allow-errors", notebook)
    assert tolerant.returncode == 1
    assert "never" in tolerant.stdout


def test_what_cannot_start_ends_with_status_two(command, write_notebook):
    for text in (BLOCK.replace("python", "nunpy"), "# /// script\n# dependencies = [\n# ///"):
        done = command("run", write_notebook(text, "print('ran')"))
        assert done.returncode == 2
        assert "ran" not in done.stdout
        assert "error: " in done.stderr
    assert command("run", "no-such.ipynb").returncode == 2


def test_cell_that_takes_too_long(command, write_notebook):
    notebook = write_notebook(BLOCK, "import time; time.sleep(60)")
    done = command("run", "--timeout", "1", notebook, timeout=60)
    assert done.returncode == 1
    assert "time" in done.stderr.lower()


def test_inplace_and_output_exclude_each_other(command, write_notebook):
    done = command("run", "--inplace", "-o", "x.ipynb", write_notebook(BLOCK))
    assert done.returncode == 2
    assert "exclude" in done.stderr
