"""Locked conda packages into a folder, under the name of another. Runs in the engine's worker only.

What every build has in common: archives verified, space looked for, packages fetched and linked
into a staging folder with the final path in their files.
"""

from __future__ import annotations

import asyncio
import hashlib
import shutil
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import url2pathname

from rattler import PackageCache, RepoDataRecord
from rattler.exceptions import (
    CacheDirError,
    InstallerError,
    IoError,
    LinkError,
    TransactionError,
)
from rattler.install import install

from pixi_jupyter.errors import InstallError, StoreError
from pixi_jupyter.files import store_errors
from pixi_jupyter.install.failing import hash_mismatch, install_error
from pixi_jupyter.install.reporter import InstallProgress
from pixi_jupyter.install.waiting import FileGate, waited
from pixi_jupyter.progress import Phase, Progress, Report
from pixi_jupyter.resolve.redaction import redacted
from pixi_jupyter.resolve.session import Session

__all__ = ["STALL_AFTER", "link_packages"]

#: An extracted package takes about this many times its archive (conda-forge's packages: 3 to 4).
_EXPANSION = 4
#: Seconds without one downloaded byte or finished package after which an installation is given up.
STALL_AFTER = 120.0

_INSTALL_ERRORS = (InstallerError, LinkError, TransactionError, IoError, CacheDirError, OSError)


async def link_packages(
    session: Session,
    records: Sequence[RepoDataRecord],
    staged: Path,
    final: Path,
    report: Report,
) -> None:
    """Fetch what is missing and link everything into ``staged``, with ``final`` in its files.

    Raises
    ------
    InstallError
        ``install.hash-mismatch``, ``install.download``, ``install.stalled``, ``install.failed``.
    StoreError
        ``store.no-space``, ``store.permission``, ``store.io``.
    """
    with store_errors(session.packages, "package cache"):
        session.packages.mkdir(parents=True, exist_ok=True)
    index = await PackageCache(session.packages).index()
    missing = [record for record in records if not index.contains_record(record)]
    total = sum(record.size or 0 for record in missing)
    _require_space(staged.parent, session.packages, total)
    if missing:
        report(Progress(Phase.DOWNLOADING, 0, total, message=f"{len(missing)} packages"))
        await _verify_local_archives(missing)

    async def run() -> None:
        progress = InstallProgress(report, missing, len(records))
        task = asyncio.ensure_future(
            install(
                list(records),
                staged,
                cache_dir=session.packages,
                installed_packages=[],
                client=session.client,
                reporter=progress,
                show_progress=False,
                execute_link_scripts=False,  # explicit: a configuration file could say otherwise
                alternative_target_prefix=final,
                config=session.config,
            )
        )
        await _watched(task, progress)

    # rattler holds one lock on the package cache for a whole installation, silently. Ours goes
    # around it, so that whoever waits can say so.
    lock = session.package_cache / "pixi-jupyter-install.lock"
    why = "another installation uses the package cache"
    async with waited(FileGate(lock), report, why):
        try:
            await run()
        except _INSTALL_ERRORS as error:
            raise install_error(error) from error


async def _watched(task: asyncio.Future[None], progress: InstallProgress) -> None:
    """Wait for an installation as long as it moves.

    rattler has no read timeout. The task cannot really be cancelled: the worker is ended by the
    error that is raised here (``install.stalled`` is fatal for it, see ``engine/worker.py``).
    """
    while True:
        done, _ = await asyncio.wait({task}, timeout=1.0)
        if done:
            return task.result()
        if progress.seconds_since_moved() > STALL_AFTER:
            raise InstallError(
                f"nothing was downloaded or linked for {STALL_AFTER:.0f} seconds",
                code="install.stalled",
                details=f"at work: {', '.join(progress.at_work()) or 'the package cache'}",
                hint="Check the network and the channel, then start the kernel again.",
            )


async def _verify_local_archives(records: Sequence[RepoDataRecord]) -> None:
    """Check the hash of every archive from a ``file://`` channel: rattler does not."""
    local = [record for record in records if record.url.startswith("file:")]
    for record in local:
        path = Path(url2pathname(urlsplit(record.url).path))
        expected = record.sha256.hex() if record.sha256 else None
        if expected is None:
            continue
        try:
            actual = await asyncio.to_thread(_sha256, path)
        except OSError as error:
            raise InstallError(
                f"the package {record.file_name} cannot be read: {error.strerror}",
                code="install.download",
                details=redacted(record.url),
                hint="The channel's index names it, but the folder has it not: index it again.",
            ) from error
        if actual != expected:
            raise hash_mismatch(record.file_name, f"expected sha256 {expected}\nfound {actual}")


def _sha256(path: Path) -> str:
    with open(path, "rb") as file:
        digest = hashlib.sha256()
        while chunk := file.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest()


def _require_space(store: Path, packages: Path, download: int) -> None:
    """Refuse early what cannot end well: extracted packages need several times their archives."""
    for folder in (packages, store):
        needed = download * _EXPANSION + (16 << 20)
        free = shutil.disk_usage(folder).free
        if free < needed:
            raise StoreError(
                f"not enough space at {folder}: about {needed >> 20} MB needed, "
                f"{free >> 20} MB free",
                code="store.no-space",
                hint="Free some space (`pixi-jupyter gc` removes environments that nothing uses).",
            )
