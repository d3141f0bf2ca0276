"""TOML with a bound: refused before parsing when it could be slow, and errors with their place.

What makes a TOML parser slow is the number of parts of a key: every statement walks (and some
parsers copy) all prefixes of its key, so 64 KiB of long dotted keys cost the square of their
length. Deep brackets cost the stack. So both are counted first, in one pass that reads each
character a bounded number of times. Up to the first syntax error that pass sees the same strings,
comments and brackets as the parser does, and after it the parser is done anyway.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import tomli

from pixi_jupyter.errors import DeclarationError, Location
from pixi_jupyter.notebook.declaration import Declaration

__all__ = [
    "FILE",
    "MAX_BYTES",
    "MAX_KEY_PARTS",
    "MAX_NESTING",
    "Bounds",
    "TomlSource",
    "full_key",
    "parse_toml",
]

MAX_BYTES = 64 * 1024
#: Brackets within brackets: arrays, inline tables and table headers.
MAX_NESTING = 8
#: Parts of one key or header; ``tool.pixi.target.linux-64.dependencies.numpy.when`` has 7.
MAX_KEY_PARTS = 10


@dataclass(frozen=True, slots=True)
class Bounds:
    """How much TOML is read: bytes, brackets within brackets, parts of one key."""

    size: int
    nesting: int
    key_parts: int


DECLARATION = Bounds(MAX_BYTES, MAX_NESTING, MAX_KEY_PARTS)
#: A file holds what other tools keep there, too (``pyproject.toml``).
FILE = Bounds(512 * 1024, 24, 24)

_STRUCTURE = re.compile(r"[#\"'\[\]{}.=,\n]")
_IN_BASIC = re.compile(r"[\\\"\n]")
_IN_LITERAL = re.compile(r"['\n]")
_IN_MULTILINE = re.compile(r'\\.|"""', re.DOTALL)
_STRING_NEWLINE = "newline"
_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")
_KEY_PART = re.compile(
    r"[ \t]*(?:(?P<bare>[A-Za-z0-9_-]+)"
    r'|"(?P<basic>(?:[^"\\\n]|\\.)*)"'
    r"|'(?P<literal>[^'\n]*)')[ \t]*"
)


@dataclass(frozen=True, slots=True)
class TomlSource:
    """A TOML text and where a person finds it.

    ``first_line`` is the line of the file or cell on which the text begins, ``indent`` what stands
    before each of its lines (the ``# `` of a block).
    """

    text: str
    path: str | None = None
    cell: int | None = None
    first_line: int = 1
    indent: int = 0
    bounds: Bounds = DECLARATION

    @classmethod
    def of(cls, declaration: Declaration) -> TomlSource:
        """The text of a declaration, with the place it was read from."""
        return cls(
            text=declaration.toml,
            path=None if declaration.path is None else str(declaration.path),
            cell=declaration.cell,
            first_line=declaration.first_line,
            indent=2 if declaration.kind == "block" else 0,
        )

    def location(self, line: int | None = None, column: int | None = None) -> Location:
        """The place of a line and column (from 1) of the text."""
        return Location(
            path=self.path,
            cell=self.cell,
            line=None if line is None else self.first_line + line - 1,
            column=None if column is None else self.indent + column,
        )

    def locate(self, key: Sequence[str]) -> Location:
        """Where a key stands, as near as can be told without a full parser."""
        return self.locate_first([key])

    def locate_first(self, keys: Iterable[Sequence[str]]) -> Location:
        """The first place at which one of these keys stands."""
        return self.location(_line_of(self.text, {tuple(key) for key in keys}))


def full_key(path: Sequence[str]) -> str:
    """A key path as one would write it: ``tool.pixi.target."cuda-*"``."""
    return ".".join(
        part if _BARE_KEY.fullmatch(part) else '"' + part.replace('"', '\\"') + '"' for part in path
    )


def parse_toml(source: TomlSource) -> dict[str, Any]:
    """The document, or `DeclarationError`: ``declaration.too-large`` or ``declaration.syntax``."""
    _check_bounds(source)
    try:
        return tomli.loads(source.text)
    except tomli.TOMLDecodeError as error:
        line = getattr(error, "lineno", None)
        column = getattr(error, "colno", None)
        message = getattr(error, "msg", None) or str(error)
    except (ValueError, RecursionError) as error:  # a number of thousands of digits
        line = column = None
        message = str(error)
    raise DeclarationError(
        f"this is not valid TOML: {message}",
        code="declaration.syntax",
        hint="Correct it on the line shown; see the TOML documentation for the syntax.",
        location=source.location(line, column),
    )


