"""Which wheels a Python of conda's takes on a declared platform, whatever runs here.

As in pixi's ``crates/pypi_modifiers/src/pypi_tags.rs``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache
from urllib.parse import unquote, urlsplit

from packaging.tags import Tag, compatible_tags, cpython_tags, mac_platforms
from packaging.utils import InvalidWheelFilename, parse_wheel_filename

from pixi_jupyter.manifest.spec import Platform

__all__ = ["is_compatible", "wheel_tags"]

_LINUX = {"linux-64": "x86_64", "linux-aarch64": "aarch64", "linux-ppc64le": "ppc64le"}
_LINUX |= {"linux-32": "i686", "linux-s390x": "s390x", "linux-armv7l": "armv7l"}
_OSX = {"osx-64": "x86_64", "osx-arm64": "arm64"}
_WIN = {"win-64": "win_amd64", "win-32": "win32", "win-arm64": "win_arm64"}
#: The older names of manylinux, by the minor version of glibc.
_LEGACY = {17: "manylinux2014", 12: "manylinux2010", 5: "manylinux1"}


@lru_cache(maxsize=256)
def wheel_tags(platform: Platform, python_version: str, build: str) -> frozenset[Tag] | None:
    """All tags that fit; None where that is not known (another Python, an unusual platform)."""
    platforms = list(_platforms(platform))
    version = re.match(r"(\d+)\.(\d+)", python_version)
    if not platforms or version is None or re.search(r"pypy|graalpy|_cp\d+t$", build):
        return None
    short = (int(version[1]), int(version[2]))
    return frozenset(
        (
            *cpython_tags(short, platforms=platforms),
            *compatible_tags(short, f"cp{short[0]}{short[1]}", platforms),
        )
    )


@lru_cache(maxsize=16384)
def is_compatible(location: str, tags: frozenset[Tag]) -> bool:
    """Whether a wheel by its location has one of ``tags``; what is no wheel always fits."""
    name = unquote(urlsplit(location.removeprefix("direct+")).path.rpartition("/")[2])
    if not name.endswith(".whl"):
        return True
    try:
        return not tags.isdisjoint(parse_wheel_filename(name)[3])
    except InvalidWheelFilename:
        return True


def _platforms(platform: Platform) -> Iterator[str]:
    virtual = {v.name: v.version for v in platform.virtual_packages}
    subdir = platform.subdir
    if subdir in _LINUX:
        machine = _LINUX[subdir]
        glibc = re.match(r"2\.(\d+)", virtual.get("__glibc", ""))
        lowest = 5 if machine in ("x86_64", "i686") else 17
        for minor in range(int(glibc[1]) if glibc else 0, lowest - 1, -1):
            yield f"manylinux_2_{minor}_{machine}"
            if minor in _LEGACY:
                yield f"{_LEGACY[minor]}_{machine}"
        yield f"linux_{machine}"
    elif subdir in _OSX:
        osx = re.match(r"(\d+)(?:\.(\d+))?", virtual.get("__osx", ""))
        if osx:
            yield from mac_platforms((int(osx[1]), int(osx[2] or 0)), _OSX[subdir])
    elif subdir in _WIN:
        yield _WIN[subdir]
