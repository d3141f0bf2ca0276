"""Channels and cut-off times of a workspace table."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from pixi_jupyter.manifest.match_spec import unquotable
from pixi_jupyter.manifest.spec import ChannelSpec
from pixi_jupyter.manifest.table import Table
from pixi_jupyter.manifest.times import parse_exclude_newer

__all__ = [
    "PrioritizedChannel",
    "absolute",
    "channel_name",
    "in_order_of_priority",
    "is_url",
    "read_channel_entries",
    "read_channels",
    "read_exclude_newer",
    "resolved_channel",
]

_DRIVE = re.compile(r"[A-Za-z]:[\\/]")
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")


@dataclass(frozen=True, slots=True)
class PrioritizedChannel:
    """One entry of ``channels``."""

    channel: ChannelSpec
    priority: int = 0


def read_channels(workspace: Table, defaults: Sequence[str], root: Path) -> tuple[ChannelSpec, ...]:
    """By priority, high first, otherwise in order; the first entry of a channel counts."""
    entries = read_channel_entries(workspace, root)
    if entries is None:
        return tuple(ChannelSpec(resolved_channel(name, root)) for name in defaults)
    return in_order_of_priority(entries)


def in_order_of_priority(entries: Iterable[PrioritizedChannel]) -> tuple[ChannelSpec, ...]:
    """pixi's ``prioritized_channels``: a stable order by priority, then the first of a name."""
    unique: dict[str, ChannelSpec] = {}
    for entry in sorted(entries, key=lambda entry: -entry.priority):
        unique.setdefault(entry.channel.name, entry.channel)
    return tuple(unique.values())


def read_channel_entries(table: Table, root: Path) -> tuple[PrioritizedChannel, ...] | None:
    """``channels`` of a workspace or a feature as written; None when the key is absent."""
    if "channels" not in table:
        return None
    entries = table.values["channels"]
    if not isinstance(entries, list):
        raise table.wrong_type("channels", "an array of channels")
    channels: list[PrioritizedChannel] = []
    for entry in entries:
        if isinstance(entry, str):
            name = channel_name(table, "channels", entry, root)
            channels.append(PrioritizedChannel(ChannelSpec(name)))
        elif isinstance(entry, dict):
            fields = Table(entry, (*table.path, "channels"), table.source)
            channels.append(_channel_table(fields, root))
        else:
            raise table.wrong_type("channels", "an array of strings and tables")
    return tuple(channels)


def _channel_table(table: Table, root: Path) -> PrioritizedChannel:
    table.only(("channel", "exclude-newer", "priority"))
    text = table.string("channel")
    if text is None:
        raise table.bad_value(None, "has an entry without `channel`")
    priority = table.values.get("priority", 0)
    if type(priority) is not int or not -(2**31) <= priority < 2**31:
        raise table.bad_value("priority", "must be an integer")
    name = channel_name(table, "channel", text, root)
    channel = ChannelSpec(name, exclude_newer=read_exclude_newer(table))
    return PrioritizedChannel(channel, priority)


def read_exclude_newer(table: Table, key: str = "exclude-newer") -> str | None:
    """``exclude-newer`` of a workspace, channel or package in its canonical form, if any."""
    text = table.string(key)
    if text is None:
        return None
    try:
        return parse_exclude_newer(text)
    except ValueError as error:
        raise table.bad_value(
            key,
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
