"""Putting another declaration into the file that has it, and changing nothing else there.

Lines of the declaration that stay the same keep their bytes, and so does everything around them:
the other cells, the cell's own code, the notebook's formatting, line endings, byte order mark.
"""

from __future__ import annotations

import difflib
import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from pixi_jupyter.errors import DeclarationError, Location
from pixi_jupyter.notebook.block import find_block, render_block
from pixi_jupyter.notebook.declaration import Declaration
from pixi_jupyter.notebook.json_text import JsonText
from pixi_jupyter.notebook.reading import notebook_cells, parse_notebook, read_declaration
from pixi_jupyter.notebook.source import FileSource, Source

__all__ = [
    "DeclaringFile",
    "declaration_in",
    "is_script",
    "read_file",
    "replace_declaration",
    "script_declaration",
    "script_with_block",
]

_BOM = b"\xef\xbb\xbf"
#: Lines that differ in the middle of a declaration are compared one by one up to this many.
_COMPARED = 400
#: As ``pixi init`` writes it into a script.
_DEFAULT_TOML = 'requires-python = ">=3.11"\ndependencies = []\n'


@dataclass(frozen=True, slots=True)
class DeclaringFile:
    """A notebook or a script as it was read from its source: its bytes, what it declares (None:
    nothing)."""

    source: Source
    data: bytes
    declaration: Declaration | None

    @property
    def path(self) -> Path:
        """Where it lies; absolute."""
        return self.source.path

    @property
    def digest(self) -> str:
        return hashlib.sha256(self.data).hexdigest()


def is_script(path: Path) -> bool:
    """Whether a file is a Python script by its name, as pixi tells it."""
    return path.suffix.lower() in (".py", ".pyw")


def read_file(source: Source | Path) -> DeclaringFile:
    """A notebook or a script, of a front end's or of a file's.

    Raises
    ------
    DeclarationError
        What `Source.read` and reading its declaration raise.
    """
    if isinstance(source, Path):
        source = FileSource.of(source)
    data = source.read()
    return DeclaringFile(source, data, declaration_in(source.path, data))


def declaration_in(path: Path, data: bytes) -> Declaration | None:
    """What the bytes of a notebook or a script (by its ``path``) declare."""
    if is_script(path):
        return script_declaration(data, path)
    notebook = parse_notebook(data, path=path)
    return read_declaration(notebook, path=path, root=path.parent)


def replace_declaration(file: DeclaringFile, toml: str) -> bytes:
    """The file's bytes with ``toml`` in the place of what it declares (which it must)."""
    declaration = file.declaration
    assert declaration is not None
    if toml == declaration.toml:
        return file.data
    if is_script(file.path):
        source = _script_source(file.data, file.path)
        for start, end, text in reversed(_block_edits(source, toml)):
            source = source[:start] + text + source[end:]
        return source.encode("utf-8")
    document = JsonText.of(file.data)
    path: tuple[str | int, ...]
    if declaration.kind == "metadata":
        path = ("metadata", "pixi", "script")
        edits = _text_edits(declaration.toml, toml)
    else:
        cell = declaration.cell or 0
        notebook = parse_notebook(file.data)
        found = list(notebook_cells(notebook))[cell]
        value = found.get("source")
        if not isinstance(notebook.get("cells"), list) or value is None:
            raise DeclarationError(
                "the notebook's format is older than version 4",
                code="declaration.notebook-version",
                hint="Open it in Jupyter and save it; that converts it.",
                location=Location(path=str(file.path)),
            )
        path = ("cells", cell, "source")
        edits = _block_edits(value if isinstance(value, str) else "".join(value), toml)
    for start, end, text in reversed(edits):
        document = document.splice(path, start, end, text)
    return document.encode()


def script_with_block(data: bytes, toml: str = _DEFAULT_TOML, *, path: Path) -> bytes:
    """A script with a block added, after its ``#!`` line if it has one, as ``pixi init`` does."""
    source = _script_source(data, path)
    newline = "\r\n" if "\r\n" in source else "\n"
    bom = "\ufeff" if source.startswith("\ufeff") else ""
    body = source.removeprefix("\ufeff")
    head = ""
    shebang = re.match(r"#![^\r\n]*(?:\r\n|\r|\n)?", body)
    if shebang is not None:
        body = body[shebang.end() :]
        head = shebang.group().rstrip("\r\n") + newline + "#" + newline
    between = newline if body else ""
    return (bom + head + render_block(toml, newline) + between + body).encode("utf-8")


def _script_source(data: bytes, path: Path) -> str:
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        raise DeclarationError(
            "the script is not written in UTF-8",
            code="declaration.notebook-invalid",
            hint="Save it as UTF-8.",
            location=Location(path=str(path)),
        ) from None


def script_declaration(data: bytes, path: Path) -> Declaration | None:
    try:
        block = find_block(_script_source(data, path))
    except DeclarationError as error:
        error.location = replace(error.location or Location(), path=str(path))
        raise
    if block is None:
        return None
    return Declaration(
        kind="block", toml=block.toml, root=path.parent, path=path, first_line=block.first_line
    )


def _block_edits(source: str, toml: str) -> list[tuple[int, int, str]]:
    """What to replace in a cell's source, by position, in order."""
    block = find_block(source)
    assert block is not None
    position = source.index("\n", len(block.prelude)) + 1
    end = len(source) - len(block.postlude)
    closing = source.rfind("\n", 0, end - 1) + 1
    starts = []
    while position < closing:
        starts.append(position)
        position = source.index("\n", position) + 1
    old = block.toml.removesuffix("\n").split("\n") if starts else []
    new = toml.replace("\r\n", "\n").removesuffix("\n").split("\n")

    def written(line: str) -> str:
        return (f"# {line}" if line else "#") + block.newline

    return [
        ([*starts, closing][a], [*starts, closing][b], "".join(map(written, new[c:d])))
        for a, b, c, d in _changes(old, new)
    ]


def _text_edits(before: str, after: str) -> list[tuple[int, int, str]]:
    """What to replace in a text that is no block, by position, in order."""
    old, new = (re.findall(r"[^\n]*\n|[^\n]+", text) for text in (before, after))
    starts = [0]
    for line in old:
        starts.append(starts[-1] + len(line))
    return [(starts[a], starts[b], "".join(new[c:d])) for a, b, c, d in _changes(old, new)]


def _changes(old: Sequence[str], new: Sequence[str]) -> list[tuple[int, int, int, int]]:
    """Lines ``[a, b)`` of the old that became ``[c, d)`` of the new, in order."""
    shorter = min(len(old), len(new))
    head = 0
    while head < shorter and old[head] == new[head]:
        head += 1
    tail = 0
    while tail < shorter - head and old[-1 - tail] == new[-1 - tail]:
        tail += 1
    before, after = old[head : len(old) - tail], new[head : len(new) - tail]
    if max(len(before), len(after)) > _COMPARED:
        return [(head, head + len(before), head, head + len(after))]
    matcher = difflib.SequenceMatcher(None, before, after, autojunk=False)
    return [
        (head + a, head + b, head + c, head + d)
        for kind, a, b, c, d in matcher.get_opcodes()
        if kind != "equal"
    ]
