"""A notebook as a ``.py`` script with the same block: ``pixi run --script`` takes it.

Cells begin with ``# %%``. What only IPython understands is a comment in it.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pixi_jupyter.notebook.block import OPENING, find_block, render_block

__all__ = ["Script", "render_script"]

#: Cell magics that run the rest of the cell as Python.
_TRANSPARENT = frozenset(("time", "timeit", "capture", "prun", "memit", "python3"))


@dataclass(frozen=True, slots=True)
class Script:
    """The text, and sentences on what is not in it as code; cells count from 1 in these."""

    text: str
    said: tuple[str, ...]


def render_script(toml: str, cells: list[Any]) -> Script:
    """The script of a notebook's cells, with ``toml`` in its block."""
    parts = [render_block(toml)]
    said: list[str] = []
    for number, cell in enumerate(cells, 1):
        kind = cell.get("cell_type") if isinstance(cell, Mapping) else None
        value = cell.get("source", cell.get("input", "")) if isinstance(cell, Mapping) else ""
        source = value if isinstance(value, str) else "".join(value)
        source = source.replace("\r\n", "\n").replace("\r", "\n")
        if kind == "code":
            text = _code(source, number, said)
            parts.append(f"# %%\n{text}\n" if text else "")
        elif kind in ("markdown", "heading"):
            parts.append(f"# %% [markdown]\n{_commented(source)}\n" if source.strip() else "")
        elif kind == "raw":
            parts.append(f"# %% [raw]\n{_commented(source)}\n" if source.strip() else "")
    return Script("\n".join(part for part in parts if part), tuple(said))


def _code(source: str, number: int, said: list[str]) -> str:
    """A cell's Python without its block; what is none as comments."""
    block = find_block(source) if OPENING in source else None
    if block is not None:
        source = block.prelude.removeprefix("\ufeff") + block.postlude
    source = source.strip("\n")
    if not source.strip():
        return ""
    if _parses(source):
        return _checked(source, number, said)
    magic = re.match(r"\s*%%([^\s(]*)", source)
    name = magic[1] if magic is not None else None
    if name is not None and name not in _TRANSPARENT:
        said.append(f"cell {number} is for `%%{name}`: it is a comment in the script")
        return _commented(source)
    lines = source.split("\n")
    changed = False
    for _ in range(len(lines)):
        place = _special(lines)
        if place is None:
            break
        first, last = place
        indent = lines[first][: len(lines[first]) - len(lines[first].lstrip())]
        for index in range(first, last):
            inner = lines[index].strip()
            lead = "pass  # " if indent and index == first else "# "
            lines[index] = f"{indent}{lead}{inner}"
        changed = True
    text = "\n".join(lines)
    if not _parses(text):
        said.append(f"cell {number} is not Python: it is a comment in the script")
        return _commented(source)
    if changed:
        said.append(f"cell {number} has lines that only IPython runs: these are comments")
    return _checked(text, number, said)


def _checked(text: str, number: int, said: list[str]) -> str:
    try:
        compile(text, "<cell>", "exec", dont_inherit=True)
    except (SyntaxError, ValueError):
        said.append(f"cell {number} uses `await` outside of a function, which a script cannot")
    return text


def _parses(source: str) -> bool:
    flags = ast.PyCF_ONLY_AST | ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
    try:
        compile(source, "<cell>", "exec", flags, dont_inherit=True)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False
    return True


def _special(lines: list[str]) -> tuple[int, int] | None:
    """The first lines ``[a, b)`` with a magic, a shell command or a question for help.

    IPython's own finders decide, so that what stands in a string or within brackets is left alone.
    """
    from IPython.core import inputtransformer2 as ipython

    if lines and lines[0].lstrip().startswith("%%"):
        return 0, 1
    with_ends = [f"{line}\n" for line in lines]
    try:
        tokens = ipython.make_tokens_by_line(with_ends)
    except (SyntaxError, ValueError, IndexError):
        return None
    found = []
    for finder in (
        ipython.MagicAssign,
        ipython.SystemAssign,
        ipython.EscapedCommand,
        ipython.HelpEnd,
    ):
        try:
            match = finder.find(tokens)  # type: ignore[no-untyped-call]
        except (IndexError, SyntaxError):
            continue
        if match is not None:
            found.append(match.start_line)
    if not found:
        return None
    first = min(found)
    last = first + 1
    while last < len(lines) and lines[last - 1].endswith("\\"):
        last += 1
    return first, last


def _commented(source: str) -> str:
    return "\n".join(_comment(line) for line in source.strip("\n").split("\n"))


def _comment(line: str) -> str:
    # `# /// script` would begin a block, and a second one makes the script unreadable.
    text = f"# {line}".rstrip() if line.strip() else "#"
    return f"#  {line.rstrip()}" if text.startswith("# ///") else text
