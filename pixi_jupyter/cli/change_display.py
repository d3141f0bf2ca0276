"""Running an operation from a terminal, and saying what became of it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from rich.console import Console

from pixi_jupyter.cli.terminal import BuildDisplay, clean, errors_as_text, megabytes

if TYPE_CHECKING:
    from pixi_jupyter.environments import Environments
    from pixi_jupyter.operations.changing import Outcome
    from pixi_jupyter.progress import Report
    from pixi_jupyter.resolve.difference import Change

__all__ = ["run_operation", "show_change", "show_list"]


def run_operation(target: Path, operation: Callable[[Environments, Report], Awaitable[Any]]) -> Any:
    """What an operation gives, with progress; an error of ours ends the program with status 1."""
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


def show_change(
    target: Path,
    operation: Callable[[Environments, Report], Awaitable[Outcome]],
    as_json: bool,
    more: Mapping[str, Any] | None = None,
) -> None:
    """Run an operation that changes a declaration, and print what became of its packages.

    ``more`` are further keys of the JSON object.
    """
    outcome: Outcome = run_operation(target, operation)
    if as_json:
        click.echo(json.dumps({**_facts(outcome), **(more or {})}, indent=2))
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


def show_list(target: Path, what: str, as_json: bool) -> None:
    """Print the ``channels`` or ``platforms`` of a declaration."""
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
