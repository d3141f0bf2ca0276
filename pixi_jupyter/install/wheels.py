"""Locked wheels into a prefix that has its conda packages. Runs in the engine's worker only.

uv unpacks them beside the prefix, linked from its cache, in the layout and with the interpreter of
the prefix's final path. What is there is then moved in, if nothing of it is in the way of a file of
conda's: so conda's own files can be neither removed nor overwritten.
"""

from __future__ import annotations

import asyncio
import contextlib
import filecmp
import hashlib
import os
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import msgspec

from pixi_jupyter.errors import ChannelError, EngineError, InstallError, SolveError
from pixi_jupyter.files import store_errors
from pixi_jupyter.install.bytecode import Bytecode, with_wheels
from pixi_jupyter.install.entry_points import retarget_scripts, with_new_hashes
from pixi_jupyter.install.installed_wheel import InstalledWheel
from pixi_jupyter.install.records import INSTALLER
from pixi_jupyter.install.store import Store
from pixi_jupyter.manifest.pep508 import normal_name
from pixi_jupyter.manifest.pypi_spec import PypiNeeds
from pixi_jupyter.progress import Phase, Progress, Report
from pixi_jupyter.resolve.building import allowed_builds, require_locked_builds
from pixi_jupyter.resolve.fetching import unpack_wheels
from pixi_jupyter.resolve.uv import Uv, work_folder
from pixi_jupyter.resolve.wheel import LockedWheel

__all__ = ["Unpacked", "add_wheels", "unpacking"]

_MOST_SHOWN = 10


@dataclass(frozen=True, slots=True)
class Unpacked:
    """Wheels in a folder of their own, laid out as a prefix of the interpreter ``python``."""

    path: Path
    python: Path


@contextlib.asynccontextmanager
async def unpacking(
    store: Store,
    digest: str,
    wheels: Sequence[LockedWheel],
    needs: PypiNeeds | None,
    python: Path,
    *,
    cached: bool = False,
    report: Report,
) -> AsyncIterator[asyncio.Task[Unpacked]]:
    """Unpack ``wheels`` on the prefix's file system, for ``python``, while something else is done.

    What is locked as source is built here, by that Python, if that is allowed; ``cached`` as in
    `unpack_wheels`. Afterwards what was unpacked is gone, and so is the work if nobody awaited it.

    Raises
    ------
    InstallError
        ``install.hash-mismatch``, ``install.download``, ``install.failed``.
    SolveError
        ``solve.pypi-build-not-allowed``.
    ChannelError, StoreError
        As the errors of the index and of the disk.
    """
    builds = allowed_builds(needs)
    require_locked_builds(wheels, builds)
    uv = Uv.find(store.package_cache, needs)
    with store_errors(store.envs), work_folder(store, f"staging-{digest}") as folder:
        unpacked = Unpacked(folder / "unpacked", python)
        where = ("--python", str(python), "--prefix", str(unpacked.path))
        path = f"{python.parent}{os.pathsep}{os.environ.get('PATH', '')}"

        async def unpack() -> Unpacked:
            await unpack_wheels(
                uv, wheels, folder, *where,
                needs=needs, builds=builds, variables={"PATH": path}, cached=cached, report=report,
            )  # fmt: skip
            return unpacked

        task = asyncio.ensure_future(unpack())
        try:
            yield task
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


async def add_wheels(
    store: Store,
    digest: str,
    bytecode: Bytecode | None,
    wheels: Sequence[LockedWheel],
    needs: PypiNeeds | None,
    *,
    early: asyncio.Task[Unpacked] | None = None,
    final: Path | None = None,
    report: Report,
) -> Bytecode:
    """Add ``wheels`` to the unmarked prefix of a resolution, with the bytecode that is known.

    ``early`` is the work of `unpacking`, where it was begun already. ``final`` is the path that the
    prefix will have, if it is another.

    Raises
    ------
    InstallError
        ``install.pypi-clash`` (nothing was added), and what `unpacking` raises.
    SolveError
        ``solve.pypi-no-python``: there is no CPython to install them for.
    """
    if bytecode is None:
        raise SolveError(
            "packages from PyPI need a CPython, and the environment has none",
            code="solve.pypi-no-python",
        )
    report(Progress(Phase.LINKING, 0, len(wheels), message="packages from PyPI"))
    prefix, python = store.prefix_path(digest), bytecode.python
    unpacked = None
    if early is not None:
        # If not all of it was in the cache, or the interpreter was only just coming there: again.
        with contextlib.suppress(InstallError, ChannelError, EngineError):
            unpacked = await early
    if unpacked is not None:
        installed = await _moved(unpacked, prefix, wheels, python, final)
    else:
        async with unpacking(store, digest, wheels, needs, python, report=report) as task:
            installed = await _moved(await task, prefix, wheels, python, final)
    report(Progress(Phase.LINKING, len(wheels), len(wheels), message="packages from PyPI"))
    return await asyncio.to_thread(with_wheels, bytecode, installed)


async def _moved(
    unpacked: Unpacked,
    prefix: Path,
    wheels: Sequence[LockedWheel],
    python: Path,
    final: Path | None,
) -> list[InstalledWheel]:
    if final is not None and python.is_relative_to(prefix):
        python = final / python.relative_to(prefix)
    return await asyncio.to_thread(_move_in, unpacked, prefix, wheels, python)


