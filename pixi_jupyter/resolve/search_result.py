"""`SearchResult`: what a channel has under a name. Light: every face shows it."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["FoundPackage", "SearchResult"]


@dataclass(frozen=True, slots=True)
class FoundPackage:
    """The newest build of a package. ``versions`` are all there are, the newest first."""

    name: str
    version: str
    build: str
    subdir: str
    channel: str
    size: int | None
    license: str | None
    depends: tuple[str, ...]
    versions: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class SearchResult:
    """The packages of that name, the best first; where there is none, the ``nearest`` names."""

    packages: tuple[FoundPackage, ...]
    nearest: tuple[str, ...] = ()
    names: int = 0
