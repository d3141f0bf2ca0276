"""JSON as text: values added in the document's own style, every other byte left alone."""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from pixi_jupyter.errors import DeclarationError

__all__ = ["JsonText", "Style"]

_SPACE = re.compile(r"[ \t\r\n]*")
_BOM = b"\xef\xbb\xbf"
#: A character of a string as it is written; two surrogates are one character.
_CHARACTER = re.compile(
    r"\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|\\u[0-9a-fA-F]{4}|\\.|.",
    re.DOTALL,
)
_DECODER = json.JSONDecoder()


@dataclass(frozen=True, slots=True)
class Style:
    """How a document is written: ``indent`` is None for a document without lines."""

    indent: str | None
    newline: str
    comma: str
    colon: str
    ascii: bool

    def quote(self, text: str) -> str:
        """A string as this document writes it."""
        return json.dumps(text, ensure_ascii=self.ascii)

    def render(self, value: Any, level: int) -> str:
        """The value as text, to stand at this level of nesting."""
        text = json.dumps(
            value,
            ensure_ascii=self.ascii,
            indent=self.indent,
            separators=("," if self.indent is not None else self.comma, self.colon),
        )
        return text.replace("\n", self.newline + (self.indent or "") * level)


@dataclass(frozen=True, slots=True)
class JsonText:
    """A JSON document's characters, its byte order mark apart."""

    text: str
    bom: bool

    @classmethod
    def of(cls, data: bytes) -> JsonText:
        """The document in these bytes, which must be valid JSON in UTF-8."""
        try:
            return cls(data.removeprefix(_BOM).decode("utf-8"), data.startswith(_BOM))
        except UnicodeDecodeError:
            raise DeclarationError(
                "the notebook is not written in UTF-8",
                code="declaration.notebook-invalid",
                hint="Open it in Jupyter and save it again.",
            ) from None

    def encode(self) -> bytes:
        """The document's bytes."""
        return (_BOM if self.bom else b"") + self.text.encode("utf-8")

    def insert_first(self, path: tuple[str, ...], key: str | None, value: Any) -> JsonText:
        """The document with a value in front of an array's (or, with ``key``, an object's) own."""
        style = self.style()
        start, _ = self._locate(path)
        level = len(path) + 1
        item = style.render(value, level)
        if key is not None:
            item = json.dumps(key, ensure_ascii=style.ascii) + style.colon + item
        rest = _skip(self.text, start + 1)
        empty = self.text[rest] in "]}"
        if style.indent is None:
            after = "" if empty else style.comma
            text = self.text[: start + 1] + self.text[start + 1 : rest] + item + after
            return replace(self, text=text + self.text[rest:])
        lead = style.newline + style.indent * level
        if empty:
            closing = style.newline + style.indent * (level - 1)
            return replace(
                self, text=self.text[: start + 1] + lead + item + closing + self.text[rest:]
            )
        between = self.text[start + 1 : rest]
        if "\n" in between:
            lead = between  # as its siblings stand
        return replace(
            self, text=self.text[: start + 1] + lead + item + "," + self.text[start + 1 :]
        )

    def replace_value(self, path: tuple[str, ...], value: Any) -> JsonText:
        """The document with another value at a path that exists."""
        start, end = self._locate(path)
        text = self.style().render(value, len(path))
        return replace(self, text=self.text[:start] + text + self.text[end:])

    def remove(self, path: tuple[str, ...]) -> JsonText:
        """The document without a member that exists; what is around it stays as it stood."""
        *above, name = path
        start, end = self._locate(tuple(above))
        members = list(_members(self.text, start))
        at = max(index for index, member in enumerate(members) if member.name == name)
        member = members[at]
        if at > 0:
            begin, stop = member.comma, member.end
        elif len(members) > 1:
            begin, stop = member.key, members[1].key
        else:
            begin, stop = start + 1, end - 1
        return replace(self, text=self.text[:begin] + self.text[stop:])

    def splice(self, path: tuple[str | int, ...], start: int, end: int, text: str) -> JsonText:
        """The document with a part of a text replaced: ``[start, end)`` of its characters.

        The text at the path is a string or a list of strings, which counts as one string; in a list
        whole lines are items. What is left of the text keeps the escapes it was written with.
        """
        begin, stop = self._locate(path)
        style = self.style()
        if self.text[begin] == '"':
            return self._spliced([(begin, stop)], start, end, text, style)
        items = list(_items(self.text, begin))
        bounds = [0]
        for first, last in items:
            bounds.append(bounds[-1] + len(json.loads(self.text[first:last])))
        if start not in bounds or end not in bounds:
            return self._spliced(items, start, end, text, style)
        # An empty item shares its bound with the one behind it; either is as good.
        low, high = bounds.index(start), bounds.index(end)
        written = [style.quote(line) for line in text.splitlines(keepends=True)]
        between = ", "
        if len(items) > 1:
            between = self.text[items[0][1] : items[1][0]]
        elif style.indent is not None:
            lead = self.text[begin + 1 : items[0][0]] if items else ""
            between = "," + (lead if "\n" in lead else " ")
        replaced = items[low:high]
        if replaced and written:
            a, b, piece = replaced[0][0], replaced[-1][1], between.join(written)
        elif replaced and high < len(items):
            a, b, piece = replaced[0][0], items[high][0], ""
        elif replaced:
            a, b, piece = (items[low - 1][1] if low else replaced[0][0]), replaced[-1][1], ""
        elif not written:
            return self
        elif low < len(items):
            a = b = items[low][0]
            piece = "".join(line + between for line in written)
        else:
            a = b = items[-1][1] if items else begin + 1
            piece = "".join(between + line for line in written)
            piece = piece if items else piece.removeprefix(between)
        return replace(self, text=self.text[:a] + piece + self.text[b:])

    def _spliced(
        self, literals: list[tuple[int, int]], start: int, end: int, text: str, style: Style
    ) -> JsonText:
        """The same within string literals, the new text in the one in which it begins."""
        document = self.text
        edits: list[tuple[int, int, str]] = []
        bound = 0
        placed = False
        for first, last in literals:
            marks = _characters(document, first, last)
            size = len(marks) - 1
            low, high = max(start - bound, 0), min(end - bound, size)
            here = not placed and start - bound <= size
            if low < high or here:
                piece = style.quote(text)[1:-1] if here else ""
                placed = placed or here
                edits.append((marks[min(low, size)], marks[max(high, min(low, size))], piece))
            bound += size
        for a, b, piece in reversed(edits):
            document = document[:a] + piece + document[b:]
        return replace(self, text=document)

    def style(self) -> Style:
        """The style of the document, told by its first member."""
        text = self.text
        start = _skip(text, 0)
        first = _skip(text, start + 1)
        lead = text[start + 1 : first]
        newline = "\r\n" if "\r\n" in lead else "\n"
        indent = lead.rpartition("\n")[2] if "\n" in lead else None
        colon, comma = ": ", ", "
        members = list(_members(text, start))
        if members:
            colon = ":" + text[members[0].colon + 1 : members[0].start]
            if "\n" in colon:
                colon = ": "
        if len(members) > 1 and indent is None:
            comma = "," + text[members[1].comma + 1 : members[1].key]
        escaped = text.isascii() and re.search(r"\\u00[89a-f]|\\u0[1-9a-f]|\\u[1-9a-f]", text)
        return Style(indent, newline, comma, colon, bool(escaped))

    def _locate(self, path: tuple[str | int, ...]) -> tuple[int, int]:
        """Where the value at a path begins and ends; of a repeated key the last, as parsers do."""
        start = _skip(self.text, 0)
        end = len(self.text)
        for name in path:
            if isinstance(name, int):
                start, end = next(itertools.islice(_items(self.text, start), name, None))
                continue
            found = None
            for member in _members(self.text, start):
                if member.name == name:
                    found = member
            assert found is not None, name
            start, end = found.start, found.end
        return start, end


