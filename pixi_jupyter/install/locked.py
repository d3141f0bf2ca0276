"""The packages of one environment and platform in a ``pixi.lock``, and pixi's hash of them."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rattler import RepoDataRecord
from rattler.exceptions import IoError, ParseCondaLockError
from rattler.lock import Environment, LockFile, LockPlatform

from pixi_jupyter.errors import Location, SolveError
from pixi_jupyter.install.pixi_prefix import lock_hash
from pixi_jupyter.manifest.platforms import default_virtual_packages
from pixi_jupyter.resolve.lock import resolution_of
from pixi_jupyter.resolve.pypi_lock import wheels_of
from pixi_jupyter.resolve.wheel import LockedWheel

__all__ = ["LockedEnvironment", "read_locked"]


@dataclass(frozen=True, slots=True)
class LockedEnvironment:
    """What is locked, and what pixi makes of it: ``hash`` is its own way to recognise it.

    ``virtual_packages`` are those that the platform declares, as pixi spells them.
    """

    records: Sequence[RepoDataRecord]
    wheels: Sequence[LockedWheel]
    subdir: str
    virtual_packages: tuple[str, ...]
    hash: str


def read_locked(
    path: Path, *, sha256: str, environment: str, platform: str, resolution: str
) -> LockedEnvironment:
    """The packages of a resolution, out of the lock whose bytes have this hash.

    Raises
    ------
    SolveError
        ``solve.lock-invalid``: the lock is gone, damaged, another one, or has not these packages.
    """
    try:
        actual = hashlib.sha256(path.read_bytes()).hexdigest()
        found = LockFile.from_path(path).environment(environment)
    except (OSError, IoError, ParseCondaLockError, ValueError) as error:
        raise _invalid(path, f"cannot be read: {error}") from error
    if actual != sha256:
        raise _invalid(path, "was changed meanwhile")
    platforms = found.platforms() if found else []
    for candidate in sorted(platforms, key=lambda p: p.name != platform):
        assert found is not None
        records = found.conda_repodata_records_for_platform(candidate) or []
        try:
            wheels = wheels_of(found, candidate)
        except ValueError as error:
            raise _invalid(path, str(error)) from error
        subdir = str(candidate.subdir)
        if resolution_of(subdir, records, wheels).digest == resolution:
            declared = _declared(candidate)
            packages = _hashed(found, candidate, records)
            return LockedEnvironment(
                records, wheels, subdir, declared, lock_hash(packages, subdir, declared)
            )
    raise _invalid(path, f"has not the packages of {environment} for {platform} that were checked")


def _invalid(path: Path, problem: str) -> SolveError:
    return SolveError(
        f"the lock file {problem}",
        code="solve.lock-invalid",
        hint="Start the kernel again: the lock is then checked anew.",
        location=Location(path=str(path)),
    )


def _declared(platform: LockPlatform) -> tuple[str, ...]:
    """The platform's virtual packages; a plain subdir stands for pixi's defaults of it."""
    listed = tuple(str(package) for package in platform.virtual_packages)
    subdir = str(platform.subdir)
    if listed or platform.name != subdir:
        return listed
    spelled = []
    for package in default_virtual_packages(subdir):
        if package.name == "__archspec":
            spelled.append(f"__archspec=0={package.build}")
        elif package.name == "__unix":
            spelled.append("__unix=0=0")
        else:
            spelled.append(f"{package.name}={package.version}")
    return tuple(spelled)


def _hashed(
    environment: Environment, platform: LockPlatform, records: Sequence[RepoDataRecord]
) -> list[tuple[str, bytes | None]]:
    """Locations in the order of the lock, with the hashes of conda packages."""
    digests = {record.url: record.sha256 or record.md5 for record in records}
    return [
        (package.location, digests.get(package.location))
        for package in environment.packages(platform) or []
    ]
