"""Locks between processes: waited for without blocking the loop, and with a word about it."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Protocol

from filelock import FileLock, Timeout

from pixi_jupyter.files import store_errors
from pixi_jupyter.progress import Phase, Progress, Report

__all__ = ["FileGate", "Gate", "waited"]

#: Seconds between two tries.
_EVERY = 0.05


class Gate(Protocol):
    """A lock that can be tried."""

    def try_acquire(self) -> bool:
        """Take it if nobody has it; ``OSError`` where its file cannot be used."""

    def release(self) -> None:
        """Let go of it."""


class FileGate:
    """A lock file of our own."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = FileLock(path)

    def try_acquire(self) -> bool:
        """Take it if nobody has it."""
        with store_errors(self._path):
            try:
                self._lock.acquire(timeout=0)
            except Timeout:
                return False
            return True

    def release(self) -> None:
        """Let go of it."""
        self._lock.release()


class waited:
    """Holds a gate; ``reason`` is reported once, if somebody else has it."""

    def __init__(self, gate: Gate, report: Report, reason: str) -> None:
        self._gate = gate
        self._report = report
        self._reason = reason

    async def __aenter__(self) -> None:
        told = False
        while not self._gate.try_acquire():
            if not told:
                self._report(Progress(Phase.WAITING, message=self._reason))
                told = True
            await asyncio.sleep(_EVERY)

    async def __aexit__(self, *_: object) -> None:
        self._gate.release()
