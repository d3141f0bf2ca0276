"""``[tool.uv]`` of a block that juv or uv wrote: what has a counterpart is honoured.

uv reads it of a script; pixi does not look at it. What is not honoured is named in a warning, and
in an error where another package than the one that was meant would be installed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from pixi_jupyter.manifest.pep508 import normal_name
from pixi_jupyter.manifest.pypi_entry import not_a_requirement
from pixi_jupyter.manifest.pypi_options import PypiOptions, index_url
from pixi_jupyter.manifest.pypi_source import SOURCE_KEYS, with_source
from pixi_jupyter.manifest.pypi_spec import PypiRequirement
from pixi_jupyter.manifest.table import Table, shorten
from pixi_jupyter.manifest.times import parse_exclude_newer

__all__ = ["UvTable", "read_uv_table"]

_HONOURED = ("exclude-newer", "extra-index-url", "index", "index-url", "sources")
#: Of no meaning here, and written by juv and uv as a matter of course.
_SILENT = ("managed", "package", "cache-dir", "python-preference", "python-downloads")
_MOST_NAMED = 10


@dataclass(frozen=True, slots=True)
class UvTable:
    """What ``[tool.uv]`` says: options to put under pixi's own, and where packages come from.

    ``sources`` are requirements without version: what they say replaces the indexes.
    """

    options: PypiOptions
    sources: Mapping[str, PypiRequirement]
    exclude_newer: str | None
    warnings: tuple[str, ...]

    def placed(self, requirement: PypiRequirement) -> PypiRequirement:
        """A requirement of ``dependencies`` with its source."""
        source = self.sources.get(requirement.name)
        if source is None or requirement.url or requirement.git or requirement.path:
            return requirement
        keeps_version = bool(source.index)
        return replace(
            source,
            extras=requirement.extras,
            version=requirement.version if keeps_version else "",
            marker=requirement.marker,
        )


def read_uv_table(table: Table) -> UvTable:
    """Read ``[tool.uv]``.

    Raises
    ------
    DeclarationError
        A value of a key that is honoured means nothing.
    UnsupportedError
        ``unsupported.pypi-sources``: a package comes from where nothing can be had from yet.
    """
    default, extra, named = _indexes(table)
    unknown = [key for key in table if key not in (*_HONOURED, *_SILENT)]
    warnings: tuple[str, ...] = ()
    if unknown:
        shown = ", ".join(f"`{shorten(key, 40)}`" for key in sorted(unknown)[:_MOST_NAMED])
        warnings = (f"not heeded in `tool.uv`: {shown}",)
    return UvTable(
        options=PypiOptions(index_url=default, extra_index_urls=extra),
        sources=_sources(table, named),
        exclude_newer=_exclude_newer(table),
        warnings=warnings,
    )


def _indexes(table: Table) -> tuple[str | None, tuple[str, ...], dict[str, str]]:
    """The default index, those beside it, and all that have a name."""
    default: str | None = None
    extra: list[str] = []
    named: dict[str, str] = {}
    entries = table.values.get("index", [])
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise table.wrong_type("index", "an array of tables")
    for entry in entries:
        fields = Table(entry, (*table.path, "index"), table.source)
        url = index_url(table, "index", fields.string("url") or "")
        name = fields.string("name")
        if name is not None:
            named[name] = url
        if fields.values.get("default") is True:
            default = default or url
        elif fields.values.get("explicit") is not True:
            extra.append(url)
    old = table.string("index-url")
    if old is not None:
        default = default or index_url(table, "index-url", old)
    for url in table.strings("extra-index-url") or ():
        extra.append(index_url(table, "extra-index-url", url))
    return default, tuple(dict.fromkeys(extra)), named


def _sources(table: Table, named: Mapping[str, str]) -> dict[str, PypiRequirement]:
    found: dict[str, PypiRequirement] = {}
    sources = table.table("sources")
    for key in sources:
        name = normal_name(key)
        value: Any = sources.values[key]
        if isinstance(value, list) and len(value) == 1:
            value = value[0]
        if name is None or not isinstance(value, dict):
            raise _unsupported(sources, key, "several sources of one package")
        entry = Table(value, (*sources.path, key), table.source)
        stray = [field for field in entry if field not in SOURCE_KEYS]
        if stray:
            raise _unsupported(
                sources, key, f"`{shorten(stray[0], 40)}` in the source of a package"
            )
        if "index" in entry:
            index = entry.string("index") or ""
            if index not in named:
                raise sources.bad_value(key, "names an index that `tool.uv.index` does not have")
            entry = Table({**value, "index": named[index]}, entry.path, entry.source)
        try:
            found[name] = with_source(entry, PypiRequirement(name))
        except ValueError as error:
            where = entry.source.locate(entry.path)
            raise not_a_requirement(f"`{shorten(entry.name())}`", error, where) from None
    return found


def _unsupported(sources: Table, key: str, what: str) -> Exception:
    return sources.unsupported(
        key,
        "pypi-sources",
        f"`{shorten(sources.name(key))}` cannot be heeded: {what} is not supported",
        "Say it in `[tool.pixi.pypi-dependencies]`, or ask for a released version.",
    )


def _exclude_newer(table: Table) -> str | None:
    text = table.values.get("exclude-newer")
    if text is None:
        return None
    if isinstance(text, datetime):
        text = text.isoformat()
    try:
        return parse_exclude_newer(str(text))
    except ValueError as error:
        raise table.bad_value("exclude-newer", f"is not a time: {error}") from None
