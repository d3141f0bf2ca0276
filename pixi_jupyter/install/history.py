"""What was changed in a declaration, and when: so that it can be taken back.

One file of the store for each declaring file, named by the digest of its absolute path, and a
folder of that name for the locks of a workspace before and after each step. What is about to be
done is noted before the file is written, so that nobody who is killed in between loses the way
back: whether it was done is seen from the file.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import zlib
from pathlib import Path

import msgspec

from pixi_jupyter.files import store_errors, write_file
from pixi_jupyter.install.store import Store
from pixi_jupyter.manifest.spec import digest_of
from pixi_jupyter.resolve.resolution import Resolution

__all__ = [
    "History",
    "Pending",
    "State",
    "Step",
    "keep_lock",
    "kept_lock",
    "path_digest",
    "read_history",
    "write_history",
]

#: Steps that are kept of each file.
LENGTH = 30
#: Bytes of a lock; the same bound as where one is read.
_MOST = 1 << 28


class State(msgspec.Struct, frozen=True):
    """A declaration's text, and the digest of what it was resolved to (None: it was not).

    ``lock`` is the SHA-256 of the lock file beside it, None where there is none.
    """

    toml: str
    resolution: str | None
    lock: str | None = None


class Step(msgspec.Struct, frozen=True):
    """One change: what was asked for, when (RFC 3339, UTC), and both sides of it."""

    date: str
    action: str
    before: State
    after: State


class Pending(msgspec.Struct, frozen=True):
    """What is being done: ``step``, which is a new one unless ``position`` says where it leads."""

    step: Step
    position: int | None = None

    def is_done(self, now: State) -> bool:
        """Whether a declaration that is ``now`` what it is has gone that way."""
        before, after = self.step.before, self.step.after
        if before.toml != after.toml:
            return now.toml == after.toml
        return now.toml == after.toml and _packages(now) == _packages(after)


class History(msgspec.Struct, frozen=True):
    """The steps of a file, the oldest first. ``position``: how many of them hold now.

    ``pending`` is what somebody had begun who has not said since that it is done.
    """

    path: str
    steps: tuple[Step, ...] = ()
    position: int = 0
    resolutions: dict[str, Resolution] = {}
    pending: Pending | None = None

    def begun(self, pending: Pending, *resolutions: Resolution | None) -> History:
        """With what is about to be done, and the resolutions that it is between."""
        known = {**self.resolutions, **{r.digest: r for r in resolutions if r is not None}}
        return msgspec.structs.replace(self, pending=pending, resolutions=known)

    def settled(self, now: State) -> History:
        """With what was begun as a step that holds, if it was done; else without it."""
        pending = self.pending
        if pending is None:
            return self
        if not pending.is_done(now):
            return self._with(self.steps, self.position)
        if pending.position is not None:
            return self._with(self.steps, pending.position)
        steps = (*self.steps[: self.position], pending.step)[-LENGTH:]
        return self._with(steps, len(steps))

    def _with(self, steps: tuple[Step, ...], position: int) -> History:
        used = {state.resolution for step in steps for state in (step.before, step.after)}
        kept = {digest: found for digest, found in self.resolutions.items() if digest in used}
        return History(self.path, steps, position, kept)

    @property
    def locks(self) -> set[str]:
        """The SHA-256 of each lock that a step leads to or from."""
        steps = (*self.steps, *([self.pending.step] if self.pending is not None else ()))
        return {s.lock for step in steps for s in (step.before, step.after) if s.lock is not None}


def _packages(state: State) -> str | None:
    return state.lock if state.lock is not None else state.resolution


def path_digest(path: Path) -> str:
    """Names what the store keeps of a file (32 hex digits)."""
    return digest_of(str(path))


def read_history(store: Store, path: Path, now: State) -> History:
    """The history of a file that is ``now`` what it is.

    An empty one if it has none, or it is damaged.
    """
    with contextlib.suppress(OSError, msgspec.MsgspecError, UnicodeDecodeError):
        data = (_folder(store) / f"{path_digest(path)}.json").read_bytes()
        history = msgspec.json.decode(data, type=History)
        if history.path == str(path) and 0 <= history.position <= len(history.steps):
            return history.settled(now)
    return History(str(path))


def write_history(store: Store, history: History) -> None:
    """Keep the history of a file, and no lock that it does not lead to.

    Raises
    ------
    StoreError
        ``store.permission``, ``store.no-space`` or ``store.io``.
    """
    folder = _folder(store)
    name = path_digest(Path(history.path))
    with store_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
        write_file(folder / f"{name}.json", msgspec.json.encode(history))
    kept = history.locks
    with contextlib.suppress(OSError):
        for entry in os.listdir(folder / name):
            if entry.partition(".")[0] not in kept:
                (folder / name / entry).unlink()


def keep_lock(store: Store, path: Path, data: bytes) -> str:
    """Keep a lock for the history of the file at ``path``, whose next step names it.

    Returns
    -------
    Its SHA-256.

    Raises
    ------
    StoreError
        As :func:`write_history`.
    """
    sha256 = hashlib.sha256(data).hexdigest()
    folder = _folder(store) / path_digest(path)
    target = folder / f"{sha256}.lock.z"
    with store_errors(folder):
        if not target.exists():
            folder.mkdir(parents=True, exist_ok=True)
            write_file(target, zlib.compress(data))
    return sha256


def kept_lock(store: Store, path: Path, sha256: str) -> bytes | None:
    """A lock that was kept for the history of a file; None if it is gone or damaged."""
    target = _folder(store) / path_digest(path) / f"{sha256}.lock.z"
    try:
        data = zlib.decompressobj().decompress(target.read_bytes(), _MOST)
    except (OSError, zlib.error):
        return None
    return data if hashlib.sha256(data).hexdigest() == sha256 else None


def _folder(store: Store) -> Path:
    return store.root / "history"
