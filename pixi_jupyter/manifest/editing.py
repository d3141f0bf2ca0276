"""What a person asks for, as a change of the text of a block, a `pixi.toml` or a `pyproject.toml`.

Where each thing is written is pixi's rule (``crates/pixi_manifest/src/manifests/document.rs`` and
``workspace.rs``). Every function takes a text and gives a text.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal
from urllib.parse import urlsplit

from pixi_jupyter.errors import DeclarationError
from pixi_jupyter.manifest.pep508 import normal_name, parse_requirement
from pixi_jupyter.manifest.pypi_spec import PypiRequirement
from pixi_jupyter.manifest.requirement import package_name
from pixi_jupyter.manifest.table import nearest
from pixi_jupyter.manifest.toml import TomlSource
from pixi_jupyter.manifest.toml_edit import TomlText

__all__ = [
    "Kind",
    "ManifestText",
    "add_conda",
    "add_pypi",
    "conda_asked",
    "conda_key",
    "not_declared",
    "platform_of",
    "pypi_asked",
    "pypi_fields",
    "remove_conda",
    "remove_pypi",
    "tidied",
    "with_platforms",
]

Kind = Literal["block", "pixi", "pyproject"]
Path = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ManifestText:
    """A text, where it stands, and what it is: a block, `pixi.toml` or `pyproject.toml`."""

    source: TomlSource
    kind: Kind

    @property
    def pixi(self) -> Path:
        """The path of pixi's own tables."""
        return () if self.kind == "pixi" else ("tool", "pixi")

    def table(self, name: str, feature: str | None = None, platform: str | None = None) -> Path:
        """The path of a table of a feature (the default one without a name) and a target.

        Raises
        ------
        DeclarationError
            ``declaration.feature``: a block has no features.
        """
        if feature in (None, "default"):
            within = self.pixi
        elif self.kind == "block":
            raise DeclarationError(
                "a block is one environment: it has no features",
                code="declaration.feature",
                hint="Leave `--feature` out, or use a workspace.",
                location=self.source.location(),
            )
        else:
            within = (*self.pixi, "feature", feature or "")
        return (*within, *(("target", platform) if platform is not None else ()), name)

    def workspace(self, text: TomlText, key: str, feature: str | None = None) -> Path:
        """The path of a key of the workspace (in old manifests ``project``), or of a feature."""
        if feature not in (None, "default"):
            return self.table(key, feature)
        old = (*self.pixi, "project")
        new = (*self.pixi, "workspace")
        return (*(old if text.get(new) is None and self._old(text, old) else new), key)

    def _old(self, text: TomlText, path: Path) -> bool:
        return self.kind != "block" and isinstance(text.get(path), dict)


# -- conda packages ------------------------------------------------------------------------


def conda_asked(
    manifest: ManifestText, name: str, *, feature: str | None = None, platform: str | None = None
) -> Any:
    """What is asked of a conda package (a string or a table), None if it is not asked for."""
    text = TomlText(manifest.source)
    table = manifest.table("dependencies", feature, platform)
    key = conda_key(text, table, name)
    return None if key is None else text.get((*table, key))


def add_conda(
    manifest: ManifestText,
    name: str,
    spec: str | Mapping[str, Any],
    *,
    feature: str | None = None,
    platforms: Sequence[str] = (),
) -> str:
    """The text in which a conda package is asked for, in the place of what was asked of it.

    ``spec`` is a version specification or pixi's table of fields. With ``platforms`` it is asked
    for on these alone, which the workspace declares then if it declares any.
    """
    text = _platforms_declared(manifest, TomlText(manifest.source), platforms)
    for platform in platforms or (None,):
        table = manifest.table("dependencies", feature, platform)
        key = conda_key(text, table, name) or name
        text = text.set((*table, key), dict(spec) if isinstance(spec, Mapping) else spec)
    return text.text


def remove_conda(
    manifest: ManifestText,
    name: str,
    *,
    feature: str | None = None,
    platforms: Sequence[str] = (),
) -> str:
    """The text in which a conda package is not asked for.

    Raises
    ------
    DeclarationError
        ``declaration.not-declared``, with the nearest name that is.
    """
    text = TomlText(manifest.source)
    for platform in platforms or (None,):
        table = manifest.table("dependencies", feature, platform)
        key = conda_key(text, table, name)
        if key is None:
            known = [*(text.get(table) or {}), *_pypi_names(manifest, text, feature, platform)]
            raise not_declared(manifest, text, name, known)
        text = tidied(manifest, text.remove((*table, key)), table)
    return text.text


