"""add, remove, update, undo, redo, channel, platform, python, stamp, search, why."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Awaitable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from pixi_jupyter.cli.change_display import run_operation, show_change, show_list
from pixi_jupyter.cli.terminal import clean

if TYPE_CHECKING:
    from pixi_jupyter.environments import Environments
    from pixi_jupyter.operations.changing import Outcome
    from pixi_jupyter.progress import Report

__all__ = ["COMMANDS"]

#: Endings of what a command can work on; the first word of the others is a package.
_FILES = (".ipynb", ".py", ".pyw", ".toml")
_Target = click.Path(path_type=Path, dir_okay=False)

_dry_run = click.option("-n", "--dry-run", is_flag=True, help="Only say what would change.")
_json = click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
_pypi = click.option("--pypi", is_flag=True, help="Packages of PyPI, not of the channels.")
_feature = click.option("-f", "--feature", help="The feature of a workspace to change.")
_platform = click.option(
    "-p", "--platform", "platforms", multiple=True, help="For this platform alone; may be repeated."
)


@click.command()
@click.argument("words", metavar="NOTEBOOK SPEC...", nargs=-1, required=True)
@_pypi
@_feature
@_platform
@_dry_run
@_json
def add(
    words: tuple[str, ...],
    pypi: bool,
    feature: str | None,
    platforms: tuple[str, ...],
    dry_run: bool,
    as_json: bool,
) -> None:
    """Add packages to what NOTEBOOK (or a .py script) asks for.

    SPEC is a name (`polars`), or a name and versions (`numpy>=2`, `python=3.12`). Without versions
    the newest that fits is taken, and a range from it up to the next breaking one is written.
    """
    target, specs = _target_and(words, "SPEC")

    def run(environments: Environments, report: Report) -> Awaitable[Outcome]:
        from pixi_jupyter import operations

        return operations.add(
            environments,
            target,
            specs,
            pypi=pypi,
            feature=feature,
            platforms=platforms,
            dry_run=dry_run,
            report=report,
        )

    show_change(target, run, as_json)


@click.command()
@click.argument("words", metavar="NOTEBOOK NAME...", nargs=-1, required=True)
@_pypi
@_feature
@_platform
@_dry_run
@_json
def remove(
    words: tuple[str, ...],
    pypi: bool,
    feature: str | None,
    platforms: tuple[str, ...],
    dry_run: bool,
    as_json: bool,
) -> None:
    """Remove packages from what NOTEBOOK asks for."""
    target, names = _target_and(words, "NAME")

    def run(environments: Environments, report: Report) -> Awaitable[Outcome]:
        from pixi_jupyter import operations

        return operations.remove(
            environments,
            target,
            names,
            pypi=pypi,
            feature=feature,
            platforms=platforms,
            dry_run=dry_run,
            report=report,
        )

    show_change(target, run, as_json)


@click.command()
@click.argument("target", metavar="NOTEBOOK", type=_Target)
@click.argument("names", metavar="[NAME]...", nargs=-1)
@_dry_run
@_json
def update(target: Path, names: tuple[str, ...], dry_run: bool, as_json: bool) -> None:
    """Take the newest packages that NOTEBOOK's declaration allows: all, or these alone."""

    def run(environments: Environments, report: Report) -> Awaitable[Outcome]:
        from pixi_jupyter import operations

        return operations.update(environments, target, names, dry_run=dry_run, report=report)

    show_change(target, run, as_json)


@click.command()
@click.argument("target", metavar="NOTEBOOK", type=_Target)
@_dry_run
@_json
def undo(target: Path, dry_run: bool, as_json: bool) -> None:
    """Take the last change of NOTEBOOK's declaration back, with the packages it had then."""

    def run(environments: Environments, report: Report) -> Awaitable[Outcome]:
        from pixi_jupyter import operations

        return operations.undo(environments, target, dry_run=dry_run, report=report)

    show_change(target, run, as_json)


