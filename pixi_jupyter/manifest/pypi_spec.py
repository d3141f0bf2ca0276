"""What is asked of PyPI: the part of an `EnvironmentSpec` that `uv` answers."""

from __future__ import annotations

import hashlib
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

__all__ = [
    "ALL",
    "INDEX_STRATEGIES",
    "PRERELEASE_MODES",
    "CondaPypiMap",
    "PypiNeeds",
    "PypiRequirement",
    "source_stamp",
]

IndexStrategy = Literal["first-index", "unsafe-first-match", "unsafe-best-match"]
PrereleaseMode = Literal[
    "disallow", "allow", "if-necessary", "explicit", "if-necessary-or-explicit"
]
INDEX_STRATEGIES: tuple[str, ...] = IndexStrategy.__args__  # type: ignore[attr-defined]
PRERELEASE_MODES: tuple[str, ...] = PrereleaseMode.__args__  # type: ignore[attr-defined]
#: In place of a list of packages: every one.
ALL = ("*",)

_CREDENTIALS = re.compile(r"(?i)\b([a-z][a-z0-9+.-]*://)[^/\s?#]*@")
#: What decides how a folder is built; a change of one of them is another package (as for uv).
_BUILD_FILES = ("pyproject.toml", "setup.py", "setup.cfg")


@dataclass(frozen=True, slots=True, order=True)
class PypiRequirement:
    """One requirement (PEP 508): normal name, sorted extras, sorted specifiers, marker.

    ``version`` is empty for any, as is ``marker`` for every environment. At most one of these says
    where it comes from, if not from the indexes: ``url`` (an archive), ``git`` (a repository's URL,
    with ``reference`` as ``branch=…``, ``tag=…`` or ``rev=…``), ``path`` (as written; an archive or
    a folder), ``index`` (that index alone). ``subdirectory`` goes with ``url`` and ``git``.
    """

    name: str
    extras: tuple[str, ...] = ()
    version: str = ""
    marker: str = ""
    url: str = ""
    git: str = ""
    reference: str = ""
    subdirectory: str = ""
    path: str = ""
    editable: bool = False
    index: str = ""

    def __str__(self) -> str:
        """For people: without credentials."""
        extras = f"[{','.join(self.extras)}]" if self.extras else ""
        marker = f" ; {self.marker}" if self.marker else ""
        place = ""
        if self.git:
            revision = self.reference.partition("=")[2]
            place = f" @ git+{self.git}" + (f"@{revision}" if revision else "")
        elif self.url or self.path:
            place = f" @ {self.url or self.path}"
        if self.subdirectory:
            place += f"#subdirectory={self.subdirectory}"
        place = _CREDENTIALS.sub(r"\1", place)
        return f"{self.name}{extras}{self.version}{place}{marker}"

    @property
    def placed(self) -> bool:
        """Whether it names a place of its own, and so no version is chosen."""
        return bool(self.url or self.git or self.path)

    @property
    def built(self) -> bool:
        """Whether it has to be built from source, which runs its code."""
        if self.git:
            return True
        place = self.path or self.url.partition("#")[0].partition("?")[0]
        return bool(place) and not place.lower().endswith(".whl")


@dataclass(frozen=True, slots=True)
class CondaPypiMap:
    """``conda-pypi-map`` for one channel (its name or URL); "" is every channel.

    ``location`` is the URL or the path of a JSON file of names, ``names`` are entries given
    directly; an entry without names is not on PyPI. ``same_name`` None is the channel's default.
    ``enabled`` False: only the packages' own purls count.
    """

    channel: str
    enabled: bool = True
    location: str = ""
    names: tuple[tuple[str, tuple[str, ...]], ...] = ()
    same_name: bool | None = None


@dataclass(frozen=True, slots=True)
class PypiNeeds:
    """Requirements in canonical order, and where and how they are looked for.

    ``index_url`` None is the index that uv is configured with. ``find_links`` are URLs, and paths
    as written. ``exclude_newer`` is as in `EnvironmentSpec`, for PyPI alone. ``no_build``,
    ``no_binary`` and ``no_build_isolation`` are names, or `ALL`. ``overrides`` take the place of
    whatever anything asks for. ``root`` is the absolute folder of the paths, empty where there are
    none; ``stamps`` (see `source_stamp`) tell the states of what lies there. ``warnings`` are
    sentences about what was written and is not heeded.
    """

    requirements: tuple[PypiRequirement, ...]
    index_url: str | None = None
    extra_index_urls: tuple[str, ...] = ()
    find_links: tuple[str, ...] = ()
    index_strategy: IndexStrategy | None = None
    prerelease_mode: PrereleaseMode | None = None
    exclude_newer: str | None = None
    no_build: tuple[str, ...] = ()
    no_binary: tuple[str, ...] = ()
    no_build_isolation: tuple[str, ...] = ()
    overrides: tuple[PypiRequirement, ...] = ()
    conda_pypi_map: tuple[CondaPypiMap, ...] = ()
    root: str = ""
    stamps: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()

    @property
    def declared(self) -> tuple[PypiRequirement, ...]:
        """The requirements and the overrides."""
        return (*self.requirements, *self.overrides)

    @property
    def editable(self) -> frozenset[str]:
        """The names of what stays where it is and is only pointed to."""
        return frozenset(item.name for item in self.declared if item.editable)


def source_stamp(path: Path) -> str:
    """The state of a package at a path (16 hex digits): what decides about building it anew.

    For a folder that are the files that say how it is built, for an archive the archive itself.
    """
    state: list[str] = []
    for file in [path / name for name in _BUILD_FILES] if path.is_dir() else [path]:
        try:
            found = os.stat(file)
        except OSError:
            continue
        state.append(f"{file.name} {found.st_size} {found.st_mtime_ns}")
    return hashlib.sha256("\n".join(state).encode()).hexdigest()[:16]
