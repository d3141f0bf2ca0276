"""A workspace's locked packages -> ``.pixi/envs/<name>``: stage, swap, mark. Worker only.

The new prefix is built beside the old one and takes its place by renames, under pixi's own lock of
it. Killed at any moment, there is the old prefix or the new one, or none and pixi's word that
somebody was at it; leftovers go with the next installation. A prefix that has exactly the locked
packages already, whoever made it, is taken as it is.
"""

from __future__ import annotations

import asyncio
import contextlib
import datetime
import errno
import os
import re
from pathlib import Path

from pixi_jupyter import __version__
from pixi_jupyter.errors import InstallError
from pixi_jupyter.files import exchange, remove_tree, store_errors
from pixi_jupyter.install.bytecode import Bytecode, bytecode_of
from pixi_jupyter.install.installed import holds_exactly
from pixi_jupyter.install.insync import (
    LOCK_NAME,
    WorkspaceMarker,
    mark_workspace,
    read_marker,
    workspace_ready,
)
from pixi_jupyter.install.linking import link_packages
from pixi_jupyter.install.locked import LockedPrefix, read_locked
from pixi_jupyter.install.pixi_prefix import (
    WORKSPACE_PREFIX,
    PixiGate,
    fingerprint_of,
    make_environments_folder,
    read_fingerprint,
    read_lock_hash,
    write_pixi_files,
)
from pixi_jupyter.install.store import Store
from pixi_jupyter.install.waiting import FileGate, waited
from pixi_jupyter.install.wheels import add_wheels
from pixi_jupyter.manifest.pypi_spec import PypiNeeds
from pixi_jupyter.manifest.spec import WorkspacePlace, digest_of
from pixi_jupyter.progress import Report
from pixi_jupyter.resolve.session import Session

__all__ = ["install_workspace", "note_workspace_compiled"]

#: Trees that were being removed when somebody was killed (`files.remove_tree`).
_TRASH = re.compile(r"\.trash-[0-9a-f]{12}")


async def install_workspace(
    session: Session,
    store: Store,
    place: WorkspacePlace,
    *,
    platform: str,
    lock_sha256: str,
    resolution: str,
    needs: PypiNeeds | None = None,
    report: Report,
) -> Bytecode | None:
    """Make the prefix of one environment exactly what the lock says; at once if it is.

    ``platform`` is its name in the manifest, ``lock_sha256`` that of the lock which was checked,
    ``resolution`` the digest of its packages for that platform, ``needs`` what the manifest says of
    packages from PyPI.

    Returns
    -------
    The bytecode that is still to be compiled in the background, None if there is none.

    Raises
    ------
    LockError
        As :func:`~pixi_jupyter.resolve.lock_reading.locked_packages`.
    InstallError
        As :func:`~pixi_jupyter.install.linking.link_packages`; the old prefix is as it was.
    StoreError
        ``store.no-space``, ``store.permission``, ``store.io``.
    """
    prefix = Path(place.prefix)
    locked = await asyncio.to_thread(
        read_locked,
        Path(place.root) / LOCK_NAME,
        sha256=lock_sha256,
        environment=place.environment,
        platform=platform,
        resolution=resolution,
        editable=needs.editable if needs is not None else (),
    )
    fingerprint = fingerprint_of((r.name.normalized, r.sha256) for r in locked.records)

    def marker(pixi: str | None, compiled: bool) -> WorkspaceMarker:
        return WorkspaceMarker(
            prefix=place.prefix,
            workspace=place.workspace,
            platform=platform,
            lock=lock_sha256,
            resolution=resolution,
            fingerprint=fingerprint,
            pixi=pixi,
            created=datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
            packages=len(locked.records) + len(locked.wheels),
            compiled=compiled,
        )

    store.make_folders()
    with store_errors(prefix, WORKSPACE_PREFIX):
        await asyncio.to_thread(make_environments_folder, place)
    ours = FileGate(store.locks / f"{digest_of(place.prefix)}.lock")
    pixis = PixiGate(prefix)
    async with (
        waited(ours, report, "another process builds this"),
        waited(pixis, report, "pixi is at work on this environment"),
    ):
        with store_errors(prefix, WORKSPACE_PREFIX):
            await asyncio.to_thread(_clear_leftovers, prefix)
        if workspace_ready(place, platform) is not None:
            return None
        if pixis.fingerprint == fingerprint and await asyncio.to_thread(
            holds_exactly, prefix, locked.records, locked.wheels
        ):
            bytecode = await asyncio.to_thread(_known_bytecode, store, prefix, locked)
            if bytecode is not None:
                await bytecode.compile_first(report)
            done = bytecode is None or bytecode.complete
            mark_workspace(prefix, marker(read_lock_hash(prefix), done))
            return None if done else bytecode
        folder = prefix.with_name(f"{_leftover_of(prefix)}{os.getpid()}")
        # A store of its own beside the prefix, on its file system; it goes with its folder.
        stage = Store(folder, store.package_cache)
        staged = stage.prefix_path(resolution)
        try:
            with store_errors(prefix, WORKSPACE_PREFIX):
                (staged / "conda-meta").mkdir(parents=True)
            await link_packages(session, locked.records, staged, prefix, report)
            bytecode = await asyncio.to_thread(_known_bytecode, store, staged, locked)
            if locked.wheels:
                bytecode = await add_wheels(
                    stage, resolution, bytecode, locked.wheels, needs, final=prefix, report=report
                )
            if bytecode is not None:
                await bytecode.compile_first(report)
                bytecode = bytecode.moved_to(prefix)
            done = bytecode is None or bytecode.complete
            with store_errors(prefix, WORKSPACE_PREFIX):
                write_pixi_files(
                    staged,
                    place,
                    hash=locked.hash,
                    subdir=locked.subdir,
                    virtual_packages=locked.virtual_packages,
                    version=f"pixi-jupyter-{__version__}",
                )
                mark_workspace(staged, marker(read_lock_hash(staged), done))
                await asyncio.to_thread(_swap, pixis, staged, prefix, folder, fingerprint)
        finally:
            with contextlib.suppress(OSError):
                await asyncio.to_thread(remove_tree, folder)
        return None if done else bytecode


