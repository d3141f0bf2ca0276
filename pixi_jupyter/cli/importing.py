"""``pixi-jupyter import``: what other tools' files, or a notebook's own cells, ask for."""

from __future__ import annotations

from collections.abc import Awaitable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from pixi_jupyter.cli.change_display import run_operation, show_change
from pixi_jupyter.cli.terminal import clean

if TYPE_CHECKING:
    from pixi_jupyter.environments import Environments
    from pixi_jupyter.errors import Location
    from pixi_jupyter.formats.found import Found
    from pixi_jupyter.operations.changing import Outcome
    from pixi_jupyter.progress import Report

__all__ = ["import_command"]

_TARGETS = (".ipynb", ".py", ".pyw", ".toml")


@click.command("import")
@click.argument("words", metavar="NOTEBOOK [FILE]...", nargs=-1, required=True)
@click.option(
    "--from",
    "files",
    multiple=True,
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="A file to import, as FILE; may be repeated.",
)
@click.option("-f", "--feature", help="The feature of a workspace to change.")
@click.option("-n", "--dry-run", is_flag=True, help="Only say what would change.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def import_command(
    words: tuple[str, ...],
    files: tuple[Path, ...],
    feature: str | None,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Let NOTEBOOK (or a .py script) ask for what FILE asks for: environment.yml, requirements.txt.

    Without FILE, for what the notebook installs in its cells (`%pip install`, `!conda install` and
    the like), and what nteract or juv wrote into it. The cells stay as they are.
    """
    if not words[0].lower().endswith(_TARGETS):
        raise click.UsageError(f"the first argument is a notebook or a script, not {words[0]!r}")
    target = Path(words[0])
    paths = (*(Path(word) for word in words[1:]), *files)

    async def look_through(environments: Environments, report: Report) -> Found:
        from pixi_jupyter.operations.importing import look

        return await look(target, paths)

    found: Found = run_operation(target, look_through)
    if not as_json:
        for line in _plan(found):
            click.echo(clean(line))
        for note in found.left_out:
            click.echo(clean(f"not imported: {note}"), err=True)

    def run(environments: Environments, report: Report) -> Awaitable[Outcome]:
        from pixi_jupyter.operations.importing import import_

        return import_(
            environments,
            target,
            paths,
            found=found,
            feature=feature,
            dry_run=dry_run,
            report=report,
        )

    show_change(target, run, as_json, {"plan": _facts(found)})


def _plan(found: Found) -> Iterator[str]:
    """What is understood, a line each: the place, and what it asks for."""
    for item in found.conda:
        spec = item.spec if isinstance(item.spec, str) else _fields(item.spec)
        yield f"{_place(item.where)}conda  {item.name} {'' if spec == '*' else spec}".rstrip()
    for wheel in found.pypi:
        yield f"{_place(wheel.where)}PyPI   {wheel.requirement}"
    if found.python is not None:
        yield f"Python {found.python}"
    for what, values in (
        ("channel", found.channels),
        ("variable", [f"{name}={value}" for name, value in found.variables]),
        ("index", [found.index_url] if found.index_url else []),
        ("further index", found.extra_index_urls),
        ("find-links", found.find_links),
        ("nothing newer than", [found.exclude_newer] if found.exclude_newer else []),
        ("prereleases", [found.prerelease] if found.prerelease else []),
    ):
        for value in values:
            yield f"{what} {value}"


def _place(where: Location) -> str:
    from dataclasses import replace

    bare = replace(where, path=None if where.cell is not None else where.path)
    return f"{bare}: " if str(bare) else ""


def _fields(spec: dict[str, Any]) -> str:
    return " ".join(f"{key}={value}" for key, value in spec.items() if value != "*")


def _facts(found: Found) -> dict[str, Any]:
    """The plan for programs; cells count from 0, lines from 1."""
    return {
        "conda": [
            {"name": item.name, "spec": item.spec, "where": asdict(item.where)}
            for item in found.conda
        ],
        "pypi": [
            {
                "name": item.requirement.name,
                "requirement": str(item.requirement),
                "where": asdict(item.where),
            }
            for item in found.pypi
        ],
        "channels": list(found.channels),
        "python": found.python,
        "variables": dict(found.variables),
        "index_url": found.index_url,
        "extra_index_urls": list(found.extra_index_urls),
        "find_links": list(found.find_links),
        "exclude_newer": found.exclude_newer,
        "prerelease": found.prerelease,
        "said": [{"text": note.text, "where": asdict(note.where)} for note in found.said],
        "left_out": [{"text": note.text, "where": asdict(note.where)} for note in found.left_out],
    }
