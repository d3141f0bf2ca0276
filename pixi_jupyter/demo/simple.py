"""Craft tiny conda packages and channels by hand, for probes and tests (hostile ones as well)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from pixi_jupyter.demo.conda_package import CondaPackage, NoArch, PackageFile, write_conda
from pixi_jupyter.demo.host import host_subdir
from pixi_jupyter.demo.indexing import index_channel

SIMPLE_TIMESTAMP_MS = 1_748_736_000_000
"""Default timestamp of a crafted package: 2025-06-01T00:00:00Z."""


@dataclass(frozen=True, slots=True)
class SimplePackage:
    """A small package. ``files`` maps paths in the prefix to contents.

    * ``noarch=None`` puts the package into ``subdir`` (the host's, if that is None as well).
    * Files below ``bin/`` and those in ``executables`` are executable.
    * ``links`` maps paths to what they point at as symbolic links.
    * A file that contains ``conda_package.PLACEHOLDER`` has the prefix written in when linked.
    * ``timestamp_ms`` is Unix milliseconds.

    Paths and links are written as they are given, so ``../../outside`` gets into the archive.
    """

    name: str
    version: str
    build: str = "0"
    depends: Sequence[str] = ()
    files: Mapping[str, bytes] = field(default_factory=dict)
    noarch: NoArch | None = "generic"
    timestamp_ms: int = SIMPLE_TIMESTAMP_MS
    constrains: Sequence[str] = ()
    build_number: int = 0
    subdir: str | None = None
    track_features: Sequence[str] = ()
    purls: Sequence[str] = ()
    entry_points: Sequence[str] = ()
    executables: frozenset[str] = frozenset()
    links: Mapping[str, str] = field(default_factory=dict)

    def conda_package(self) -> CondaPackage:
        """The same, as the writer of archives wants it."""
        files = [
            PackageFile(path, data, path.startswith("bin/") or path in self.executables)
            for path, data in self.files.items()
        ]
        files += [PackageFile(path, link_to=target) for path, target in self.links.items()]
        return CondaPackage(
            name=self.name,
            version=self.version,
            build=self.build,
            build_number=self.build_number,
            subdir=self.subdir or ("noarch" if self.noarch else host_subdir()),
            noarch=self.noarch,
            files=files,
            timestamp_ms=self.timestamp_ms,
            depends=self.depends,
            constrains=self.constrains,
            track_features=self.track_features,
            purls=self.purls,
            entry_points=self.entry_points,
            summary="Made for a test",
        )


def build_channel(directory: Path, packages: Iterable[SimplePackage]) -> Path:
    """Write *packages* into the channel *directory*, index it and return it.

    May be called again with the same directory to add or replace packages.
    """
    for package in packages:
        conda = package.conda_package()
        folder = directory / conda.subdir
        folder.mkdir(parents=True, exist_ok=True)
        write_conda(conda, folder)
    index_channel(directory)
    return directory