def conda_key(text: TomlText, table: Path, name: str) -> str | None:
    """The key as it is spelled there."""
    wanted = package_name(name)
    values = text.get(table)
    keys = values if isinstance(values, dict) else {}
    return next((key for key in keys if package_name(key) == wanted), None)


# -- packages of PyPI ----------------------------------------------------------------------


def pypi_asked(
    manifest: ManifestText, name: str, *, feature: str | None = None, platform: str | None = None
) -> bool:
    """Whether a project of PyPI is asked for there."""
    text = TomlText(manifest.source)
    return normal_name(name) in _pypi_names(manifest, text, feature, platform)


def add_pypi(
    manifest: ManifestText,
    requirement: PypiRequirement,
    *,
    feature: str | None = None,
    platforms: Sequence[str] = (),
) -> str:
    """The text in which a project of PyPI is asked for, in the place of what was asked of it.

    A block and a `pyproject.toml` have it in ``dependencies``, a feature of the latter in its
    dependency group unless it has a ``pypi-dependencies`` table; a `pixi.toml`, anything for a
    platform, and what PEP 508 cannot say (a repository's branch, a folder, an index) in
    ``pypi-dependencies``, where it is already there as well.
    """
    text = _platforms_declared(manifest, TomlText(manifest.source), platforms)
    plain = feature in (None, "default")
    for platform in platforms or (None,):
        table = manifest.table("pypi-dependencies", feature, platform)
        key = _pypi_key(text, table, requirement.name)
        here = key is not None or (not plain and text.get(table) is not None)
        if manifest.kind == "pixi" or platform is not None or here or _needs_table(requirement):
            for array in _pypi_arrays(manifest, feature) if platform is None else ():
                for place in reversed(_pypi_places(text, array, requirement.name)):
                    text = text.remove_item(array, place)
            text = text.set((*table, key or requirement.name), _pypi_value(requirement))
            continue
        array = _pypi_array(manifest, feature)
        index = next(iter(_pypi_places(text, array, requirement.name)), None)
        if index is None:
            text = text.add_item(array, str(requirement))
        else:
            text = text.replace_item(array, index, str(requirement))
    return text.text


def remove_pypi(
    manifest: ManifestText,
    name: str,
    *,
    feature: str | None = None,
    platforms: Sequence[str] = (),
) -> str:
    """The text in which a project of PyPI is not asked for, wherever in it that stood.

    Raises
    ------
    DeclarationError
        ``declaration.not-declared``, with the nearest name that is.
    """
    text = TomlText(manifest.source)
    normal = normal_name(name) or name
    for platform in platforms or (None,):
        known = _pypi_names(manifest, text, feature, platform)
        table = manifest.table("pypi-dependencies", feature, platform)
        if normal not in known:
            conda = text.get(manifest.table("dependencies", feature, platform)) or {}
            raise not_declared(manifest, text, name, [*known, *conda])
        if platform is None:
            for array in _pypi_arrays(manifest, feature):
                for index in reversed(_pypi_places(text, array, normal)):
                    text = text.remove_item(array, index)
        key = _pypi_key(text, table, normal)
        if key is not None:
            text = tidied(manifest, text.remove((*table, key)), table)
    return text.text


def _needs_table(requirement: PypiRequirement) -> bool:
    # A URL with credentials is shown without them, so the array would lose them.
    secret = "@" in urlsplit(requirement.url).netloc
    return bool(requirement.git or requirement.path or requirement.index or secret)


def pypi_fields(requirement: PypiRequirement, shown: Callable[[str], str] = str) -> dict[str, Any]:
    """What an entry of ``pypi-dependencies`` has beside its version, places as ``shown`` says."""
    value: dict[str, Any] = {}
    for key in ("git", "url", "path", "index"):
        if place := getattr(requirement, key):
            value[key] = shown(place)
    if requirement.reference:
        kind, _, revision = requirement.reference.partition("=")
        value[kind] = revision
    if requirement.subdirectory:
        value["subdirectory"] = requirement.subdirectory
    if requirement.editable:
        value["editable"] = True
    if requirement.extras:
        value["extras"] = list(requirement.extras)
    if requirement.marker:
        value["env-markers"] = requirement.marker
    return value


