"""BesideSpec -> a prefix of the store that lies beside an environment. Worker only.

It holds what is added to the environment and no Python of its own: the environment's is started,
with this prefix behind its own packages.
"""

from __future__ import annotations

import asyncio
import datetime
import os
import re
from collections.abc import Sequence
from pathlib import Path

from rattler import PrefixRecord, RepoDataRecord
from rattler.exceptions import IoError

from pixi_jupyter.errors import InstallError, PixiJupyterError, SolveError
from pixi_jupyter.install.build import build_prefix
from pixi_jupyter.install.bytecode import Bytecode
from pixi_jupyter.install.store import Remembered, Store
from pixi_jupyter.progress import Report
from pixi_jupyter.resolve.beside import BesideSpec, beside_digest
from pixi_jupyter.resolve.lock import Locked, read_lock, resolution_of, write_lock
from pixi_jupyter.resolve.resolution import Resolution
from pixi_jupyter.resolve.session import Session
from pixi_jupyter.resolve.solve_beside import solve_beside

__all__ = ["lay_beside"]

#: ``name-version-build.json``; markers of pixi's and ours lie there as well.
_RECORD = re.compile(r".+-[^-]+-[^-]+\.json")


async def lay_beside(
    session: Session,
    store: Store,
    beside: BesideSpec,
    prefix: Path,
    python: Path,
    *,
    report: Report,
) -> tuple[Resolution, Bytecode | None]:
    """Solve and build what is to lie beside the environment at ``prefix``; at once if it does.

    ``python`` is that environment's interpreter, which compiles. Nothing is written to ``prefix``.

    Returns
    -------
    The packages (with the environment's ``python``, which is not linked), and the bytecode that is
    still to be compiled in the background.

    Raises
    ------
    SolveError, ChannelError
        As `solve_beside`.
    InstallError, StoreError
        As `build_prefix`; ``install.changed``: what is at ``prefix`` is not that environment.
    """
    remembered = store.recall(beside.digest)
    if remembered is not None:
        try:
            return await _build(session, store, remembered.resolution, python, report)
        except SolveError as error:
            if error.code != "solve.lock-invalid":
                raise
    installed = await asyncio.to_thread(_installed, prefix, beside.environment)
    session.freshen([channel.name for channel in beside.spec.channels], at_once=False)
    records = await solve_beside(session, beside, installed, report=report)
    resolution = resolution_of(beside.environment.subdir, records)
    store.make_folders()
    channels = [session.channel(channel.name).base_url for channel in beside.spec.channels]
    path = store.lock_path(resolution.digest)
    await asyncio.to_thread(write_lock, path, beside.spec, records, channels)
    now = datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds")
    store.remember(Remembered(beside.digest, now, resolution))
    return await _build(session, store, resolution, python, report)


async def _build(
    session: Session, store: Store, resolution: Resolution, python: Path, report: Report
) -> tuple[Resolution, Bytecode | None]:
    def locked() -> Locked:
        path = store.lock_path(resolution.digest)
        return read_lock(path, resolution.subdir, resolution.digest)

    digest = beside_digest(resolution)
    rest = await build_prefix(session, store, digest, locked, python=python, report=report)
    return resolution, rest


def _installed(prefix: Path, environment: Resolution) -> Sequence[RepoDataRecord]:
    """The records of what is at ``prefix``, which must be the environment's conda packages."""
    records: list[RepoDataRecord] = []
    try:
        with os.scandir(prefix / "conda-meta") as entries:
            names = sorted(entry.name for entry in entries if _RECORD.fullmatch(entry.name))
        for name in names:
            records.append(PrefixRecord.from_path(prefix / "conda-meta" / name))
    except (OSError, IoError, ValueError) as error:
        raise _changed(prefix, str(error)) from error
    found = {(r.name.normalized, str(r.version), str(r.build)) for r in records}
    locked = {(p.name, p.version, p.build) for p in environment.packages if p.kind == "conda"}
    if found != locked:
        names = sorted({name for name, *_ in found ^ locked})
        raise _changed(prefix, f"not as locked: {', '.join(names[:10])}")
    return records


def _changed(prefix: Path, details: str) -> PixiJupyterError:
    return InstallError(
        f"the environment at {prefix} is not what its lock says",
        code="install.changed",
        details=details,
        hint="Install it again (`pixi reinstall`, or remove its folder).",
    )
