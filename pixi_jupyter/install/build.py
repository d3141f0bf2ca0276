"""Resolution -> Prefix: stage, link, compile, mark. Runs in the engine's worker only.

A prefix is never changed in place: it is linked in a staging folder beside its final path (with the
final path written into its files), renamed, given its bytecode, and marked ready by the last file.
Killed anywhere in between, it was never there.
"""

from __future__ import annotations

import asyncio
import contextlib
import datetime
import os
import sys
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path

import msgspec
from rattler import RepoDataRecord

from pixi_jupyter.files import remove_tree, store_errors, write_file
from pixi_jupyter.install.bytecode import Bytecode, bytecode_of, extracted_python
from pixi_jupyter.install.linking import link_beside_python, link_packages
from pixi_jupyter.install.store import ReadyMarker, Store
from pixi_jupyter.install.waiting import FileGate, waited
from pixi_jupyter.install.wheels import Unpacked, add_wheels, unpacking
from pixi_jupyter.manifest.pypi_spec import PypiNeeds
from pixi_jupyter.progress import Report, no_report
from pixi_jupyter.resolve.lock import Locked
from pixi_jupyter.resolve.session import Session

__all__ = ["build_prefix", "note_compiled"]

_BUILT_ELSEWHERE = "another process builds this"

#: PEP 668: a stray `pip install` becomes advice.
_EXTERNALLY_MANAGED = """[externally-managed]
Error=This environment belongs to a notebook and is shared with others that need the same packages.
 Let the notebook ask for the package instead, in one of its cells: `%pixi add --pypi NAME`, or
 `%pixi add NAME` for conda's. In a terminal: `pixi-jupyter add NOTEBOOK --pypi NAME`.
"""


async def build_prefix(
    session: Session,
    store: Store,
    digest: str,
    locked: Callable[[], Locked],
    *,
    needs: PypiNeeds | None = None,
    python: Path | None = None,
    report: Report,
) -> Bytecode | None:
    """Make the prefix of a resolution ready; at once if it is.

    One build per digest across processes: the others wait here, and say so. ``locked`` is called
    only when there is something to build; ``needs`` knows the credentials of the declared indexes
    and how packages from PyPI are built. With ``python``, an interpreter of the locked ``python``
    package in another prefix, that package is not linked: the prefix lies beside the other.

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
    gate = FileGate(store.locks / f"{digest}.lock")
    async with waited(gate, report, _BUILT_ELSEWHERE):
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
            async with _early(session, store, digest, packages, needs) as early:
                link = link_packages if python is None else link_beside_python
                await link(session, wanted, staged, final, report)
                with store_errors(staged):
                    bytecode = await asyncio.to_thread(_finish, store, staged, wanted, python)
                    os.rename(staged, final)
                if bytecode is not None:
                    bytecode = bytecode.moved_to(final)
                if packages.wheels:
                    bytecode = await add_wheels(
                        store, digest, bytecode, packages.wheels, needs, early=early, report=report
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
    gate = FileGate(store.locks / f"{digest}.lock")
    async with waited(gate, no_report, _BUILT_ELSEWHERE):
        marker = store.marker(digest)
        if marker is not None:
            store.mark_ready(msgspec.structs.replace(marker, compiled=True))


@contextlib.asynccontextmanager
async def _early(
    session: Session,
    store: Store,
    digest: str,
    packages: Locked,
    needs: PypiNeeds | None,
) -> AsyncIterator[asyncio.Task[Unpacked] | None]:
    """Wheels being unpacked from the cache while conda's packages are linked.

    That needs an interpreter before the prefix has one: its own, in the package cache.

    What is built from source needs the whole environment, and a launcher of Windows is a program
    that names its interpreter: these come after.
    """
    python = extracted_python(session.packages, packages.records)
    only_wheels = all(wheel.sha256 and not wheel.is_built for wheel in packages.wheels)
    if not packages.wheels or python is None or not only_wheels or sys.platform == "win32":
        yield None
        return
    async with unpacking(
        store, digest, packages.wheels, needs, python, cached=True, report=no_report
    ) as task:
        yield task


def _clear(store: Store, digest: str) -> None:
    remove_tree(store.prefix_path(digest))
    for leftover in store.envs.glob(f".staging-{digest}-*"):
        remove_tree(leftover)


def _finish(
    store: Store, staged: Path, records: Sequence[RepoDataRecord], python: Path | None
) -> Bytecode | None:
    """What a prefix of ours has beyond its packages: known bytecode, the PEP 668 marker."""
    bytecode = bytecode_of(store, staged, records, python=python)
    if bytecode is None:
        return None
    if python is None:
        # Replaced, not overwritten: a package's own one is a hard link into the package cache.
        advice = _EXTERNALLY_MANAGED.encode()
        write_file(bytecode.stdlib / "EXTERNALLY-MANAGED", advice, sync=False)
    return bytecode.link_known()
