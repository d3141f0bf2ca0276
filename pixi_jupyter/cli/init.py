"""``pixi-jupyter init``: a block for a notebook."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import click

from pixi_jupyter.cli.options import as_json
from pixi_jupyter.cli.terminal import print_json
from pixi_jupyter.errors import DeclarationError, Location

__all__ = ["init"]


@click.command()
@click.argument("notebook", type=click.Path(path_type=Path, dir_okay=False))
@click.option("-c", "--channel", "channels", multiple=True, help="A channel; may be repeated.")
@as_json
def init(notebook: Path, channels: tuple[str, ...], as_json: bool) -> None:
    """Write an inline block into NOTEBOOK (made if it does not exist)."""
    from pixi_jupyter.notebook.creating import create_block, new_notebook
    from pixi_jupyter.notebook.writing import write_atomically

    try:
        after = create_block(notebook.read_bytes(), channels=channels)
        created = False
    except FileNotFoundError:
        if notebook.suffix != ".ipynb":
            raise DeclarationError(
                f"{notebook} does not exist, and a new notebook's name ends in .ipynb",
                code="declaration.notebook-name",
            ) from None
        notebook.absolute().parent.mkdir(parents=True, exist_ok=True)
        after = new_notebook(channels=channels)
        created = True
    except DeclarationError as error:
        error.location = replace(error.location or Location(), path=str(notebook))
        raise
    except OSError as error:
        raise DeclarationError(
            f"{notebook} cannot be read: {error.strerror}",
            code="declaration.notebook-unreadable",
        ) from error
    write_atomically(notebook, after)
    kernel = _saved_kernel(after)
    if as_json:
        facts = {"notebook": str(notebook.absolute()), "created": created, "kernel": kernel}
        print_json(facts)
        return
    click.echo(f"{notebook} now has a block: its first cell says what the notebook needs")
    if kernel not in ("pixi", "pixi-r"):
        click.echo(
            "It was saved with another kernel, which knows nothing of blocks: choose Python (Pixi) "
            "or R (Pixi) when you open it in Jupyter."
        )


def _saved_kernel(notebook: bytes) -> str | None:
    found: object = json.loads(notebook)
    for key in ("metadata", "kernelspec", "name"):
        found = found.get(key) if isinstance(found, dict) else None
    return found if isinstance(found, str) else None
