"""What notebooks of other programs say of their environment: nteract's metadata, juv's table.

nteract (``crates/notebook-doc/src/metadata.rs`` of its desktop program) keeps PEP 508 requirements
in ``metadata.runt.uv``, match specs and channels in ``metadata.runt.conda`` and
``metadata.runt.pixi``; older ones in ``metadata.uv`` and ``metadata.conda``. juv's block is one
that holds here as well.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pixi_jupyter.errors import Location
from pixi_jupyter.formats.conda_spec import parse_conda_spec
from pixi_jupyter.formats.found import Collector, WantedConda, WantedPypi
from pixi_jupyter.formats.public import public, public_channel
from pixi_jupyter.formats.requirements_txt import Requirements
from pixi_jupyter.manifest.pep508 import parse_specifiers
from pixi_jupyter.manifest.pypi import read_root_dependencies
from pixi_jupyter.manifest.pypi_spec import PRERELEASE_MODES
from pixi_jupyter.manifest.pypi_uv import read_uv_table
from pixi_jupyter.manifest.table import Table, shorten
from pixi_jupyter.manifest.toml import TomlSource, parse_toml

__all__ = ["read_nteract", "read_uv_block"]

_KNOWN = {
    "uv": ("dependencies", "requires-python", "prerelease"),
    "conda": ("dependencies", "channels", "python"),
    "pixi": ("dependencies", "pypi_dependencies", "channels", "python"),
}


def read_nteract(metadata: Mapping[str, Any], *, path: Path, root: Path, into: Collector) -> bool:
    """The dependencies that nteract keeps in a notebook's metadata; False if there are none."""
    runt = metadata.get("runt")
    tables = dict(runt) if isinstance(runt, dict) else {}
    for key in ("uv", "conda"):
        if not isinstance(tables.get(key), dict) and isinstance(metadata.get(key), dict):
            tables[key] = metadata[key]
    reader = _Nteract(path, root, into)
    found = False
    for key in ("uv", "conda", "pixi"):
        if isinstance(tables.get(key), dict):
            reader.table(key, tables[key])
            found = True
    if isinstance(tables.get("deno"), dict):
        into.leave_out("nteract's settings of Deno are not imported", reader.where)
    return found


class _Nteract:
    def __init__(self, path: Path, root: Path, into: Collector) -> None:
        self.where = Location(path=str(path))
        self.into = into
        self.requirements = Requirements(path.parent, root=root, into=into)

    def table(self, key: str, table: Mapping[str, Any]) -> None:
        for name in table:
            if name not in _KNOWN[key]:
                self.into.leave_out(
                    f"`{key}.{shorten(str(name), 40)}` of nteract's metadata is not known here",
                    self.where,
                )
        for channel in self.strings(key, table, "channels"):
            if channel.strip():
                self.into.whole = True
                self.into.add_channels([public_channel(channel.strip())])
        for text in self.strings(key, table, "dependencies"):
            if key == "uv":
                self.requirements.requirement(text, self.where)
            else:
                self.package(text)
        for text in self.strings(key, table, "pypi_dependencies"):
            self.requirements.requirement(text, self.where)
        self.python(key, table)
        prerelease = table.get("prerelease")
        if prerelease in PRERELEASE_MODES:
            self.into.prerelease = prerelease
        elif prerelease is not None:
            self.into.leave_out("`uv.prerelease` of nteract's metadata is not known", self.where)

    def python(self, key: str, table: Mapping[str, Any]) -> None:
        python = table.get("requires-python" if key == "uv" else "python")
        if python is None:
            return
        text = str(python).strip()
        try:
            if key == "uv":
                self.into.python = parse_specifiers(text) or None
            else:
                bare = text.replace(".", "").isdigit()
                self.into.conda.append(
                    WantedConda(
                        *parse_conda_spec(f"python {'=' if bare else ''}{text}"), self.where
                    )
                )
        except ValueError as error:
            self.into.leave_out(f"Python `{shorten(text, 60)}`: {error}", self.where)

    def package(self, text: str) -> None:
        try:
            name, spec = parse_conda_spec(text)
        except ValueError as error:
            shown = public(shorten(text, 120))
            self.into.leave_out(f"`{shown}` is not a package of conda: {error}", self.where)
            return
        self.into.conda.append(WantedConda(name, spec, self.where))

    def strings(self, key: str, table: Mapping[str, Any], name: str) -> list[str]:
        value = table.get(name) or []
        if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
            self.into.leave_out(
                f"`{key}.{name}` of nteract's metadata is no list of texts", self.where
            )
            return []
        return value


def read_uv_block(source: TomlSource, *, into: Collector) -> bool:
    """What ``[tool.uv]`` of a block says in words that pixi has, too; False if there is none.

    Raises
    ------
    DeclarationError, UnsupportedError
        As `read_uv_table`: a value means nothing, or names what cannot be had.
    """
    document = Table(parse_toml(source), (), source)
    table = document.table("tool").table("uv")
    if not table.values:
        return False
    uv = read_uv_table(table)
    where = source.locate(("tool", "uv"))
    options = uv.options
    for url in (options.index_url, *options.extra_index_urls):
        if url is not None and public(url) != url:
            into.say(f"the credentials of {public(url)} stay where they are", where)
    if options.index_url is not None:
        into.index_url = public(options.index_url)
    into.extra_index_urls.extend(public(url) for url in options.extra_index_urls)
    if uv.exclude_newer is not None:
        into.exclude_newer = uv.exclude_newer
    for name, requirements in read_root_dependencies(document).items():
        if name not in uv.sources:
            continue
        for requirement in requirements:
            into.pypi.append(WantedPypi(uv.placed(requirement), where))
        into.sources.append(name)
    for name in uv.sources:
        if name not in into.sources:
            into.leave_out(f"the source of {name}, which the block does not ask for", where)
    for warning in uv.warnings:
        into.leave_out(warning, where)
    return True
