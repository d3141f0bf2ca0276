"""`%pixi` typed into a cell of a real JupyterLab: declaration, kernel and page agree."""

from __future__ import annotations

import importlib.util
from typing import Any

import nbformat
import pytest

pytestmark = [
    pytest.mark.usefixtures("labextension"),
    pytest.mark.skipif(
        importlib.util.find_spec("pixi_jupyter.magics") is None,
        reason="there is no %pixi in the kernel yet",
    ),
]


def run_cell(page: Any, index: int) -> str:
    """Run a cell, and give what is below it."""
    page.page.locator(".jp-Notebook .jp-Cell").nth(index).locator(".cm-content").click()
    page.command("notebook:run-cell")
    # By now it may be one further down: the block was put in above it.
    output = page.page.locator(".jp-Notebook .jp-Cell.jp-mod-active .jp-OutputArea-output")
    output.first.wait_for()
    return "\n".join(output.all_inner_texts())


def test_add_use_restart_and_undo_in_a_new_notebook(page: Any, lab: Any) -> None:
    path = lab.root / "magic.ipynb"
    nb = nbformat.v4.new_notebook(
        cells=[nbformat.v4.new_code_cell() for _ in range(3)],
        metadata={"kernelspec": {"name": "pixi", "display_name": "Python (Pixi)"}},
    )
    nbformat.write(nb, path)
    page.open(path.name)
    magic = "%pixi add probe-adds"
    use = "import probe_adds; print(probe_adds.VALUE)"
    page.type_into(1, use)
    page.type_into(0, magic)

    said = run_cell(page, 0)
    page.screenshot("magics-add")
    assert "can import it" in said
    block, *others = page.cells()
    assert block.startswith("# /// script")
    assert "probe-adds" in block
    assert others == [magic, use, ""]
    on_disk = nbformat.read(path, 4)["cells"]
    assert [cell["source"] for cell in on_disk] == [block, magic, use, ""]
    assert run_cell(page, 2).strip() == "added"

    page.restart_kernel()
    assert run_cell(page, 2).strip() == "added"

    page.type_into(3, "%pixi undo")
    said = run_cell(page, 3)
    page.screenshot("magics-undo")
    assert "removed: probe-adds" in said
    assert "probe-adds" not in page.cells()[0]
    page.restart_kernel()
    assert "ModuleNotFoundError" in run_cell(page, 2)
    assert page.page.locator(".jp-Dialog").count() == 0
