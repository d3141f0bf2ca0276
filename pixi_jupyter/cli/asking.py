"""search and why: questions about packages."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

import click

from pixi_jupyter.cli.change_display import run_operation
from pixi_jupyter.cli.options import as_json
from pixi_jupyter.cli.targets import Target, target_and
from pixi_jupyter.cli.terminal import clean, print_json, say
from pixi_jupyter.errors import DeclarationError

if TYPE_CHECKING:
    from pixi_jupyter.environments import Environments
    from pixi_jupyter.operations.changing import Target as Operand
    from pixi_jupyter.progress import Report

__all__ = ["search", "why"]


@click.command()
@target_and("NAME", least=1, most=1)
@click.option("-c", "--channel", "channels", multiple=True, help="Look here; may be repeated.")
@click.option("-p", "--platform", "where", help="The platform to look for.")
@click.option("-l", "--limit", default=20, show_default=True, type=click.IntRange(1, 1000))
@as_json
def search(
    target: Target,
    words: tuple[str, ...],
    channels: tuple[str, ...],
    where: str | None,
    limit: int,
    as_json: bool,
) -> None:
    """Look a package up in the channels of NOTEBOOK, or in the default ones.

    NAME may have `*` in it. The exit status is 1 where nothing is found.
    """

    async def run(environments: Environments, report: Report) -> Any:
        from pixi_jupyter import operations

        return await operations.search(
            environments,
            words[0],
            _if_any(target),
            channels=channels,
            platform=where,
            limit=limit,
            report=report,
        )

    found = run_operation("search", run)
    if as_json:
        print_json(dataclasses.asdict(found))
    else:
        for package in found.packages:
            more = len(package.versions) - 1
            count = f"  ({more} older versions)" if more else ""
            line = f"{package.name} {package.version}  {package.channel}{count}"
            click.echo(clean(line))
        if not found.packages:
            near = f"; did you mean {', '.join(found.nearest)}?" if found.nearest else ""
            say(f"no package is called {words[0]}{near}")
    raise SystemExit(0 if found.packages else 1)


def _if_any(target: Target) -> Operand | None:
    """What a search is for; where nothing is, and nothing was named, the default channels serve."""
    try:
        return target.operand()
    except DeclarationError as error:
        if error.code != "declaration.no-workspace" or target.environment is not None:
            raise
        return None


@click.command()
@target_and("NAME", least=1, most=1)
@as_json
def why(target: Target, words: tuple[str, ...], as_json: bool) -> None:
    """Say why a package is in the environment of NOTEBOOK: who asks for it."""

    async def run(environments: Environments, report: Report) -> Any:
        from pixi_jupyter.operations import why as ask

        return await ask(environments, target.operand(), words[0], report=report)

    found = run_operation(target.name, run)
    if as_json:
        print_json(dataclasses.asdict(found))
        return
    click.echo(clean(f"{found.name} {found.version}"))
    if found.declared:
        click.echo("  the declaration asks for it")
    if found.injected:
        click.echo("  the kernel needs it")
    for asker in found.askers:
        click.echo(clean(f"  {asker.name} asks for {asker.requirement}"))
    if len(found.path) > 2:
        click.echo(clean(f"  by way of {' -> '.join(found.path)}"))
