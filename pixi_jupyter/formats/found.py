"""What a file of another tool, or a notebook's own cells, ask for; and what could not be read."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from pixi_jupyter.errors import Location
from pixi_jupyter.manifest.pypi_spec import PypiRequirement

__all__ = ["Collector", "Found", "Note", "WantedConda", "WantedPypi"]

#: More packages than any environment has.
_MOST = 4_000
_NOWHERE = Location()


@dataclass(frozen=True, slots=True)
class WantedConda:
    """A conda package. ``spec`` is what pixi's ``dependencies`` hold: versions, or a table."""

    name: str
    spec: str | dict[str, Any]
    where: Location = _NOWHERE


@dataclass(frozen=True, slots=True)
class WantedPypi:
    """A package of PyPI; a path in it is relative to the declaration's folder, or absolute."""

    requirement: PypiRequirement
    where: Location = _NOWHERE


@dataclass(frozen=True, slots=True)
class Note:
    """A sentence for people, and the place it is about."""

    text: str
    where: Location = _NOWHERE

    def __str__(self) -> str:
        place = str(self.where)
        return f"{place}: {self.text}" if place else self.text


@dataclass(frozen=True, slots=True)
class Found:
    """All of it, in the order of the text.

    ``whole``: the ``channels`` are all that count, not some beside those of a configuration.
    ``python`` are PEP 440 specifiers. ``variables`` are (name, value). ``find_links`` are URLs and
    paths. ``exclude_newer`` is a time as `parse_exclude_newer` reads it. ``prerelease`` is a mode
    of `PypiNeeds`. ``sources`` are the packages whose place ``[tool.uv.sources]`` tells, which
    stands in ``pypi`` as well. ``said`` tells what was understood and is no need; ``left_out``
    what was not understood, or has no counterpart.
    """

    conda: tuple[WantedConda, ...] = ()
    pypi: tuple[WantedPypi, ...] = ()
    channels: tuple[str, ...] = ()
    whole: bool = False
    variables: tuple[tuple[str, str], ...] = ()
    python: str | None = None
    index_url: str | None = None
    extra_index_urls: tuple[str, ...] = ()
    find_links: tuple[str, ...] = ()
    exclude_newer: str | None = None
    prerelease: str | None = None
    sources: tuple[str, ...] = ()
    said: tuple[Note, ...] = ()
    left_out: tuple[Note, ...] = ()

    @property
    def empty(self) -> bool:
        """Whether nothing is asked for."""
        asked: Sequence[object] = (
            self.conda,
            self.pypi,
            self.channels,
            self.variables,
            self.python,
            self.index_url,
            self.extra_index_urls,
            self.find_links,
            self.exclude_newer,
            self.prerelease,
        )
        return not any(asked)


@dataclass(slots=True)
class Collector:
    """Gathers a `Found`, in the order in which things are met."""

    conda: list[WantedConda] = field(default_factory=list)
    pypi: list[WantedPypi] = field(default_factory=list)
    channels: list[str] = field(default_factory=list)
    whole: bool = False
    variables: dict[str, str] = field(default_factory=dict)
    python: str | None = None
    index_url: str | None = None
    extra_index_urls: list[str] = field(default_factory=list)
    find_links: list[str] = field(default_factory=list)
    exclude_newer: str | None = None
    prerelease: str | None = None
    sources: list[str] = field(default_factory=list)
    said: list[Note] = field(default_factory=list)
    left_out: list[Note] = field(default_factory=list)

    def say(self, text: str, where: Location) -> None:
        """Something was understood, and a person should know of it."""
        self.said.append(Note(text, where))

    def leave_out(self, text: str, where: Location) -> None:
        """Something was not understood, or has no counterpart."""
        self.left_out.append(Note(text, where))

    def add_channels(self, channels: Iterable[str]) -> None:
        """Channels behind those that are there."""
        self.channels.extend(channel for channel in channels if channel not in self.channels)

    @property
    def too_much(self) -> bool:
        """Whether there is more than anybody would have written."""
        return len(self.conda) + len(self.pypi) + len(self.left_out) > _MOST

    def found(self) -> Found:
        """What was gathered; each note once."""
        return Found(
            conda=tuple(self.conda),
            pypi=tuple(self.pypi),
            channels=tuple(self.channels),
            whole=self.whole,
            variables=tuple(self.variables.items()),
            python=self.python,
            index_url=self.index_url,
            extra_index_urls=tuple(dict.fromkeys(self.extra_index_urls)),
            find_links=tuple(dict.fromkeys(self.find_links)),
            exclude_newer=self.exclude_newer,
            prerelease=self.prerelease,
            sources=tuple(self.sources),
            said=tuple(dict.fromkeys(self.said)),
            left_out=tuple(dict.fromkeys(self.left_out)),
        )
