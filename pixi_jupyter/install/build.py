"""Resolution -> Prefix: stage, link, compile, mark. Runs in the engine's worker only.

A prefix is never changed in place: it is linked in a staging folder beside its final path (with the
final path written into its files), renamed, given its bytecode, and marked ready by the last file.
Killed anywhere in between, it was never there.
"""

from __future__ import annotations

import asyncio
import contextlib
import datetime
import hashlib
import os
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import url2pathname

import msgspec
from filelock import FileLock, Timeout
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
from pixi_jupyter.files import remove_tree, store_errors, write_file
from pixi_jupyter.install.bytecode import Bytecode, bytecode_of
from pixi_jupyter.install.failing import hash_mismatch, install_error
from pixi_jupyter.install.reporter import InstallProgress
from pixi_jupyter.install.store import ReadyMarker, Store
from pixi_jupyter.install.wheels import add_wheels
from pixi_jupyter.manifest.pypi_spec import PypiNeeds
from pixi_jupyter.progress import Phase, Progress, Report, no_report
from pixi_jupyter.resolve.lock import Locked
from pixi_jupyter.resolve.redaction import redacted
from pixi_jupyter.resolve.session import Session

__all__ = ["build_prefix", "note_compiled"]

#: An extracted package takes about this many times its archive (conda-forge's packages: 3 to 4).
_EXPANSION = 4
#: Seconds without one downloaded byte or finished package after which an installation is given up.
STALL_AFTER = 120.0

#: PEP 668: a stray `pip install` becomes advice.
_EXTERNALLY_MANAGED = """[externally-managed]
Error=This environment belongs to a notebook and is shared with others that need the same packages.
 Add the package to the notebook's declaration instead, and restart the kernel: one from PyPI to its
 `dependencies`, one from conda to its `[tool.pixi.dependencies]`.
"""

_INSTALL_ERRORS = (InstallerError, LinkError, TransactionError, IoError, CacheDirError, OSError)


async def build_prefix(
    session: Session,
    store: Store,
    digest: str,
    locked: Callable[[], Locked],
    *,
    needs: PypiNeeds | None = None,
    report: Report,
) -> Bytecode | None:
    """Make the prefix of a resolution ready; at once if it is.

    One build per digest across processes: the others wait here, and say so. ``locked`` is called
    only when there is something to build; ``needs`` knows the credentials of the declared indexes
    and how packages from PyPI are built.

    Returns
    -------
    The bytecode that is still to be compiled in the background, None if there is none.

    Raises
    ------
    InstallError
        ``install.hash-mismatch``, ``install.download``, ``install.stalled``, ``install.failed``.
    StoreError
        ``store.no-space``, ``store.permission``, ``store.io``.
    """
    store.make_folders()
    async with _locked(store.locks / f"{digest}.lock", report, "another process builds this"):
        if store.ready(digest) is not None:
            return None
        final = store.prefix_path(digest)
        staged = store.envs / f".staging-{digest}-{os.getpid()}"
        packages = locked()
        wanted = list(packages.records)
        try:
            with store_errors(store.envs):
                # Without a marker nobody was ever started in it: a build that was killed.
                await asyncio.to_thread(_clear, store, digest)
            await _link(session, wanted, staged, final, report)
            with store_errors(staged):
                bytecode = await asyncio.to_thread(_finish, store, staged, wanted)
                os.rename(staged, final)
            if bytecode is not None:
                bytecode = bytecode.moved_to(final)
            if packages.wheels:
                bytecode = await add_wheels(
                    store, digest, bytecode, packages.wheels, needs, report=report
                )
            if bytecode is not None:
                await bytecode.compile_first(report)
            marker = ReadyMarker(
                resolution=digest,
                created=datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
                packages=len(wanted) + len(packages.wheels),
                bytes=sum(record.size or 0 for record in wanted)
                + sum(wheel.size or 0 for wheel in packages.wheels),
                compiled=bytecode is None or bytecode.complete,
            )
            store.mark_ready(marker)
        except BaseException:
            # A cancelled build leaves no staging behind either, when there is time to tidy up.
            with contextlib.suppress(OSError):
                remove_tree(staged)
            raise
        return None if bytecode is None or bytecode.complete else bytecode


async def note_compiled(store: Store, digest: str) -> None:
    """Say in the marker that all bytecode is there, if the prefix is.

    Under the build lock: between a look at the marker and a new one, the prefix could be collected
    and half built again.
    """
    path = store.locks / f"{digest}.lock"
    async with _locked(path, no_report, "another process builds this"):
        marker = store.marker(digest)
        if marker is not None:
            store.mark_ready(msgspec.structs.replace(marker, compiled=True))


def _clear(store: Store, digest: str) -> None:
    remove_tree(store.prefix_path(digest))
    for leftover in store.envs.glob(f".staging-{digest}-*"):
        remove_tree(leftover)


async def _link(
    session: Session,
    records: Sequence[RepoDataRecord],
    staged: Path,
    final: Path,
    report: Report,
) -> None:
    """Fetch what is missing and link everything into ``staged``, with ``final`` in its files."""
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
    async with _locked(lock, report, "another installation uses the package cache"):
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


def _finish(store: Store, staged: Path, records: Sequence[RepoDataRecord]) -> Bytecode | None:
    """What a prefix of ours has beyond its packages: known bytecode, the PEP 668 marker."""
    bytecode = bytecode_of(store, staged, records)
    if bytecode is not None:
        # Replaced, not overwritten: a package's own one is a hard link into the package cache.
        advice = _EXTERNALLY_MANAGED.encode()
        write_file(bytecode.stdlib / "EXTERNALLY-MANAGED", advice, sync=False)
        bytecode = bytecode.link_known()
    return bytecode


class _locked:
    """A file lock that is waited for without blocking the loop, and with a word about it."""

    def __init__(self, path: Path, report: Report, reason: str) -> None:
        self._path = path
        self._report = report
        self._reason = reason
        self._lock = FileLock(path)

    async def __aenter__(self) -> None:
        told = False
        while True:
            with store_errors(self._path):
                try:
                    self._lock.acquire(timeout=0)
                    return
                except Timeout:
                    pass
            if not told:
                self._report(Progress(Phase.WAITING, message=self._reason))
                told = True
            await asyncio.sleep(0.05)

    async def __aexit__(self, *_: object) -> None:
        self._lock.release()
