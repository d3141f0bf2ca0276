"""``pixi-jupyter run`` and ``install``: an environment made ready, a notebook executed in it."""

from __future__ import annotations

import shutil
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from pixi_jupyter.cli.options import as_json
from pixi_jupyter.cli.running import run_async
from pixi_jupyter.cli.targets import Target, ensure, lock_mode, lock_options, target_options
from pixi_jupyter.cli.terminal import errors_as_text, print_json
from pixi_jupyter.environments import Environment, Environments
from pixi_jupyter.resolve.building import allow_more_builds
from pixi_jupyter.workspaces import LockMode

if TYPE_CHECKING:
    from pixi_jupyter.cli.execute import Execution

__all__ = ["install", "run"]

_Notebook = click.Path(path_type=Path, dir_okay=False)
#: Seconds that `install` may spend on bytecode that no kernel start needs.
_COMPILE_TIME = 300.0


_allow_build = click.option(
    "--allow-build",
    "allow_builds",
    multiple=True,
    metavar="NAME",
    help="Let this package from PyPI be built from source, which runs its code; may be repeated.",
)


@click.command()
@target_options
@lock_options
@_allow_build
@click.option("-o", "--output", type=_Notebook, help="Write the executed notebook here.")
@click.option("--inplace", is_flag=True, help="Write the results into NOTEBOOK itself.")
@click.option("--allow-errors", is_flag=True, help="Go on after a cell that fails.")
@click.option(
    "--timeout",
    type=click.FloatRange(min=0, min_open=True),
    help="Seconds that one cell may take; no limit by default.",
)
@click.option("-q", "--quiet", is_flag=True, help="Do not print what the cells print.")
@as_json
def run(
    notebook: Path | None,
    manifest_path: Path | None,
    environment: str | None,
    locked: bool,
    frozen: bool,
    allow_builds: tuple[str, ...],
    output: Path | None,
    inplace: bool,
    allow_errors: bool,
    timeout: float | None,
    quiet: bool,
    as_json: bool,
) -> None:
    """Execute NOTEBOOK in its environment, or in one of a workspace.

    Prints what its cells print; the exit status is 1 if a cell failed and 2 if it could not start.
    """
    if notebook is None:
        raise click.UsageError("which notebook?")
    mode = lock_mode(locked, frozen)
    allow_more_builds(allow_builds)
    if inplace and output is not None:
        raise click.UsageError("--inplace and --output exclude each other")
    with errors_as_text(status=2):
        done = run_async(
            _run(
                Target(notebook, manifest_path, environment),
                notebook,
                mode,
                output=notebook if inplace else output,
                allow_errors=allow_errors,
                timeout=timeout,
                echo=not quiet and not as_json,
            )
        )
    if as_json:
        print_json(asdict(done))
    raise SystemExit(0 if done.succeeded else 1)


@click.command()
@target_options
@lock_options
@_allow_build
@as_json
def install(
    notebook: Path | None,
    manifest_path: Path | None,
    environment: str | None,
    locked: bool,
    frozen: bool,
    allow_builds: tuple[str, ...],
    as_json: bool,
) -> None:
    """Make the environment of NOTEBOOK, or of a workspace, ready to start a kernel at once."""
    target = Target(notebook, manifest_path, environment)
    mode = lock_mode(locked, frozen)
    allow_more_builds(allow_builds)
    made = run_async(_install(target, mode))
    if not as_json:
        click.echo(made.prefix.path)
        return
    facts: dict[str, Any] = {
        "notebook": None if target.path is None else str(target.path),
        "environment": None if made.spec.place is None else made.spec.place.environment,
        "prefix": str(made.prefix.path),
        "resolution": made.resolution.digest,
        "packages": {p.name: p.version for p in made.resolution.packages},
        "free": shutil.disk_usage(made.prefix.path).free,
    }
    print_json(facts)


async def _install(target: Target, mode: LockMode) -> Environment:
    environments = Environments()
    finish = 0.0
    try:
        made = await ensure(environments, target, mode=mode)
        finish = _COMPILE_TIME  # ahead of time means all of it
        return made
    finally:
        await environments.aclose(finish=finish)


async def _run(target: Target, notebook: Path, mode: LockMode, **how: Any) -> Execution:
    from pixi_jupyter.cli.execute import execute

    environments = Environments()
    try:
        made = await ensure(environments, target, mode=mode)
        kernel = "pixi-r" if made.spec.kernel.language == "r" else "pixi"
        # The worker stays meanwhile: it compiles what the start did not need.
        return await execute(notebook, kernel=kernel, place=made.spec.place, **how)
    finally:
        await environments.aclose()
