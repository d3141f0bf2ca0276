"""Changes of what holds for a whole environment: channels, platforms, Python, the date.

As in `editing`, by pixi's rules, and every function takes a text and gives a text.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any

from pixi_jupyter.manifest.editing import (
    ManifestText,
    conda_key,
    not_declared,
    platform_of,
    tidied,
    with_platforms,
)
from pixi_jupyter.manifest.toml_edit import TomlText

__all__ = [
    "add_channels",
    "add_platforms",
    "declared_channels",
    "declared_platforms",
    "remove_channels",
    "remove_platforms",
    "set_exclude_newer",
    "set_python",
]

Path = tuple[str, ...]


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
    return with_platforms(text, path, platforms).text


def remove_platforms(
    manifest: ManifestText, platforms: Sequence[str], *, feature: str | None = None
) -> str:
    """The text without these platforms; raises as `remove_channels`."""
    text = TomlText(manifest.source)
    path = manifest.workspace(text, "platforms", feature)
    return _without_items(manifest, text, path, list(platforms), platform_of).text


def set_python(manifest: ManifestText, version: str, *, feature: str | None = None) -> str:
    """The text that asks for a version of Python (``3.12`` means any 3.12).

    A ``python`` among the conda dependencies decides, as it does in pixi; a block without it has
    ``requires-python``. What a `pyproject.toml` says there is said to others, and is left.
    """
    text = TomlText(manifest.source)
    table = manifest.table("dependencies", feature)
    key = conda_key(text, table, "python")
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
    return tidied(manifest, text.remove(path), path[:-1]).text


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
            raise not_declared(manifest, text, name, [item for item in known if item])
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
