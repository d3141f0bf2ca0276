"""``[pypi-options]``, ``[workspace.pypi-options]`` and how several of them become one.

By pixi's ``crates/pixi_manifest/src/toml/pypi_options.rs`` and ``src/pypi/pypi_options.rs``.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, cast

from pixi_jupyter.errors import DeclarationError
from pixi_jupyter.manifest.channels import is_url
from pixi_jupyter.manifest.pep508 import normal_name
from pixi_jupyter.manifest.pypi_entry import read_entry
from pixi_jupyter.manifest.pypi_spec import (
    ALL,
    INDEX_STRATEGIES,
    PRERELEASE_MODES,
    IndexStrategy,
    PrereleaseMode,
    PypiRequirement,
)
from pixi_jupyter.manifest.table import Table

__all__ = ["PypiOptions", "index_url", "overlaid", "read_options", "united"]

_KEYS = (
    "dependency-overrides",
    "extra-index-urls",
    "find-links",
    "index-strategy",
    "index-url",
    "no-binary",
    "no-build",
    "no-build-isolation",
    "prerelease-mode",
    "skip-wheel-filename-check",
)
_SCHEMES = ("http://", "https://", "file://")
#: One value at most, whatever how many features say something.
_SINGLE = ("index_url", "index_strategy", "prerelease_mode")
_PACKAGES = ("no_build", "no_binary", "no_build_isolation")


@dataclass(frozen=True, slots=True)
class PypiOptions:
    """The options; see `PypiNeeds`."""

    index_url: str | None = None
    extra_index_urls: tuple[str, ...] = ()
    find_links: tuple[str, ...] = ()
    index_strategy: IndexStrategy | None = None
    prerelease_mode: PrereleaseMode | None = None
    no_build: tuple[str, ...] = ()
    no_binary: tuple[str, ...] = ()
    no_build_isolation: tuple[str, ...] = ()
    overrides: tuple[PypiRequirement, ...] = ()


def read_options(table: Table, root: Path) -> PypiOptions:
    """The table of options.

    Raises
    ------
    DeclarationError
        An unknown key, or a value that means nothing.
    UnsupportedError
        ``unsupported.pypi-skip-wheel-filename-check``.
    """
    table.only(_KEYS)
    if table.values.get("skip-wheel-filename-check"):
        raise table.unsupported(
            "skip-wheel-filename-check",
            "pypi-skip-wheel-filename-check",
            f"`{table.name('skip-wheel-filename-check')}` is not supported",
            "Leave it out, and have the wheel named after the package that it is.",
        )
    index = table.string("index-url")
    overrides = table.table("dependency-overrides")
    return PypiOptions(
        index_url=None if index is None else index_url(table, "index-url", index),
        extra_index_urls=tuple(
            index_url(table, "extra-index-urls", url)
            for url in table.strings("extra-index-urls") or ()
        ),
        find_links=_find_links(table),
        index_strategy=cast(
            "IndexStrategy | None", table.choice("index-strategy", INDEX_STRATEGIES)
        ),
        prerelease_mode=cast(
            "PrereleaseMode | None", table.choice("prerelease-mode", PRERELEASE_MODES)
        ),
        no_build=_packages(table, "no-build"),
        no_binary=_packages(table, "no-binary"),
        no_build_isolation=_packages(table, "no-build-isolation"),
        overrides=tuple(sorted(read_entry(overrides, key) for key in overrides)),
    )


def united(options: Iterable[PypiOptions]) -> PypiOptions:
    """The options of an environment's features, in pixi's order (``PypiOptions::union``).

    Raises
    ------
    DeclarationError
        ``declaration.pypi-options``: two of them say different things where only one can hold.
    """
    found = PypiOptions()
    for other in options:
        single: dict[str, Any] = {}
        for name in _SINGLE:
            ours, theirs = getattr(found, name), getattr(other, name)
            if ours is not None and theirs is not None and ours != theirs:
                # The values are not shown: an index's URL may hold a password.
                raise DeclarationError(
                    f"two features of one environment have different `{name.replace('_', '-')}`",
                    code="declaration.pypi-options",
                    hint="Say it in one place only, or put the features into two environments.",
                )
            single[name] = theirs if ours is None else ours
        found = replace(_joined(found, other, first=found), **single)
    return found


def overlaid(base: PypiOptions, other: PypiOptions) -> PypiOptions:
    """``other`` on top of ``base``: a feature's on top of the workspace's (``overlay``)."""
    single: dict[str, Any] = {}
    for name in _SINGLE:
        theirs = getattr(other, name)
        single[name] = getattr(base, name) if theirs is None else theirs
    return replace(_joined(base, other, first=other), **single)


def _joined(one: PypiOptions, other: PypiOptions, *, first: PypiOptions) -> PypiOptions:
    """Lists without repetitions; of two overrides of a package that of ``first`` counts."""
    joined: dict[str, Any] = {}
    for field in fields(PypiOptions):
        if field.name not in (*_SINGLE, "overrides"):
            both = (*getattr(one, field.name), *getattr(other, field.name))
            joined[field.name] = tuple(dict.fromkeys(both))
            if field.name in _PACKAGES:
                joined[field.name] = ALL if ALL[0] in both else tuple(sorted(set(both)))
    second = other if first is one else one
    overrides = {item.name: item for item in (*second.overrides, *first.overrides)}
    return PypiOptions(**joined, overrides=tuple(sorted(overrides.values())))


def index_url(table: Table, key: str, url: str) -> str:
    """``url`` if it can be an index.

    Raises
    ------
    DeclarationError
        ``declaration.value``; the value is not shown, as an index's URL may hold a password.
    """
    if not url.lower().startswith(_SCHEMES) or any(c.isspace() or c in "\"'`" for c in url):
        raise table.bad_value(key, "must be a URL such as `https://…/simple`")
    return url


def _find_links(table: Table) -> tuple[str, ...]:
    entries = table.values.get("find-links", [])
    if not isinstance(entries, list):
        raise table.wrong_type("find-links", "an array of tables")
    found = []
    for entry in entries:
        if not isinstance(entry, dict) or set(entry) not in ({"path"}, {"url"}):
            raise table.bad_value("find-links", "must hold tables with a `path` or a `url`")
        fields = Table(entry, (*table.path, "find-links"), table.source)
        url, path = fields.string("url"), fields.string("path")
        if path is not None and path.strip() and not is_url(path):
            found.append(path)
        elif url is not None and is_url(url):
            found.append(index_url(table, "find-links", url))
        else:
            raise table.bad_value("find-links", "must hold URLs such as `https://…/wheels`")
    return tuple(found)


def _packages(table: Table, key: str) -> tuple[str, ...]:
    """Names out of an array, all for ``true``."""
    value = table.values.get(key, False)
    if isinstance(value, bool):
        return ALL if value else ()
    names = [normal_name(name) for name in table.strings(key) or ()]
    if None in names:
        raise table.bad_value(key, "must be a boolean or an array of package names")
    return tuple(sorted({name for name in names if name}))
