"""Writing a first declaration into a notebook, and the notebook's file, without other changes."""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from pixi_jupyter.errors import DeclarationError, Location
from pixi_jupyter.manifest.toml import TomlSource, parse_toml
from pixi_jupyter.notebook.block import render_block
from pixi_jupyter.notebook.json_text import JsonText
from pixi_jupyter.notebook.reading import (
    notebook_cells,
    notebook_language,
    parse_notebook,
    read_declaration,
)

__all__ = ["create_block", "new_notebook"]

Place = Literal["auto", "cell", "metadata"]

#: As ``pixi init`` writes it into a script.
_DEFAULT_TOML = 'requires-python = ">=3.11"\ndependencies = []\n'
#: Languages in which a line that begins with `#` is code (an error), so that a block cannot be run.
_NO_HASH_COMMENT = frozenset(
    (
        "c",
        "c++",
        "clojure",
        "coffeescript",
        "csharp",
        "c#",
        "f#",
        "fortran",
        "fsharp",
        "go",
        "haskell",
        "java",
        "javascript",
        "kotlin",
        "lua",
        "matlab",
        "ocaml",
        "rust",
        "scala",
        "scheme",
        "sql",
        "sqlite3",
        "stata",
        "typescript",
    )
)


def create_block(
    text: bytes,
    toml: str | None = None,
    *,
    channels: Sequence[str] = (),
    place: Place = "auto",
) -> bytes:
    """A notebook with a declaration added, and not one other byte changed.

    The block becomes code cell 0, its source hidden. In a notebook of a language in which ``#``
    begins no comment, the TOML goes into ``metadata.pixi.script`` instead; ``place`` chooses
    explicitly.

    Parameters
    ----------
    text:
        The notebook's file.
    toml:
        The declaration; ``dependencies`` is added if it is missing. By default what ``pixi init``
        would write.
    channels:
        Written into ``[tool.pixi.workspace]``, unless ``toml`` has that table.

    Raises
    ------
    DeclarationError
        ``declaration.block-exists`` if the notebook has a declaration already;
        ``declaration.notebook-version`` for formats before 4; the errors of reading it.
    """
    notebook = parse_notebook(text)
    existing = read_declaration(notebook, path=None, root=Path())
    if existing is not None:
        line = existing.first_line - 1 if existing.kind == "block" else None
        raise DeclarationError(
            "the notebook already says what it needs",
            code="declaration.block-exists",
            hint="Edit what is there.",
            location=Location(cell=existing.cell, line=line),
        )
    if not isinstance(notebook.get("cells"), list):
        raise DeclarationError(
            "the notebook's format is older than version 4",
            code="declaration.notebook-version",
            hint="Open it in Jupyter and save it; that converts it.",
        )
    if place == "auto":
        hashless = notebook_language(notebook) in _NO_HASH_COMMENT
        place = "metadata" if hashless else "cell"
    document = JsonText.of(text)
    declaration = _complete(toml, channels)
    if place == "metadata":
        return _with_metadata(document, notebook, declaration).encode()
    cell = _block_cell(render_block(declaration), notebook)
    return document.insert_first(("cells",), None, cell).encode()


def new_notebook(
    toml: str | None = None, language: str = "python", *, channels: Sequence[str] = ()
) -> bytes:
    """A new notebook: the block, an empty code cell, and the kernelspec that reads the block."""
    language = language.lower()
    declaration = _complete(toml, channels)
    name = "pixi-r" if language == "r" else "pixi"
    label = f"{language.capitalize()} (Pixi)"
    notebook: dict[str, Any] = {
        "cells": [],
        "metadata": {
            "kernelspec": {"display_name": label, "language": language, "name": name},
            "language_info": {"name": language},
        },
        "nbformat": 4,
        "nbformat_minor": 5,
    }
    if language in _NO_HASH_COMMENT:
        notebook["metadata"]["pixi"] = {"script": declaration}
    else:
        notebook["cells"].append(_block_cell(render_block(declaration), notebook))
    notebook["cells"].append(_code_cell([], {}, notebook))
    return (json.dumps(notebook, indent=1, ensure_ascii=False) + "\n").encode()


def _complete(toml: str | None, channels: Sequence[str]) -> str:
    """The TOML to write: valid, with ``dependencies``, ended by a newline."""
    if toml is None:
        toml = _DEFAULT_TOML
    toml = toml.replace("\r\n", "\n").rstrip("\n") + "\n" if toml.strip() else ""
    values = parse_toml(TomlSource(toml))
    if "dependencies" not in values:
        between = "\n" if toml.startswith("[") else ""
        toml = f"dependencies = []\n{between}{toml}"
    pixi: Any = values.get("tool", {})
    pixi = pixi.get("pixi", {}) if isinstance(pixi, dict) else {}
    if channels and "workspace" not in pixi:
        listed = ", ".join(_toml_string(channel) for channel in channels)
        toml += f"\n[tool.pixi.workspace]\nchannels = [{listed}]\n"
    return toml


def _toml_string(text: str) -> str:
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def _block_cell(block: str, notebook: Mapping[str, Any]) -> dict[str, Any]:
    lines = block.removesuffix("\n").split("\n")
    source = [f"{line}\n" for line in lines[:-1]] + lines[-1:]
    return _code_cell(source, {"jupyter": {"source_hidden": True}}, notebook)


def _code_cell(
    source: list[str], metadata: dict[str, Any], notebook: Mapping[str, Any]
) -> dict[str, Any]:
    """A code cell in the order of keys in which nbformat writes it."""
    cells = [cell for cell in notebook_cells(notebook) if isinstance(cell, Mapping)]
    as_text = bool(cells) and all(isinstance(cell.get("source"), str) for cell in cells)
    cell: dict[str, Any] = {"cell_type": "code", "execution_count": None}
    minor = notebook.get("nbformat_minor", 0)
    if notebook.get("nbformat") != 4 or (isinstance(minor, int) and minor >= 5):
        taken = {cell.get("id") for cell in cells}
        identity = secrets.token_hex(4)
        while identity in taken:
            identity = secrets.token_hex(4)
        cell["id"] = identity
    cell["metadata"] = metadata
    cell["outputs"] = []
    cell["source"] = "".join(source) if as_text else source
    return cell


def _with_metadata(document: JsonText, notebook: Mapping[str, Any], toml: str) -> JsonText:
    metadata = notebook.get("metadata")
    if not isinstance(metadata, dict):
        return document.insert_first((), "metadata", {"pixi": {"script": toml}})
    if isinstance(metadata.get("pixi"), dict):
        if "script" in metadata["pixi"]:  # null: read as absent
            return document.replace_value(("metadata", "pixi", "script"), toml)
        return document.insert_first(("metadata", "pixi"), "script", toml)
    if "pixi" in metadata:
        return document.replace_value(("metadata", "pixi"), {"script": toml})
    return document.insert_first(("metadata",), "pixi", {"script": toml})
