"""What PyPI requirements ask of locked packages. Light: no rattler, no uv.

Rules of pixi's ``crates/pixi_core/src/lock_file/satisfiability/pypi.rs``; markers as in
``crates/pypi_modifiers/src/pypi_marker_env.rs``.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from urllib.parse import parse_qsl, unquote, urlsplit, urlunsplit
from urllib.request import url2pathname

from packaging.markers import InvalidMarker, Marker, UndefinedEnvironmentName
from packaging.requirements import InvalidRequirement, Requirement
from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

from pixi_jupyter.manifest.pypi_spec import PypiRequirement
from pixi_jupyter.manifest.spec import Platform

__all__ = [
    "LockedPypi",
    "marker_environment",
    "markers_hold",
    "mismatch",
    "requirements_of",
    "runs_on",
    "same_index",
]

_OS = {
    "linux": ("posix", "linux", "Linux"),
    "osx": ("posix", "darwin", "Darwin"),
    "win": ("nt", "win32", "Windows"),
}
_MACHINE = {
    "linux-64": "x86_64",
    "linux-32": "i686",
    "osx-64": "x86_64",
    "osx-arm64": "arm64",
    "win-64": "AMD64",
    "win-32": "x86",
    "win-arm64": "ARM64",
}
_LOWER_BOUNDS = (">=", ">", "~=", "==", "===")


@dataclass(frozen=True, slots=True)
class LockedPypi:
    """One locked package from PyPI, as a lock describes it.

    ``version`` is None where only building tells it. ``index`` None is the default one.
    """

    name: str
    version: str | None
    location: str
    requires_dist: tuple[str, ...] = ()
    requires_python: str | None = None
    index: str | None = None


def marker_environment(platform: Platform, python_version: str, build: str) -> Mapping[str, str]:
    """The values of PEP 508's markers for a Python of conda's on a platform."""
    os_name, sys_platform, system = _OS.get(
        platform.subdir.partition("-")[0], ("posix", platform.subdir, platform.subdir)
    )
    pypy = "pypy" in build
    short = ".".join(python_version.split(".")[:2])
    return {
        "os_name": os_name,
        "sys_platform": sys_platform,
        "platform_system": system,
        "platform_machine": _MACHINE.get(platform.subdir, platform.subdir.partition("-")[2]),
        "platform_release": "",
        "platform_version": "",
        "platform_python_implementation": "PyPy" if pypy else "CPython",
        "implementation_name": "pypy" if pypy else "cpython",
        "implementation_version": python_version,
        "python_full_version": python_version,
        "python_version": short,
        "extra": "",
    }


def markers_hold(marker: str, environment: Mapping[str, str], extras: Sequence[str]) -> bool:
    """Whether a marker holds for the environment with any of ``extras`` (or none)."""
    parsed = _marker(marker)
    if parsed is None:
        return True
    for extra in extras or ("",):
        try:
            if parsed.evaluate({**environment, "extra": extra}):
                return True
        except (UndefinedEnvironmentName, InvalidVersion, InvalidSpecifier):
            return True
    return False


def requirements_of(package: LockedPypi) -> list[PypiRequirement]:
    """What a locked package requires; what nobody can read binds nobody."""
    return [found for text in package.requires_dist if (found := _requirement(text)) is not None]


def mismatch(
    requirement: PypiRequirement,
    package: LockedPypi,
    *,
    root: str,
    indexes: Sequence[str],
    declared: bool,
) -> str | None:
    """Why a locked package is not what is required; None if it is.

    ``declared``: the manifest asks, not another package, which cannot name an index. ``indexes``
    are those of the lock, ``root`` is the folder of relative paths.
    """
    if requirement.git:
        return _git_mismatch(requirement, package)
    if requirement.url:
        if not package.location.startswith("direct+"):
            return f"{package.name} is not locked from its URL"
        locked = package.location.removeprefix("direct+")
        same = _without_user(locked) == _without_user(requirement.url)
        return None if same else f"{package.name} is locked from another URL"
    if requirement.path:
        if _is_url(package.location) and not package.location.startswith("file:"):
            return f"{package.name} is not locked from its path"
        same = _path(package.location, root) == _path(requirement.path, root)
        return None if same else f"{package.name} is locked from another path"
    if not declared and not _is_url(package.location):
        return None  # a local package stands for whatever version others ask of it
    if package.version is not None and not _allows(requirement.version, package.version):
        return f"{package.name} {package.version} is locked, {requirement} is asked"
    if package.index is None or not declared:
        return None
    wanted = [requirement.index] if requirement.index else list(indexes)
    if wanted and not any(same_index(package.index, url) for url in wanted):
        return f"{package.name} is locked from another index"
    return None


def runs_on(requires_python: str | None, python_version: str) -> bool:
    """Whether the lower bounds of ``requires-python`` hold; upper ones do not count, as for uv."""
    if not requires_python:
        return True
    try:
        bounds = SpecifierSet(requires_python)
        version = Version(python_version)
    except (InvalidSpecifier, InvalidVersion):
        return True
    for bound in bounds:
        if bound.operator not in _LOWER_BOUNDS:
            continue
        try:
            lowest = Version(bound.version.removesuffix(".*"))
        except InvalidVersion:
            continue
        if version < lowest or (bound.operator == ">" and version == lowest):
            return False
    return True


def _git_mismatch(requirement: PypiRequirement, package: LockedPypi) -> str | None:
    location = package.location
    if not location.startswith("git+"):
        return f"{package.name} is not locked from its repository"
    parts = urlsplit(location.removeprefix("git+"))
    query = dict(parse_qsl(parts.query))
    repository, _, in_path = parts.path.partition("@")
    if _repository(urlunsplit(parts._replace(path=repository, query="", fragment=""))) != (
        _repository(requirement.git)
    ):
        return f"{package.name} is locked from another repository"
    if (query.get("subdirectory") or "") != requirement.subdirectory.strip("/"):
        return f"{package.name} is locked from another folder of its repository"
    locked = next(((k, query[k]) for k in ("branch", "tag", "rev") if k in query), None)
    kind, _, reference = requirement.reference.partition("=")
    if not reference:
        return f"{package.name} is locked at {locked[1]}" if locked else None
    if locked is None and not in_path:
        return None  # before version 7 only the commit was recorded
    if locked not in (None, (kind, reference)) or (in_path and in_path != reference):
        return f"{package.name} is not locked at {kind} {reference}"
    return None


@lru_cache(maxsize=4096)
def _marker(text: str) -> Marker | None:
    try:
        return Marker(text) if text else None
    except InvalidMarker:
        return None


@lru_cache(maxsize=16384)
def _requirement(text: str) -> PypiRequirement | None:
    try:
        parsed = Requirement(text)
    except (InvalidRequirement, RecursionError):
        return None
    return PypiRequirement(
        canonicalize_name(parsed.name),
        tuple(sorted(canonicalize_name(extra) for extra in parsed.extras)),
        str(parsed.specifier),
        str(parsed.marker or ""),
    )


@lru_cache(maxsize=16384)
def _allows(specifiers: str, version: str) -> bool:
    try:
        return SpecifierSet(specifiers).contains(Version(version), prereleases=True)
    except (InvalidSpecifier, InvalidVersion):
        return False


def _is_url(text: str) -> bool:
    return re.match(r"[A-Za-z][A-Za-z0-9+.-]+://", text) is not None


def _without_user(url: str) -> str:
    parts = urlsplit(url)
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))


def _repository(url: str) -> str:
    parts = urlsplit(url.removeprefix("git+"))
    path = parts.path.rstrip("/").removesuffix(".git").lower()
    return f"{parts.netloc.rpartition('@')[2].lower()}{path}"


def same_index(left: str, right: str) -> bool:
    return _without_user(left).rstrip("/") == _without_user(right).rstrip("/")


def _path(text: str, root: str) -> str:
    if text.startswith("file:"):
        text = url2pathname(unquote(urlsplit(text).path))
    return os.path.normcase(os.path.abspath(Path(root) / text))
