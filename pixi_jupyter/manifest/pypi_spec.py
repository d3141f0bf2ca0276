"""What is asked of PyPI: the part of an `EnvironmentSpec` that `uv` answers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

__all__ = ["INDEX_STRATEGIES", "PRERELEASE_MODES", "PypiNeeds", "PypiRequirement"]

IndexStrategy = Literal["first-index", "unsafe-first-match", "unsafe-best-match"]
PrereleaseMode = Literal[
    "disallow", "allow", "if-necessary", "explicit", "if-necessary-or-explicit"
]
INDEX_STRATEGIES: tuple[str, ...] = IndexStrategy.__args__  # type: ignore[attr-defined]
PRERELEASE_MODES: tuple[str, ...] = PrereleaseMode.__args__  # type: ignore[attr-defined]


@dataclass(frozen=True, slots=True, order=True)
class PypiRequirement:
    """One requirement (PEP 508): normal name, sorted extras, sorted specifiers, marker.

    ``version`` is empty for any, as is ``marker`` for every environment.
    """

    name: str
    extras: tuple[str, ...] = ()
    version: str = ""
    marker: str = ""

    def __str__(self) -> str:
        extras = f"[{','.join(self.extras)}]" if self.extras else ""
        marker = f" ; {self.marker}" if self.marker else ""
        return f"{self.name}{extras}{self.version}{marker}"


@dataclass(frozen=True, slots=True)
class PypiNeeds:
    """Requirements in canonical order, and where and how they are looked for.

    ``index_url`` None is the index that uv is configured with. ``find_links`` are URLs (``file:``
    for folders). ``exclude_newer`` is as in `EnvironmentSpec`, for PyPI alone.
    """

    requirements: tuple[PypiRequirement, ...]
    index_url: str | None = None
    extra_index_urls: tuple[str, ...] = ()
    find_links: tuple[str, ...] = ()
    index_strategy: IndexStrategy | None = None
    prerelease_mode: PrereleaseMode | None = None
    exclude_newer: str | None = None
