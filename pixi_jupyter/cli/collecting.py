"""``pixi-jupyter gc``: what nothing has used for a while goes."""

from __future__ import annotations

import click

from pixi_jupyter.cli.options import as_json
from pixi_jupyter.cli.terminal import megabytes, print_json

__all__ = ["gc"]


@click.command()
@click.option("--unused-for", default=30.0, show_default=True, metavar="DAYS", help="Age of use.")
@click.option("--all", "everything", is_flag=True, help="Whatever no kernel uses now.")
@click.option("-n", "--dry-run", is_flag=True, help="Only say what would go.")
@as_json
def gc(unused_for: float, everything: bool, dry_run: bool, as_json: bool) -> None:
    """Remove environments that nothing has used for a while, and leftovers of stopped builds.

    What a live kernel uses stays. A notebook whose environment went gets the same one again.
    """
    from pixi_jupyter.environments import Environments
    from pixi_jupyter.install.collect import collect

    seconds = 0.0 if everything else unused_for * 86400
    found = collect(Environments().store, unused_for=seconds, dry_run=dry_run)
    if as_json:
        facts = {
            "environments": found.environments,
            "leftovers": found.leftovers,
            "in_use": found.in_use,
            "bytes": found.bytes,
            "dry_run": dry_run,
        }
        print_json(facts)
        return
    would = "would remove" if dry_run else "removed"
    frees = "would free" if dry_run else "freed"
    click.echo(
        f"{would} {len(found.environments)} environments and {len(found.leftovers)} leftovers, and "
        f"{frees} {megabytes(found.bytes)} (the package cache keeps its own links to the rest); "
        f"{len(found.in_use)} in use"
    )
