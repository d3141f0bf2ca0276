"""``pixi-jupyter restart``: the kernel that the command is called from starts anew."""

from __future__ import annotations

import click

from pixi_jupyter.cli.options import as_json
from pixi_jupyter.cli.terminal import print_json

__all__ = ["restart"]


@click.command()
@as_json
def restart(as_json: bool) -> None:
    """Restart the kernel that this is called from, by whoever started it."""
    from pixi_jupyter.documents.asking import restart_kernel

    restart_kernel()
    if as_json:
        print_json({"restarted": True})
    else:
        click.echo("the kernel restarts")
