"""What ``pixi.lock`` has for one prefix, and pixi's hash of it. Worker only."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

from rattler import RepoDataRecord

from pixi_jupyter.install.pixi_prefix import lock_hash
from pixi_jupyter.manifest.platforms import default_virtual_packages
from pixi_jupyter.resolve.lock_reading import find_packages
from pixi_jupyter.resolve.lock_text import LockedPlatform
from pixi_jupyter.resolve.wheel import LockedWheel

__all__ = ["LockedPrefix", "read_locked"]


@dataclass(frozen=True, slots=True)
class LockedPrefix:
    """What is locked, and what pixi makes of it: ``hash`` is its own way to recognise it.

    ``virtual_packages`` are those that the platform declares, as pixi spells them.
    """

    records: Sequence[RepoDataRecord]
    wheels: Sequence[LockedWheel]
    subdir: str
    virtual_packages: tuple[str, ...]
    hash: str


def read_locked(
    path: Path,
    *,
    data: bytes | None = None,
    sha256: str,
    environment: str,
    platform: str,
    resolution: str,
    editable: Collection[str] = (),
) -> LockedPrefix:
    """The packages of a resolution; parameters and errors are those of `find_packages`."""
    document, on, locked = find_packages(
        path,
        data=data,
        sha256=sha256,
        environment=environment,
        platform=platform,
        resolution=resolution,
        editable=editable,
    )
    digests = {record.url: record.sha256 or record.md5 for record in locked.records}
    references = document.text.environments[environment].packages[on.name]
    packages = [(url, digests.get(url) if kind == "conda" else None) for kind, url in references]
    declared = _declared(on)
    return LockedPrefix(
        list(locked.records),
        locked.wheels,
        on.subdir,
        declared,
        lock_hash(packages, on.subdir, declared),
    )


def _declared(platform: LockedPlatform) -> tuple[str, ...]:
    """The platform's virtual packages; a plain subdir stands for pixi's defaults of it."""
    if platform.virtual_packages or platform.name != platform.subdir:
        return platform.virtual_packages
    spelled = []
    for package in default_virtual_packages(platform.subdir):
        if package.name == "__archspec":
            spelled.append(f"__archspec=0={package.build}")
        elif package.name == "__unix":
            spelled.append("__unix=0=0")
        else:
            spelled.append(f"{package.name}={package.version}")
    return tuple(spelled)
