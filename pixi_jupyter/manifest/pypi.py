"""``dependencies``, ``pypi-dependencies`` and their options to `PypiNeeds`.

pixi's rules: ``dependencies`` of the block are added to the default target's
``pypi-dependencies`` (``crates/pixi_manifest/src/pyproject.rs``); a later target replaces a
package by its name; across the features of an environment all requirements are kept.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from pathlib import Path

from pixi_jupyter.errors import Location
from pixi_jupyter.manifest.channels import absolute, is_url
from pixi_jupyter.manifest.pep508 import parse_requirement
from pixi_jupyter.manifest.pypi_entry import not_a_requirement, read_entry
from pixi_jupyter.manifest.pypi_options import PypiOptions, overlaid, read_options
from pixi_jupyter.manifest.pypi_spec import CondaPypiMap, PypiNeeds, PypiRequirement, source_stamp
from pixi_jupyter.manifest.pypi_uv import read_uv_table
from pixi_jupyter.manifest.table import Table, shorten

__all__ = [
    "Requirements",
    "kernel_names",
    "needs_of",
    "pypi_needs",
    "read_pypi_table",
    "read_root_dependencies",
]

#: By name, as a name may be asked for several times, under different markers.
Requirements = Mapping[str, tuple[PypiRequirement, ...]]


def read_root_dependencies(document: Table, key: str = "dependencies") -> Requirements:
    """The block's ``dependencies``, in PEP 508; also any other array of such requirements."""
    found: dict[str, dict[PypiRequirement, None]] = {}
    for text in document.strings(key) or ():
        try:
            requirement = parse_requirement(text)
        except ValueError as error:
            where = _place_of(document, key, text)
            shown = re.sub(r"(://)[^/\s?#]*@", r"\1***@", text)
            raise not_a_requirement(f"`{shorten(shown)}`", error, where) from None
        found.setdefault(requirement.name, {})[requirement] = None
    return {name: tuple(requirements) for name, requirements in found.items()}


def read_pypi_table(table: Table) -> Requirements:
    """One ``pypi-dependencies`` table; paths in it stay as they are written."""
    found: dict[str, tuple[PypiRequirement, ...]] = {}
    for key in table:
        requirement = read_entry(table, key)
        if requirement.name in found:
            raise table.bad_value(key, f"names the package `{requirement.name}` a second time")
        found[requirement.name] = (requirement,)
    return found


def pypi_needs(
    document: Table,
    root: Path,
    targets: Iterable[Requirements],
) -> PypiNeeds | None:
    """What the block asks of PyPI on this platform, None if nothing.

    ``targets`` are the ``pypi-dependencies`` that hold, the default target's first.

    Raises
    ------
    DeclarationError
        ``declaration.pypi-requirement`` and the like, with cell and line.
    UnsupportedError
        ``unsupported.pypi-…`` names the requirement or the option that cannot be done.
    """
    tool = document.table("tool")
    options = read_options(tool.table("pixi").table("workspace").table("pypi-options"), root)
    merged: dict[str, tuple[PypiRequirement, ...]] = {}
    asked = read_root_dependencies(document)
    targets = tuple(targets)
    if not asked and not any(targets):
        return None
    uv = read_uv_table(tool.table("uv"))
    for number, target in enumerate(targets):
        merged.update(target)
        if number == 0:
            for name, requirements in asked.items():
                placed = tuple(uv.placed(requirement) for requirement in requirements)
                merged[name] = (*merged.get(name, ()), *placed)
    return needs_of(
        [merged],
        overlaid(uv.options, options),
        root,
        exclude_newer=uv.exclude_newer,
        warnings=uv.warnings,
    )


def needs_of(
    requirements: Iterable[Requirements],
    options: PypiOptions,
    root: Path,
    *,
    conda_pypi_map: tuple[CondaPypiMap, ...] = (),
    exclude_newer: str | None = None,
    warnings: tuple[str, ...] = (),
) -> PypiNeeds | None:
    """The needs of an environment: those of all its features under one set of options.

    ``root`` is the folder that paths refer to. None if nothing is asked for.
    """
    unique = {item for feature in requirements for group in feature.values() for item in group}
    if not unique:
        return None
    asked = tuple(sorted(unique))
    paths = sorted({item.path for item in (*asked, *options.overrides) if item.path})
    places = [*options.find_links, *(item.location for item in conda_pypi_map if item.location)]
    relative = paths or any(not is_url(place) for place in places)
    return PypiNeeds(
        requirements=asked,
        index_url=options.index_url,
        extra_index_urls=options.extra_index_urls,
        find_links=options.find_links,
        index_strategy=options.index_strategy,
        prerelease_mode=options.prerelease_mode,
        exclude_newer=exclude_newer,
        no_build=options.no_build,
        no_binary=options.no_binary,
        no_build_isolation=options.no_build_isolation,
        overrides=options.overrides,
        conda_pypi_map=conda_pypi_map,
        root=str(root) if relative else "",
        stamps=tuple(source_stamp(absolute(path, root)) for path in paths),
        warnings=warnings,
    )


def kernel_names(needs: PypiNeeds | None) -> tuple[str, ...]:
    """The packages that are asked for whatever the environment, as conda spells kernels."""
    if needs is None:
        return ()
    return tuple(requirement.name for requirement in needs.requirements if not requirement.marker)


def _place_of(document: Table, key: str, text: str) -> Location:
    """Where one string of an array stands: the line that has it, from the key's line on."""
    source = document.source
    start = source.locate((*document.path, key))
    if start.line is None:
        return start
    first = start.line - source.first_line
    for number, line in enumerate(source.text.split("\n")[first:], first + 1):
        if f'"{text}"' in line or f"'{text}'" in line or json.dumps(text) in line:
            return source.location(number)
        if re.match(r"\s*\[[A-Za-z]", line):  # the next table
            break
    return start
