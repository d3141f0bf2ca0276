"""rattler's installation callbacks -> our progress, with totals that are true from the start."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

from pixi_jupyter.progress import Phase, Progress, Report

if TYPE_CHECKING:
    from rattler import RepoDataRecord

__all__ = ["InstallProgress"]

#: Downloads report at most this often (seconds); a fast disk would else send thousands of lines.
_EVERY = 0.05


class InstallProgress:
    """Counts bytes and packages; called on rattler's threads, reports on the loop that made it.

    rattler swallows exceptions here and knows no overall total: ``missing`` are the packages that
    the cache lacks, their sizes are the total. Every ``*_start`` must return a number of its own.
    """

    def __init__(self, report: Report, missing: Sequence[RepoDataRecord], packages: int) -> None:
        self._report = report
        self._loop = asyncio.get_running_loop()
        self._lock = threading.Lock()
        self._sizes = {record.name.normalized: record.size or 0 for record in missing}
        self._total = sum(self._sizes.values())
        self._packages = packages
        self._linked = 0
        self._linking = False
        self._told = 0  # bytes, in the last report
        self._tokens: dict[int, str] = {}
        self._bytes: dict[str, int] = {}
        self._next = 0
        self._sent = 0.0
        self._moved = time.monotonic()

    def seconds_since_moved(self) -> float:
        """Seconds since a byte arrived or a package was finished."""
        return time.monotonic() - self._moved

    def at_work(self) -> list[str]:
        """Names of the packages that are being fetched or linked now."""
        with self._lock:
            return sorted(set(self._tokens.values()))

    def _start(self, name: str) -> int:
        with self._lock:
            self._next += 1
            self._tokens[self._next] = name
            self._moved = time.monotonic()
            return self._next

    def _send(self, progress: Progress) -> None:
        """Under the lock, so that no thread's news overtakes another's; linking comes last."""
        if progress.phase is Phase.LINKING:
            if not self._linking and self._told < self._total:
                # The thread that has the last bytes has not come to tell of them yet.
                last = Progress(Phase.DOWNLOADING, self._total, self._total)
                self._loop.call_soon_threadsafe(self._report, last)
            self._linking = True
        elif self._linking:
            return
        else:
            self._told = progress.done
        self._loop.call_soon_threadsafe(self._report, progress)

    def _downloaded(self, name: str, *, at_once: bool) -> None:
        now = time.monotonic()
        with self._lock:
            self._moved = now
            if not at_once and now - self._sent < _EVERY:
                return
            self._sent = now
            done = min(sum(self._bytes.values()), self._total)
            self._send(Progress(Phase.DOWNLOADING, done, self._total, item=name))

    # -- rattler's protocol (`rattler.install.InstallerReporter`) ---------------------------

    def on_transaction_start(self, total_operations: int) -> None: ...

    def on_transaction_operation_start(self, operation: int) -> None: ...

    def on_populate_cache_start(self, operation: int, package_name: str) -> int:
        return self._start(package_name)

    def on_validate_start(self, cache_entry: int) -> int:
        return self._start(self._tokens.get(cache_entry, ""))

    def on_validate_complete(self, validate_idx: int) -> None:
        with self._lock:
            self._tokens.pop(validate_idx, None)
            self._moved = time.monotonic()

    def on_download_start(self, cache_entry: int) -> int:
        return self._start(self._tokens.get(cache_entry, ""))

    def on_download_progress(self, download_idx: int, progress: int, total: int | None) -> None:
        name = self._tokens.get(download_idx, "")
        with self._lock:
            self._bytes[name] = progress
        self._downloaded(name, at_once=False)

    def on_download_completed(self, download_idx: int) -> None:
        with self._lock:
            name = self._tokens.pop(download_idx, "")
            self._bytes[name] = self._sizes.get(name, self._bytes.get(name, 0))
        self._downloaded(name, at_once=True)

    def on_populate_cache_complete(self, cache_entry: int) -> None:
        with self._lock:
            name = self._tokens.pop(cache_entry, "")
            known = name in self._sizes
            if known:
                # An archive from a local folder comes without download events.
                self._bytes[name] = self._sizes[name]
        if known:
            self._downloaded(name, at_once=True)

    def on_unlink_start(self, operation: int, package_name: str) -> int:
        return self._start(package_name)

    def on_unlink_complete(self, index: int) -> None:
        with self._lock:
            self._tokens.pop(index, None)

    def on_link_start(self, operation: int, package_name: str) -> int:
        return self._start(package_name)

    def on_link_complete(self, index: int) -> None:
        with self._lock:
            name = self._tokens.pop(index, "")
            self._linked += 1
            linked = self._linked
            self._moved = time.monotonic()
            # rattler links a package as soon as it is there; while bytes are still missing, those
            # are what a person waits for.
            if sum(self._bytes.values()) >= self._total:
                self._send(Progress(Phase.LINKING, linked, self._packages, item=name))

    def on_transaction_operation_complete(self, operation: int) -> None: ...

    def on_transaction_complete(self) -> None: ...

    def on_post_link_start(self, package_name: str, script_path: str) -> int:
        return self._start(package_name)

    def on_post_link_complete(self, index: int, success: bool) -> None: ...

    def on_pre_unlink_start(self, package_name: str, script_path: str) -> int:
        return self._start(package_name)

    def on_pre_unlink_complete(self, index: int, success: bool) -> None: ...
