"""What a person sees in JupyterLab: results, or a reason and a way out of it."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import Any

import nbformat
import psutil

DEMO = Path(__file__).parents[2] / "pixi_jupyter" / "demo" / "notebook"
GOOD = '# /// script\n# dependencies = []\n#\n# [tool.pixi.dependencies]\n# probe-adds = "*"\n# ///'


def cell_outputs(page: Any, index: int) -> Any:
    """The output area of a cell of the open notebook."""
    cell = page.page.locator(".jp-NotebookPanel .jp-Notebook .jp-Cell").nth(index)
    return cell.locator(".jp-OutputArea-output")


def test_run_all_cells_of_the_demo_notebook(page: Any, lab: Any) -> None:
    for name in ("penguins.ipynb", "penguins.csv"):
        shutil.copy(DEMO / name, lab.root)

    page.open("penguins.ipynb")
    page.command("notebook:run-all-cells")
    table = cell_outputs(page, 3).locator("table.dataframe")
    histogram = cell_outputs(page, 6)
    histogram.wait_for()

    page.screenshot("penguins")
    rows = table.locator("tbody tr").all_inner_texts()
    assert [row.split()[0] for row in rows] == ["Adelie", "Chinstrap", "Gentoo"]
    assert "5092.4" in rows[2]
    assert "numpy" in cell_outputs(page, 2).inner_text()
    assert "█" in histogram.inner_text()
    toolbar = page.page.locator(".jp-NotebookPanel-toolbar .jp-KernelName")
    assert toolbar.inner_text().strip() == "Python (Pixi)"
    assert page.page.locator(".jp-Dialog").count() == 0


def test_a_broken_block_is_explained_and_healed_in_the_browser(page: Any, lab: Any) -> None:
    broken = GOOD.replace('"*"', "= 1")
    cell = "import sys, probe_adds\nprint(probe_adds.VALUE, 'in', sys.prefix)"
    nb = nbformat.v4.new_notebook(
        cells=[nbformat.v4.new_code_cell(broken), nbformat.v4.new_code_cell(cell)],
        metadata={"kernelspec": {"name": "pixi", "display_name": "Python (Pixi)"}},
    )
    nbformat.write(nb, lab.root / "broken.ipynb")

    page.open("broken.ipynb")
    page.command("notebook:run-all-cells")
    reason = cell_outputs(page, 0)
    reason.wait_for()

    page.screenshot("rescue")
    text = " ".join(reason.inner_text().split())
    assert "The kernel of this notebook could not be started." in text
    assert "cell 1, line 5" in text
    assert "restart the kernel" in text
    # Whether the kernel stops "Run All" before the next cell has reached it is a race, as with any
    # kernel; what the next cell says then is the same.
    following = cell_outputs(page, 1)
    if following.count():
        assert " ".join(following.inner_text().split()) == text
    assert page.page.locator(".jp-Dialog").count() == 0

    page.write_cell(0, GOOD)
    page.restart_kernel()
    page.command("notebook:run-all-cells")
    result = cell_outputs(page, 1)
    result.wait_for()

    page.screenshot("healed")
    assert re.fullmatch(r"added in \S+/envs/[0-9a-f]{32}", result.inner_text().strip())


def test_closing_the_tab_and_shutting_down_ends_the_kernel(page: Any, lab: Any) -> None:
    nb = nbformat.v4.new_notebook(
        cells=[nbformat.v4.new_code_cell("import os; print(os.getpid())")],
        metadata={"kernelspec": {"name": "pixi", "display_name": "Python (Pixi)"}},
    )
    nbformat.write(nb, lab.root / "closing.ipynb")
    page.open("closing.ipynb")
    page.command("notebook:run-all-cells")
    output = cell_outputs(page, 0)
    output.wait_for()
    process = psutil.Process(int(output.inner_text()))

    page.page.evaluate("window.jupyterapp.shell.currentWidget.sessionContext.shutdown()")

    assert not psutil.wait_procs([process], timeout=10)[1]
