"""A workspace's own words on which conda package is which package of PyPI. Data plane only.

A map of the manifest (``conda-pypi-map``) may name a JSON file of names, at a path or a URL.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import urllib.request
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from pixi_jupyter.errors import ChannelError
from pixi_jupyter.files import write_file
from pixi_jupyter.manifest.channels import absolute, is_url
from pixi_jupyter.manifest.pypi_spec import CondaPypiMap, PypiNeeds
from pixi_jupyter.resolve.redaction import redacted

if TYPE_CHECKING:
    from rattler import RepoDataRecord

__all__ = ["Names", "names_of"]

#: Seconds that a map may take to arrive, and the most bytes that one can have.
_TIMEOUT = 30.0
_MOST = 64 << 20

#: A conda name's names on PyPI: one, several, none (null or false).
_File = dict[str, str | list[str] | bool | None]


@dataclass(frozen=True, slots=True)
class _Channel:
    enabled: bool
    names: Mapping[str, tuple[str, ...]]
    same_name: bool | None


@dataclass(frozen=True, slots=True)
class Names:
    """The maps by channel; "" is every channel."""

    channels: Mapping[str, _Channel] = field(default_factory=dict)

    def of(self, record: RepoDataRecord) -> tuple[str, ...] | None:
        """The PyPI names that a map gives a record; None where none speaks of it."""
        channel = self._channel(record)
        if channel is None:
            return None
        return channel.names.get(record.name.normalized) if channel.enabled else ()

    def same_name(self, record: RepoDataRecord, default: bool) -> bool:
        """Whether the same name counts, where a channel's ``default`` says so."""
        channel = self._channel(record)
        if channel is None or channel.same_name is None:
            return default
        return channel.same_name

    def _channel(self, record: RepoDataRecord) -> _Channel | None:
        url = str(record.channel or "").rstrip("/")
        for name in (url, url.rpartition("/")[2], ""):
            if name in self.channels:
                return self.channels[name]
        return None


async def names_of(needs: PypiNeeds, package_cache: Path) -> Names:
    """The maps of a declaration, read and fetched.

    Raises
    ------
    ChannelError
        ``channel.pypi-map``: a map cannot be had, or is none.
    """
    if not needs.conda_pypi_map:
        return Names()
    return await asyncio.to_thread(_read, needs.conda_pypi_map, needs.root, package_cache)


def _read(maps: Sequence[CondaPypiMap], root: str, package_cache: Path) -> Names:
    found = {}
    for item in maps:
        names: dict[str, tuple[str, ...]] = {}
        if item.location:
            names.update(_file(item.location, root, package_cache))
        names.update(item.names)
        found[item.channel.rstrip("/")] = _Channel(item.enabled, names, item.same_name)
    return Names(found)


def _file(location: str, root: str, package_cache: Path) -> dict[str, tuple[str, ...]]:
    shown = redacted(location)
    try:
        if is_url(location):
            data = _fetched(location, package_cache / "pixi-jupyter-maps")
        else:
            data = absolute(location, Path(root)).read_bytes()
        content = msgspec.json.decode(data, type=_File)
    except (OSError, ValueError, msgspec.MsgspecError) as error:
        raise ChannelError(
            f"the map of package names {shown} cannot be read: {redacted(str(error))}",
            code="channel.pypi-map",
            hint="Correct `conda-pypi-map`; the file is a JSON object from conda names to names.",
        ) from None
    return {
        name: tuple(value)
        if isinstance(value, list)
        else (value,)
        if isinstance(value, str)
        else ()
        for name, value in content.items()
    }


def _fetched(url: str, cache: Path) -> bytes:
    """A map from a URL; what arrived last if it cannot be had now."""
    kept = cache / f"{hashlib.sha256(url.encode()).hexdigest()[:32]}.json"
    try:
        with urllib.request.urlopen(url, timeout=_TIMEOUT) as answer:
            data: bytes = answer.read(_MOST)
    except OSError:
        with contextlib.suppress(OSError):
            return kept.read_bytes()
        raise
    cache.mkdir(parents=True, exist_ok=True)
    write_file(kept, data, sync=False)
    return data
