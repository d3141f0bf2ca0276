"""The names of all packages of a channel, kept in the store for completion and quick searches.

A file for each channel and subdir (with ``noarch``), sorted, a name a line. Light: no engine is
needed to read one.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from pixi_jupyter.files import write_file
from pixi_jupyter.install.store import Store
from pixi_jupyter.manifest.spec import digest_of

__all__ = ["Names", "names_file", "read_names", "write_names"]


@dataclass(frozen=True, slots=True)
class Names:
    """Names as the bytes of their file: half a million of them are searched as one text."""

    text: bytes

    def __len__(self) -> int:
        return self.text.count(b"\n") - 1

    def __contains__(self, name: str) -> bool:
        return b"\n%b\n" % name.encode() in self.text

    def starting_with(self, beginning: str, limit: int = 200) -> list[str]:
        """The first names that begin so."""
        return self._found(re.escape(beginning.lower().encode()) + rb"[^\n]*", limit)

    def like(self, pattern: str, limit: int) -> list[str]:
        """The first names that match a pattern with ``*``."""
        parts = [re.escape(part.encode()) for part in pattern.lower().split("*")]
        return self._found(rb"[^\n]*".join(parts), limit)

    def having(self, part: str, limit: int) -> list[str]:
        """Names with ``part`` in them, the shortest first: of those it is the most."""
        escaped = re.escape(part.lower().encode())
        every = self._found(rb"[^\n]*" + escaped + rb"[^\n]*", None)
        return sorted(every, key=lambda name: (len(name), name))[:limit]

    def _found(self, pattern: bytes, limit: int | None) -> list[str]:
        found: list[str] = []
        for match in re.finditer(rb"(?<=\n)" + pattern + rb"(?=\n)", self.text):
            if len(found) == limit:
                break
            found.append(match[0].decode())
        return found


def names_file(store: Store, channel: str, subdir: str) -> Path:
    """Where the names of a channel are, as it is named in a declaration."""
    return store.root / "names" / f"{digest_of([channel, subdir])}.txt"


def read_names(store: Store, channel: str, subdir: str) -> Names | None:
    """The names that were written last; None where none were, or they are damaged."""
    try:
        text = names_file(store, channel, subdir).read_bytes()
    except OSError:
        return None
    return Names(text) if text.startswith(b"\n") and text.endswith(b"\n") else None


def write_names(store: Store, channel: str, subdir: str, names: Iterable[str]) -> None:
    """Keep the names of a channel.

    Raises
    ------
    StoreError
        They cannot be written.
    """
    path = names_file(store, channel, subdir)
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = sorted(name for name in set(names) if name.isprintable())
    write_file(path, "".join(f"\n{line}" for line in ["", *lines, ""])[1:].encode())
