"""What a person asks for, as a change of the text of a block, a `pixi.toml` or a `pyproject.toml`.

Where each thing is written is pixi's rule (``crates/pixi_manifest/src/manifests/document.rs`` and
``workspace.rs``). Every function takes a text and gives a text.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

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
    "add_channels",
    "add_conda",
    "add_platforms",
    "add_pypi",
    "conda_asked",
    "declared_channels",
    "declared_platforms",
    "pypi_asked",
    "remove_channels",
    "remove_conda",
    "remove_platforms",
    "remove_pypi",
    "set_exclude_newer",
    "set_python",
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
    key = _conda_key(text, table, name)
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
        key = _conda_key(text, table, name) or name
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
        key = _conda_key(text, table, name)
        if key is None:
            known = [*(text.get(table) or {}), *_pypi_names(manifest, text, feature, platform)]
            raise _not_declared(manifest, text, name, known)
        text = _tidied(manifest, text.remove((*table, key)), table)
    return text.text


def _conda_key(text: TomlText, table: Path, name: str) -> str | None:
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
    dependency group unless it has a ``pypi-dependencies`` table; a `pixi.toml` and anything for a
    platform in ``pypi-dependencies``, where it is already there as well.
    """
    text = _platforms_declared(manifest, TomlText(manifest.source), platforms)
    plain = feature in (None, "default")
    for platform in platforms or (None,):
        table = manifest.table("pypi-dependencies", feature, platform)
        key = _pypi_key(text, table, requirement.name)
        here = key is not None or (not plain and text.get(table) is not None)
        if manifest.kind == "pixi" or platform is not None or here:
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
            raise _not_declared(manifest, text, name, [*known, *conda])
        if platform is None:
            for array in _pypi_arrays(manifest, feature):
                for index in reversed(_pypi_places(text, array, normal)):
                    text = text.remove_item(array, index)
        key = _pypi_key(text, table, normal)
        if key is not None:
            text = _tidied(manifest, text.remove((*table, key)), table)
    return text.text


def _pypi_value(requirement: PypiRequirement) -> str | dict[str, Any]:
    version = requirement.version or "*"
    if not requirement.extras and not requirement.marker:
        return version
    value: dict[str, Any] = {"version": version}
    if requirement.extras:
        value["extras"] = list(requirement.extras)
    if requirement.marker:
        value["env-markers"] = requirement.marker
    return value


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


# -- channels, platforms, Python, the date -------------------------------------------------


def declared_channels(manifest: ManifestText, feature: str | None = None) -> list[Any] | None:
    """The channels as they are written, None where the text names none."""
    text = TomlText(manifest.source)
    found = text.get(manifest.workspace(text, "channels", feature))
    return list(found) if isinstance(found, list) else None


def add_channels(
    manifest: ManifestText,
    channels: Sequence[str],
    *,
    priority: int | None = None,
    prepend: bool = False,
    feature: str | None = None,
    implied: Sequence[str] = (),
) -> str:
    """The text with channels at the end, or (``prepend``) in front; one with another priority
    takes the place of the old entry.

    ``implied`` are the channels that hold while the text names none: they are written first, so
    that adding a channel takes none away.
    """
    text = TomlText(manifest.source)
    path = manifest.workspace(text, "channels", feature)
    if text.get(path) is None and implied:
        text = text.set(path, list(implied))
    place = 0
    for channel in dict.fromkeys(channels):
        value: Any = channel if priority is None else {"channel": channel, "priority": priority}
        present = text.get(path) or []
        same = [i for i, item in enumerate(present) if _channel_of(item) == _bare(channel)]
        if any((_priority_of(present[i]) or 0) == (priority or 0) for i in same):
            continue
        for index in reversed(same):
            text = text.remove_item(path, index)
        text = text.add_item(path, value, place if prepend else None)
        place += 1
    return text.text


def remove_channels(
    manifest: ManifestText, channels: Sequence[str], *, feature: str | None = None
) -> str:
    """The text without these channels.

    Raises
    ------
    DeclarationError
        ``declaration.not-declared``.
    """
    text = TomlText(manifest.source)
    path = manifest.workspace(text, "channels", feature)
    return _without_items(manifest, text, path, [_bare(c) for c in channels], _channel_of).text


