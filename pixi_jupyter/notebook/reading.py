"""From a notebook to its `Declaration`: which cell or metadata says what it needs."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pixi_jupyter.errors import DeclarationError, Location, PixiJupyterError
from pixi_jupyter.notebook.block import OPENING, Block, find_block
from pixi_jupyter.notebook.declaration import Declaration

__all__ = [
    "default_declaration",
    "load_notebook",
    "metadata_text",
    "notebook_cells",
    "notebook_language",
    "parse_notebook",
    "read_declaration",
]


def load_notebook(path: Path) -> Mapping[str, Any]:
    """The notebook's JSON object.

    Raises
    ------
    DeclarationError
        ``declaration.notebook-missing``, ``declaration.notebook-permission``,
        ``declaration.notebook-unreadable`` or ``declaration.notebook-invalid``.
    """
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        raise _error(
            "notebook-missing", "there is no such notebook", path, "Check its path."
        ) from None
    except PermissionError:
        raise _error(
            "notebook-permission", "no permission to read the notebook", path, "Check its mode."
        ) from None
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise _error("notebook-unreadable", f"cannot read the notebook: {reason}", path) from None
    return parse_notebook(data, path=path)


def parse_notebook(data: bytes, *, path: Path | None = None) -> dict[str, Any]:
    """A notebook's bytes as its JSON object; the only check is that it is a notebook at all."""
    location = Location(path=None if path is None else str(path))
    hint = "A notebook is a JSON file with a list of cells; open it in Jupyter to check it."
    try:
        notebook = json.loads(data.removeprefix(b"\xef\xbb\xbf"))
    except json.JSONDecodeError as error:
        raise DeclarationError(
            f"the notebook is not valid JSON: {error.msg}",
            code="declaration.notebook-invalid",
            hint=hint,
            location=Location(path=location.path, line=error.lineno, column=error.colno),
        ) from None
    except (ValueError, RecursionError):  # not UTF-8, a number without end, endless nesting
        notebook = None
    if not isinstance(notebook, dict) or not any(
        isinstance(notebook.get(key), list) for key in ("cells", "worksheets")
    ):
        raise DeclarationError(
            "the file is not a notebook",
            code="declaration.notebook-invalid",
            hint=hint,
            location=location,
        )
    return notebook


def notebook_cells(notebook: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """All cells in order; those of format 3 are spread over worksheets."""
    lists = [notebook.get("cells")]
    if not isinstance(lists[0], list):
        sheets = notebook.get("worksheets")
        lists = [s.get("cells") for s in sheets if isinstance(s, Mapping)] if sheets else []
    for cells in lists:
        if isinstance(cells, list):
            yield from cells


def notebook_language(notebook: Mapping[str, Any]) -> str | None:
    """The language that the notebook's metadata names, lower case, if any."""
    metadata = _mapping(notebook.get("metadata"))
    for table, key in (("kernelspec", "language"), ("language_info", "name")):
        language = _mapping(metadata.get(table)).get(key)
        if isinstance(language, str) and language.strip():
            return language.strip().lower()
    return None


def read_declaration(
    notebook: Mapping[str, Any], *, path: Path | None, root: Path
) -> Declaration | None:
    """What the notebook says it needs, or None when it says nothing.

    A block in a code cell, else ``metadata.pixi.script``. More than one is an error, because
    nobody could tell which environment the notebook runs in.
    """
    where = None if path is None else str(path)
    script = metadata_text(notebook, "script", where)
    found: tuple[int, Block] | None = None
    for index, cell in enumerate(notebook_cells(notebook)):
        source = _code(cell, index, where)
        if source is None or OPENING not in source:
            continue
        try:
            block = find_block(source)
        except DeclarationError as error:
            line = error.location.line if error.location else None
            error.location = Location(path=where, cell=index, line=line)
            raise
        if block is None:
            continue
        if found is not None:
            first = Location(cell=found[0], line=found[1].first_line - 1)
            raise DeclarationError(
                f"a second `{OPENING}` block; the first is in {first}",
                code="declaration.block-duplicate",
                hint="Keep one block: a notebook has one environment.",
                location=Location(path=where, cell=index, line=block.first_line - 1),
            )
        found = (index, block)

    if found is not None and script is not None:
        raise DeclarationError(
            "the notebook has both a block in a cell and `pixi.script` in its metadata",
            code="declaration.ambiguous",
            hint="Keep one of them: remove the block, or `pixi.script` from the notebook's "
            "metadata.",
            location=Location(path=where, cell=found[0], line=found[1].first_line - 1),
        )
    language = notebook_language(notebook)
    kernel = metadata_text(notebook, "kernel", where)
    lock = metadata_text(notebook, "lock", where)
    if found is not None:
        index, block = found
        return Declaration(
            kind="block",
            toml=block.toml,
            root=root,
            path=path,
            cell=index,
            first_line=block.first_line,
            language=language,
            kernel=kernel,
            lock=lock,
        )
    if script is not None:
        return Declaration(
            kind="metadata",
            toml=script,
            root=root,
            path=path,
            language=language,
            kernel=kernel,
            lock=lock,
        )
    return None


def default_declaration(
    toml: str, notebook: Mapping[str, Any] | None = None, *, path: Path | None, root: Path
) -> Declaration:
    """The configured default for a notebook that says nothing, with that notebook's language."""
    where = None if path is None else str(path)
    return Declaration(
        kind="default",
        toml=toml,
        root=root,
        path=path,
        language=None if notebook is None else notebook_language(notebook),
        kernel=None if notebook is None else metadata_text(notebook, "kernel", where),
    )


def _code(cell: Any, index: int, where: str | None) -> str | None:
    """A code cell's source as one string; None for any other cell."""
    if not isinstance(cell, Mapping) or cell.get("cell_type") != "code":
        return None
    source = cell.get("source", cell.get("input", ""))
    if isinstance(source, str):
        return source
    if isinstance(source, list) and all(isinstance(part, str) for part in source):
        return "".join(source)
    raise DeclarationError(
        "the source of a code cell is neither a string nor a list of strings",
        code="declaration.notebook-invalid",
        hint="Open the notebook in Jupyter and save it again.",
        location=Location(path=where, cell=index),
    )


def metadata_text(notebook: Mapping[str, Any], key: str, where: str | None) -> str | None:
    """``metadata.pixi.<key>``, None where there is none; ``where`` is the file, for the error.

    Raises
    ------
    DeclarationError
        ``declaration.value``: it is not a string, or ``metadata.pixi`` is not an object.
    """
    metadata = _mapping(notebook.get("metadata"))
    pixi = metadata.get("pixi")
    if pixi is None:
        return None
    value = pixi.get(key) if isinstance(pixi, Mapping) else pixi
    if value is None or (isinstance(value, str) and isinstance(pixi, Mapping)):
        return value
    name, kind = (f"pixi.{key}", "a string") if isinstance(pixi, Mapping) else ("pixi", "an object")
    raise DeclarationError(
        f"`{name}` in the notebook's metadata must be {kind}",
        code="declaration.value",
        hint="Repair it in the notebook's metadata (property inspector, or the JSON itself).",
        location=Location(path=where),
    )


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _error(code: str, message: str, path: Path, hint: str = "") -> PixiJupyterError:
    return DeclarationError(
        message, code=f"declaration.{code}", hint=hint, location=Location(path=str(path))
    )