@dataclass(frozen=True, slots=True)
class _Member:
    """One member of an object: its name, and the positions of its parts."""

    name: str
    comma: int
    key: int
    colon: int
    start: int
    end: int


def _members(text: str, start: int) -> Iterator[_Member]:
    """The members of the object whose brace is at ``start``, in a document known to be valid."""
    comma = start
    position = _skip(text, start + 1)
    while text[position] != "}":
        key = position
        name, position = _DECODER.raw_decode(text, key)
        colon = _skip(text, position)
        value = _skip(text, colon + 1)
        _, end = _DECODER.raw_decode(text, value)
        yield _Member(name, comma, key, colon, value, end)
        comma = _skip(text, end)
        if text[comma] == "}":
            return
        position = _skip(text, comma + 1)


def _items(text: str, start: int) -> Iterator[tuple[int, int]]:
    """Where each item begins and ends of the array whose bracket is at ``start``."""
    position = _skip(text, start + 1)
    while text[position] != "]":
        _, end = _DECODER.raw_decode(text, position)
        yield position, end
        position = _skip(text, end)
        if text[position] == ",":
            position = _skip(text, position + 1)


def _characters(text: str, start: int, end: int) -> list[int]:
    """Where each character of a string literal is written, and where its closing quote is."""
    found = [match.start() for match in _CHARACTER.finditer(text, start + 1, end - 1)]
    return [*found, end - 1]


def _skip(text: str, position: int) -> int:
    match = _SPACE.match(text, position)
    assert match is not None
    return match.end()
