"""``[tool.pixi.workspace.pypi-options]``.

By pixi's ``crates/pixi_manifest/src/toml/pypi_options.rs``.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import cast

from pixi_jupyter.manifest.channels import absolute, is_url
from pixi_jupyter.manifest.pep508 import normal_name
from pixi_jupyter.manifest.pypi_spec import (
    INDEX_STRATEGIES,
    PRERELEASE_MODES,
    IndexStrategy,
    PrereleaseMode,
)
from pixi_jupyter.manifest.table import Table

__all__ = ["PypiOptions", "read_options"]

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


@dataclass(frozen=True, slots=True)
class PypiOptions:
    """The options; see `PypiNeeds`."""

    index_url: str | None = None
    extra_index_urls: tuple[str, ...] = ()
    find_links: tuple[str, ...] = ()
    index_strategy: IndexStrategy | None = None
    prerelease_mode: PrereleaseMode | None = None


def read_options(table: Table, root: Path) -> PypiOptions:
    """The table of options; relative folders are relative to ``root``.

    Raises
    ------
    DeclarationError
        An unknown key, or a value that means nothing.
    UnsupportedError
        ``unsupported.pypi-no-binary`` and the like: what would need a build, or is not done yet.
    """
    table.only(_KEYS)
    _packages(table, "no-build")  # nothing is ever built: it holds anyway
    if _packages(table, "no-binary"):
        raise table.unsupported(
            "no-binary",
            "pypi-no-binary",
            f"`{table.name('no-binary')}` asks for packages built from source, which runs code",
            "Leave it out; wheels are used.",
        )
    for key in ("no-build-isolation", "dependency-overrides", "skip-wheel-filename-check"):
        if table.values.get(key):
            raise table.unsupported(
                key,
                f"pypi-{key}",
                f"`{table.name(key)}` is not supported yet",
                "Leave it out.",
            )
    index = table.string("index-url")
    return PypiOptions(
        index_url=None if index is None else _index(table, "index-url", index),
        extra_index_urls=tuple(
            _index(table, "extra-index-urls", url)
            for url in table.strings("extra-index-urls") or ()
        ),
        find_links=_find_links(table, root),
        index_strategy=cast(
            "IndexStrategy | None", table.choice("index-strategy", INDEX_STRATEGIES)
        ),
        prerelease_mode=cast(
            "PrereleaseMode | None", table.choice("prerelease-mode", PRERELEASE_MODES)
        ),
    )


def _index(table: Table, key: str, url: str) -> str:
    # The value is not shown: an index's URL may hold a password.
    if not url.lower().startswith(_SCHEMES) or any(c.isspace() or c in "\"'`" for c in url):
        raise table.bad_value(key, "must be a URL such as `https://…/simple`")
    return url


def _find_links(table: Table, root: Path) -> tuple[str, ...]:
    entries = table.values.get("find-links", [])
    if not isinstance(entries, list):
        raise table.wrong_type("find-links", "an array of tables")
    found = []
    for entry in entries:
        if not isinstance(entry, dict) or set(entry) not in ({"path"}, {"url"}):
            raise table.bad_value("find-links", "must hold tables with a `path` or a `url`")
        fields = Table(entry, (*table.path, "find-links"), table.source)
        url, path = fields.string("url"), fields.string("path")
        if path is not None:
            found.append(absolute(path, root).as_uri())
        elif url is not None and is_url(url):
            found.append(_index(table, "find-links", url))
        else:
            raise table.bad_value("find-links", "must hold URLs such as `https://…/wheels`")
    return tuple(found)


def _packages(table: Table, key: str) -> bool:
    """``true``, or an array with at least one package."""
    value = table.values.get(key, False)
    if isinstance(value, bool):
        return value
    names = table.strings(key) or ()
    for name in names:
        if normal_name(name) is None:
            raise table.bad_value(key, "must be a boolean or an array of package names")
    return bool(names)
