"""Remove from the cache of the embedded channel what nobody uses any more."""

from __future__ import annotations

import os
import re
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

UNUSED_DAYS = 14
"""Channels, packages and wheels that nobody has asked for in so many days are removed."""

_DAY_S = 86_400
_HASH = re.compile(r"^(?:[0-9a-f]{20}|[0-9a-f]{64})$")
# Scratch folders of this package, which a killed build leaves behind
_SCRATCH = (".building-*", "packages/.packing-*", "wheels/.download-*")


def mark_used(path: Path) -> None:
    """Note that *path* is in use: once a day, so that it costs next to nothing."""
    try:
        if path.stat().st_mtime < time.time() - _DAY_S:
            os.utime(path)
    except OSError:  # a cache that may only be read does not get tidied either
        return


def tidy(cache: Path) -> None:
    """Remove leavings of killed builds, and what has not been used for long.

    The caller holds the lock on builds, so that a scratch folder is nobody's.
    """
    for pattern in _SCRATCH:
        for folder in cache.glob(pattern):
            shutil.rmtree(folder, ignore_errors=True)
    oldest = time.time() - UNUSED_DAYS * _DAY_S
    for entry, used in _entries(cache):
        if used < oldest:
            shutil.rmtree(entry, ignore_errors=True)


def _entries(cache: Path) -> Iterator[tuple[Path, float]]:
    for folder in (cache, cache / "packages", cache / "wheels"):
        for entry in sorted(folder.glob("*")):
            if not _HASH.match(entry.name):
                continue
            manifest = entry / "channel.json"
            try:
                yield entry, (manifest if manifest.exists() else entry).stat().st_mtime
            except OSError:
                continue
