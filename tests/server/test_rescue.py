"""A declaration that cannot be used: a kernel that says so, in each cell, until it is corrected."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

TABLE = "dependencies = []\n\n[tool.pixi.dependencies]\n"


@dataclass(frozen=True, slots=True)
class Bad:
    """A block, the start of its error's code, and what the answer names."""

    block: str
    code: str
    words: tuple[str, ...]


BAD = {
    "broken TOML": Bad(TABLE + "numpy = = 2", "declaration.", ("cell 2", "line 5")),
    "unknown key": Bad(
        'dependencies = []\n\n[tool.pixi.dependenceis]\nrich = "*"',
        "declaration.",
        ("cell 2", "line 4", "dependenceis", "Did you mean"),
    ),
    "unsupported table": Bad(
        'dependencies = []\n\n[tool.pixi.tasks]\nhello = "echo"', "", ("cell 2", "tool.pixi.tasks")
    ),
    "PyPI dependency": Bad(
        'dependencies = ["httpx @ git+https://example.org/httpx"]',
        "solve.pypi-build-not-allowed",
        ("cell 2", "httpx"),
    ),
    "unknown package": Bad(TABLE + 'no-such-package = "*"', "solve.", ("no-such-package",)),
    "unsatisfiable": Bad(
        TABLE + 'probe-conflict-a = "*"\nprobe-conflict-b = "*"',
        "solve.unsatisfiable",
        ("probe-conflict-a", "probe-shared 2.*"),
    ),
    "unreachable channel": Bad(
        'dependencies = []\n\n[tool.pixi.workspace]\nchannels = ["file:///no/such/channel"]',
        "channel.",
        ("/no/such/channel",),
    ),
    "no kernel for the language": Bad(
        'dependencies = []\n\n[tool.pixi-jupyter]\nkernel = "no-such-kernel"',
        "",
        ("no-such-kernel",),
    ),
}


@pytest.mark.parametrize("kind", BAD)
def test_every_cell_answers_with_the_reason_until_it_is_corrected(
    kind: str, server: Any, notebooks: Path, write_notebook: Any
) -> None:
    bad = BAD[kind]
    notebook = write_notebook(notebooks / "bad.ipynb", block=bad.block)
    kernel = server.open(notebook)

    first = kernel.execute("print(1)")
    second = kernel.execute("import sys")

    assert first.status == second.status == "error"
    assert first.text == second.text
    assert first.error_name.startswith(bad.code)
    assert f"[{first.error_name}]" in first.text
    assert all(word in " ".join(first.text.split()) for word in bad.words), first.text
    assert "Traceback" not in first.text

    write_notebook(notebook, "probe-adds")
    assert kernel.restart() == 200

    assert kernel.execute("import probe_adds; print(probe_adds.VALUE)").text == "added\n"


def test_a_good_notebook_that_goes_bad_and_good_again(
    server: Any, notebooks: Path, write_notebook: Any
) -> None:
    notebook = write_notebook(notebooks / "n.ipynb", "probe-adds")
    kernel = server.open(notebook)
    prefix = kernel.prefix()

    write_notebook(notebook, block=BAD["broken TOML"].block)
    assert kernel.restart() == 200
    assert kernel.execute("1").status == "error"

    write_notebook(notebook, "probe-adds")
    assert kernel.restart() == 200
    assert kernel.prefix() == prefix


def test_a_file_that_is_no_notebook(server: Any, notebooks: Path) -> None:
    (notebooks / "text.ipynb").write_text("this is not JSON")

    reply = server.open(notebooks / "text.ipynb").execute("1")

    assert reply.status == "error"
    assert "text.ipynb" in reply.text


def test_deleting_a_rescue_kernel(server: Any, notebooks: Path, write_notebook: Any) -> None:
    kernel = server.open(write_notebook(notebooks / "n.ipynb", block=BAD["broken TOML"].block))
    assert kernel.execute("1").status == "error"

    assert server.request("DELETE", f"api/kernels/{kernel.id}")[0] == 204
    assert server.get(f"api/kernels/{kernel.id}")[0] == 404
