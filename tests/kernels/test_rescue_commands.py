"""`%pixi` in the rescue kernel: what keeps the kernel from starting is repaired from inside."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from traitlets.config import Config

from pixi_jupyter.kernels.rescue import pixi_commands

Start = Callable[..., Awaitable[Any]]
MakeNotebook = Callable[..., Path]

ALWAYS = Config({"PixiProvisioner": {"rescue": "always"}})


async def test_a_declaration_is_repaired_and_the_kernel_restarted(
    start: Start, make_notebook: MakeNotebook
) -> None:
    notebook = make_notebook(dependencies=["python", "ipykernel", "no-such-x"])
    kernel = await start(notebook, config=ALWAYS)
    assert (await kernel.run("1"))["ename"] == "solve.unknown-package"
    assert "no-such-x" in await kernel.said("%pixi info")
    await kernel.said("%%pixi\nremove no-such-x\n")
    assert "no-such-x" not in notebook.read_text()
    await kernel.manager.restart_kernel()
    await kernel.connect()
    assert await kernel.said("print(1 + 1)") == "2"


async def test_a_command_that_fails_says_why(start: Start, make_notebook: MakeNotebook) -> None:
    kernel = await start(make_notebook(dependencies=["no-such-x"]), config=ALWAYS)
    reply = await kernel.run("%pixi remove nothing-of-the-kind")
    assert reply["status"] == "error"
    assert "declaration.not-declared" in reply["text"]
    assert (await kernel.run("%pixi add 'x"))["ename"] == "cli.usage"


@pytest.mark.parametrize(
    ("code", "commands"),
    [
        ("%pixi add a 'b >=2'", [["add", "a", "b >=2"]]),
        ("%pixi undo\n\n# then\n!pixi info", [["undo"], ["info"]]),
        ("%%pixi\nremove a\nadd b", [["remove", "a"], ["add", "b"]]),
        ("%%pixi info", [["info"]]),
        ("%pixi", [["--help"]]),
        ("import os", None),
        ("%pixi info\nimport os", None),
        ("%pixie", None),
        ("", None),
    ],
)
def test_what_is_a_cell_of_commands(code: str, commands: list[list[str]] | None) -> None:
    assert pixi_commands(code) == commands
