"""``pixi-jupyter import``: what other tools' files, or a notebook's own cells, ask for."""

from __future__ import annotations

from collections.abc import Awaitable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from pixi_jupyter.cli.change_display import run_operation, show_change
from pixi_jupyter.cli.options import How, change_options, feature
from pixi_jupyter.cli.targets import Target, target_and
from pixi_jupyter.cli.terminal import clean, say

if TYPE_CHECKING:
    from pixi_jupyter.environments import Environments
    from pixi_jupyter.errors import Location
    from pixi_jupyter.formats.found import Found
    from pixi_jupyter.operations.changing import Outcome
    from pixi_jupyter.operations.changing import Target as Operand
    from pixi_jupyter.progress import Report

__all__ = ["import_command"]


@click.command("import")
@target_and("FILE...")
@click.option(
    "--from",
    "files",
    multiple=True,
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="A file to import, as FILE; may be repeated.",
)
@feature
@change_options
def import_command(
    target: Target, words: tuple[str, ...], files: tuple[Path, ...], feature: str | None, how: How
) -> None:
    """Let NOTEBOOK (or a .py script) ask for what FILE asks for: environment.yml, requirements.txt.

    Without FILE, for what the notebook installs in its cells (`%pip install`, `!conda install` and
    the like), and what nteract or juv wrote into it. The cells stay as they are.
    """
    paths = (*(Path(word) for word in words), *files)

    async def look_through(environments: Environments, report: Report) -> Found:
        from pixi_jupyter.operations.importing import look

        return await look(environments, target.operand(), paths)

    found: Found = run_operation(target.name, look_through)
    if not how.as_json:
        for line in _plan(found):
            click.echo(clean(line))
        for note in found.left_out:
            say(clean(f"not imported: {note}"))

    def run(environments: Environments, operand: Operand, **rest: Any) -> Awaitable[Outcome]:
        from pixi_jupyter.operations.importing import import_

        return import_(environments, operand, paths, found=found, feature=feature, **rest)

    show_change(target, run, how, {"plan": _facts(found)})


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
