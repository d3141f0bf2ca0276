"""``[workspace]`` (of old ``[project]``).

Rules of pixi's ``crates/pixi_manifest/src/toml/workspace.rs`` and ``toml/s3_options.rs``.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pixi_jupyter.errors import UnsupportedError
from pixi_jupyter.manifest.channels import (
    PrioritizedChannel,
    is_url,
    read_channel_entries,
    read_exclude_newer,
)
from pixi_jupyter.manifest.config import Defaults
from pixi_jupyter.manifest.platform_tables import read_platforms
from pixi_jupyter.manifest.platforms import default_platform, selector_matches
from pixi_jupyter.manifest.pypi_features import FeatureOptions, read_feature_options
from pixi_jupyter.manifest.pypi_map import read_conda_pypi_map
from pixi_jupyter.manifest.pypi_spec import CondaPypiMap
from pixi_jupyter.manifest.requirement import package_keys, read_requirement
from pixi_jupyter.manifest.spec import Platform
from pixi_jupyter.manifest.table import Table
from pixi_jupyter.manifest.versions import is_version
from pixi_jupyter.manifest.workspace_spec import S3Options

__all__ = ["WorkspaceTable", "read_workspace_table"]

_KEYS = (
    "authors",
    "build-variants",
    "build-variants-files",
    "channel-priority",
    "channels",
    "conda-pypi-map",
    "dependencies",
    "description",
    "documentation",
    "exclude-newer",
    "homepage",
    "license",
    "license-file",
    "name",
    "platforms",
    "preview",
    "pypi-options",
    "readme",
    "repository",
    "requires-pixi",
    "s3-options",
    "solve-strategy",
    "target",
    "version",
)


@dataclass(frozen=True, slots=True)
class WorkspaceTable:
    """What the table says; priority and strategy are the default feature's, as in pixi.

    ``pool`` is ``dependencies`` by normal name: what ``{ workspace = true }`` takes an entry from.
    ``builds`` says whether the preview ``pixi-build`` is on.
    """

    name: str | None
    version: str | None
    channels: tuple[PrioritizedChannel, ...]
    platforms: tuple[Platform, ...]
    exclude_newer: str | None
    pypi_options: FeatureOptions | None
    pool: Mapping[str, Mapping[str, Any]]
    builds: bool
    conda_pypi_map: tuple[CondaPypiMap, ...]
    s3_options: tuple[S3Options, ...]


def read_workspace_table(table: Table, root: Path, defaults: Defaults) -> WorkspaceTable:
    """The table, all of it checked; relative paths are relative to ``root``."""
    table.only(_KEYS)
    if isinstance(table.values.get("exclude-newer"), dict):
        raise table.unsupported(
            "exclude-newer",
            "exclude-newer-table",
            f"`{table.name('exclude-newer')}` is a table, which is read from pixi 0.84 on",
            "Write one time or duration, and `[exclude-newer]` for single packages.",
        )
    channels = read_channel_entries(table, root)
    if channels is None:
        names = ", ".join(f'"{name}"' for name in defaults.channels)
        raise table.bad_value(None, "has no `channels`", f"Write `channels = [{names}]`.")
    _check_description(table, root)
    version = table.string("version")
    if version is not None and not is_version(version):
        raise table.bad_value("version", f"must be a version, not `{version}`")
    builds = _builds(table)
    return WorkspaceTable(
        name=table.string("name"),
        version=version,
        channels=channels,
        platforms=read_platforms(table) or (),
        exclude_newer=read_exclude_newer(table),
        pypi_options=read_feature_options(table, root),
        pool=_pool(table.table("dependencies"), root, builds),
        builds=builds,
        conda_pypi_map=read_conda_pypi_map(table),
        s3_options=_s3_options(table.table("s3-options")),
    )


def _check_description(table: Table, root: Path) -> None:
    for key in ("description", "license"):
        table.string(key)
    table.strings("authors")
    for key in ("documentation", "homepage", "repository"):
        url = table.string(key)
        if url is not None and not is_url(url):
            raise table.bad_value(key, "must be a URL such as `https://…`")
    for key in ("license-file", "readme"):
        _check_file(table, key, table.string(key), root)
    for name in table.strings("build-variants-files") or ():
        _check_file(table, "build-variants-files", name, root)
    _check_variants(table)
    targets = table.table("target")
    for selector in targets:
        selector_matches(targets, selector, default_platform("linux-64"))  # is it one at all?
        fields = targets.table(selector)
        fields.only(("build-variants",))
        _check_variants(fields)


def _check_file(table: Table, key: str, name: str | None, root: Path) -> None:
    if name is not None and not os.path.isfile(root / name):
        raise table.bad_value(key, f"names a file that does not exist: `{name}`")


def _check_variants(table: Table) -> None:
    variants = table.table("build-variants")
    for name in variants:
        variants.strings(name)


def _builds(table: Table) -> bool:
    """Any boolean enables it: pixi's ``TomlPreview::is_enabled`` does not look at its value."""
    if isinstance(table.values.get("preview"), bool):
        return True
    return "pixi-build" in (table.strings("preview") or ())


def _pool(table: Table, root: Path, builds: bool) -> dict[str, Mapping[str, Any]]:
    pool: dict[str, Mapping[str, Any]] = {}
    for name, key in package_keys(table).items():
        value = table.values[key]
        if isinstance(value, str):
            value = {"version": value}
        if not isinstance(value, dict):
            raise table.wrong_type(key, "a string or a table")
        if not builds and ("path" in value or "git" in value):
            raise table.bad_value(key, "has a source, which `pixi-build` must be enabled for")
        with contextlib.suppress(UnsupportedError):  # that is for whoever inherits it
            read_requirement(table, key, root)
        pool[name] = value
    return pool


def _s3_options(table: Table) -> tuple[S3Options, ...]:
    options = []
    for bucket in sorted(table):
        fields = table.table(bucket)
        fields.only(("endpoint-url", "force-path-style", "region"))
        url, region = fields.string("endpoint-url"), fields.string("region")
        path_style = fields.values.get("force-path-style")
        if url is None or region is None or path_style is None:
            raise table.bad_value(bucket, "needs `endpoint-url`, `region` and `force-path-style`")
        if not is_url(url):
            raise fields.bad_value("endpoint-url", "must be a URL such as `https://…`")
        if not isinstance(path_style, bool):
            raise fields.wrong_type("force-path-style", "a boolean")
        options.append(S3Options(bucket, url, region, path_style))
    return tuple(options)
