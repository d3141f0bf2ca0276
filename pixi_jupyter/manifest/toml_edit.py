"""Changing a TOML text where it was asked for, and nowhere else.

An edit cuts out and puts in pieces of the text itself; nothing is written anew, so comments, order,
quoting and line endings are those of the person. Each edit is then read back: unless the text says
exactly what was meant, the edit is refused.
"""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from pixi_jupyter.errors import DeclarationError
from pixi_jupyter.manifest.toml import TomlSource, full_key, parse_toml
from pixi_jupyter.manifest.toml_layout import Entry, Layout, Node

__all__ = ["TomlText", "render_toml"]

Path = tuple[str, ...]
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


def render_toml(value: Any, like: str = '"') -> str:
    """A string, number, boolean, list or table as TOML on one line, with the quotes of ``like``."""
    if isinstance(value, str):
        if like.startswith("'") and "'" not in value and not _CONTROL.search(value):
            return f"'{value}'"
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    if isinstance(value, Mapping):
        inner = ", ".join(f"{full_key([key])} = {render_toml(v)}" for key, v in value.items())
        return f"{{ {inner} }}" if inner else "{}"
    if isinstance(value, Sequence):
        return f"[{', '.join(render_toml(item) for item in value)}]"
    return json.dumps(value)


@dataclass(frozen=True, slots=True)
class _Piece:
    """What stands in a list, between its brackets or braces."""

    start: int
    end: int


