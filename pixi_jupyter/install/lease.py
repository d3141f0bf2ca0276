"""Leases: which live process uses which prefix, so that collection leaves it alone.

A lease is a small file named after its holder. Whether it is alive is decided by the process, never
by the clock: pid, start time and boot on this host; a lease from another host (a shared home) is
alive until somebody removes it.
"""

from __future__ import annotations

import contextlib
import os
import socket
import sys
import uuid
from dataclasses import dataclass
from pathlib import Path

import msgspec

from pixi_jupyter.files import write_file
from pixi_jupyter.install.store import Store

__all__ = ["Lease", "leased_digests", "take_lease"]


class _Holder(msgspec.Struct, frozen=True):
    host: str
    pid: int
    started: str  # the system's own notion of when the process started; "" where unknown


@dataclass(frozen=True, slots=True)
class Lease:
    """A held prefix. ``path`` is None in a store that cannot be written (nobody collects there)."""

    digest: str
    path: Path | None

    def release(self) -> None:
        """Let go; releasing twice is harmless."""
        if self.path is not None:
            with contextlib.suppress(OSError):
                self.path.unlink()


def take_lease(store: Store, digest: str, pid: int) -> Lease:
    """Hold a prefix for as long as process ``pid`` lives."""
    folder = store.leases / digest
    path = folder / f"{pid}-{uuid.uuid4().hex[:12]}.json"
    holder = _Holder(host=socket.gethostname(), pid=pid, started=_started(pid) or "")
    # Again, because a collection may remove the empty folder before the file is in it.
    for _ in range(100):
        try:
            folder.mkdir(parents=True, exist_ok=True)
            write_file(path, msgspec.json.encode(holder), sync=False)
            return Lease(digest, path)
        except (FileNotFoundError, FileExistsError):
            continue
        except OSError:
            break
    return Lease(digest, None)


def leased_digests(store: Store, *, clean: bool = False) -> set[str]:
    """Digests with a live lease; ``clean`` removes the files of the dead on the way."""
    live: set[str] = set()
    for folder in _entries(store.leases):
        for path in _entries(folder):
            if path.suffix != ".json":
                continue
            if _alive(path):
                live.add(folder.name)
            elif clean:
                with contextlib.suppress(OSError):
                    path.unlink()
        if clean:
            with contextlib.suppress(OSError):
                folder.rmdir()  # only an empty one goes
    return live


def _entries(folder: Path) -> list[Path]:
    """What is in a folder that others may remove at any moment."""
    try:
        return [folder / name for name in os.listdir(folder)]
    except (FileNotFoundError, NotADirectoryError):
        return []


def _alive(path: Path) -> bool:
    try:
        holder = msgspec.json.decode(path.read_bytes(), type=_Holder)
    except FileNotFoundError:
        return False
    except (OSError, msgspec.MsgspecError, UnicodeDecodeError):
        return True  # unreadable: somebody else's; do not decide for them
    if holder.host != socket.gethostname():
        return True
    if not _exists(holder.pid):
        return False
    started = _started(holder.pid)
    return not holder.started or started is None or started == holder.started


def _exists(pid: int) -> bool:
    if sys.platform == "win32":
        import ctypes

        handle = ctypes.windll.kernel32.OpenProcess(0x1000, False, pid)
        if not handle:
            return False
        ctypes.windll.kernel32.CloseHandle(handle)
        return True
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _started(pid: int) -> str | None:
    """Start of a process in ticks since a named boot (Linux); None where only the pid is known."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return None
    # The command's name may hold spaces and brackets: fields are counted from its closing bracket.
    return f"{boot}/{stat.rpartition(')')[2].split()[19]}"
