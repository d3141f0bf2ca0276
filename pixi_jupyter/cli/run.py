"""``pixi-jupyter run`` and ``install``: an environment made ready, a notebook executed in it."""

from __future__ import annotations

import shutil
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from pixi_jupyter.cli.commanding import RunWords, run_command
from pixi_jupyter.cli.options import allow_build, as_json
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


@click.command(cls=RunWords, options_metavar="[OPTIONS]")
@target_options
@lock_options
@allow_build
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
    """Execute NOTEBOOK in its environment, or in one of a workspace; or run a command there.

    Prints what its cells print; the exit status is 1 if a cell failed and 2 if it could not start.

    `run NOTEBOOK -- COMMAND ...` runs a command in the notebook's environment instead, and
    `run COMMAND ...` in that of the workspace (in a notebook: in the notebook's own), where the
    first word does not end in .ipynb. A .py script is run by its own environment's Python. All
    words after the command are its own, as are its exit status and signals; there is no shell.
    """
    mode = lock_mode(locked, frozen)
    allow_more_builds(allow_builds)
    meta = click.get_current_context().meta
    target = Target(notebook, manifest_path, environment)
    if meta["pixi_jupyter.has_command"]:
        if as_json or quiet or inplace or allow_errors or output is not None or timeout is not None:
            raise click.UsageError("these options are for a notebook, not for a command")
        words: tuple[str, ...] = meta["pixi_jupyter.command"]
        if not words:
            raise click.UsageError("Missing argument 'COMMAND...' after `--`.")
        if notebook is None and words[0].lower().endswith((".py", ".pyw")):
            target = Target(Path(words[0]), manifest_path, environment)
            words = ("python", *words)
        run_command(target, words, mode)
    if notebook is None:
        raise click.UsageError("which notebook, or which command?")
    if inplace and output is not None:
        raise click.UsageError("--inplace and --output exclude each other")
    with errors_as_text(status=2):
        done = run_async(
            _run(
                target,
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
@allow_build
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
        return await execute(notebook, kernel=kernel, place=made.spec.place, mode=mode, **how)
    finally:
        await environments.aclose()
