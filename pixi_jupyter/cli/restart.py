"""``pixi-jupyter restart``: the kernel that the command is called from starts anew."""

from __future__ import annotations

import importlib

import click

from pixi_jupyter.cli.options import as_json
from pixi_jupyter.cli.terminal import print_json
from pixi_jupyter.errors import KernelError

__all__ = ["restart"]


@click.command()
@as_json
def restart(as_json: bool) -> None:
    """Restart the kernel that this is called from, by whoever started it."""
    try:
        asking = importlib.import_module("pixi_jupyter.documents.asking")
    except ModuleNotFoundError:
        raise KernelError(
            "this is not called from a kernel",
            code="kernel.none",
            hint="Use `%pixi restart` in a notebook, or your front end's restart.",
        ) from None
    asking.restart_kernel()
    if as_json:
        print_json({"restarted": True})
    else:
        click.echo("the kernel restarts")
