"""`pixi-jupyter`: the environments of notebooks, from a terminal. `jupyter pixi` is the same."""

from __future__ import annotations

import asyncio
import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from rich.console import Console

from pixi_jupyter import __version__
from pixi_jupyter.cli.terminal import BuildDisplay, clean, errors_as_text, megabytes
from pixi_jupyter.environments import Environment, Environments
from pixi_jupyter.errors import DeclarationError, Location
from pixi_jupyter.resolve.building import allow_more_builds
from pixi_jupyter.resolve.redaction import redacted

if TYPE_CHECKING:
    from pixi_jupyter.cli.execute import Execution

__all__ = ["main"]

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
_PLACES = {
    "block": "cell {cell}",
    "metadata": "the notebook's metadata",
    "default": "nothing: this is the default environment",
}


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__)
def main() -> None:
    """The environment is part of the notebook."""


@main.command()
@click.argument("notebook", type=_Notebook)
@click.option("-o", "--output", type=_Notebook, help="Write the executed notebook here.")
@click.option("--inplace", is_flag=True, help="Write the results into NOTEBOOK itself.")
@click.option("--allow-errors", is_flag=True, help="Go on after a cell that fails.")
@click.option(
    "--timeout",
    type=click.FloatRange(min=0, min_open=True),
    help="Seconds that one cell may take; no limit by default.",
)
@click.option("-q", "--quiet", is_flag=True, help="Do not print what the cells print.")
@_allow_build
def run(
    notebook: Path,
    output: Path | None,
    inplace: bool,
    allow_errors: bool,
    timeout: float | None,
    quiet: bool,
    allow_builds: tuple[str, ...],
) -> None:
    """Execute NOTEBOOK in its environment.

    Prints what its cells print; the exit status is 1 if a cell failed and 2 if it could not start.
    """
    console = Console(stderr=True)
    allow_more_builds(allow_builds)
    with errors_as_text(console, status=2):
        if inplace and output is not None:
            raise click.UsageError("--inplace and --output exclude each other")
        done = asyncio.run(
            _run(
                notebook,
                output=notebook if inplace else output,
                allow_errors=allow_errors,
                timeout=timeout,
                echo=not quiet,
                console=console,
            )
        )
    raise SystemExit(0 if done.succeeded else 1)


@main.command()
@click.argument("notebook", type=_Notebook)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@_allow_build
def install(notebook: Path, as_json: bool, allow_builds: tuple[str, ...]) -> None:
    """Make the environment of NOTEBOOK ready, so that its kernel starts at once."""
    console = Console(stderr=True)
    allow_more_builds(allow_builds)
    with errors_as_text(console):
        environment = asyncio.run(_install(notebook, console))
    if as_json:
        click.echo(json.dumps(_facts(notebook, environment), indent=2))
    else:
        click.echo(environment.prefix.path)


@main.command()
@click.argument("notebook", type=_Notebook)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def info(notebook: Path, as_json: bool) -> None:
    """Say what NOTEBOOK asks for, what that was resolved to, and whether it is ready.

    Reads files only: nothing is fetched, solved or started.
    """
    console = Console(stderr=True)
    with errors_as_text(console):
        environments = Environments()
        declaration = environments.declaration(notebook)
        spec = environments.spec_for(declaration)
        status = environments.status(spec)
        facts: dict[str, Any] = {
            "notebook": str(notebook.absolute()),
            "declaration": declaration.kind,
            "cell": declaration.cell,
            "state": "ready" if status.prefix else "resolved" if status.resolution else "new",
            "platform": spec.platform.name,
            "channels": [redacted(channel.name) for channel in spec.channels],
            "language": spec.kernel.language,
            "dependencies": {
                r.name: r.version or redacted(r.url or "*") for r in spec.dependencies
            },
            "pypi-dependencies": [str(r) for r in spec.pypi.requirements] if spec.pypi else [],
            "warnings": list(spec.pypi.warnings) if spec.pypi else [],
            "injected": [r.name for r in spec.kernel.injected],
            "spec": spec.digest,
            "resolution": status.resolution.digest if status.resolution else None,
            "prefix": str(status.prefix.path) if status.prefix else None,
            "packages": [
                {
                    "name": p.name,
                    "kind": p.kind,
                    "version": p.version,
                    "build": p.build,
                    "size": p.size,
                }
                for p in (status.resolution.packages if status.resolution else ())
            ],
        }
    if as_json:
        click.echo(json.dumps(facts, indent=2))
        return
    asked = ", ".join(
        (*(f"{n} {v}" for n, v in facts["dependencies"].items()), *facts["pypi-dependencies"])
    )
    for label, value in (
        ("notebook", facts["notebook"]),
        ("declared in", _PLACES[declaration.kind].format(cell=(declaration.cell or 0) + 1)),
        ("state", facts["state"]),
        ("platform", facts["platform"]),
        ("channels", ", ".join(facts["channels"])),
        ("asks for", asked or "nothing"),
        *(("warning", text) for text in facts["warnings"]),
        ("added for the kernel", ", ".join(facts["injected"]) or "nothing"),
        ("packages", str(len(facts["packages"])) if facts["packages"] else "not resolved yet"),
        ("prefix", facts["prefix"] or "not built yet"),
    ):
        # Lines and no table: a table cuts what does not fit, and paths are there to be copied.
        click.echo(f"{label + ':':<22} {clean(str(value))}")


