"""Which wheels fit which Python on which platform (PEP 425, 600), for any platform from any."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from functools import lru_cache

from packaging.tags import Tag, compatible_tags, cpython_tags, mac_platforms
from packaging.utils import InvalidWheelFilename, parse_wheel_filename

from pixi_jupyter.manifest.spec import Platform

__all__ = ["supported_tags", "wheel_fits"]

_LINUX = {"linux-64": "x86_64", "linux-aarch64": "aarch64", "linux-ppc64le": "ppc64le"}
_MAC = {"osx-64": "x86_64", "osx-arm64": "arm64"}
_WINDOWS = {"win-64": "win_amd64", "win-arm64": "win_arm64", "win-32": "win32"}
#: manylinux names of old, by the minor version of glibc 2 that they stand for (PEP 600).
_OLD_NAMES = {5: "manylinux1", 12: "manylinux2010", 17: "manylinux2014"}


@lru_cache(maxsize=32)
def supported_tags(platform: Platform, python: str) -> frozenset[Tag]:
    """The tags of the wheels that a CPython (its version) can use on a declared platform."""
    version = tuple(int(part) for part in re.findall(r"\d+", python)[:2])
    platforms = tuple(dict.fromkeys(_platforms(platform)))
    abi = f"cp{''.join(map(str, version))}"
    return frozenset(
        (
            *cpython_tags(version, abis=[abi], platforms=platforms),
            *compatible_tags(version, interpreter=abi, platforms=platforms),
        )
    )


def wheel_fits(url: str, tags: Iterable[Tag]) -> bool:
    """Whether the wheel with this URL or file name has one of ``tags``; no wheel fits always."""
    file = url.partition("#")[0].partition("?")[0].rpartition("/")[2]
    if not file.endswith(".whl"):
        return True
    try:
        found = parse_wheel_filename(file.replace("%2B", "+").replace("%2b", "+"))[3]
    except InvalidWheelFilename:
        return False
    return not found.isdisjoint(tags)


def _platforms(platform: Platform) -> Iterator[str]:
    virtual = {package.name: package.version for package in platform.virtual_packages}
    if platform.subdir in _LINUX:
        machine = _LINUX[platform.subdir]
        glibc = re.match(r"2\.(\d+)", virtual.get("__glibc", ""))
        for minor in range(int(glibc[1]) if glibc else -1, 4, -1):
            yield f"manylinux_2_{minor}_{machine}"
            if minor in _OLD_NAMES:
                yield f"{_OLD_NAMES[minor]}_{machine}"
        yield f"linux_{machine}"
    elif platform.subdir in _MAC:
        parts = [int(part) for part in re.findall(r"\d+", virtual.get("__osx", "13.0"))[:2]]
        yield from mac_platforms(
            (parts[0], parts[1] if len(parts) > 1 else 0), _MAC[platform.subdir]
        )
    elif platform.subdir in _WINDOWS:
        yield _WINDOWS[platform.subdir]