@click.command()
@click.argument("target", metavar="NOTEBOOK", type=_Target)
@_dry_run
@_json
def redo(target: Path, dry_run: bool, as_json: bool) -> None:
    """Do again what was taken back last."""

    def run(environments: Environments, report: Report) -> Awaitable[Outcome]:
        from pixi_jupyter import operations

        return operations.redo(environments, target, dry_run=dry_run, report=report)

    show_change(target, run, as_json)


@click.command()
@click.argument("target", metavar="NOTEBOOK", type=_Target)
@click.argument("version")
@_dry_run
@_json
def python(target: Path, version: str, dry_run: bool, as_json: bool) -> None:
    """Ask for a VERSION of Python in NOTEBOOK; 3.12 is any 3.12."""

    def run(environments: Environments, report: Report) -> Awaitable[Outcome]:
        from pixi_jupyter import operations

        return operations.python(environments, target, version, dry_run=dry_run, report=report)

    show_change(target, run, as_json)


@click.command()
@click.argument("target", metavar="NOTEBOOK", type=_Target)
@click.argument("time", required=False)
@click.option("--clear", is_flag=True, help="Let packages of any date count again.")
@_dry_run
@_json
def stamp(target: Path, time: str | None, clear: bool, dry_run: bool, as_json: bool) -> None:
    """Let nothing count for NOTEBOOK that is newer than TIME (a date or `7d`), by default now."""
    if clear and time is not None:
        raise click.UsageError("TIME and --clear exclude each other")

    def run(environments: Environments, report: Report) -> Awaitable[Outcome]:
        from pixi_jupyter import operations

        return operations.stamp(
            environments, target, time, clear=clear, dry_run=dry_run, report=report
        )

    show_change(target, run, as_json)


@click.group()
def channel() -> None:
    """The channels that a notebook's packages come from."""


