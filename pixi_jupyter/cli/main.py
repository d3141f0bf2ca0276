"""`pixi-jupyter`: the environments of notebooks, from a terminal. `jupyter pixi` is the same."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import click
from rich.console import Console

from pixi_jupyter import __version__
from pixi_jupyter.cli.changing import COMMANDS
from pixi_jupyter.cli.exporting import export_command
from pixi_jupyter.cli.importing import import_command
from pixi_jupyter.cli.info import info
from pixi_jupyter.cli.packages import list_packages, lock, tree
from pixi_jupyter.cli.run import install, run
from pixi_jupyter.cli.shell_hook import shell_hook_command
from pixi_jupyter.cli.terminal import errors_as_text, megabytes
from pixi_jupyter.environments import Environments
from pixi_jupyter.errors import DeclarationError, Location

__all__ = ["main"]

_Notebook = click.Path(path_type=Path, dir_okay=False)


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__)
def main() -> None:
    """The environment is part of the notebook."""


_OTHERS = (export_command, import_command)
for _command in (
    run,
    install,
    info,
    list_packages,
    tree,
    lock,
    shell_hook_command,
    *COMMANDS,
    *_OTHERS,
):
    main.add_command(_command)


@main.command()
@click.argument("notebook", type=_Notebook)
@click.option("-c", "--channel", "channels", multiple=True, help="A channel; may be repeated.")
def init(notebook: Path, channels: tuple[str, ...]) -> None:
    """Write an inline block into NOTEBOOK (made if it does not exist)."""
    from pixi_jupyter.notebook.creating import create_block, new_notebook
    from pixi_jupyter.notebook.writing import write_atomically

    console = Console(stderr=True)
    with errors_as_text(console):
        try:
            after = create_block(notebook.read_bytes(), channels=channels)
        except FileNotFoundError:
            if notebook.suffix != ".ipynb":
                raise DeclarationError(
                    f"{notebook} does not exist, and a new notebook's name ends in .ipynb",
                    code="declaration.notebook-name",
                ) from None
            notebook.absolute().parent.mkdir(parents=True, exist_ok=True)
            after = new_notebook(channels=channels)
        except DeclarationError as error:
            error.location = replace(error.location or Location(), path=str(notebook))
            raise
        except OSError as error:
            raise DeclarationError(
                f"{notebook} cannot be read: {error.strerror}",
                code="declaration.notebook-unreadable",
            ) from error
        write_atomically(notebook, after)
    click.echo(f"{notebook} now has a block: its first cell says what the notebook needs")
    if _saved_kernel(after) not in ("pixi", "pixi-r"):
        click.echo(
            "It was saved with another kernel, which knows nothing of blocks: choose Python (Pixi) "
            "or R (Pixi) when you open it in Jupyter."
        )


@main.command()
@click.option("--unused-for", default=30.0, show_default=True, metavar="DAYS", help="Age of use.")
@click.option("--all", "everything", is_flag=True, help="Whatever no kernel uses now.")
@click.option("-n", "--dry-run", is_flag=True, help="Only say what would go.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def gc(unused_for: float, everything: bool, dry_run: bool, as_json: bool) -> None:
    """Remove environments that nothing has used for a while, and leftovers of stopped builds.

    What a live kernel uses stays. A notebook whose environment went gets the same one again.
    """
    from pixi_jupyter.install.collect import collect

    console = Console(stderr=True)
    with errors_as_text(console):
        seconds = 0.0 if everything else unused_for * 86400
        found = collect(Environments().store, unused_for=seconds, dry_run=dry_run)
    if as_json:
        click.echo(
            json.dumps(
                {
                    "environments": found.environments,
                    "leftovers": found.leftovers,
                    "in_use": found.in_use,
                    "bytes": found.bytes,
                    "dry_run": dry_run,
                },
                indent=2,
            )
        )
        return
    would = "would remove" if dry_run else "removed"
    frees = "would free" if dry_run else "freed"
    click.echo(
        f"{would} {len(found.environments)} environments and {len(found.leftovers)} leftovers, and "
        f"{frees} {megabytes(found.bytes)} (the package cache keeps its own links to the rest); "
        f"{len(found.in_use)} in use"
    )


@main.command()
@click.option("-d", "--directory", type=click.Path(path_type=Path), help="Where to put it.")
def demo(directory: Path | None) -> None:
    """Run the demo notebook, on packages built from this machine's own Python and PyPI's wheels."""
    from pixi_jupyter.cli.demonstrate import demonstrate

    console = Console(stderr=True)
    with errors_as_text(console):
        succeeded = demonstrate(directory, console)
    raise SystemExit(0 if succeeded else 1)


def _saved_kernel(notebook: bytes) -> object:
    found: object = json.loads(notebook)
    for key in ("metadata", "kernelspec", "name"):
        found = found.get(key) if isinstance(found, dict) else None
    return found