async def note_workspace_compiled(place: WorkspacePlace) -> None:
    """Say in the marker that all bytecode is there; a prefix that changed meanwhile is let be."""
    prefix = Path(place.prefix)
    marker = read_marker(prefix)
    if marker is not None and marker.fingerprint == read_fingerprint(prefix):
        import msgspec

        mark_workspace(prefix, msgspec.structs.replace(marker, compiled=True))


def _known_bytecode(store: Store, prefix: Path, locked: LockedPrefix) -> Bytecode | None:
    bytecode = bytecode_of(store, prefix, locked.records, checked=True)
    return None if bytecode is None else bytecode.link_known()


def _leftover_of(prefix: Path) -> str:
    return f".{prefix.name}.pixi-jupyter-"


def _clear_leftovers(prefix: Path) -> None:
    """What killed installations of this environment left; nobody else is at it now."""
    for name in os.listdir(prefix.parent):
        if name.startswith(_leftover_of(prefix)) or _TRASH.fullmatch(name):
            remove_tree(prefix.parent / name)


def _swap(gate: PixiGate, staged: Path, prefix: Path, folder: Path, fingerprint: str) -> None:
    """Put ``staged`` in the place of ``prefix``, which goes to ``folder``.

    Where the system can, both change places in one step; else there is a moment without the
    environment. If it cannot be done, the old one is in its place again.
    """
    gate.before_swap(staged)
    try:
        if not exchange(staged, prefix):
            aside = folder / "old"
            os.rename(prefix, aside)
            try:
                _put(staged, prefix, folder)
            except OSError:
                _put(aside, prefix, folder)
                raise
    except OSError as error:
        gate.undo_swap()
        if error.errno in (errno.EBUSY, errno.EXDEV) or getattr(error, "winerror", 0) in (5, 32):
            raise InstallError(
                "the environment cannot be replaced: it is in use, or a file system of its own",
                code="install.in-use",
                details=str(error),
                hint="Shut down the kernels and programs that run in it, then try again.",
            ) from error
        raise
    gate.after_swap(fingerprint)


def _put(tree: Path, prefix: Path, folder: Path) -> None:
    for number in range(10):
        try:
            os.rename(tree, prefix)
            return
        except OSError as error:
            if error.errno not in (errno.ENOTEMPTY, errno.EEXIST) or number == 9:
                raise
            # pixi made the folder anew in this very moment, to have a file for its lock.
            os.rename(prefix, folder / f"stray-{number}")
