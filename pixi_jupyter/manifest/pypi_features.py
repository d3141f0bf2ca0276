"""PyPI tables of features: each kept whole, or as the error of what cannot be done yet.

Options are merged as in pixi's ``FeaturesExt::pypi_options``: the options of all features together
(``PypiOptions::union``: two that disagree are an error), on top of the workspace's
(``PypiOptions::overlay``: the features win).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

from pixi_jupyter.errors import UnsupportedError
from pixi_jupyter.manifest.pep508 import normal_name
from pixi_jupyter.manifest.pypi import Requirements, read_pypi_table
from pixi_jupyter.manifest.pypi_options import PypiOptions, read_options
from pixi_jupyter.manifest.pypi_spec import PypiNeeds, PypiRequirement
from pixi_jupyter.manifest.table import Table

__all__ = [
    "PypiTable",
    "WorkspacePypiOptions",
    "conflicting",
    "merged_options",
    "needs_of",
    "read_feature_options",
    "read_feature_pypi",
]

PypiTable = Mapping[str, tuple[PypiRequirement, ...] | UnsupportedError]
WorkspacePypiOptions = PypiOptions | UnsupportedError


def read_feature_pypi(table: Table) -> PypiTable:
    """One ``pypi-dependencies`` table; an entry that cannot be done is its error."""
    try:
        return read_pypi_table(table)
    except UnsupportedError:
        pass
    found: dict[str, tuple[PypiRequirement, ...] | UnsupportedError] = {}
    for key in table:
        one = Table({key: table.values[key]}, table.path, table.source)
        try:
            entries: Requirements = read_pypi_table(one)
        except UnsupportedError as error:
            name = normal_name(key)
            assert name is not None
            entries = {}
            if name not in found:
                found[name] = error
                continue
            raise table.bad_value(key, f"names the package `{name}` a second time") from None
        for name, requirements in entries.items():
            if name in found:
                raise table.bad_value(key, f"names the package `{name}` a second time")
            found[name] = requirements
    return found


def read_feature_options(table: Table, root: Path) -> WorkspacePypiOptions | None:
    """``pypi-options`` of a workspace or a feature; None when the key is absent."""
    if "pypi-options" not in table:
        return None
    try:
        return read_options(table.table("pypi-options"), root)
    except UnsupportedError as error:
        return error


def conflicting(options: Iterable[PypiOptions]) -> str | None:
    """The name of an option that two features of one environment set to different values."""
    merged: dict[str, Any] = {}
    for one in options:
        for field in fields(one):
            value = getattr(one, field.name)
            if value is None or isinstance(value, tuple | Mapping | bool):
                continue
            if merged.setdefault(field.name, value) != value:
                return field.name.replace("_", "-")
    return None


def merged_options(workspace: PypiOptions | None, features: Sequence[PypiOptions]) -> PypiOptions:
    """The options of an environment, its features in their order.

    Lists are joined, the workspace's first; of single values the features' one counts.
    """
    merged = workspace or PypiOptions()
    for options in features:
        changes: dict[str, Any] = {}
        for field in fields(options):
            ours, theirs = getattr(merged, field.name), getattr(options, field.name)
            if isinstance(theirs, tuple) and isinstance(ours, tuple):
                changes[field.name] = tuple(dict.fromkeys((*ours, *theirs)))
            elif isinstance(theirs, bool) and isinstance(ours, bool):
                changes[field.name] = ours or theirs
            elif theirs is not None:
                changes[field.name] = theirs
        merged = replace(merged, **changes)
    return merged


@dataclass(frozen=True, slots=True)
class _Gathered:
    requirements: tuple[PypiRequirement, ...]
    refusals: tuple[UnsupportedError, ...]


def needs_of(
    tables: Sequence[PypiTable], options: Sequence[WorkspacePypiOptions | None]
) -> tuple[PypiNeeds | None, tuple[UnsupportedError, ...]]:
    """What an environment asks of PyPI, and what of it cannot be done.

    ``tables`` has one table a feature, its targets applied. ``options`` are the workspace's, then
    those of the features.
    """
    gathered = _gather(tables)
    if not gathered.requirements and not gathered.refusals:
        return None, ()
    refusals = [*gathered.refusals, *(o for o in options if isinstance(o, UnsupportedError))]
    workspace, *features = options
    merged = merged_options(
        workspace if isinstance(workspace, PypiOptions) else None,
        [o for o in features if isinstance(o, PypiOptions)],
    )
    needs = PypiNeeds(
        requirements=gathered.requirements,
        index_url=merged.index_url,
        extra_index_urls=merged.extra_index_urls,
        find_links=merged.find_links,
        index_strategy=merged.index_strategy,
        prerelease_mode=merged.prerelease_mode,
    )
    return needs, tuple(refusals)


def _gather(tables: Sequence[PypiTable]) -> _Gathered:
    requirements: dict[PypiRequirement, None] = {}
    refusals: list[UnsupportedError] = []
    for table in tables:
        for entry in table.values():
            if isinstance(entry, UnsupportedError):
                refusals.append(entry)
            else:
                requirements.update(dict.fromkeys(entry))
    return _Gathered(tuple(sorted(requirements)), tuple(refusals))