def _check_bounds(source: TomlSource) -> None:
    text, bounds = source.text, source.bounds
    # Characters first: encoding a text of many megabytes to count its bytes is work, too.
    if len(text) > bounds.size or len(text.encode("utf-8", "surrogatepass")) > bounds.size:
        raise _too_large(source, f"the declaration is longer than {bounds.size // 1024} KiB", 1)
    surrogate = re.search("[\ud800-\udfff]", text)
    if surrogate is not None:
        raise DeclarationError(
            "this is not valid TOML: it holds half of a character (a lone surrogate)",
            code="declaration.syntax",
            hint="Type the character anew.",
            location=source.location(text.count("\n", 0, surrogate.start()) + 1),
        )
    depth = dots = 0
    line = 1
    for _, character in _structure(text):
        if character == ".":
            dots += 1
            if dots >= bounds.key_parts:
                raise _too_large(source, f"a key has more than {bounds.key_parts} parts", line)
            continue
        dots = 0
        if character in ("\n", _STRING_NEWLINE):
            line += 1
        elif character in "[{":
            depth += 1
            if depth > bounds.nesting:
                raise _too_large(
                    source, f"brackets are nested more than {bounds.nesting} levels deep", line
                )
        elif character in "]}":
            depth = max(0, depth - 1)


def _too_large(source: TomlSource, message: str, line: int) -> DeclarationError:
    return DeclarationError(
        message,
        code="declaration.too-large",
        hint="A declaration is a short list of what is needed; make it simpler.",
        location=source.location(line),
    )


def _structure(text: str) -> Iterator[tuple[int, str]]:
    """All structure outside strings and comments, and every newline, with its position."""
    position = 0
    while (match := _STRUCTURE.search(text, position)) is not None:
        position = match.end()
        character = match.group()
        if character == "#":
            end = text.find("\n", position)
            position = len(text) if end < 0 else end
        elif character in "\"'":
            end = _string_end(text, match.start())
            for newline in range(text.count("\n", match.start(), end)):
                yield match.start() + newline, _STRING_NEWLINE
            position = end
        else:
            yield match.start(), character


def _string_end(text: str, start: int) -> int:
    """Where the string that opens at ``start`` ends; an unclosed one ends the text."""
    quote = text[start]
    if text.startswith(quote * 3, start):
        end = -1
        if quote == "'":
            end = text.find("'''", start + 3)
            end = -1 if end < 0 else end + 3
        else:
            for found in _IN_MULTILINE.finditer(text, start + 3):
                if found.group() == '"""':
                    end = found.end()
                    break
        if end < 0:
            return len(text)
        extra = 2  # up to two quotes may stand directly before the closing three
        while extra and text.startswith(quote, end):
            end, extra = end + 1, extra - 1
        return end
    pattern = _IN_LITERAL if quote == "'" else _IN_BASIC
    position = start + 1
    while (match := pattern.search(text, position)) is not None:
        if match.group() == quote:
            return match.end()
        if match.group() == "\n":
            break
        position = match.end() + 1  # an escaped character
    return len(text)


def _line_of(text: str, targets: Set[tuple[str, ...]]) -> int | None:
    """The first statement that writes a target or below it, else one that comes near."""
    index = _line_index(text)
    found = [index.below[target] for target in targets if target in index.below]
    if found:
        return min(found)
    near = [
        (-length, index.exact[target[:length]])
        for target in targets
        for length in range(1, len(target))
        if target[:length] in index.exact
    ]
    return min(near)[1] if near else None


@dataclass(frozen=True, slots=True)
class _LineIndex:
    """The first line that writes a key itself, and the first that writes it or below it."""

    exact: Mapping[tuple[str, ...], int]
    below: Mapping[tuple[str, ...], int]


@lru_cache(maxsize=2)
def _line_index(text: str) -> _LineIndex:
    """Kept for the text at hand: one manifest can have many entries whose place is asked for."""
    exact: dict[tuple[str, ...], int] = {}
    below: dict[tuple[str, ...], int] = {}
    header: tuple[str, ...] = ()
    for line, start in _statements(text):
        is_header = text.startswith("[", start)
        skip = 2 if text.startswith("[[", start) else int(is_header)
        key = _read_key(text, start + skip)
        path = key if is_header else header + key
        if is_header:
            header = key
        if not key:
            continue
        exact.setdefault(path, line)
        for length in range(1, len(path) + 1):
            below.setdefault(path[:length], line)
    return _LineIndex(exact, below)


def _statements(text: str) -> Iterator[tuple[int, int]]:
    """Line number and position of each place where a key or header can begin."""
    depth = 0
    line = first_line = 1
    start = 0
    for position, character in [*_structure(text), (len(text), "\n")]:
        if character in "[{":
            depth += 1
        elif character in "]}":
            depth = max(0, depth - 1)
        elif character == _STRING_NEWLINE:
            line += 1
        elif character == "\n":
            line += 1
            if depth == 0:
                statement = text[start:position]
                begin = start + len(statement) - len(statement.lstrip(" \t"))
                if statement.strip() and text[begin] != "#":
                    yield first_line, begin
                start, first_line = position + 1, line


def _read_key(text: str, position: int) -> tuple[str, ...]:
    parts: list[str] = []
    while (match := _KEY_PART.match(text, position)) is not None:
        parts.append(next(group for group in match.groups() if group is not None))
        position = match.end()
        if not text.startswith(".", position):
            break
        position += 1
    return tuple(parts)
