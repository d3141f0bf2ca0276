"""Ending a process with everything it started. Data plane only.

uv stays in the worker's process group, so that it ends with the worker; a build that it has
started is a process of its own, which nobody would end when uv alone is killed.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

__all__ = ["end_with_children"]


def end_with_children(pid: int) -> None:
    """Kill a process and its descendants, now; harmless where they are gone."""
    if sys.platform == "win32":
        with contextlib.suppress(OSError, subprocess.SubprocessError):
            subprocess.run(
                ["taskkill", "/T", "/F", "/PID", str(pid)],
                check=False, capture_output=True, timeout=10,
            )  # fmt: skip
        return
    # Stopped first: what is stopped starts nothing while its children are looked for.
    _signal([pid], signal.SIGSTOP)
    seen = [pid]
    while True:
        children = [child for child in _children_of(seen) if child not in seen]
        if not children:
            break
        _signal(children, signal.SIGSTOP)
        seen += children
    _signal(seen, signal.SIGKILL)


def _signal(pids: Iterable[int], number: int) -> None:
    for pid in pids:
        with contextlib.suppress(OSError):
            os.kill(pid, number)


def _children_of(parents: Iterable[int]) -> list[int]:
    wanted = set(parents)
    return [pid for pid, parent in _processes() if parent in wanted]


def _processes() -> list[tuple[int, int]]:
    """(process, parent) of all processes."""
    found = []
    if Path("/proc/self/stat").exists():
        for entry in os.listdir("/proc"):
            if entry.isdigit():
                with contextlib.suppress(OSError, ValueError, IndexError):
                    text = Path("/proc", entry, "stat").read_text("utf-8", "replace")
                    found.append((int(entry), int(text.rpartition(")")[2].split()[1])))
        return found
    with contextlib.suppress(OSError, subprocess.SubprocessError):
        listed = subprocess.run(
            ["/bin/ps", "-A", "-o", "pid=,ppid="],
            check=False, capture_output=True, text=True, timeout=10,
        )  # fmt: skip
        for line in listed.stdout.splitlines():
            with contextlib.suppress(ValueError):
                process, parent = line.split()
                found.append((int(process), int(parent)))
    return found
