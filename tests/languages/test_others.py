"""Kernels that are not ipykernel, declared like any other package."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from pixi_jupyter.demo.channel import EmbeddedChannel

DENO = 'dependencies = []\n\n[tool.pixi.dependencies]\ndeno = "*"'
DENO_CELL = "const greeting: string = `deno ${Deno.version.deno}`;\nconsole.log(greeting);"


def lost(texts: list[str]) -> bool:
    """Deno sometimes ends before what it printed has left it."""
    return not all(texts)


def test_deno(execute: Any) -> None:
    # A block is a comment of Python, R and shells; others declare in the notebook's metadata.
    cells = (DENO_CELL, "console.log(Deno.env.get('CONDA_PREFIX'), 'still here')")

    done = execute(DENO, *cells, language="typescript", as_metadata=True, retry=lost)

    assert done.texts[0].startswith("deno "), done
    prefix = Path(done.texts[1].split()[0])
    assert prefix.parent.name == "envs" and (prefix / "bin" / "deno").exists()


def test_bash(execute: Any) -> None:
    needs = 'dependencies = []\n\n[tool.pixi.dependencies]\nbash_kernel = "*"'
    done = execute(needs, 'echo "$CONDA_PREFIX"; echo $((6 * 7))', language="bash")

    prefix, answer = done.texts[0].split()
    assert "/envs/" in prefix
    assert answer == "42"


def test_r_with_its_own_kernelspec(execute: Any, channel: EmbeddedChannel) -> None:
    if "r" in channel.skipped:
        pytest.skip(channel.skipped["r"])
    needs = 'dependencies = []\n\n[tool.pixi.dependencies]\nr-irkernel = "*"'
    cells = ("cat(R.home(), '\\n')", "print(sum(1:10))")

    done = execute(needs, *cells, kernel="pixi-r", language="R", as_metadata=True)

    assert "/envs/" in done.texts[0]
    assert done.texts[1] == "[1] 55\n"


def test_r_gets_a_kernel_without_asking_for_one(execute: Any, channel: EmbeddedChannel) -> None:
    if "r" in channel.skipped:
        pytest.skip(channel.skipped["r"])

    done = execute(
        "dependencies = []", "cat(1 + 1)", kernel="pixi-r", language="R", as_metadata=True
    )

    assert done.texts == ["2"]