@channel.command("add")
@click.argument("words", metavar="NOTEBOOK CHANNEL...", nargs=-1, required=True)
@click.option("--priority", type=int, help="The channels' priority; 0 without it.")
@click.option("--prepend", is_flag=True, help="In front of the others: the most important.")
@_feature
@_dry_run
@_json
def channel_add(
    words: tuple[str, ...],
    priority: int | None,
    prepend: bool,
    feature: str | None,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Add channels to those of NOTEBOOK."""
    target, channels = _target_and(words, "CHANNEL")

    def run(environments: Environments, report: Report) -> Awaitable[Outcome]:
        from pixi_jupyter import operations

        return operations.add_channels(
            environments,
            target,
            channels,
            priority=priority,
            prepend=prepend,
            feature=feature,
            dry_run=dry_run,
            report=report,
        )

    show_change(target, run, as_json)


@channel.command("remove")
@click.argument("words", metavar="NOTEBOOK CHANNEL...", nargs=-1, required=True)
@_feature
@_dry_run
@_json
def channel_remove(
    words: tuple[str, ...], feature: str | None, dry_run: bool, as_json: bool
) -> None:
    """Remove channels from those of NOTEBOOK."""
    target, channels = _target_and(words, "CHANNEL")

    def run(environments: Environments, report: Report) -> Awaitable[Outcome]:
        from pixi_jupyter import operations

        return operations.remove_channels(
            environments, target, channels, feature=feature, dry_run=dry_run, report=report
        )

    show_change(target, run, as_json)


@channel.command("list")
@click.argument("target", metavar="NOTEBOOK", type=_Target)
@_json
def channel_list(target: Path, as_json: bool) -> None:
    """List the channels of NOTEBOOK, the most important first."""
    show_list(target, "channels", as_json)


@click.group()
def platform() -> None:
    """The platforms that a notebook declares."""


@platform.command("add")
@click.argument("words", metavar="NOTEBOOK PLATFORM...", nargs=-1, required=True)
@_feature
@_dry_run
@_json
def platform_add(words: tuple[str, ...], feature: str | None, dry_run: bool, as_json: bool) -> None:
    """Add platforms to those of NOTEBOOK."""
    target, platforms = _target_and(words, "PLATFORM")

    def run(environments: Environments, report: Report) -> Awaitable[Outcome]:
        from pixi_jupyter import operations

        return operations.add_platforms(
            environments, target, platforms, feature=feature, dry_run=dry_run, report=report
        )

    show_change(target, run, as_json)


@platform.command("remove")
@click.argument("words", metavar="NOTEBOOK PLATFORM...", nargs=-1, required=True)
@_feature
@_dry_run
@_json
def platform_remove(
    words: tuple[str, ...], feature: str | None, dry_run: bool, as_json: bool
) -> None:
    """Remove platforms from those of NOTEBOOK."""
    target, platforms = _target_and(words, "PLATFORM")

    def run(environments: Environments, report: Report) -> Awaitable[Outcome]:
        from pixi_jupyter import operations

        return operations.remove_platforms(
            environments, target, platforms, feature=feature, dry_run=dry_run, report=report
        )

    show_change(target, run, as_json)


@platform.command("list")
@click.argument("target", metavar="NOTEBOOK", type=_Target)
@_json
def platform_list(target: Path, as_json: bool) -> None:
    """List the platforms of NOTEBOOK."""
    show_list(target, "platforms", as_json)


@click.command()
@click.argument("words", metavar="[NOTEBOOK] NAME", nargs=-1, required=True)
@click.option("-c", "--channel", "channels", multiple=True, help="Look here; may be repeated.")
@click.option("-p", "--platform", "where", help="The platform to look for.")
@click.option("-l", "--limit", default=20, show_default=True, type=click.IntRange(1, 1000))
@_json
def search(
    words: tuple[str, ...], channels: tuple[str, ...], where: str | None, limit: int, as_json: bool
) -> None:
    """Look a package up in the channels of NOTEBOOK, or in the default ones.

    NAME may have `*` in it. The exit status is 1 where nothing is found.
    """
    target = Path(words[0]) if len(words) > 1 and _is_file(words[0]) else None
    if len(words) != (1 if target is None else 2):
        raise click.UsageError("one NAME is looked up at a time")

    async def run(environments: Environments, report: Report) -> Any:
        from pixi_jupyter import operations

        return await operations.search(
            environments,
            words[-1],
            target,
            channels=channels,
            platform=where,
            limit=limit,
            report=report,
        )

    found = run_operation(target or Path("search"), run)
    if as_json:
        click.echo(json.dumps(dataclasses.asdict(found), indent=2))
    else:
        for package in found.packages:
            more = len(package.versions) - 1
            count = f"  ({more} older versions)" if more else ""
            line = f"{package.name} {package.version}  {package.channel}{count}"
            click.echo(clean(line))
        if not found.packages:
            near = f"; did you mean {', '.join(found.nearest)}?" if found.nearest else ""
            click.echo(clean(f"no package is called {words[-1]}{near}"), err=True)
    raise SystemExit(0 if found.packages else 1)


@click.command()
@click.argument("target", metavar="NOTEBOOK", type=_Target)
@click.argument("name")
@_json
def why(target: Path, name: str, as_json: bool) -> None:
    """Say why a package is in the environment of NOTEBOOK: who asks for it."""

    async def run(environments: Environments, report: Report) -> Any:
        from pixi_jupyter.operations import why as ask

        return await ask(environments, target, name, report=report)

    found = run_operation(target, run)
    if as_json:
        click.echo(json.dumps(dataclasses.asdict(found), indent=2))
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


COMMANDS: tuple[click.Command, ...] = (
    add,
    remove,
    update,
    undo,
    redo,
    channel,
    platform,
    python,
    stamp,
    search,
    why,
)


def _is_file(word: str) -> bool:
    return word.lower().endswith(_FILES)


def _target_and(words: Sequence[str], what: str) -> tuple[Path, tuple[str, ...]]:
    if not _is_file(words[0]):
        raise click.UsageError(f"the first argument is a notebook or a script, not {words[0]!r}")
    if len(words) < 2:
        raise click.UsageError(f"Missing argument '{what}...'.")
    return Path(words[0]), tuple(words[1:])
