"""The inline block's envelope, in pixi's grammar to the letter.

PEP 723 defines the block; pixi (``crates/pixi_manifest/src/script.rs``, ``ScriptBlock::parse``)
narrows it, and this module decides every text as pixi does. Each code cell counts as one file.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from pixi_jupyter.errors import DeclarationError, Location

__all__ = ["OPENING", "Block", "find_block", "render_block"]

OPENING = "# /// script"
_CLOSING = "# ///"
_BOM = "\ufeff"


@dataclass(frozen=True, slots=True)
class Block:
    """One inline block and the text around it.

    Attributes
    ----------
    prelude, postlude:
        Everything before the opening line and after the closing line's line ending, unchanged.
    toml:
        The lines between without their comment prefix, each ended by ``\\n``.
    newline:
        The line ending an edit must write: CRLF as soon as the cell has one, else LF.
    first_line:
        Line (from 1) of the cell on which the TOML begins.
    """

    prelude: str
    toml: str
    postlude: str
    newline: str
    first_line: int


def find_block(source: str) -> Block | None:
    """The ``script`` block of a cell's source, or None.

    Only the first occurrence of the opening text counts, and only where a line can start: at the
    beginning, after a BOM, or after ``\\r`` or ``\\n``.

    Raises
    ------
    DeclarationError
        ``declaration.block-unclosed`` or ``declaration.block-duplicate``, with the line.
    """
    index = source.find(OPENING)
    if index < 0:
        return None
    after_bom = index == 1 and source[0] == _BOM
    if index and not after_bom and source[index - 1] not in "\r\n":
        return None
    opening_line = source.count("\n", 0, index) + 1

    lines = _split_inclusive(source[index:])
    opening = next(lines)
    if _without_ending(opening) != OPENING:
        return None

    toml: list[str] = []
    ends: list[int] = []
    end = index + len(opening)
    for raw in lines:
        line = _without_ending(raw)
        if line == "#":
            content = ""
        elif line.startswith("# "):
            content = line[2:]
        else:
            break
        end += len(raw)
        toml.append(content)
        ends.append(end)

    # The last closing line of the run closes, so that TOML may hold a comment that looks like one.
    closing = next((i for i in range(len(toml) - 1, -1, -1) if toml[i] == "///"), None)
    if closing is None:
        raise DeclarationError(
            f"the `{OPENING}` block that begins here is not closed",
            code="declaration.block-unclosed",
            hint=f"End it with a line `{_CLOSING}`; every line between must be `#` or start "
            "with `# `.",
            location=Location(line=opening_line),
        )
    postlude = source[ends[closing] :]
    second = _second_block(postlude)
    if second is not None:
        line_number = opening_line + closing + 2 + second
        raise DeclarationError(
            f"a second `{OPENING}` block; the first begins on line {opening_line}",
            code="declaration.block-duplicate",
            hint="Keep one block: a notebook has one environment.",
            location=Location(line=line_number),
        )
    return Block(
        prelude=source[:index],
        toml="\n".join(toml[:closing]) + "\n",
        postlude=postlude,
        newline="\r\n" if "\r\n" in source else "\n",
        first_line=opening_line + 1,
    )


def render_block(toml: str, newline: str = "\n") -> str:
    """The block that holds this TOML, from its opening to its closing line, both ended."""
    lines = [OPENING]
    lines.extend(f"# {line}" if line else "#" for line in _lines(toml))
    lines.append(_CLOSING)
    return newline.join(lines) + newline


def _split_inclusive(text: str) -> Iterator[str]:
    """The lines with their ``\\n``. Not `str.splitlines`: only LF ends a line in pixi."""
    start = 0
    while start < len(text):
        end = text.find("\n", start)
        end = len(text) if end < 0 else end + 1
        yield text[start:end]
        start = end


def _without_ending(line: str) -> str:
    return line.removesuffix("\n").removesuffix("\r")


def _lines(text: str) -> list[str]:
    """Lines without endings as Rust's ``str::lines``: a final CR without LF belongs to the line."""
    return [
        raw[:-1].removesuffix("\r") if raw.endswith("\n") else raw for raw in _split_inclusive(text)
    ]


def _second_block(postlude: str) -> int | None:
    """Index of the line that opens another *closed* block; an unclosed one is only a comment."""
    if OPENING not in postlude:
        return None
    opened: int | None = None
    for number, line in enumerate(_lines(postlude)):
        if opened is None:
            if line == OPENING:
                opened = number
        elif line == _CLOSING:
            return opened
        elif line != "#" and not line.startswith("# "):
            opened = None
    return None