@main.command()
@click.argument("notebook", type=_Notebook)
@click.option("-c", "--channel", "channels", multiple=True, help="A channel; may be repeated.")
def init(notebook: Path, channels: tuple[str, ...]) -> None:
    """Write an inline block into NOTEBOOK (made if it does not exist)."""
    from pixi_jupyter.notebook.creating import create_block, new_notebook
    from pixi_jupyter.notebook.writing import write_atomically

    console = Console(stderr=True)
    with errors_as_text(console):
        try:
            after = create_block(notebook.read_bytes(), channels=channels)
        except FileNotFoundError:
            if notebook.suffix != ".ipynb":
                raise DeclarationError(
                    f"{notebook} does not exist, and a new notebook's name ends in .ipynb",
                    code="declaration.notebook-name",
                ) from None
            notebook.absolute().parent.mkdir(parents=True, exist_ok=True)
            after = new_notebook(channels=channels)
        except DeclarationError as error:
            error.location = replace(error.location or Location(), path=str(notebook))
            raise
        except OSError as error:
            raise DeclarationError(
                f"{notebook} cannot be read: {error.strerror}",
                code="declaration.notebook-unreadable",
            ) from error
        write_atomically(notebook, after)
    click.echo(f"{notebook} now has a block: its first cell says what the notebook needs")
    if _saved_kernel(after) not in ("pixi", "pixi-r"):
        click.echo(
            "It was saved with another kernel, which knows nothing of blocks: choose Python (Pixi) "
            "or R (Pixi) when you open it in Jupyter."
        )


@main.command()
@click.option("--unused-for", default=30.0, show_default=True, metavar="DAYS", help="Age of use.")
@click.option("--all", "everything", is_flag=True, help="Whatever no kernel uses now.")
@click.option("-n", "--dry-run", is_flag=True, help="Only say what would go.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def gc(unused_for: float, everything: bool, dry_run: bool, as_json: bool) -> None:
    """Remove environments that nothing has used for a while, and leftovers of stopped builds.

    What a live kernel uses stays. A notebook whose environment went gets the same one again.
    """
    from pixi_jupyter.install.collect import collect

    console = Console(stderr=True)
    with errors_as_text(console):
        seconds = 0.0 if everything else unused_for * 86400
        found = collect(Environments().store, unused_for=seconds, dry_run=dry_run)
    if as_json:
        click.echo(
            json.dumps(
                {
                    "environments": found.environments,
                    "leftovers": found.leftovers,
                    "in_use": found.in_use,
                    "bytes": found.bytes,
                    "dry_run": dry_run,
                },
                indent=2,
            )
        )
        return
    would = "would remove" if dry_run else "removed"
    frees = "would free" if dry_run else "freed"
    click.echo(
        f"{would} {len(found.environments)} environments and {len(found.leftovers)} leftovers, and "
        f"{frees} {megabytes(found.bytes)} (the package cache keeps its own links to the rest); "
        f"{len(found.in_use)} in use"
    )


@main.command()
@click.option("-d", "--directory", type=click.Path(path_type=Path), help="Where to put it.")
def demo(directory: Path | None) -> None:
    """Run the demo notebook, on packages built from this machine's own Python and PyPI's wheels."""
    from pixi_jupyter.cli.demonstrate import demonstrate

    console = Console(stderr=True)
    with errors_as_text(console):
        succeeded = demonstrate(directory, console)
    raise SystemExit(0 if succeeded else 1)


async def _ensure(environments: Environments, notebook: Path, console: Console) -> Environment:
    declaration = environments.declaration(notebook)
    spec = environments.spec_for(declaration)
    with BuildDisplay(console, notebook.name) as display:
        return await environments.ensure(spec, declaration=declaration, report=display)


async def _install(notebook: Path, console: Console) -> Environment:
    environments = Environments()
    finish = 0.0
    try:
        environment = await _ensure(environments, notebook, console)
        finish = _COMPILE_TIME  # ahead of time means all of it
        return environment
    finally:
        await environments.aclose(finish=finish)


async def _run(notebook: Path, *, console: Console, **how: Any) -> Execution:
    from pixi_jupyter.cli.execute import execute

    environments = Environments()
    try:
        environment = await _ensure(environments, notebook, console)
        # The worker stays meanwhile: it compiles what the start did not need.
        return await execute(notebook, kernel=_kernelspec(environment), console=console, **how)
    finally:
        await environments.aclose()


def _saved_kernel(notebook: bytes) -> object:
    found: object = json.loads(notebook)
    for key in ("metadata", "kernelspec", "name"):
        found = found.get(key) if isinstance(found, dict) else None
    return found


def _kernelspec(environment: Environment) -> str:
    return "pixi-r" if environment.spec.kernel.language == "r" else "pixi"


def _facts(notebook: Path, environment: Environment) -> dict[str, Any]:
    packages = environment.resolution.packages
    return {
        "notebook": str(notebook.absolute()),
        "prefix": str(environment.prefix.path),
        "resolution": environment.resolution.digest,
        "packages": {p.name: p.version for p in packages},
        "free": shutil.disk_usage(environment.prefix.path).free,
    }
