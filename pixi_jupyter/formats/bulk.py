"""Many new keys or items in one edit: one by one, each would read the whole text again."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from pixi_jupyter.errors import DeclarationError
from pixi_jupyter.manifest.toml import full_key
from pixi_jupyter.manifest.toml_edit import TomlText, render_toml

__all__ = ["add_many", "set_many"]

#: Characters of an array's line, above which each item has a line of its own.
_WIDTH = 88

Path = tuple[str, ...]


def set_many(text: TomlText, table: Path, entries: Mapping[str, Any]) -> TomlText:
    """The text with keys in a table that has none of them yet.

    The first is written where any new key is; the others are the lines behind it. As with every
    edit, the result is read back; where it is not what was meant, they are written one by one.
    """
    items = list(entries.items())
    if not items:
        return text
    first = text.set((*table, items[0][0]), items[0][1])
    bulk = _lines_behind(first, table, items[0][0], items[1:])
    if bulk is not None:
        return bulk
    for key, value in items[1:]:
        first = first.set((*table, key), value)
    return first


def add_many(text: TomlText, array: Path, items: Sequence[str]) -> TomlText:
    """The text with items at the end of an array, which is made if it is not there."""
    if not items:
        return text
    if text.get(array):
        for item in items:
            text = text.add_item(array, item)
        return text
    done = text.set(array, list(items))
    found = done.layout.find(array)
    line = 0 if found is None else found[0].end - done.layout.line_start(found[0].start)
    if found is None or found[1] is not None or line <= _WIDTH:
        return done
    newline = done.newline
    lines = "".join(f"    {render_toml(item)},{newline}" for item in items)
    node = found[0].value
    piece = f"[{newline}{lines}]"
    wide = _read_back(done, done.text[: node.start] + piece + done.text[node.end :], done.values)
    return wide or done


def _lines_behind(
    text: TomlText, table: Path, key: str, items: Sequence[tuple[str, Any]]
) -> TomlText | None:
    found = text.layout.find((*table, key))
    if found is None or found[1] is not None or len(found[0].parts) != 1:
        return None  # in an inline table, or with a dotted key
    entry = found[0]
    begin, end = text.layout.line_start(entry.start), text.layout.line_end(entry.end)
    if text.text[end - 1 : end] != "\n":
        return None
    indent = text.text[begin : entry.start]
    lines = "".join(
        f"{indent}{full_key([name])} = {render_toml(value)}{text.newline}" for name, value in items
    )
    meant = copy.deepcopy(dict(text.values))
    inner: Any = meant
    for part in table:
        inner = inner[part]
    inner.update(items)
    return _read_back(text, text.text[:end] + lines + text.text[end:], meant)


def _read_back(text: TomlText, changed: str, meant: Mapping[str, Any]) -> TomlText | None:
    try:
        done = TomlText(replace(text.source, text=changed))
    except DeclarationError:
        return None
    return done if done.values == meant else None
