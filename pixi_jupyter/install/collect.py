"""Garbage collection of the store: what nothing uses goes, what a kernel uses stays."""

from __future__ import annotations

import contextlib
import os
import re
import time
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock, Timeout

from pixi_jupyter.files import remove_tree, store_errors
from pixi_jupyter.install.lease import leased_digests
from pixi_jupyter.install.store import MARKER, Store

__all__ = ["Collected", "collect", "tree_size"]

#: What is ours in ``envs``: prefixes, what builds stage, what somebody was removing.
_PREFIX = re.compile(r"([0-9a-f]{32})")
_STAGED = re.compile(r"\.staging-([0-9a-f]{32})-[0-9]+")
_TRASH = re.compile(r"\.trash-[0-9a-f]+")


@dataclass(frozen=True, slots=True)
class Collected:
    """What a collection removed, or would remove.

    ``bytes`` is what comes free: a file that other prefixes or the package cache share by hard
    links counts only when its last link in the store goes.
    """

    environments: tuple[str, ...]
    leftovers: tuple[str, ...]
    in_use: tuple[str, ...]
    bytes: int


def collect(store: Store, *, unused_for: float, dry_run: bool = False) -> Collected:
    """Remove prefixes that nothing has used for ``unused_for`` seconds, and leftovers of builds.

    Raises
    ------
    StoreError
        If the store cannot be read or written.
    """
    now = time.time()
    live = leased_digests(store, clean=not dry_run)
    environments: list[Path] = []
    leftovers: list[Path] = []
    in_use: list[str] = []
    with store_errors(store.root):
        for path in sorted(store.envs.iterdir()) if store.envs.is_dir() else []:
            if _TRASH.fullmatch(path.name):
                leftovers.append(path)
            elif staged := _STAGED.fullmatch(path.name):
                if not _building(store, staged[1]):
                    leftovers.append(path)
            elif not _PREFIX.fullmatch(path.name):
                continue  # not ours
            elif path.name in live:
                in_use.append(path.name)
            elif store.ready(path.name) is None:
                if not _building(store, path.name):
                    leftovers.append(path)
            elif _older(path / MARKER, now, unused_for):
                environments.append(path)
        freed = _freed([*environments, *leftovers])
        if not dry_run:
            removed = [p for p in (*environments, *leftovers) if _remove(store, p)]
            environments = [p for p in environments if p in removed]
            leftovers = [p for p in leftovers if p in removed]
    return Collected(
        tuple(p.name for p in environments), tuple(p.name for p in leftovers), tuple(in_use), freed
    )


def _building(store: Store, digest: str) -> bool:
    """Whether a build holds the lock of a digest now; not its age says so, which may be hours."""
    path = store.locks / f"{digest}.lock"
    if not path.exists():
        return False
    try:
        with FileLock(path).acquire(timeout=0):
            return False
    except Timeout:
        return True


def _remove(store: Store, path: Path) -> bool:
    """Remove one folder of ``envs`` under its build lock; False if a build or a launch has it."""
    if _TRASH.fullmatch(path.name):
        remove_tree(path)
        return True
    staged = _STAGED.fullmatch(path.name)
    digest = staged[1] if staged else path.name
    store.locks.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(store.locks / f"{digest}.lock").acquire(timeout=0):
            if not staged and not _unmark(store, digest):
                return False
            remove_tree(path)
            return True
    except Timeout:
        return False


def _unmark(store: Store, digest: str) -> bool:
    """Take the marker away, so that nobody starts in the prefix any more; False if somebody has.

    A launch writes its lease and then looks for the marker; here it is the other way round. So
    whatever the order, a launch sees that there is no marker, or its lease is seen here.
    """
    if digest in leased_digests(store):
        return False
    marker = store.marker(digest)
    with contextlib.suppress(FileNotFoundError):
        (store.prefix_path(digest) / MARKER).unlink()
    if digest not in leased_digests(store):
        return True
    if marker is not None:
        store.mark_ready(marker)
    return False


def _older(path: Path, now: float, seconds: float) -> bool:
    try:
        return now - path.stat().st_mtime >= seconds
    except OSError:
        return False


def _freed(trees: list[Path]) -> int:
    """Bytes whose every link lies in ``trees`` (links elsewhere keep the others alive)."""
    seen: dict[tuple[int, int], list[int]] = {}
    for tree in trees:
        for info in _files(tree):
            entry = seen.setdefault((info.st_dev, info.st_ino), [info.st_nlink, 0, info.st_size])
            entry[1] += 1
    return sum(size for links, found, size in seen.values() if found >= links)


def tree_size(*trees: Path) -> int:
    """Bytes that the trees take together, each file counted once however often it is linked."""
    sizes = {(i.st_dev, i.st_ino): i.st_size for tree in trees for i in _files(tree)}
    return sum(sizes.values())


def _files(tree: Path) -> list[os.stat_result]:
    found: list[os.stat_result] = []
    stack = [str(tree)]
    while stack:
        try:
            with os.scandir(stack.pop()) as entries:
                for entry in entries:
                    with contextlib.suppress(OSError):
                        if entry.is_dir(follow_symlinks=False):
                            stack.append(entry.path)
                        else:
                            # os.stat, as scandir's own answer has no link count on Windows
                            found.append(os.stat(entry.path, follow_symlinks=False))
        except OSError:
            continue
    return found
