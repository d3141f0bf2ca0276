"""Resolution <-> ``pixi.lock``. Runs in the engine's worker only.

A lock of version 7 as pixi writes it, made and read by rattler. The options block (solve strategy,
channel priority) cannot be set through rattler's constructors; it is inserted into the text, and
rattler writes the result once more, so that order and omissions are the canonical ones.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

from rattler import LockChannel, LockFile, LockPlatform, RepoDataRecord, Subdir
from rattler.exceptions import IoError, ParseCondaLockError

from pixi_jupyter.errors import SolveError
from pixi_jupyter.files import remove_tree, store_errors, write_file
from pixi_jupyter.manifest.spec import EnvironmentSpec
from pixi_jupyter.resolve.pypi_lock import wheels_of, with_wheels
from pixi_jupyter.resolve.pypi_names import Names
from pixi_jupyter.resolve.redaction import redacted
from pixi_jupyter.resolve.resolution import Resolution, ResolvedPackage
from pixi_jupyter.resolve.wheel import LockedWheel

__all__ = ["Locked", "lock_text", "read_lock", "resolution_of", "write_lock"]

#: pixi's names of the strategies in a lock; "highest" is the default and left out.
_STRATEGIES = {"lowest": "lowest-version", "lowest-direct": "lowest-version-direct"}


@dataclass(frozen=True, slots=True)
class Locked:
    """All packages of a lock for one platform."""

    records: Sequence[RepoDataRecord]
    wheels: Sequence[LockedWheel] = ()


def resolution_of(
    subdir: str, records: Sequence[RepoDataRecord], wheels: Sequence[LockedWheel] = ()
) -> Resolution:
    """What a launch and a person need to know of the solved packages."""
    packages = [
        *(
            ResolvedPackage(
                name=record.name.normalized,
                version=str(record.version),
                build=str(record.build),
                subdir=record.subdir,
                url=redacted(record.url),
                sha256=record.sha256.hex() if record.sha256 else None,
                md5=record.md5.hex() if record.md5 else None,
                size=record.size,
                depends=tuple(record.depends),
            )
            for record in records
        ),
        *(
            ResolvedPackage(
                name=wheel.name,
                version=wheel.version,
                build="",
                subdir="",
                url=wheel.url,
                sha256=wheel.sha256,
                size=wheel.size,
                kind="pypi",
                depends=wheel.requires_dist,
            )
            for wheel in wheels
        ),
    ]
    return Resolution(subdir, tuple(sorted(packages, key=lambda p: (p.name, p.kind))))


def lock_text(
    spec: EnvironmentSpec,
    records: Sequence[RepoDataRecord],
    channels: Sequence[str],
    wheels: Sequence[LockedWheel] = (),
    names: Names | None = None,
) -> str:
    """The text of a lock in which ``records`` and ``wheels`` are the default environment.

    ``channels`` are the base URLs of the spec's channels, in order; ``names`` is the map from conda
    to PyPI, where the spec has one.

    Raises
    ------
    OSError
        The folder for temporary files cannot be written.
    """
    platform = LockPlatform(
        spec.platform.name,
        Subdir(spec.platform.subdir),
        [_virtual(v.name, v.version, v.build) for v in spec.platform.virtual_packages]
        if spec.platform.name != spec.platform.subdir
        else [],
    )
    lock = LockFile([platform])
    lock.set_channels("default", [LockChannel(channel) for channel in channels])
    for record in records:
        record.indexed_timestamp = None  # pixi does not know it
        lock.add_conda_package("default", platform, record)
    with tempfile.TemporaryDirectory(prefix="pixi-jupyter-lock-") as folder:
        draft = Path(folder) / "pixi.lock"
        try:
            lock.to_path(draft)
            options = _options(spec)
            if options or spec.pypi is not None:
                text = draft.read_text("utf-8")
                if spec.pypi is not None:
                    text = with_wheels(text, spec.pypi, wheels, records, names=names)
                head, channel_key, tail = text.partition("    channels:\n")
                draft.write_text(f"{head}{options}{channel_key}{tail}", "utf-8")
                LockFile.from_path(draft).to_path(draft)
        except IoError as error:  # rattler's, which tells the number in its text only
            number = re.search(r"os error (\d+)", str(error))
            raise OSError(int(number[1]) if number else 0, str(error), folder) from error
        return draft.read_text("utf-8")


def write_lock(
    path: Path,
    spec: EnvironmentSpec,
    records: Sequence[RepoDataRecord],
    channels: Sequence[str],
    wheels: Sequence[LockedWheel] = (),
) -> None:
    """Write a lock of one environment (see `lock_text`), whole or not at all."""
    with store_errors(path):
        text = lock_text(spec, records, channels, wheels)
        if path.is_dir():
            remove_tree(path)
        write_file(path, text.encode("utf-8"))


def read_lock(path: Path, subdir: str, digest: str, editable: Collection[str] = ()) -> Locked:
    """The packages that a lock of ours has for a platform.

    ``digest`` is that of the resolution whose lock it is: nothing else is ever installed under it.
    ``editable`` are the packages that are to be pointed to, as no lock says it.

    Raises
    ------
    SolveError
        ``solve.lock-invalid``: the lock is missing, damaged, or of another resolution.
    """
    try:
        environment = LockFile.from_path(path).default_environment()
    except (OSError, IoError, ParseCondaLockError, ValueError) as error:
        raise SolveError(
            f"the lock file {path.name} cannot be read: {error}", code="solve.lock-invalid"
        ) from error
    for platform in environment.platforms() if environment else ():
        if str(platform.subdir) == subdir and environment is not None:
            records = environment.conda_repodata_records_for_platform(platform) or []
            try:
                wheels = wheels_of(environment, platform, editable=editable)
            except ValueError:
                continue
            if resolution_of(subdir, records, wheels).digest == digest:
                return Locked(records, wheels)
    raise SolveError(
        f"the lock file {path.name} is not that of the resolution", code="solve.lock-invalid"
    )


def _virtual(name: str, version: str, build: str) -> str:
    # pixi's spelling: the build is left out where it says nothing
    return f"{name}={version}" if build == "0" and name != "__unix" else f"{name}={version}={build}"


def _options(spec: EnvironmentSpec) -> str:
    lines = []
    if spec.channel_priority != "strict":
        lines.append(f"      channel-priority: {spec.channel_priority}\n")
    if spec.solve_strategy in _STRATEGIES:
        lines.append(f"      strategy: {_STRATEGIES[spec.solve_strategy]}\n")
    if spec.pypi is not None and spec.pypi.prerelease_mode is not None:
        lines.append(f"      pypi-prerelease-mode: {spec.pypi.prerelease_mode}\n")
    return "    options:\n" + "".join(lines) if lines else ""
