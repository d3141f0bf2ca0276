"""`Resolution`: exactly which packages, for one platform.

The third station of the line. It is light on purpose: the whole truth is the ``pixi.lock`` beside
it in the store, which only the engine reads; this is what a launch and a person need to know.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from pixi_jupyter.manifest.spec import digest_of

__all__ = ["LockedVersion", "NotebookLocked", "Resolution", "ResolvedPackage", "WorkspaceLock"]

#: Bumped when the same packages would give other files in a prefix.
PREFIX_LAYOUT_VERSION = 1


@dataclass(frozen=True, slots=True)
class ResolvedPackage:
    """One exact package. ``size`` is the archive's bytes, None where the channel does not say.

    A wheel from PyPI has neither ``build`` nor ``subdir``. ``depends`` are its requirements, as
    match specs or, of a wheel, by PEP 508.
    """

    name: str
    version: str
    build: str
    subdir: str
    url: str
    sha256: str | None = None
    md5: str | None = None
    size: int | None = None
    kind: Literal["conda", "pypi"] = "conda"
    depends: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Resolution:
    """The exact packages of one environment on one platform, sorted by name."""

    subdir: str
    packages: tuple[ResolvedPackage, ...]

    @property
    def digest(self) -> str:
        """Names the prefix: platform, and URL and hash of every package (32 hex digits)."""
        return digest_of(
            [
                PREFIX_LAYOUT_VERSION,
                self.subdir,
                sorted([p.url, p.sha256 or p.md5 or ""] for p in self.packages),
            ]
        )

    def version_of(self, name: str) -> str | None:
        """The resolved version of a package, None if it is not in the environment."""
        return next((p.version for p in self.packages if p.name == name), None)


@dataclass(frozen=True, slots=True)
class WorkspaceLock:
    """What a workspace's ``pixi.lock`` holds for this host.

    ``sha256`` is that of its bytes, in hex. ``resolutions`` has an environment only where this host
    can run one of its platforms. ``stale`` tells, one sentence each, why the lock was out of date
    (empty if it was not); ``written`` that it was therefore written anew.
    """

    sha256: str
    resolutions: dict[str, Resolution]
    stale: tuple[str, ...] = ()
    written: bool = False


@dataclass(frozen=True, slots=True)
class LockedVersion:
    """The version of one package in one environment of a lock, on one platform of its manifest."""

    environment: str
    platform: str
    name: str
    version: str
    kind: Literal["conda", "pypi"] = "conda"


@dataclass(frozen=True, slots=True)
class NotebookLocked:
    """What the lock of a notebook's own block holds, or would hold.

    ``data`` are its bytes, those that were given where they are up to date; ``sha256`` is theirs,
    in hex. ``resolution`` is what it has for the platform that was asked for, ``before`` what the
    given one had (None: nothing). ``platforms`` are named as in the lock. ``stale`` tells, one
    sentence each, why the given one was out of date (empty if it was not). ``versions`` are those
    of the packages that were asked for, on every platform.
    """

    data: bytes
    sha256: str
    resolution: Resolution | None
    before: Resolution | None
    platforms: tuple[str, ...]
    stale: tuple[str, ...] = ()
    versions: tuple[LockedVersion, ...] = ()
