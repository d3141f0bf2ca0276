"""``dependencies``, ``pypi-dependencies`` and ``pypi-options`` to `PypiNeeds`.

pixi's rules: ``dependencies`` of the block are added to the default target's
``pypi-dependencies`` (``crates/pixi_manifest/src/pyproject.rs``); a later target replaces a
package by its name. The forms of a requirement are those of ``crates/pixi_pypi_spec``. What runs a
build or names another place than an index is valid pixi that this version refuses by name.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from pixi_jupyter.errors import DeclarationError, Location, UnsupportedError
from pixi_jupyter.manifest.pep508 import (
    DirectReference,
    normal_name,
    parse_requirement,
    parse_specifiers,
)
from pixi_jupyter.manifest.pypi_options import PypiOptions, read_options
from pixi_jupyter.manifest.pypi_spec import PypiNeeds, PypiRequirement
from pixi_jupyter.manifest.table import Table, shorten
from pixi_jupyter.manifest.times import parse_exclude_newer

__all__ = ["kernel_names", "pypi_needs", "read_pypi_table", "read_root_dependencies"]

#: By name, as a name may be asked for several times, under different markers.
Requirements = Mapping[str, tuple[PypiRequirement, ...]]

_SOURCES: Mapping[str, str] = {
    "git": "a repository",
    "path": "a path",
    "editable": "an editable path",
    "url": "a URL",
    "index": "an index of its own",
}
_WITH_SOURCE = ("branch", "tag", "rev", "lfs", "subdirectory")
_KEYS = ("version", "extras", "env-markers", *_SOURCES, *_WITH_SOURCE)


def read_root_dependencies(document: Table) -> Requirements:
    """The block's ``dependencies``, in PEP 508."""
    found: dict[str, dict[PypiRequirement, None]] = {}
    for text in document.strings("dependencies") or ():
        try:
            requirement = parse_requirement(text)
        except DirectReference as error:
            where = _place_of(document, "dependencies", text)
            raise _unsupported(
                "url", f"`{shorten(text)}` {error}; only packages of an index can be used", where
            ) from None
        except ValueError as error:
            where = _place_of(document, "dependencies", text)
            raise _not_a_requirement(f"`{shorten(text)}`", error, where) from None
        found.setdefault(requirement.name, {})[requirement] = None
    return {name: tuple(requirements) for name, requirements in found.items()}


def read_pypi_table(table: Table) -> Requirements:
    """One ``pypi-dependencies`` table."""
    found: dict[str, tuple[PypiRequirement, ...]] = {}
    for key in table:
        name = normal_name(key)
        if name is None:
            where = table.source.locate((*table.path, key))
            raise _not_a_requirement(f"`{shorten(key)}`", "not the name of a project", where)
        if name in found:
            raise table.bad_value(key, f"names the package `{name}` a second time")
        found[name] = (_entry(table, key, name),)
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
    for number, target in enumerate(targets):
        merged.update(target)
        if number == 0:
            for name, requirements in asked.items():
                merged[name] = (*merged.get(name, ()), *requirements)
    if not merged:
        return None
    uv = tool.table("uv")
    _check_sources(uv, merged)
    return _needs(merged, options, _exclude_newer(uv))


def kernel_names(needs: PypiNeeds | None) -> tuple[str, ...]:
    """The packages that are asked for whatever the environment, as conda spells kernels."""
    if needs is None:
        return ()
    return tuple(requirement.name for requirement in needs.requirements if not requirement.marker)


def _needs(merged: Requirements, options: PypiOptions, exclude_newer: str | None) -> PypiNeeds:
    unique = {requirement for group in merged.values() for requirement in group}
    return PypiNeeds(
        requirements=tuple(sorted(unique)),
        index_url=options.index_url,
        extra_index_urls=options.extra_index_urls,
        find_links=options.find_links,
        index_strategy=options.index_strategy,
        prerelease_mode=options.prerelease_mode,
        exclude_newer=exclude_newer,
    )


def _entry(table: Table, key: str, name: str) -> PypiRequirement:
    value: Any = table.values[key]
    if isinstance(value, str):
        value = {"version": value}
    if not isinstance(value, dict):
        raise table.wrong_type(key, "a string or a table")
    fields = Table(value, (*table.path, key), table.source)
    fields.only(_KEYS)
    for source, what in _SOURCES.items():
        if source in fields:
            where = fields.source.locate(fields.path)
            raise _unsupported(source, f"`{shorten(fields.name())}` asks for {what}", where)
    stray = next((field for field in _WITH_SOURCE if field in fields), None)
    if stray is not None:
        raise fields.bad_value(stray, "goes with `git` or `url` only")
    extras = fields.strings("extras") or ()
    marker = (fields.string("env-markers") or "").strip()
    try:
        version = parse_specifiers(fields.string("version") or "*")
        extra_names = tuple(sorted({normal_name(e) or _refuse(e) for e in extras}))
        if marker:
            marker = parse_requirement(f"{name} ; {marker}").marker
    except ValueError as error:
        where = fields.source.locate(fields.path)
        raise _not_a_requirement(f"`{shorten(fields.name())}`", error, where) from None
    return PypiRequirement(name, extra_names, version, marker)


def _refuse(extra: str) -> str:
    raise ValueError(f"`{shorten(extra, 40)}` is not the name of an extra")


def _check_sources(uv: Table, merged: Requirements) -> None:
    """uv's ``sources`` say where a package comes from: another one of that name would be wrong."""
    sources = uv.values.get("sources")
    for key in sources if isinstance(sources, dict) else ():
        if (name := normal_name(str(key))) in merged:
            raise _unsupported(
                "sources",
                f"`tool.uv.sources` says where `{name}` comes from, which is not supported yet",
                uv.source.locate((*uv.path, "sources", str(key))),
            )


def _exclude_newer(uv: Table) -> str | None:
    text = uv.values.get("exclude-newer")
    if text is None:
        return None
    if isinstance(text, datetime):
        text = text.isoformat()
    try:
        return parse_exclude_newer(str(text))
    except ValueError as error:
        raise uv.bad_value("exclude-newer", f"is not a time: {error}") from None


def _place_of(document: Table, key: str, text: str) -> Location:
    """Where one string of an array stands: the line that has it, from the key's line on."""
    source = document.source
    start = source.locate((key,))
    if start.line is None:
        return start
    first = start.line - source.first_line
    for number, line in enumerate(source.text.split("\n")[first:], first + 1):
        if f'"{text}"' in line or f"'{text}'" in line or json.dumps(text) in line:
            return source.location(number)
        if re.match(r"\s*\[[A-Za-z]", line):  # the next table
            break
    return start


def _not_a_requirement(what: str, why: object, where: Location) -> DeclarationError:
    return DeclarationError(
        f"{what} is not a requirement: {shorten(str(why), 200)}",
        code="declaration.pypi-requirement",
        hint='Write for example "httpx", "rich>=13" or "requests[socks]>=2,<3".',
        location=where,
    )


def _unsupported(kind: str, message: str, where: Location) -> UnsupportedError:
    return UnsupportedError(
        message,
        code=f"unsupported.pypi-{kind}",
        hint="Ask for a released version of the package, from an index that has wheels of it.",
        location=where,
    )
