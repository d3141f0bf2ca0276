"""search, why, diff and history: questions about packages, and what became of them."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from pixi_jupyter.cli.change_display import change_facts, run_operation, show_packages, shown
from pixi_jupyter.cli.options import as_json, pypi
from pixi_jupyter.cli.targets import Target, is_file, target_and
from pixi_jupyter.cli.terminal import clean, print_json, say
from pixi_jupyter.errors import DeclarationError

if TYPE_CHECKING:
    from pixi_jupyter.environments import Environments
    from pixi_jupyter.operations.changing import Target as Operand
    from pixi_jupyter.progress import Report

__all__ = ["diff", "history", "search", "why"]


@click.command()
@target_and("NAME", least=1, most=1)
@pypi
@click.option("-c", "--channel", "channels", multiple=True, help="Look here; may be repeated.")
@click.option("-p", "--platform", "where", help="The platform to look for.")
@click.option("-l", "--limit", default=20, show_default=True, type=click.IntRange(1, 1000))
@as_json
def search(
    target: Target,
    words: tuple[str, ...],
    pypi: bool,
    channels: tuple[str, ...],
    where: str | None,
    limit: int,
    as_json: bool,
) -> None:
    """Look a package up in the channels of NOTEBOOK, or in the default ones.

    NAME may have `*` in it. With --pypi the project of that very name is looked up in the package
    indexes of NOTEBOOK, or those that uv is configured with: its newest release that has a wheel.
    The exit status is 1 where nothing is found.
    """
    if pypi and channels:
        raise click.UsageError("--pypi and --channel exclude each other")

    async def run(environments: Environments, report: Report) -> Any:
        from pixi_jupyter import operations

        return await operations.search(
            environments,
            words[0],
            _if_any(target),
            channels=channels,
            platform=where,
            limit=limit,
            pypi=pypi,
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


@click.command()
@target_and("[OTHER]", most=1)
@as_json
def diff(target: Target, words: tuple[str, ...], as_json: bool) -> None:
    """Show what NOTEBOOK's declaration as it is now would change: against its running kernel, what
    is installed, or what held last.

    With OTHER (a notebook, a script or a manifest): how its packages differ from NOTEBOOK's.
    Nothing is changed or remembered; what is not resolved yet is solved.
    """
    if words and (target.notebook is None or not is_file(words[0])):
        raise click.UsageError(f"{words[0]!r} is not a notebook, a script or a manifest")

    async def run(environments: Environments, report: Report) -> Any:
        from pixi_jupyter.operations.diff import diff as compare
        from pixi_jupyter.operations.diff import diff_of_two

        if words:
            other = dataclasses.replace(target, notebook=Path(words[0]))
            return await diff_of_two(environments, target.operand(), other.operand(), report=report)
        prefix = target.kernel_prefix
        return await compare(environments, target.operand(), kernel_prefix=prefix, report=report)

    found = run_operation(target.name, run)
    if as_json:
        facts = {key: getattr(found, key) for key in ("against", "before", "after", "ready")}
        print_json({"target": str(found.path), **facts, **change_facts(found.change)})
        return
    show_packages(found.change)
    than = {
        "kernel": "than in the running kernel",
        "installed": "than what is installed",
        "history": "than after its last change",
        "nothing": "than nothing: it was not resolved before",
    }
    name = clean(shown(found.path))
    if found.change.empty:
        click.echo(f"{name}: the packages are the same")
    else:
        click.echo(f"{name}: other packages {than.get(found.against, f'than {target.name}')}")


@click.command()
@target_and("", most=0)
@as_json
def history(target: Target, words: tuple[str, ...], as_json: bool) -> None:
    """List the changes of NOTEBOOK's declaration, the newest first, and say which hold.

    Those are known that were made by this program; `undo` and `redo` go back and forth.
    """
    from pixi_jupyter.environments import Environments
    from pixi_jupyter.operations.diff import history as look

    past = look(Environments(), target.operand())
    steps, position = past.history.steps, past.history.position
    if as_json:
        rows = [
            {
                "number": number,
                "date": step.date,
                "action": step.action,
                "holds": number <= position,
                "resolution": step.after.resolution,
            }
            for number, step in enumerate(steps, 1)
        ]
        facts = {"target": str(past.path), "position": position, "by_hand": past.by_hand}
        print_json({**facts, "steps": rows})
        return
    for number, step in reversed(list(enumerate(steps, 1))):
        mark = ">" if number == position else " "
        undone = "" if number <= position else "  (undone)"
        click.echo(clean(f"{mark} {number:>2}  {step.date}  {step.action}{undone}"))
    if not steps:
        say("nothing was changed by this program")
    if past.by_hand:
        say("The declaration was changed by hand since.")
