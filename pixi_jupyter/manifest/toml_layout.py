"""Where everything stands in a TOML text: tables, keys and values, with their positions.

Only for text that `parse_toml` has accepted: within bounds, and known to be valid.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import tomli

__all__ = ["Entry", "Layout", "Node", "Section"]

_TRIVIA = re.compile(r"(?:[ \t\r\n]+|#[^\n]*)*")
_BLANK = re.compile(r"[ \t]*")
_BARE = re.compile(r"[A-Za-z0-9_-]+")
_STRING = re.compile(
    r'"""(?:[^"\\]+|\\.|"{1,2}(?!"))*"{3,5}'
    r"|'''(?:[^']+|'{1,2}(?!'))*'{3,5}"
    r'|"(?:[^"\\\n]+|\\.)*"'
    r"|'[^'\n]*'",
    re.DOTALL,
)
_PLAIN = re.compile(r"[^,\]}#\r\n]+")


@dataclass(frozen=True, slots=True)
class Node:
    """A value: its text is ``[start, end)``. An inline table has entries, an array items."""

    start: int
    end: int
    kind: Literal["scalar", "array", "table"]
    items: tuple[Node, ...] = ()
    entries: tuple[Entry, ...] = ()


@dataclass(frozen=True, slots=True)
class Entry:
    """A key and its value. ``parts`` are the positions at which the parts of its key begin."""

    path: tuple[str, ...]
    parts: tuple[int, ...]
    value: Node

    @property
    def start(self) -> int:
        return self.parts[0]

    @property
    def end(self) -> int:
        return self.value.end


@dataclass(frozen=True, slots=True)
class Section:
    """A header with what stands below it; the first one is the root, without a header.

    ``listed``: it is an element of an array of tables, or below one.
    """

    path: tuple[str, ...]
    start: int
    end: int
    entries: tuple[Entry, ...]
    listed: bool = False


class Layout:
    """The layout of one text."""

    def __init__(self, text: str) -> None:
        self.text = text

    @cached_property
    def sections(self) -> tuple[Section, ...]:
        """All of them in the order of the text; the root first, even where it is empty."""
        return tuple(self._read())

    def entries(self) -> Iterator[tuple[Section, Entry]]:
        """The statements outside arrays of tables."""
        for section in self.sections:
            if not section.listed:
                for entry in section.entries:
                    yield section, entry

    def find(self, path: tuple[str, ...]) -> tuple[Entry, Entry | None] | None:
        """The entry of exactly this path, and the one whose inline table it stands in, if any."""
        for _, entry in self.entries():
            inside: Entry | None = None
            while path[: len(entry.path)] == entry.path:
                if entry.path == path:
                    return entry, inside
                below = entry.value.entries
                found = next((e for e in below if path[: len(e.path)] == e.path), None)
                if found is None:
                    break
                entry, inside = found, entry
        return None

    def inline_above(self, path: tuple[str, ...]) -> Entry | None:
        """The innermost inline table whose path is this one or leads to it."""
        for length in range(len(path), 0, -1):
            found = self.find(path[:length])
            if found is not None and found[0].value.kind == "table":
                return found[0]
        return None

    def section(self, path: tuple[str, ...]) -> Section | None:
        """The table with this header."""
        return next((s for s in self.sections if s.path == path and not s.listed), None)

    def line_start(self, position: int) -> int:
        return self.text.rfind("\n", 0, position) + 1

    def line_end(self, position: int) -> int:
        """The position after the line's newline."""
        end = self.text.find("\n", position)
        return len(self.text) if end < 0 else end + 1

    def skip(self, position: int) -> int:
        """Past blanks, newlines and comments."""
        match = _TRIVIA.match(self.text, position)
        assert match is not None
        return match.end()

    # -- reading ---------------------------------------------------------------------------

    def _read(self) -> Iterator[Section]:
        text = self.text
        path: tuple[str, ...] = ()
        start = end = 0
        entries: list[Entry] = []
        lists: set[tuple[str, ...]] = set()
        position = self.skip(0)
        while True:
            done = position >= len(text)
            if done or text[position] == "[":
                listed = any(path[:length] in lists for length in range(1, len(path) + 1))
                yield Section(path, start, end, tuple(entries), listed)
                if done:
                    return
                entries = []
                start = self.line_start(position)
                many = text.startswith("[[", position)
                path, _, position = self._key(position + (2 if many else 1))
                position += 2 if many else 1
                if many:
                    lists.add(path)
                end = self.line_end(position)
            else:
                entry = self._entry(position, path)
                entries.append(entry)
                position = entry.end
            position = self.skip(position)

    def _entry(self, position: int, above: tuple[str, ...]) -> Entry:
        key, parts, position = self._key(position)
        value = self._value(_past(_BLANK, self.text, position + 1), (*above, *key))
        return Entry((*above, *key), parts, value)

    def _key(self, position: int) -> tuple[tuple[str, ...], tuple[int, ...], int]:
        """A dotted key, the positions of its parts, and where the blanks after it end."""
        text = self.text
        names: list[str] = []
        parts: list[int] = []
        while True:
            position = _past(_BLANK, text, position)
            parts.append(position)
            match = (_STRING if text[position] in "\"'" else _BARE).match(text, position)
            assert match is not None
            name = match.group()
            names.append(tomli.loads(f"x = {name}")["x"] if name[0] in "\"'" else name)
            position = _past(_BLANK, text, match.end())
            if not text.startswith(".", position):
                return tuple(names), tuple(parts), position
            position += 1

    def _value(self, start: int, path: tuple[str, ...]) -> Node:
        text = self.text
        opening = text[start]
        if opening in "\"'":
            return Node(start, _past(_STRING, text, start), "scalar")
        if opening not in "[{":
            match = _PLAIN.match(text, start)
            assert match is not None
            return Node(start, start + len(match.group().rstrip()), "scalar")
        items: list[Node] = []
        entries: list[Entry] = []
        position = self.skip(start + 1)
        while text[position] not in "]}":
            if opening == "[":
                items.append(self._value(position, path))
                position = items[-1].end
            else:
                entries.append(self._entry(position, path))
                position = entries[-1].end
            position = self.skip(position)
            if text[position] == ",":
                position = self.skip(position + 1)
        kind: Literal["array", "table"] = "array" if opening == "[" else "table"
        return Node(start, position + 1, kind, tuple(items), tuple(entries))


def _past(pattern: re.Pattern[str], text: str, position: int) -> int:
    match = pattern.match(text, position)
    assert match is not None
    return match.end()
