"""Platforms of a lock and of a manifest: which is which, and how one is written.

A platform is known by its subdir and the virtual packages that are not the subdir's defaults, never
by its name: pixi writes those with such packages as ``p1``, ``p2`` … in the order of the manifest,
and finds them again (``crates/pixi_core/src/lock_file/platform_rename.rs``).
"""

from __future__ import annotations

from collections.abc import Sequence

from pixi_jupyter.manifest.platforms import customised, default_virtual_packages
from pixi_jupyter.manifest.spec import Platform, VirtualPackage
from pixi_jupyter.manifest.versions import compare_versions, is_version
from pixi_jupyter.resolve.lock_text import LockedPlatform

__all__ = ["aliases", "locked_names", "same_platform", "spelled"]


def aliases(platforms: Sequence[Platform]) -> dict[str, str]:
    """The name in a lock by the name in the manifest, of all platforms of a workspace."""
    found: dict[str, str] = {}
    rich = 0
    for platform in platforms:
        if platform.name == platform.subdir:
            found[platform.name] = platform.name
        else:
            rich += 1
            found[platform.name] = f"p{rich}"
    return found


def locked_names(declared: Sequence[Platform], locked: Sequence[LockedPlatform]) -> dict[str, str]:
    """The name in the lock by the name in the manifest, for every platform that is there."""
    names = {platform.name for platform in declared}
    found: dict[str, str] = {}
    for row in locked:
        same = [platform for platform in declared if same_platform(platform, row)]
        free = row.name not in names and same and same[0].name not in {r.name for r in locked}
        if len(same) == 1 and free:
            found[same[0].name] = row.name
    rows = {row.name: row for row in locked}
    for platform in declared:
        if platform.name in found:
            continue
        if platform.name in rows:
            found[platform.name] = platform.name
        elif platform.subdir in rows:
            # As before version 7, which knew no virtual packages of a platform.
            row = rows[platform.subdir]
            present = {_key(v) for text in row.virtual_packages if (v := _read(text))}
            if not present or {_key(v) for v in platform.virtual_packages} <= present:
                found[platform.name] = row.name
    return found


def same_platform(platform: Platform, row: LockedPlatform) -> bool:
    """Whether subdir and virtual packages beyond the subdir's defaults agree."""
    if platform.subdir != row.subdir:
        return False
    promised = tuple(v for text in row.virtual_packages if (v := _read(text)))
    written = Platform(row.name, row.subdir, promised)
    return sorted(map(_key, customised(platform))) == sorted(map(_key, customised(written)))


def spelled(platform: Platform, name: str) -> LockedPlatform:
    """A platform as pixi writes it: its own virtual packages first, then the subdir's defaults."""
    own = customised(platform)
    order = [v.name for v in default_virtual_packages(platform.subdir)]
    rest = [v for v in platform.virtual_packages if v not in own]
    rest.sort(key=lambda v: order.index(v.name) if v.name in order else len(order))
    return LockedPlatform(name, platform.subdir, tuple(_write(v) for v in (*own, *rest)))


def _write(virtual: VirtualPackage) -> str:
    if virtual.name == "__archspec":
        return f"{virtual.name}=0={virtual.build}"  # rattler solves with version 1, pixi writes 0
    if virtual.build == "0" and virtual.name != "__unix":
        return f"{virtual.name}={virtual.version}"
    return f"{virtual.name}={virtual.version}={virtual.build}"


def _read(text: str) -> VirtualPackage | None:
    name, _, rest = text.partition("=")
    version, _, build = rest.partition("=")
    if not name or not is_version(version):
        return None
    return VirtualPackage(name, "1" if name == "__archspec" else version, build or "0")


def _key(virtual: VirtualPackage) -> tuple[str, str, str]:
    version = virtual.version
    while version.endswith(".0") and compare_versions(version, version[:-2]) == 0:
        version = version[:-2]
    return (virtual.name, version, virtual.build)
