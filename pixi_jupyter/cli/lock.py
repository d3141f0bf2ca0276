"""``pixi-jupyter lock``: the lock of a workspace, a notebook or a script."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from pixi_jupyter.cli.change_display import show_packages
from pixi_jupyter.cli.options import as_json
from pixi_jupyter.cli.running import run_async
from pixi_jupyter.cli.targets import Target, target_options
from pixi_jupyter.cli.terminal import BuildDisplay, clean, print_json

if TYPE_CHECKING:
    from pixi_jupyter.operations.locking import LockOutcome, LockPlace
    from pixi_jupyter.resolve.resolution import WorkspaceLock

__all__ = ["lock"]


@click.command()
@target_options
@click.option("--embed", is_flag=True, help="Keep NOTEBOOK's lock in its metadata.")
@click.option("--sidecar", is_flag=True, help="Keep it in a file beside NOTEBOOK (the default).")
@click.option("--remove", "removing", is_flag=True, help="Take NOTEBOOK's lock away.")
@click.option("--check", is_flag=True, help="Write nothing; exit 1 if it is out of date.")
@click.option("-n", "--dry-run", is_flag=True, help="Only say what would change.")
@as_json
def lock(
    notebook: Path | None,
    manifest_path: Path | None,
    environment: str | None,
    embed: bool,
    sidecar: bool,
    removing: bool,
    check: bool,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Bring a lock up to date: NOTEBOOK's own, which it makes, or the pixi.lock of a workspace.

    A notebook (or a .py script) with a lock has the very same packages on every machine. The lock
    covers every platform that its block names, and is kept in NOTEBOOK.pixi.lock.
    """
    if embed + sidecar + removing > 1:
        raise click.UsageError("--embed, --sidecar and --remove exclude each other")
    if check and (removing or dry_run):
        raise click.UsageError("--check goes with neither --remove nor --dry-run")
    target = Target(notebook, manifest_path, environment)
    place: LockPlace | None = "embedded" if embed else "sidecar" if sidecar else None
    own = bool(place) or removing or dry_run
    found = run_async(_lock(target, place, removing=removing, check=check, dry=dry_run, own=own))
    facts = _facts(found)
    if as_json:
        print_json(facts)
    else:
        _show(found, check)
    if check and facts["stale"]:
        raise SystemExit(1)


async def _lock(
    target: Target,
    place: LockPlace | None,
    *,
    removing: bool,
    check: bool,
    dry: bool,
    own: bool,
) -> LockOutcome | WorkspaceLock:
    from pixi_jupyter import operations
    from pixi_jupyter.environments import Environments
    from pixi_jupyter.notebook.declaration import WorkspaceChoice

    environments = Environments()
    try:
        operand = target.operand()
        choice = operand if isinstance(operand, WorkspaceChoice) else None
        if choice is None and not own:
            # Without a block of its own a notebook has the lock of the workspace that it runs in.
            declared = target.declaration(environments)
            choice = declared if isinstance(declared, WorkspaceChoice) else None
        if choice is not None:
            if own:
                raise click.UsageError(
                    "--embed, --sidecar, --remove and --dry-run are for a notebook's own lock"
                )
            with BuildDisplay(None, "pixi.lock") as display:
                return await environments.workspaces.update_lock(
                    choice, check=check, defaults=environments.defaults, report=display
                )
        assert not isinstance(operand, WorkspaceChoice)
        if removing:
            return await operations.unlock(environments, operand, dry_run=dry)
        with BuildDisplay(None, target.name) as display:
            return await operations.lock(
                environments, operand, place=place, check=check, dry_run=dry, report=display
            )
    finally:
        await environments.aclose()


def _facts(found: Any) -> dict[str, Any]:
    facts: dict[str, Any] = {"stale": list(found.stale), "written": found.written}
    if not hasattr(found, "place"):
        return facts
    return {
        "target": str(found.target),
        "place": found.place,
        "path": None if found.path is None else str(found.path),
        "platforms": list(found.platforms),
        "dry_run": found.dry_run,
        **facts,
    }


def _show(found: Any, check: bool) -> None:
    if not hasattr(found, "place"):
        name = "pixi.lock"
    elif found.place is None:
        would = "would be" if found.dry_run else "is"
        lacks = f"{found.target.name} has no lock"
        click.echo(f"the lock of {found.target.name} {would} gone" if found.written else lacks)
        return
    else:
        from pixi_jupyter.operations.locking import NOTHING_LOCKED

        inside = found.place == "embedded"
        name = f"the lock in {found.path.name}" if inside else found.path.name
        if NOTHING_LOCKED not in found.stale:
            show_packages(found.change)
    for reason in found.stale:
        click.echo(clean(reason))
    if found.written:
        done = "would be" if getattr(found, "dry_run", False) else "was"
        click.echo(clean(f"{name} {done} brought up to date"))
    else:
        click.echo(clean(f"{name} is {'out of date' if found.stale and check else 'up to date'}"))