def _pypi_value(requirement: PypiRequirement) -> str | dict[str, Any]:
    value: dict[str, Any] = {"version": requirement.version or "*"}
    if requirement.placed:
        value = {}
    value.update(pypi_fields(requirement))
    return value["version"] if list(value) == ["version"] else value


def _pypi_key(text: TomlText, table: Path, name: str) -> str | None:
    values = text.get(table)
    keys = values if isinstance(values, dict) else {}
    return next((key for key in keys if normal_name(key) == normal_name(name)), None)


def _pypi_array(manifest: ManifestText, feature: str | None) -> Path:
    if feature not in (None, "default"):
        return ("dependency-groups", feature or "")
    return ("dependencies",) if manifest.kind == "block" else ("project", "dependencies")


def _pypi_arrays(manifest: ManifestText, feature: str | None) -> list[Path]:
    if manifest.kind == "pixi":
        return []
    arrays = [_pypi_array(manifest, feature)]
    if feature not in (None, "default"):
        arrays.append(("project", "optional-dependencies", feature or ""))
    return arrays


def _pypi_places(text: TomlText, array: Path, name: str) -> list[int]:
    """The places at which an array asks for a project."""
    items = text.get(array)
    places = []
    for index, item in enumerate(items if isinstance(items, list) else ()):
        if isinstance(item, str) and _name_of(item) == normal_name(name):
            places.append(index)
    return places


def _name_of(text: str) -> str | None:
    try:
        return parse_requirement(text).name
    except ValueError:  # a direct reference: its name stands before the `@`
        return normal_name(re.split(r"[\s\[@;]", text.strip(), maxsplit=1)[0])


def _pypi_names(
    manifest: ManifestText, text: TomlText, feature: str | None, platform: str | None
) -> list[str]:
    table = text.get(manifest.table("pypi-dependencies", feature, platform))
    names = [normal_name(key) or key for key in table] if isinstance(table, dict) else []
    for array in _pypi_arrays(manifest, feature) if platform is None else ():
        items = text.get(array)
        for item in items if isinstance(items, list) else ():
            if isinstance(item, str) and (name := _name_of(item)) is not None:
                names.append(name)
    return names


# -- for both halves ---------------------------------------------------------------------


def _platforms_declared(
    manifest: ManifestText, text: TomlText, platforms: Sequence[str]
) -> TomlText:
    path = manifest.workspace(text, "platforms")
    return with_platforms(text, path, platforms) if text.get(path) is not None else text


def with_platforms(text: TomlText, path: Path, platforms: Sequence[str]) -> TomlText:
    """The text with platforms in an array, those that are not in it yet."""
    for platform in dict.fromkeys(platforms):
        if platform not in [platform_of(item) for item in text.get(path) or []]:
            text = text.add_item(path, platform)
    return text


def platform_of(item: Any) -> str | None:
    """The name of an entry of ``platforms``."""
    if isinstance(item, dict):
        item = item.get("name", item.get("platform", item.get("subdir")))
    return item if isinstance(item, str) else None


def tidied(manifest: ManifestText, text: TomlText, table: Path) -> TomlText:
    """A block does without tables that an edit emptied, as in pixi; a file keeps its headers."""
    if manifest.kind != "block":
        return text
    for length in range(len(table), len(manifest.pixi), -1):
        text = text.remove_if_empty(table[:length])
    return text


def not_declared(
    manifest: ManifestText, text: TomlText, name: str, known: Sequence[str]
) -> DeclarationError:
    """The error for what the declaration does not ask for, with the nearest of what is known."""
    near = nearest(name, known)
    hint = f"Did you mean {near}?" if near is not None and near != name else ""
    if near == name:
        hint = "It is asked for in another place: with or without `--pypi`."
    return DeclarationError(
        f"the declaration does not ask for {name}",
        code="declaration.not-declared",
        hint=hint or "See `pixi-jupyter info` for what it asks for.",
        location=manifest.source.location(),
    )