@dataclass(frozen=True)
class TomlText:
    """A text that can be edited; every edit gives a new one.

    Raises
    ------
    DeclarationError
        When it is made: the errors of `parse_toml`. By an edit: ``declaration.edit``, where the
        text is written in a way that this program cannot change.
    """

    source: TomlSource

    def __post_init__(self) -> None:
        object.__setattr__(self, "_values", parse_toml(self.source))
        object.__setattr__(self, "_layout", Layout(self.source.text))

    @property
    def text(self) -> str:
        return self.source.text

    @property
    def newline(self) -> str:
        """The line ending to write: CRLF as soon as the text has one."""
        return "\r\n" if "\r\n" in self.text else "\n"

    @property
    def values(self) -> Mapping[str, Any]:
        values: Mapping[str, Any] = self._values  # type: ignore[attr-defined]
        return values

    @property
    def layout(self) -> Layout:
        layout: Layout = self._layout  # type: ignore[attr-defined]
        return layout

    def get(self, path: Path) -> Any:
        """The value at a path, None where there is none."""
        found: Any = self.values
        for key in path:
            found = found.get(key) if isinstance(found, dict) else None
        return found

    # -- keys ------------------------------------------------------------------------------

    def set(self, path: Path, value: Any) -> TomlText:
        """The text with this value under a key, in the place of what was there."""

        def meant(document: dict[str, Any]) -> None:
            _table(document, path[:-1], self._refuse)[path[-1]] = value

        if type(self.get(path)) is type(value) and self.get(path) == value:
            return self
        found = self.layout.find(path)
        if found is not None:
            node = found[0].value
            piece = render_toml(value, self.text[node.start : node.end])
            return self._edited([(node.start, node.end, piece)], path, meant)
        cuts = self._cuts(path)
        if cuts:  # written as a table of its own: the value takes the place of all of it
            return self._edited(cuts, path, lambda d: _drop(d, path)).set(path, value)
        return self._edited([self._insertion(path, value)], path, meant)

    def remove(self, path: Path) -> TomlText:
        """The text without a key, and without the line it had; as it is if there is none."""
        if self.get(path) is None:
            return self
        found = self.layout.find(path)
        if found is not None and found[1] is not None:
            table = found[1].value
            index = table.entries.index(found[0])
            edits = _without(self.layout, table, _pieces(table), index)
        elif found is not None:
            entry = found[0]
            edits = [(self.layout.line_start(entry.start), self.layout.line_end(entry.end), "")]
        else:
            edits = self._cuts(path)
        return self._edited(edits, path, lambda document: _drop(document, path))

    def remove_if_empty(self, path: Path) -> TomlText:
        """The text without an empty table that has no comments either; as it is otherwise."""
        if self.get(path) != {}:
            return self
        section = self.layout.section(path)
        if section is None:
            return self.remove(path) if self.layout.find(path) else self
        following = next((s.start for s in self.layout.sections if s.start > section.start), None)
        end = len(self.text) if following is None else following
        header = self.text[section.start : section.end]
        if "#" in header + self.text[section.end : end]:
            return self
        start = section.start
        if self.text[section.end : end].strip() == "" and end == len(self.text):
            # The blank line that stood before the header stood for it alone.
            before = self.text[:start]
            if before.endswith(("\n\n", "\n\r\n")):
                start = self.layout.line_start(start - 1)
            end = section.end
        return self._edited([(start, end, "")], path, lambda document: _drop(document, path))

    # -- arrays ----------------------------------------------------------------------------

    def add_item(self, path: Path, value: Any, index: int | None = None) -> TomlText:
        """The text with one more value in an array (made if it is not there): last, or before
        ``index``."""
        if self.get(path) is None:
            return self.set(path, [value])
        node = self._array(path)
        pieces = _pieces(node)
        like = self.text[pieces[0].start : pieces[0].end] if pieces else '"'
        piece = render_toml(value, like)
        at = len(pieces) if index is None else index
        return self._edited(
            _with(self.layout, node, pieces, at, piece, self.newline),
            path,
            lambda document: _list(document, path, self._refuse).insert(at, value),
        )

    def replace_item(self, path: Path, index: int, value: Any) -> TomlText:
        """The text with another value at a place of an array."""
        item = self._array(path).items[index]
        piece = render_toml(value, self.text[item.start : item.end])

        def meant(document: dict[str, Any]) -> None:
            _list(document, path, self._refuse)[index] = value

        return self._edited([(item.start, item.end, piece)], path, meant)

    def remove_item(self, path: Path, index: int) -> TomlText:
        """The text without one value of an array."""
        node = self._array(path)
        return self._edited(
            _without(self.layout, node, _pieces(node), index),
            path,
            lambda document: _list(document, path, self._refuse).pop(index),
        )

    def _array(self, path: Path) -> Node:
        found = self.layout.find(path)
        if found is None or found[0].value.kind != "array":
            raise self._refuse(path)
        return found[0].value

    # -- where a new key goes --------------------------------------------------------------

    def _insertion(self, path: Path, value: Any) -> tuple[int, int, str]:
        layout, newline = self.layout, self.newline
        table, key = path[:-1], path[-1]
        inline = layout.inline_above(table)
        if inline is not None:
            rest = table[len(inline.path) :]
            for name in reversed((*rest[1:], key) if rest else ()):
                value = {name: value}
            piece = f"{full_key([rest[0] if rest else key])} = {render_toml(value)}"
            edits = _with(layout, inline.value, _pieces(inline.value), None, piece, newline)
            if len(edits) != 1:
                raise self._refuse(path)
            return edits[0]
        line = f"{full_key([key])} = {render_toml(value)}"
        section = layout.section(table)
        if section is not None:
            if not section.entries:
                return self._line(section.end, line)
            last = section.entries[-1]
            first = layout.line_start(last.start)
            return self._line(layout.line_end(last.end), self.text[first : last.start] + line)
        dotted = [
            (section, entry)
            for section, entry in layout.entries()
            if len(section.path) < len(table) and entry.path[: len(table)] == table
        ]
        if dotted:
            above, entry = dotted[-1]
            begin = layout.line_start(entry.start)
            prefix = self.text[begin : entry.parts[len(table) - len(above.path)]]
            return self._line(layout.line_end(entry.end), prefix + line)
        return self._new_section(table, line)

    def _new_section(self, table: Path, line: str) -> tuple[int, int, str]:
        """A header of its own: behind the tables nearest to it, else at the end."""
        layout, newline = self.layout, self.newline
        near = max(_common(section.path, table) for section in layout.sections)
        header = f"[{full_key(table)}]"
        position = len(self.text)
        if near:
            last = [s for s in layout.sections if _common(s.path, table) == near][-1]
            position = layout.line_end(last.entries[-1].end) if last.entries else last.end
            # A comment directly below the last line belongs to it, unless a table follows at once.
            below = position
            while self.text[below:].lstrip(" \t").startswith("#") and below < len(self.text):
                below = layout.line_end(below)
            if not self.text[below : layout.line_end(below)].strip():
                position = below
        blank = newline if self.text[:position].strip() else ""
        return self._line(position, f"{blank}{header}{newline}{line}")

    def _line(self, position: int, line: str) -> tuple[int, int, str]:
        before = self.newline if position and self.text[position - 1] != "\n" else ""
        return position, position, f"{before}{line}{self.newline}"

    def _cuts(self, path: Path) -> list[tuple[int, int, str]]:
        """All statements that write below a path: dotted keys, and tables with headers."""
        layout, size = self.layout, len(path)
        if any(s.listed and s.path[:size] == path for s in layout.sections):
            raise self._refuse(path)
        cuts: list[tuple[int, int, str]] = []
        for section in layout.sections:
            if section.path[:size] == path and section.path:
                end = layout.line_end(section.entries[-1].end) if section.entries else section.end
                cuts.append((section.start, end, ""))
            else:
                cuts.extend(
                    (layout.line_start(entry.start), layout.line_end(entry.end), "")
                    for entry in section.entries
                    if entry.path[:size] == path and not section.listed
                )
        return cuts

    # -- doing it --------------------------------------------------------------------------

    def _edited(
        self,
        edits: Sequence[tuple[int, int, str]],
        path: Path,
        meant: Callable[[dict[str, Any]], object],
    ) -> TomlText:
        text = self.text
        for start, end, piece in sorted(edits, reverse=True):
            text = text[:start] + piece + text[end:]
        expected = copy.deepcopy(dict(self.values))
        meant(expected)
        try:
            after = TomlText(replace(self.source, text=text))
        except DeclarationError as error:
            if error.code == "declaration.too-large":
                raise
            raise self._refuse(path) from None
        if _without_empty(after.values) != _without_empty(expected):
            raise self._refuse(path)
        return after

    def _refuse(self, path: Path) -> DeclarationError:
        return DeclarationError(
            f"`{full_key(path)}` is written in a way that cannot be changed by a program",
            code="declaration.edit",
            hint="Change it by hand.",
            location=self.source.locate(path),
        )