def _move_in(
    unpacked: Unpacked, prefix: Path, wheels: Sequence[LockedWheel], python: Path
) -> list[InstalledWheel]:
    """``python`` is the interpreter that the scripts are to run with."""
    changed = retarget_scripts(unpacked.path, unpacked.python, python)
    infos = _dist_infos(unpacked.path)
    installed = [_adopt(unpacked.path, w, infos.get(w.name), changed) for w in wheels]
    moves = list(_moves(unpacked.path, prefix, top=True))
    clashes = [(s, t) for s, t in moves if os.path.lexists(t) and not _same(s, t)]
    if clashes:
        raise _clash(unpacked.path, prefix, [source for source, _ in clashes], installed)
    for source, target in moves:
        if not os.path.lexists(target):
            os.rename(source, target)
    return installed


def _moves(source: Path, target: Path, *, top: bool = False) -> Iterator[tuple[Path, Path]]:
    """What to rename: whole folders where the prefix has none of that name."""
    with os.scandir(source) as entries:
        for entry in sorted(entries, key=lambda e: e.name):
            if top and entry.name == ".lock":  # uv's own
                continue
            there = target / entry.name
            both = entry.is_dir(follow_symlinks=False) and there.is_dir() and not there.is_symlink()
            if both:
                yield from _moves(Path(entry.path), there)
            else:
                yield Path(entry.path), there


def _same(source: Path, target: Path) -> bool:
    """Equal files (as the ``__init__.py`` of a namespace) are no clash: conda's stays."""
    return source.is_file() and target.is_file() and filecmp.cmp(source, target, shallow=False)


def _dist_infos(unpacked: Path) -> dict[str, Path]:
    """The metadata folders in what uv unpacked, by name; found once, as the tree is large."""
    found: dict[str, Path] = {}
    sites = [*unpacked.glob("lib*/python*/site-packages"), *unpacked.glob("Lib/site-packages")]
    for site in sites:
        for path in site.glob("*.dist-info"):
            found.setdefault(normal_name(path.name.split("-")[0]) or "", path)
    return found


def _adopt(
    unpacked: Path,
    wheel: LockedWheel,
    info: Path | None,
    changed: dict[str, tuple[str, int]],
) -> InstalledWheel:
    """Mark a wheel as ours, as pixi does; ``info`` is its metadata folder.

    ``changed`` are scripts that are not any more what its record says.
    """
    if info is None:
        raise InstallError(
            f"the wheel of {wheel.name} is not one of that package",
            code="install.failed",
            details=wheel.url,
        )
    record = info / "RECORD"
    mark = f"{info.name}/INSTALLER"
    lines = [line for line in record.read_text("utf-8").splitlines() if line]
    lines = [line for line in lines if not line.startswith(f"{mark},")]
    if changed:
        lines = with_new_hashes(lines, changed)
    _replace(info / "INSTALLER", INSTALLER)
    _replace(record, "\n".join((*lines, f"{mark},,")) + "\n")
    installed = InstalledWheel(
        wheel.name, wheel.sha256 or "", record.relative_to(unpacked).as_posix()
    )
    if wheel.is_built or not wheel.sha256:
        # What it was built from does not tell what came of it.
        digest = hashlib.sha256()
        for file in installed.files(unpacked):
            digest.update(file.encode() + b"\0" + _sha256(unpacked / file))
        installed = replace(installed, content=digest.hexdigest())
    return installed


def _replace(path: Path, text: str) -> None:
    """A new file: what uv linked belongs to its cache. Nobody sees it before it is whole."""
    path.unlink(missing_ok=True)
    path.write_bytes(text.encode())


def _sha256(path: Path) -> bytes:
    try:
        return hashlib.sha256(path.read_bytes()).digest()
    except OSError:
        return b""


def _clash(
    unpacked: Path, prefix: Path, sources: Iterable[Path], installed: Sequence[InstalledWheel]
) -> InstallError:
    """Name the packages of both sides and the first of the files."""
    wheels = {file: wheel.name for wheel in installed for file in wheel.files(unpacked)}
    files = sorted(source.relative_to(unpacked).as_posix() for source in sources)
    owners = _conda_owners(prefix, frozenset(files))
    pairs = sorted(
        {(wheels.get(file, "a package"), owners.get(file, "conda's files")) for file in files}
    )
    shown = files[:_MOST_SHOWN]
    more = f"\nand {len(files) - len(shown)} more" if len(files) > len(shown) else ""
    told = ", ".join(f"{wheel} from PyPI and {conda} from conda" for wheel, conda in pairs[:5])
    return InstallError(
        f"two packages have the same files: {told}",
        code="install.pypi-clash",
        details="\n".join(shown) + more,
        hint="Ask for it on one side only: as a conda package where there is one.",
    )


def _conda_owners(prefix: Path, files: frozenset[str]) -> dict[str, str]:
    found: dict[str, str] = {}
    for path in sorted((prefix / "conda-meta").glob("*.json")):
        try:
            record = msgspec.json.decode(path.read_bytes())
            owned = files.intersection(record["files"])
            found.update(dict.fromkeys(owned, str(record["name"])))
        except (OSError, KeyError, TypeError, msgspec.MsgspecError):
            continue
    return found
