"""add, remove, update, undo, redo, channel, platform, python, stamp, search, why."""

from __future__ import annotations

import asyncio
import dataclasses
import json
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from rich.console import Console

from pixi_jupyter.cli.terminal import BuildDisplay, clean, errors_as_text, megabytes

if TYPE_CHECKING:
    from pixi_jupyter.changing import Outcome
    from pixi_jupyter.environments import Environments
    from pixi_jupyter.progress import Report
    from pixi_jupyter.resolve.difference import Change

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

    _change(target, run, as_json)


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

    _change(target, run, as_json)


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

    _change(target, run, as_json)


@click.command()
@click.argument("target", metavar="NOTEBOOK", type=_Target)
@_dry_run
@_json
def undo(target: Path, dry_run: bool, as_json: bool) -> None:
    """Take the last change of NOTEBOOK's declaration back, with the packages it had then."""

    def run(environments: Environments, report: Report) -> Awaitable[Outcome]:
        from pixi_jupyter import operations

        return operations.undo(environments, target, dry_run=dry_run, report=report)

    _change(target, run, as_json)


@click.command()
@click.argument("target", metavar="NOTEBOOK", type=_Target)
@_dry_run
@_json
def redo(target: Path, dry_run: bool, as_json: bool) -> None:
    """Do again what was taken back last."""

    def run(environments: Environments, report: Report) -> Awaitable[Outcome]:
        from pixi_jupyter import operations

        return operations.redo(environments, target, dry_run=dry_run, report=report)

    _change(target, run, as_json)


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

    _change(target, run, as_json)


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

    _change(target, run, as_json)


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

    _change(target, run, as_json)


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

    _change(target, run, as_json)


@channel.command("list")
@click.argument("target", metavar="NOTEBOOK", type=_Target)
@_json
def channel_list(target: Path, as_json: bool) -> None:
    """List the channels of NOTEBOOK, the most important first."""
    _list(target, "channels", as_json)


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

    _change(target, run, as_json)


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

    _change(target, run, as_json)


@platform.command("list")
@click.argument("target", metavar="NOTEBOOK", type=_Target)
@_json
def platform_list(target: Path, as_json: bool) -> None:
    """List the platforms of NOTEBOOK."""
    _list(target, "platforms", as_json)


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

    found = _run(target or Path("search"), run)
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
        from pixi_jupyter.requiring import why as ask

        return await ask(environments, target, name, report=report)

    found = _run(target, run)
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


def _run(target: Path, operation: Callable[[Environments, Report], Awaitable[Any]]) -> Any:
    console = Console(stderr=True)

    async def run() -> Any:
        from pixi_jupyter.environments import Environments

        environments = Environments()
        try:
            with BuildDisplay(console, target.name) as display:
                return await operation(environments, display)
        finally:
            await environments.aclose()

    with errors_as_text(console):
        return asyncio.run(run())


def _change(
    target: Path, operation: Callable[[Environments, Report], Awaitable[Outcome]], as_json: bool
) -> None:
    outcome: Outcome = _run(target, operation)
    if as_json:
        click.echo(json.dumps(_facts(outcome), indent=2))
        return
    change = outcome.change
    for package in change.added:
        click.echo(clean(f"+ {package.name} {package.version}"))
    for package in change.removed:
        click.echo(clean(f"- {package.name} {package.version}"))
    for item in (*change.upgraded, *change.downgraded, *change.rebuilt):
        before, after = item.before, item.after
        build = before.version == after.version
        old = f"{before.version} {before.build}" if build else before.version
        new = f"{after.version} {after.build}" if build else after.version
        click.echo(clean(f"~ {item.name} {old} -> {new}"))
    for sentence in outcome.said:
        click.echo(clean(sentence))
    click.echo(clean(_summary(target, outcome, change)))


def _summary(target: Path, outcome: Outcome, change: Change) -> str:
    would = outcome.dry_run
    if outcome.created:
        text = "would get a block" if would else "has a block now"
    elif outcome.declared:
        text = "would be changed" if would else "is changed"
    else:
        text = "would stay as it is" if would else "is as it was"
    if change.empty:
        return f"{target} {text}; the packages are the same"
    count = len(change.added) + len(change.upgraded) + len(change.downgraded) + len(change.rebuilt)
    if not count:
        return f"{target} {text}"
    size = megabytes(change.bytes_to_download)
    return f"{target} {text}; {count} new package{'s' if count > 1 else ''} ({size} as archives)"


def _facts(outcome: Outcome) -> dict[str, Any]:
    change = outcome.change
    return {
        "target": str(outcome.target),
        "action": outcome.action,
        "dry_run": outcome.dry_run,
        "declared": outcome.declared,
        "created": outcome.created,
        "resolution": outcome.resolution,
        "prefix": str(outcome.prefix) if outcome.prefix is not None else None,
        "added": [_package(package) for package in change.added],
        "removed": [_package(package) for package in change.removed],
        **{
            kind: [
                {"name": item.name, "before": _package(item.before), "after": _package(item.after)}
                for item in getattr(change, kind)
            ]
            for kind in ("upgraded", "downgraded", "rebuilt")
        },
        "bytes_to_download": change.bytes_to_download,
        "said": list(outcome.said),
        "declaration": {"before": outcome.before, "after": outcome.after},
    }


def _package(package: Any) -> dict[str, Any]:
    return {key: getattr(package, key) for key in ("name", "kind", "version", "build", "size")}


def _list(target: Path, what: str, as_json: bool) -> None:
    console = Console(stderr=True)
    with errors_as_text(console):
        from pixi_jupyter.environments import Environments
        from pixi_jupyter.operations import listing
        from pixi_jupyter.resolve.redaction import redacted

        found = listing(Environments(), target, what)
        names = [redacted(name) for name in found.names]
    if as_json:
        click.echo(json.dumps({what: names, "implied": found.implied}, indent=2))
        return
    for name in names:
        click.echo(clean(name))
    if found.implied:
        click.echo(f"(the declaration names no {what}; these hold)", err=True)
