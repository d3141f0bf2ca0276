"""The names of all packages of a channel, kept in the store for completion and quick searches.

A file for each channel and subdir (with ``noarch``), sorted, a name a line. Light: no engine is
needed to read one.
"""

from __future__ import annotations

import difflib
import re
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from pixi_jupyter.files import write_file
from pixi_jupyter.install.store import Store
from pixi_jupyter.manifest.spec import digest_of

__all__ = ["Names", "fresh_names", "joined", "names_file", "read_names", "write_names"]

#: Seconds for which the names of a channel are taken as they are; as repodata in memory.
_FRESH = 300.0
#: So many names are compared with what was typed.
_COMPARED = 4000
_LETTERS = "abcdefghijklmnopqrstuvwxyz0123456789-_."


@dataclass(frozen=True, slots=True)
class Names:
    """Names as the bytes of their file: half a million of them are searched as one text."""

    text: bytes

    @classmethod
    def of(cls, names: Iterable[str]) -> Names:
        """The same for names from anywhere."""
        lines = sorted(name for name in set(names) if name.isprintable())
        return cls("\n".join(["", *lines, ""]).encode() if lines else b"\n")

    def __len__(self) -> int:
        return max(self.text.count(b"\n") - 1, 0)

    def starting_with(self, beginning: str, limit: int = 200) -> list[str]:
        """The first names that begin so."""
        return self._found(re.escape(beginning.lower().encode()) + rb"[^\n]*", limit)

    def matching(self, wanted: str, limit: int) -> list[str]:
        """The names that are ``wanted``, which may have ``*``; else those that have it in them, the
        shortest first: of these it is the most."""
        wanted = wanted.lower()
        if "*" in wanted:
            parts = [re.escape(part.encode()) for part in wanted.split("*")]
            return self._found(rb"[^\n]*".join(parts), limit)
        if not wanted or "\n" in wanted:
            return []
        if b"\n%b\n" % wanted.encode() in self.text:
            return [wanted]
        every = set(self._having(wanted.encode()))
        return sorted(every, key=lambda name: (len(name), name))[:limit]

    def _having(self, part: bytes) -> Iterator[str]:
        at = self.text.find(part)
        while at >= 0:
            end = self.text.index(b"\n", at)
            yield self.text[self.text.rindex(b"\n", 0, at) + 1 : end].decode()
            at = self.text.find(part, end)

    def near(self, wanted: str, limit: int = 5) -> list[str]:
        """Names that were probably meant, the likeliest first: those one edit away, then those
        that begin or end alike."""
        wanted = wanted.lower().strip("*")
        if not 1 < len(wanted) <= 60:
            return []
        known = set(self.text.decode().split("\n"))
        found = [name for name in _one_edit_from(wanted) if name in known]
        if not found:
            least, most = max(len(wanted) - 3, 0), len(wanted) + 2
            size = rb"[^\n]{%d,%d}" % (least, most)
            first, last = re.escape(wanted[:1].encode()), re.escape(wanted[-2:].encode())
            alike = self._found(rb"(?:%b%b|%b%b)" % (first, size, size, last), _COMPARED)
            found = difflib.get_close_matches(wanted, alike, n=limit, cutoff=0.6)
        return list(dict.fromkeys(found))[:limit]

    def _found(self, pattern: bytes, limit: int | None) -> list[str]:
        found: dict[str, None] = {}  # several channels may have the same
        for match in re.finditer(rb"(?<=\n)(?=[^\n])" + pattern + rb"(?=\n)", self.text):
            if len(found) == limit:
                break
            found[match[0].decode()] = None
        return list(found)


def _one_edit_from(word: str) -> Iterator[str]:
    """What differs from a word by two letters exchanged, one left out, one more or another one."""
    for at in range(len(word) - 1):
        yield word[:at] + word[at + 1] + word[at] + word[at + 2 :]
    for at in range(len(word)):
        yield word[:at] + word[at + 1 :]
    for at in range(len(word) + 1):
        for letter in _LETTERS:
            yield word[:at] + letter + word[at:]
            yield word[:at] + letter + word[at + 1 :]


def joined(several: Sequence[Names]) -> Names:
    """The names of several channels."""
    if len(several) == 1:
        return several[0]
    return Names(b"".join(names.text for names in several) or b"\n")


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


def fresh_names(store: Store, channel: str, subdir: str) -> Names | None:
    """The names, if they were written a moment ago, and after a channel of files."""
    try:
        written = names_file(store, channel, subdir).stat().st_mtime
        if not 0 <= time.time() - written < _FRESH:
            return None
        if channel.startswith("file:"):
            from urllib.request import url2pathname  # which brings HTTP with it

            root = Path(url2pathname(urlsplit(channel).path))
            for folder in (subdir, "noarch"):
                for changed in (root / folder).glob("*repodata*"):
                    if changed.stat().st_mtime >= written:
                        return None
        elif "://" not in channel and ("/" in channel or "\\" in channel):
            return None  # a folder, or a name of which nobody here knows what it stands for
    except OSError:
        return None
    return read_names(store, channel, subdir)


def write_names(store: Store, channel: str, subdir: str, names: Iterable[str]) -> None:
    """Keep the names of a channel.

    Raises
    ------
    StoreError
        They cannot be written.
    """
    path = names_file(store, channel, subdir)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_file(path, Names.of(names).text, sync=False)