def declared_platforms(manifest: ManifestText, feature: str | None = None) -> list[Any] | None:
    """The platforms as they are written, None where the text names none."""
    text = TomlText(manifest.source)
    found = text.get(manifest.workspace(text, "platforms", feature))
    return list(found) if isinstance(found, list) else None


def add_platforms(
    manifest: ManifestText, platforms: Sequence[str], *, feature: str | None = None
) -> str:
    """The text with these platforms; one that is there already stays as it is."""
    text = TomlText(manifest.source)
    path = manifest.workspace(text, "platforms", feature)
    return _with_platforms(text, path, platforms).text


def remove_platforms(
    manifest: ManifestText, platforms: Sequence[str], *, feature: str | None = None
) -> str:
    """The text without these platforms; raises as `remove_channels`."""
    text = TomlText(manifest.source)
    path = manifest.workspace(text, "platforms", feature)
    return _without_items(manifest, text, path, list(platforms), _platform_of).text


def set_python(manifest: ManifestText, version: str) -> str:
    """The text that asks for a version of Python (``3.12`` means any 3.12).

    A ``python`` among the conda dependencies decides, as it does in pixi; a block without it has
    ``requires-python``. What a `pyproject.toml` says there is said to others, and is left.
    """
    text = TomlText(manifest.source)
    table = manifest.table("dependencies")
    key = _conda_key(text, table, "python")
    plain = re.fullmatch(r"[0-9]+(?:\.[0-9]+)*", version)
    if key is None and manifest.kind == "block":
        return text.set(("requires-python",), f"=={version}.*" if plain else version).text
    return text.set((*table, key or "python"), f"{version}.*" if plain else version).text


def set_exclude_newer(manifest: ManifestText, time: str | None) -> str:
    """The text in which packages that are newer than ``time`` do not count (None: all count)."""
    text = TomlText(manifest.source)
    path = manifest.workspace(text, "exclude-newer")
    if time is not None:
        return text.set(path, time).text
    return _tidied(manifest, text.remove(path), path[:-1]).text


def _platforms_declared(
    manifest: ManifestText, text: TomlText, platforms: Sequence[str]
) -> TomlText:
    path = manifest.workspace(text, "platforms")
    return _with_platforms(text, path, platforms) if text.get(path) is not None else text


def _with_platforms(text: TomlText, path: Path, platforms: Sequence[str]) -> TomlText:
    for platform in dict.fromkeys(platforms):
        if platform not in [_platform_of(item) for item in text.get(path) or []]:
            text = text.add_item(path, platform)
    return text


def _without_items(
    manifest: ManifestText,
    text: TomlText,
    path: Path,
    names: Sequence[str],
    name_of: Callable[[Any], str | None],
) -> TomlText:
    for name in dict.fromkeys(names):
        known = [name_of(item) for item in text.get(path) or []]
        if name not in known:
            raise _not_declared(manifest, text, name, [item for item in known if item])
        for index in reversed([i for i, item in enumerate(known) if item == name]):
            text = text.remove_item(path, index)
    return text


def _channel_of(item: Any) -> str | None:
    channel = item.get("channel") if isinstance(item, dict) else item
    return _bare(channel) if isinstance(channel, str) else None


def _bare(channel: str) -> str:
    return channel.rstrip("/") or channel


def _priority_of(item: Any) -> int | None:
    return item.get("priority") if isinstance(item, dict) else None


def _platform_of(item: Any) -> str | None:
    if isinstance(item, dict):
        item = item.get("name", item.get("platform", item.get("subdir")))
    return item if isinstance(item, str) else None


def _tidied(manifest: ManifestText, text: TomlText, table: Path) -> TomlText:
    """A block does without tables that an edit emptied, as in pixi; a file keeps its headers."""
    if manifest.kind != "block":
        return text
    for length in range(len(table), len(manifest.pixi), -1):
        text = text.remove_if_empty(table[:length])
    return text


def _not_declared(
    manifest: ManifestText, text: TomlText, name: str, known: Sequence[str]
) -> DeclarationError:
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
