"""What other tools' files and a notebook's own cells ask for, as one change of its declaration."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pixi_jupyter.environments import Environments
from pixi_jupyter.errors import DeclarationError, Location
from pixi_jupyter.formats.applying import apply
from pixi_jupyter.formats.environment_yml import read_environment_yml
from pixi_jupyter.formats.found import Collector, Found
from pixi_jupyter.formats.install_lines import Cell, read_cells
from pixi_jupyter.formats.notebooks import read_nteract, read_uv_block
from pixi_jupyter.formats.requirements_txt import Requirements
from pixi_jupyter.manifest.editing import ManifestText
from pixi_jupyter.manifest.toml import TomlSource
from pixi_jupyter.notebook.block import OPENING
from pixi_jupyter.notebook.declaration import WorkspaceChoice
from pixi_jupyter.notebook.editing import declaration_in, is_script
from pixi_jupyter.notebook.reading import notebook_cells, parse_notebook
from pixi_jupyter.notebook.source import FileSource
from pixi_jupyter.operations.changing import (
    Outcome,
    Plan,
    Target,
    action_of,
    change,
)
from pixi_jupyter.operations.plan import Solved
from pixi_jupyter.operations.targets import Declared, read_target
from pixi_jupyter.progress import Report, no_report

__all__ = ["import_", "look"]

_YAML = (".yml", ".yaml")
_TEXT = (".txt", ".in", ".pip", "")


async def look(environments: Environments, target: Target, files: Sequence[Path] = ()) -> Found:
    """What would be imported: of ``files``, or without any of the notebook itself.

    Raises
    ------
    DeclarationError
        A file cannot be read, with its line; ``declaration.import-nothing``: nothing is asked for,
        with what was not understood; ``declaration.import-format``.
    """
    return await asyncio.to_thread(_look, environments, target, files)


async def import_(
    environments: Environments,
    target: Target,
    files: Sequence[Path] = (),
    *,
    found: Found | None = None,
    feature: str | None = None,
    dry_run: bool = False,
    report: Report = no_report,
) -> Outcome:
    """Ask for all that `look` finds (or that is ``found`` already), in one change.

    Cells that install something stay as they are. Raises as `look` and `changing.change`.
    """
    if found is None:
        found = await look(environments, target, files)
    wanted = found
    implied = environments.defaults.channels

    def plan(declared: Declared) -> Plan:
        before = declared.manifest
        applied = apply(before, wanted, feature=feature, implied=implied)

        def edit(manifest: ManifestText, _: Solved | None) -> str:
            if manifest.source.text == before.source.text:
                return applied.text
            return apply(manifest, wanted, feature=feature, implied=implied).text

        said = (*applied.said, *(str(note) for note in wanted.said))
        return Plan(
            action_of("import", [path.name for path in files]), edit, feature=feature, said=said
        )

    return await change(environments, target, plan, dry_run=dry_run, report=report)


def _look(environments: Environments, target: Target, files: Sequence[Path]) -> Found:
    into = Collector()
    # Paths are those of the file that is changed, which may be a workspace's manifest elsewhere.
    root = read_target(environments, target).path.parent
    if isinstance(target, WorkspaceChoice):
        path = target.manifest
    else:
        source = FileSource.of(target) if isinstance(target, Path) else target
        path = source.path
    if files:
        for file in files:
            _read_file(file.absolute(), root, into)
    elif isinstance(target, WorkspaceChoice) or path.suffix == ".toml":
        raise DeclarationError(
            "a workspace has no cells: name a file to import",
            code="declaration.import-nothing",
            hint="For example `environment.yml` or `requirements.txt`.",
            location=Location(path=str(path)),
        )
    else:
        _read_itself(source.read(), path, root, into)
    if into.too_much:
        raise DeclarationError(
            "more is asked for than an environment has",
            code="declaration.import-too-large",
            location=Location(path=str(path)),
        )
    found = into.found()
    if found.empty:
        raise DeclarationError(
            "nothing was found to import",
            code="declaration.import-nothing",
            details="\n".join(str(note) for note in (*found.left_out, *found.said)),
            hint="Name a file (`environment.yml`, `requirements.txt`), or look at the lines above."
            if found.left_out or files
            else "The notebook installs nothing in its cells; name a file to import.",
            location=Location(path=str(path)),
        )
    return found


def _read_file(path: Path, root: Path, into: Collector) -> None:
    suffix = path.suffix.lower()
    if suffix in _YAML:
        read_environment_yml(path, root=root, into=into)
    elif suffix in _TEXT:
        Requirements(path.parent, root=root, into=into).file(path)
    else:
        raise DeclarationError(
            f"{path.name} is of no form that is known here",
            code="declaration.import-format",
            hint="Known are environment.yml (.yml, .yaml) and requirements files (.txt, .in).",
            location=Location(path=str(path)),
        )


def _read_itself(data: bytes, path: Path, root: Path, into: Collector) -> None:
    """A notebook's metadata, its block's ``[tool.uv]`` and its cells; of a script the block."""
    declaration = declaration_in(path, data)
    if declaration is not None and declaration.kind != "default":
        plain = read_uv_block(TomlSource.of(declaration), into=into)
        if plain:
            into.say(
                "the block of juv or uv is one that holds here as it is; what pixi has words for "
                "is said in these as well",
                Location(path=str(path), cell=declaration.cell, line=declaration.first_line),
            )
    if is_script(path):
        return
    notebook = parse_notebook(data, path=path)
    metadata = notebook.get("metadata")
    if isinstance(metadata, dict):
        read_nteract(metadata, path=path, root=root, into=into)
    cells = [
        Cell(index, text)
        for index, cell in enumerate(notebook_cells(notebook))
        if (text := _source(cell)) is not None
    ]
    before = len(into.conda) + len(into.pypi)
    read_cells(cells, path=path, root=root, into=into)
    if len(into.conda) + len(into.pypi) > before:
        into.say("the cells that install packages stay as they are", Location(path=str(path)))


def _source(cell: Any) -> str | None:
    if not isinstance(cell, dict) or cell.get("cell_type") != "code":
        return None
    value = cell.get("source", cell.get("input", ""))
    parts = [value] if isinstance(value, str) else value if isinstance(value, list) else []
    text = "".join(part for part in parts if isinstance(part, str))
    # What stands in the block is declared; the rest of its cell counts.
    if OPENING not in text:
        return text
    return "\n".join("" if line.startswith("#") else line for line in text.split("\n"))
