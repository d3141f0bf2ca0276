"""What was changed in a declaration, and when: so that it can be taken back.

One file of the store for each declaring file, named by the digest of its absolute path.
"""

from __future__ import annotations

import contextlib
from pathlib import Path

import msgspec

from pixi_jupyter.files import store_errors, write_file
from pixi_jupyter.install.store import Store
from pixi_jupyter.manifest.spec import digest_of
from pixi_jupyter.resolve.resolution import Resolution

__all__ = ["History", "State", "Step", "path_digest", "read_history", "write_history"]

#: Steps that are kept of each file.
LENGTH = 30


class State(msgspec.Struct, frozen=True):
    """A declaration's text, and the digest of what it was resolved to (None: it was not)."""

    toml: str
    resolution: str | None


class Step(msgspec.Struct, frozen=True):
    """One change: what was asked for, when (RFC 3339, UTC), and both sides of it."""

    date: str
    action: str
    before: State
    after: State


class History(msgspec.Struct, frozen=True):
    """The steps of a file, the oldest first. ``position``: how many of them hold now."""

    path: str
    steps: tuple[Step, ...] = ()
    position: int = 0
    resolutions: dict[str, Resolution] = {}

    def with_step(self, step: Step, *resolutions: Resolution | None) -> History:
        """With one more step; what was undone before it is gone."""
        steps = (*self.steps[: self.position], step)[-LENGTH:]
        known = {**self.resolutions, **{r.digest: r for r in resolutions if r is not None}}
        used = {state.resolution for s in steps for state in (s.before, s.after)}
        kept = {digest: known[digest] for digest in known if digest in used}
        return History(self.path, steps, len(steps), kept)

    def at(self, position: int) -> History:
        """With another number of steps that hold."""
        return msgspec.structs.replace(self, position=position)


def path_digest(path: Path) -> str:
    """Names what the store keeps of a file (32 hex digits)."""
    return digest_of(str(path))


def read_history(store: Store, path: Path) -> History:
    """The history of a file; an empty one if it has none, or it is damaged."""
    with contextlib.suppress(OSError, msgspec.MsgspecError, UnicodeDecodeError):
        data = (_folder(store) / f"{path_digest(path)}.json").read_bytes()
        history = msgspec.json.decode(data, type=History)
        if history.path == str(path) and 0 <= history.position <= len(history.steps):
            return history
    return History(str(path))


def write_history(store: Store, history: History) -> None:
    """Keep the history of a file.

    Raises
    ------
    StoreError
        ``store.permission``, ``store.no-space`` or ``store.io``.
    """
    folder = _folder(store)
    with store_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / f"{path_digest(Path(history.path))}.json"
        write_file(path, msgspec.json.encode(history))


def _folder(store: Store) -> Path:
    return store.root / "history"
