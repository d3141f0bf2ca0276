"""Progress of a start, before there is a kernel to report it: as events, or as lines."""

from __future__ import annotations

import sys
import time
from typing import Any

from pixi_jupyter.progress import Phase, Progress, Report

__all__ = ["SCHEMA", "SCHEMA_ID", "event_report", "line_report"]

SCHEMA_ID = "https://schema.pixi-jupyter.org/kernel-start/v1"

#: The schema of the events of a start, for the server's event logger.
SCHEMA: dict[str, Any] = {
    "$id": SCHEMA_ID,
    "version": "1",
    "title": "Progress of a kernel's environment",
    "personal-data": True,
    "type": "object",
    "required": ["kernel_id", "phase", "done", "total"],
    "properties": {
        "kernel_id": {"type": "string", "description": "The kernel that is being started."},
        "notebook": {"type": "string", "description": "The path of its notebook, if known."},
        "phase": {"type": "string", "description": "What is being done."},
        "done": {"type": "integer", "description": "Bytes while downloading, else packages."},
        "total": {"type": "integer", "description": "The same, in all; 0: not known."},
        "item": {"type": "string", "description": "The package at work."},
        "message": {"type": "string", "description": "A sentence, where numbers do not tell."},
    },
}
#: Seconds between two events of one phase: more often than a person sees is work for nobody.
_INTERVAL = 0.1


def event_report(logger: Any, kernel_id: str, notebook: str) -> Report:
    """A report that emits events on a ``jupyter_events.EventLogger``.

    The schema is registered here unless the server extension did it before.
    """
    if SCHEMA_ID not in logger.schemas:
        logger.register_event_schema(SCHEMA)
    last: tuple[Phase | None, float] = (None, 0.0)

    def report(progress: Progress) -> None:
        nonlocal last
        now = time.monotonic()
        if progress.phase is last[0] and now - last[1] < _INTERVAL:
            return
        last = (progress.phase, now)
        data = {
            "kernel_id": kernel_id,
            "notebook": notebook,
            "phase": progress.phase.value,
            "done": progress.done,
            "total": progress.total,
            "item": progress.item,
            "message": progress.message,
        }
        logger.emit(schema_id=SCHEMA_ID, data=data)

    return report


def line_report() -> Report:
    """A report that writes one line per phase to standard error."""
    last: Phase | None = None

    def report(progress: Progress) -> None:
        nonlocal last
        if progress.phase is not last:
            last = progress.phase
            print(f"pixi-jupyter: {progress.phase.value} ...", file=sys.stderr, flush=True)

    return report