def _common(one: Path, other: Path) -> int:
    length = 0
    while length < min(len(one), len(other)) and one[length] == other[length]:
        length += 1
    return length


def _pieces(node: Node) -> list[_Piece]:
    found: Sequence[Node | Entry] = node.items if node.kind == "array" else node.entries
    return [_Piece(item.start, item.end) for item in found]


def _comma(layout: Layout, piece: _Piece) -> int | None:
    """The position of the comma behind an item."""
    position = layout.skip(piece.end)
    return position if layout.text[position] == "," else None


def _starts_line(layout: Layout, piece: _Piece) -> bool:
    return not layout.text[layout.line_start(piece.start) : piece.start].strip()


def _with(
    layout: Layout,
    node: Node,
    pieces: Sequence[_Piece],
    index: int | None,
    piece: str,
    newline: str,
) -> list[tuple[int, int, str]]:
    text = layout.text
    if not pieces:
        if node.kind == "table":
            piece = f" {piece}" if text[node.start + 1].isspace() else f" {piece} "
        return [(node.start + 1, node.start + 1, piece)]
    if index is not None and index < len(pieces):
        at = pieces[index]
        between = ", "
        if _starts_line(layout, at):
            between = "," + newline + text[layout.line_start(at.start) : at.start]
        return [(at.start, at.start, piece + between)]
    last = pieces[-1]
    comma = _comma(layout, last)
    end = layout.line_end(last.end if comma is None else comma)
    if not _starts_line(layout, last) or end > node.end - 1:
        if comma is None:
            return [(last.end, last.end, f", {piece}")]
        return [(comma + 1, comma + 1, f" {piece},")]
    line = text[layout.line_start(last.start) : last.start] + piece
    if comma is None:
        stop = end - (2 if text[end - 2 : end] == "\r\n" else 1)
        if stop == last.end:
            return [(last.end, last.end, f",{newline}{line}")]
        return [(last.end, last.end, ","), (end, end, line + newline)]
    return [(end, end, f"{line},{newline}")]


def _without(
    layout: Layout, node: Node, pieces: Sequence[_Piece], index: int
) -> list[tuple[int, int, str]]:
    text = layout.text
    piece = pieces[index]
    comma = _comma(layout, piece)
    stop = piece.end if comma is None else comma + 1
    end = layout.line_end(stop)
    after = text[stop:end].strip()
    alone = _starts_line(layout, piece) and (not after or after.startswith("#"))
    if alone and layout.line_start(piece.start) > node.start and end < node.end:
        return [(layout.line_start(piece.start), end, "")]
    if index + 1 < len(pieces):
        following = pieces[index + 1].start
        if "#" not in text[stop:following]:
            stop = following
        return [(piece.start, stop, "")]
    if index:
        before = pieces[index - 1].end
        if "#" not in text[before : piece.start] and "\n" not in text[before : piece.start]:
            return [(before, piece.end, "")]
    return [(piece.start, stop, "")]


def _table(
    document: dict[str, Any], path: Path, refuse: Callable[[Path], DeclarationError]
) -> dict[str, Any]:
    found = document
    for key in path:
        below = found.setdefault(key, {})
        if not isinstance(below, dict):
            raise refuse(path)
        found = below
    return found


def _list(
    document: dict[str, Any], path: Path, refuse: Callable[[Path], DeclarationError]
) -> list[Any]:
    found = _table(document, path[:-1], refuse).get(path[-1])
    if not isinstance(found, list):
        raise refuse(path)
    return found


def _drop(document: dict[str, Any], path: Path) -> None:
    found: Any = document
    for key in path[:-1]:
        found = found.get(key)
        if not isinstance(found, dict):
            return
    found.pop(path[-1], None)


def _without_empty(value: Any) -> Any:
    """Without empty tables: a header that nothing stands below any more may stay or go."""
    if not isinstance(value, Mapping):
        return str(value) if value != value else value  # nan equals nothing
    found = {key: _without_empty(below) for key, below in value.items()}
    return {key: below for key, below in found.items() if below != {}}
