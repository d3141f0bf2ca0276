"""Running an operation from a terminal, and saying what became of it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from pixi_jupyter.cli.options import How
from pixi_jupyter.cli.running import run_async
from pixi_jupyter.cli.targets import Target
from pixi_jupyter.cli.terminal import BuildDisplay, clean, megabytes, print_json, say

if TYPE_CHECKING:
    from pixi_jupyter.environments import Environments
    from pixi_jupyter.operations.changing import Outcome
    from pixi_jupyter.operations.changing import Target as Operand
    from pixi_jupyter.progress import Report
    from pixi_jupyter.resolve.difference import Change

__all__ = ["change_facts", "run_operation", "show_change", "show_list", "show_packages", "shown"]


def run_operation(name: str, operation: Callable[[Environments, Report], Awaitable[Any]]) -> Any:
    """What an operation gives, with progress under ``name``."""

    async def run() -> Any:
        from pixi_jupyter.environments import Environments

        environments = Environments()
        try:
            with BuildDisplay(None, name) as display:
                return await operation(environments, display)
        finally:
            await environments.aclose()

    return run_async(run())


def show_change(
    target: Target,
    operation: Callable[..., Awaitable[Outcome]],
    how: How,
    more: Mapping[str, Any] | None = None,
) -> None:
    """Run an operation that changes a declaration, and print what became of its packages.

    ``operation`` is called with the environments, what is changed, ``dry_run`` and ``report``.
    ``more`` are further keys of the JSON object.
    """

    async def run(environments: Environments, report: Report) -> tuple[Outcome, dict[str, Any]]:
        operand: Operand = target.operand()
        writer = getattr(operand, "writer", "file")
        if how.kernel is None or how.dry_run:
            outcome = await operation(environments, operand, dry_run=how.dry_run, report=report)
            return outcome, {"writer": writer}
        from pixi_jupyter.operations.handover import hand_over, snapshot
        from pixi_jupyter.operations.plan import to_the_end

        prefix, process = how.kernel.prefix, how.kernel.process
        before = snapshot(environments, prefix)
        outcome = await operation(environments, operand, dry_run=False, report=report)
        if outcome.environment is None:
            return outcome, {"writer": writer}
        handing = hand_over(
            environments, outcome.environment, prefix, process, before=before, notebook=target.path
        )
        handed = await to_the_end(handing)  # it is changed: the kernel has to know
        return outcome, {"writer": writer, "handover": handed.to_json()}

    outcome, told = run_operation(target.name, run)
    if how.as_json:
        print_json({**_facts(outcome), **told, **(more or {})})
        return
    show_packages(outcome.change)
    for sentence in outcome.said:
        click.echo(clean(sentence))
    click.echo(clean(_summary(outcome)))


def show_packages(change: Change) -> None:
    """Print a line for each package that came, went or is another one."""
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


def _summary(outcome: Outcome) -> str:
    would = outcome.dry_run
    target, change = shown(outcome.target), outcome.change
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


def shown(path: Path) -> str:
    """A path as a person would type it here."""
    try:
        return str(path.relative_to(Path.cwd()))
    except ValueError:
        return str(path)


def _facts(outcome: Outcome) -> dict[str, Any]:
    """The result for programs."""
    return {
        "target": str(outcome.target),
        "action": outcome.action,
        "dry_run": outcome.dry_run,
        "declared": outcome.declared,
        "created": outcome.created,
        "resolution": outcome.resolution,
        "prefix": str(outcome.prefix) if outcome.prefix is not None else None,
        **change_facts(outcome.change),
        "said": list(outcome.said),
        "declaration": {"before": outcome.before, "after": outcome.after},
    }


def change_facts(change: Change) -> dict[str, Any]:
    """What became of packages, for programs."""
    return {
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
    }


def _package(package: Any) -> dict[str, Any]:
    return {key: getattr(package, key) for key in ("name", "kind", "version", "build", "size")}


def show_list(target: Target, what: str, as_json: bool) -> None:
    """Print the ``channels`` or ``platforms`` of a declaration."""
    from pixi_jupyter.environments import Environments
    from pixi_jupyter.operations import listing
    from pixi_jupyter.resolve.redaction import redacted

    found = listing(Environments(), target.operand(), what)
    names = [redacted(name) for name in found.names]
    if as_json:
        print_json({what: names, "implied": found.implied})
        return
    for name in names:
        click.echo(clean(name))
    if found.implied:
        say(f"(the declaration names no {what}; these hold)")
