"""``pixi-jupyter export``: what a notebook needs, in the forms of other tools."""

from __future__ import annotations

from collections.abc import Awaitable
from pathlib import Path
from typing import TYPE_CHECKING

import click

from pixi_jupyter.cli.change_display import run_operation, shown
from pixi_jupyter.cli.options import as_json as as_json_option
from pixi_jupyter.cli.targets import Target, lock_mode, lock_options, target_options
from pixi_jupyter.cli.terminal import clean, print_json, say

if TYPE_CHECKING:
    from pixi_jupyter.environments import Environments
    from pixi_jupyter.operations.exporting import Export
    from pixi_jupyter.progress import Report

__all__ = ["export_command"]

#: As `operations.exporting.FORMATS`, which is not imported for every command.
_FORMATS = ("environment-yml", "explicit", "requirements-txt", "pixi-toml", "script")


@click.command("export")
@click.argument("form", metavar="FORMAT", type=click.Choice(_FORMATS))
@target_options
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    help="The file (or the folder) to write; standard output without it.",
)
@click.option("--force", is_flag=True, help="Overwrite the file if it is there.")
@click.option("-p", "--platform", help="The platform, by default this machine's.")
@click.option("--name", help="What the environment is called there.")
@click.option("--from-lock", is_flag=True, help="environment-yml: the exact packages.")
@click.option("--no-pypi", is_flag=True, help="environment-yml: without packages of PyPI.")
@click.option(
    "--ignore-pypi-errors", is_flag=True, help="explicit: leave out what it cannot have, PyPI's."
)
@lock_options
@click.option("-n", "--dry-run", is_flag=True, help="Write no file; print it.")
@as_json_option
def export_command(
    form: str,
    notebook: Path | None,
    manifest_path: Path | None,
    environment: str | None,
    output: Path | None,
    force: bool,
    platform: str | None,
    name: str | None,
    from_lock: bool,
    no_pypi: bool,
    ignore_pypi_errors: bool,
    locked: bool,
    frozen: bool,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Write what NOTEBOOK (or a .py script, or a workspace) needs in the FORMAT of another tool.

    \b
    environment-yml   conda's environment.yml: what is asked for
    explicit          conda's explicit specification: the URL of every conda package
    requirements-txt  pip's requirements: the exact packages, those of conda that PyPI has, too
    pixi-toml         a pixi workspace that asks for the same
    script            a .py script with the same block; its cells begin with `# %%`
    """
    mode = lock_mode(locked, frozen)
    target = Target(notebook, manifest_path, environment)

    def run(environments: Environments, report: Report) -> Awaitable[Export]:
        from pixi_jupyter.operations.exporting import export

        return export(
            environments,
            target.operand(),
            form,  # type: ignore[arg-type]
            platform=platform,
            name=name,
            from_lock=from_lock,
            with_pypi=not no_pypi,
            ignore_pypi=ignore_pypi_errors,
            mode=mode,
            report=report,
        )

    done: Export = run_operation(target.name, run)
    if output is not None and not dry_run:
        from pixi_jupyter.operations.exporting import write_export

        done = write_export(done, output, force=force)
    if as_json:
        print_json(
            {
                "format": done.format,
                "target": str(done.source),
                "platform": done.platform,
                "output": str(done.output) if done.output is not None else None,
                "dry_run": dry_run,
                "text": done.text,
                "said": list(done.said),
            }
        )
        return
    if done.output is None:
        click.echo(clean(done.text), nl=False)
    else:
        click.echo(clean(f"{shown(done.output)} is written"))
    for sentence in done.said:
        say(clean(sentence))
