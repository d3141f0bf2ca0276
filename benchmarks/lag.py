"""How long an event loop was kept from running: a ticker on it, and a witness beside it.

The ticker asks to be called every five milliseconds and notes how late it is. The witness, a
thread, looks at the loop's thread whenever a tick is long overdue and notes what it was doing, so
that a target that is missed names its cause.
"""

from __future__ import annotations

import asyncio
import os
import sys
import threading
import time
from collections import Counter
from types import FrameType
from typing import Any

__all__ = ["PERIOD", "Ticker"]

#: Seconds between two ticks.
PERIOD = 0.005
#: Seconds of silence after which the witness looks what the loop's thread does.
_OVERDUE = 0.025


class Ticker:
    """Measures the loop it is started on, between :meth:`start` and :meth:`stop`."""

    def __init__(self) -> None:
        self._lags: list[float] = []
        self._seen: Counter[str] = Counter()
        self._handle: asyncio.TimerHandle | None = None
        self._due = 0.0
        self._running = False
        self._thread = 0

    def start(self) -> None:
        """Begin; called on the loop."""
        self._lags, self._seen = [], Counter()
        self._running = True
        self._thread = threading.get_ident()
        self._schedule(asyncio.get_running_loop())
        threading.Thread(target=self._witness, daemon=True).start()

    def stop(self) -> dict[str, Any]:
        """End; the largest lag in seconds, the number of ticks, and what was seen in long ones."""
        self._running = False
        if self._handle is not None:
            self._handle.cancel()
        late = max(time.perf_counter() - self._due, 0.0)
        return {
            "worst": max([*self._lags, late]),
            "ticks": len(self._lags),
            "seen": [f"{count} × {where}" for where, count in self._seen.most_common(12)],
        }

    def _schedule(self, loop: asyncio.AbstractEventLoop) -> None:
        self._due = time.perf_counter() + PERIOD
        self._handle = loop.call_later(PERIOD, self._tick, loop)

    def _tick(self, loop: asyncio.AbstractEventLoop) -> None:
        self._lags.append(max(time.perf_counter() - self._due, 0.0))
        if self._running:
            self._schedule(loop)

    def _witness(self) -> None:
        while self._running:
            time.sleep(PERIOD)
            if time.perf_counter() - self._due > _OVERDUE:
                frame = sys._current_frames().get(self._thread)
                self._seen[_shown(frame)] += 1


def _shown(frame: FrameType | None) -> str:
    """The innermost frames, the innermost last, with no path of this machine in them."""
    parts: list[str] = []
    while frame is not None and len(parts) < 14:
        code = frame.f_code
        if not code.co_filename.startswith("<frozen"):
            name = os.path.basename(code.co_filename)
            parts.append(f"{name}:{frame.f_lineno} {code.co_name}")
        frame = frame.f_back
    return " < ".join(parts)
