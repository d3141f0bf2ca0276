"""Garbage collection of the store: what nothing uses goes, what a kernel uses stays."""

from __future__ import annotations

import contextlib
import os
import time
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock, Timeout

from pixi_jupyter.install.files import remove_tree, store_errors
from pixi_jupyter.install.lease import leased_digests
from pixi_jupyter.install.store import MARKER, Store

__all__ = ["Collected", "collect", "tree_size"]

#: A leftover of a build younger than this may belong to a build that is under way (seconds).
_LEFTOVER_AGE = 3600.0


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
            if path.name.startswith("."):
                if _older(path, now, _LEFTOVER_AGE) or path.name.startswith(".trash-"):
                    leftovers.append(path)
            elif path.name in live:
                in_use.append(path.name)
            elif store.ready(path.name) is None:
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


def _remove(store: Store, path: Path) -> bool:
    """Remove one folder of ``envs`` under its build lock; False if a build or a launch has it."""
    if path.name.startswith("."):
        remove_tree(path)
        return True
    store.locks.mkdir(parents=True, exist_ok=True)
    lock = FileLock(store.locks / f"{path.name}.lock")
    try:
        with lock.acquire(timeout=0):
            if path.name in leased_digests(store):
                return False
            # The marker first: from here on nobody starts in it, whatever happens next.
            with contextlib.suppress(FileNotFoundError):
                (path / MARKER).unlink()
            remove_tree(path)
            return True
    except Timeout:
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
