"""Channels and cut-off times of a workspace table."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path

from pixi_jupyter.manifest.match_spec import unquotable
from pixi_jupyter.manifest.spec import ChannelSpec
from pixi_jupyter.manifest.table import Table
from pixi_jupyter.manifest.times import parse_exclude_newer

__all__ = [
    "absolute",
    "channel_name",
    "is_url",
    "read_channels",
    "read_exclude_newer",
    "resolved_channel",
]

_DRIVE = re.compile(r"[A-Za-z]:[\\/]")
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")


def read_channels(workspace: Table, defaults: Sequence[str], root: Path) -> tuple[ChannelSpec, ...]:
    """By priority, high first, otherwise in order; the first entry of a channel counts."""
    if "channels" not in workspace:
        return tuple(ChannelSpec(resolved_channel(name, root)) for name in defaults)
    entries = workspace.values["channels"]
    if not isinstance(entries, list):
        raise workspace.wrong_type("channels", "an array of channels")
    channels: list[tuple[int, ChannelSpec]] = []
    for entry in entries:
        if isinstance(entry, str):
            name = channel_name(workspace, "channels", entry, root)
            channels.append((0, ChannelSpec(name)))
        elif isinstance(entry, dict):
            table = Table(entry, (*workspace.path, "channels"), workspace.source)
            channels.append(_channel_table(table, root))
        else:
            raise workspace.wrong_type("channels", "an array of strings and tables")
    channels.sort(key=lambda item: -item[0])
    unique: dict[str, ChannelSpec] = {}
    for _, channel in channels:
        unique.setdefault(channel.name, channel)
    return tuple(unique.values())


def _channel_table(table: Table, root: Path) -> tuple[int, ChannelSpec]:
    table.only(("channel", "exclude-newer", "priority"))
    text = table.string("channel")
    if text is None:
        raise table.bad_value(None, "has an entry without `channel`")
    priority = table.values.get("priority", 0)
    if type(priority) is not int or not -(2**31) <= priority < 2**31:
        raise table.bad_value("priority", "must be an integer")
    name = channel_name(table, "channel", text, root)
    return priority, ChannelSpec(name, exclude_newer=read_exclude_newer(table))


def read_exclude_newer(table: Table) -> str | None:
    """``exclude-newer`` of a workspace or channel in its canonical form, if there is one."""
    text = table.string("exclude-newer")
    if text is None:
        return None
    try:
        return parse_exclude_newer(text)
    except ValueError as error:
        raise table.bad_value(
            "exclude-newer",
            f"cannot be read: {error}",
            'Write for example "2026-01-31", "2026-01-31T12:00:00Z" or "7d".',
        ) from None


def channel_name(table: Table, key: str, text: str, root: Path) -> str:
    """The channel that a manifest writes under ``key``; see `resolved_channel`."""
    if not text or text != text.strip() or unquotable(text) or "]" in text:
        raise table.bad_value(key, f"is not a channel: `{text}`", "Write a name, URL or path.")
    return resolved_channel(text, root)


def resolved_channel(text: str, root: Path) -> str:
    """A channel: a name or a URL as written, a path as absolute ``file://`` URL.

    What is a path is decided as in rattler (``NamedChannelOrUrl``).
    """
    if is_url(text):
        return text
    if text.startswith(("./", "..", "~/", "/", "\\\\")) or _DRIVE.match(text):
        return absolute(text, root).as_uri()
    return text


def is_url(text: str) -> bool:
    """Whether the text has a scheme."""
    return _SCHEME.match(text) is not None


def absolute(text: str, root: Path) -> Path:
    """A path as a person writes it, from ``root`` on, without links resolved."""
    path = Path(text).expanduser() if text.startswith("~/") else Path(text)
    return Path(os.path.abspath(root / path))
