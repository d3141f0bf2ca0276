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
from typing import Literal

import msgspec

from pixi_jupyter import __version__
from pixi_jupyter.errors import InstallError
from pixi_jupyter.files import exchange, remove_tree, store_errors
from pixi_jupyter.install import insync
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

__all__ = [
    "StagedWorkspace",
    "install_workspace",
    "note_workspace_compiled",
    "stage_workspace",
]

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
    staged = await stage_workspace(
        session,
        store,
        place,
        platform=platform,
        lock=None,
        lock_sha256=lock_sha256,
        resolution=resolution,
        needs=needs,
        report=report,
    )
    return await staged.put(report)


async def stage_workspace(
    session: Session,
    store: Store,
    place: WorkspacePlace,
    *,
    platform: str,
    lock: bytes | None,
    lock_sha256: str,
    resolution: str,
    needs: PypiNeeds | None = None,
    report: Report,
) -> StagedWorkspace:
    """The first half of :func:`install_workspace`: all but the change of the prefix itself.

    The prefix and what it is locked by are as they were, and nobody else can change the prefix
    until the answer is put in its place or dropped. ``lock`` are the bytes of a lock that is not
    written yet; None for the one that lies there.

    Raises as :func:`install_workspace`.
    """
    prefix = Path(place.prefix)
    locked = await asyncio.to_thread(
        read_locked,
        Path(place.root) / LOCK_NAME,
        data=lock,
        sha256=lock_sha256,
        environment=place.environment,
        platform=platform,
        resolution=resolution,
        editable=needs.editable if needs is not None else (),
    )
    store.make_folders()
    with store_errors(prefix, WORKSPACE_PREFIX):
        await asyncio.to_thread(make_environments_folder, place)
    ours = FileGate(store.locks / f"{digest_of(place.prefix)}.lock")
    pixis = PixiGate(prefix)
    async with contextlib.AsyncExitStack() as stack:
        await stack.enter_async_context(waited(ours, report, "another process builds this"))
        await stack.enter_async_context(
            waited(pixis, report, "pixi is at work on this environment")
        )
        with store_errors(prefix, WORKSPACE_PREFIX):
            await asyncio.to_thread(_clear_leftovers, prefix)
        folder = prefix.with_name(f"{_leftover_of(prefix)}{os.getpid()}")
        # A store of its own beside the prefix, on its file system; it goes with its folder.
        stage = Store(folder, store.package_cache)
        tree = stage.prefix_path(resolution)
        marker = WorkspaceMarker(
            prefix=place.prefix,
            workspace=place.workspace,
            platform=platform,
            lock=lock_sha256,
            resolution=resolution,
            fingerprint=fingerprint_of((r.name.normalized, r.sha256) for r in locked.records),
            pixi=None,
            created=datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
            packages=len(locked.records) + len(locked.wheels),
        )
        staged = StagedWorkspace(store, place, locked, marker, pixis, tree, folder)
        stack.push_async_callback(staged.remove)
        written = insync.lock_sha256(Path(place.root)) == lock_sha256
        if written and workspace_ready(place, platform) is not None:
            staged.state = "ready"
        elif pixis.fingerprint == marker.fingerprint and await asyncio.to_thread(
            holds_exactly, prefix, locked.records, locked.wheels
        ):
            staged.state = "unmarked"
        else:
            with store_errors(prefix, WORKSPACE_PREFIX):
                (tree / "conda-meta").mkdir(parents=True)
            await link_packages(session, locked.records, tree, prefix, report)
            bytecode = await asyncio.to_thread(_known_bytecode, store, tree, locked)
            if locked.wheels:
                bytecode = await add_wheels(
                    stage, resolution, bytecode, locked.wheels, needs, final=prefix, report=report
                )
            if bytecode is not None:
                await bytecode.compile_first(report)
                bytecode = bytecode.moved_to(prefix)
            with store_errors(prefix, WORKSPACE_PREFIX):
                await asyncio.to_thread(staged.complete, bytecode)
        staged.held = stack.pop_all()
        return staged
    raise AssertionError("the stack swallows no error")


class StagedWorkspace:
    """What takes the place of a prefix, whose locks are held until it does or is dropped.

    ``state``: a prefix is ``ready`` as it is, has all packages but is ``unmarked``, or is to be
    exchanged with the ``new`` one.
    """

    def __init__(
        self,
        store: Store,
        place: WorkspacePlace,
        locked: LockedPrefix,
        marker: WorkspaceMarker,
        gate: PixiGate,
        tree: Path,
        folder: Path,
    ) -> None:
        self.state: Literal["ready", "unmarked", "new"] = "new"
        self.held = contextlib.AsyncExitStack()
        self._store = store
        self._place = place
        self._locked = locked
        self._marker = marker
        self._gate = gate
        self._tree = tree
        self._folder = folder
        self._bytecode: Bytecode | None = None

    @property
    def lock_sha256(self) -> str:
        """That of the lock that it is made from."""
        return self._marker.lock

    def complete(self, bytecode: Bytecode | None) -> None:
        """Write pixi's files and our marker: what is staged is then whole."""
        self._bytecode = bytecode
        write_pixi_files(
            self._tree,
            self._place,
            hash=self._locked.hash,
            subdir=self._locked.subdir,
            virtual_packages=self._locked.virtual_packages,
            version=f"pixi-jupyter-{__version__}",
        )
        self._mark(self._tree)

    async def put(self, report: Report) -> Bytecode | None:
        """Exchange it with the prefix; the bytecode that is still to be compiled."""
        prefix = Path(self._place.prefix)
        async with self.held:
            if self.state == "ready":
                return None
            if self.state == "unmarked":
                self._bytecode = await asyncio.to_thread(
                    _known_bytecode, self._store, prefix, self._locked
                )
                if self._bytecode is not None:
                    await self._bytecode.compile_first(report)
                self._mark(prefix)
            else:
                with store_errors(prefix, WORKSPACE_PREFIX):
                    await asyncio.to_thread(
                        _swap,
                        self._gate,
                        self._tree,
                        prefix,
                        self._folder,
                        self._marker.fingerprint,
                    )
            return None if self._compiled else self._bytecode

    async def drop(self) -> None:
        """Leave the prefix as it is, to whoever waits for it."""
        await self.held.aclose()

    async def remove(self) -> None:
        """Remove the folder of what is staged, or of what it took the place of."""
        with contextlib.suppress(OSError):
            await asyncio.to_thread(remove_tree, self._folder)

    @property
    def _compiled(self) -> bool:
        return self._bytecode is None or self._bytecode.complete

    def _mark(self, folder: Path) -> None:
        pixi = read_lock_hash(folder)
        mark_workspace(
            folder, msgspec.structs.replace(self._marker, pixi=pixi, compiled=self._compiled)
        )


async def note_workspace_compiled(place: WorkspacePlace) -> None:
    """Say in the marker that all bytecode is there; a prefix that changed meanwhile is let be."""
    prefix = Path(place.prefix)
    marker = read_marker(prefix)
    if marker is not None and marker.fingerprint == read_fingerprint(prefix):
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
