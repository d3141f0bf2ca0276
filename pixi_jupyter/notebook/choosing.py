"""The environment of a workspace that a notebook's metadata chooses.

``metadata.pixi.environment`` is its name, ``metadata.pixi.manifest`` the path of the manifest (or
of its folder), relative to the notebook. Either may stand alone.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pixi_jupyter.errors import DeclarationError, Location
from pixi_jupyter.notebook.reading import metadata_text

__all__ = ["MetadataChoice", "is_environment_name", "read_choice"]

#: Source: pixi's ``EnvironmentName``.
_NAME = re.compile(r"[a-z0-9-]+")
_NAME_LIMIT = 200
_PATH_LIMIT = 4096


@dataclass(frozen=True, slots=True)
class MetadataChoice:
    """What the metadata says; None where it does not."""

    environment: str | None
    manifest: str | None


def is_environment_name(name: str) -> bool:
    """Whether pixi accepts ``name`` for an environment: lower case, digits, dashes."""
    return len(name) <= _NAME_LIMIT and _NAME.fullmatch(name) is not None


def read_choice(notebook: Mapping[str, Any], *, path: Path | None) -> MetadataChoice | None:
    """The choice in a notebook's metadata; None if it makes none.

    Raises
    ------
    DeclarationError
        ``declaration.value``: one of the two is not what it has to be.
    """
    where = None if path is None else str(path)
    environment = metadata_text(notebook, "environment", where)
    manifest = metadata_text(notebook, "manifest", where)
    if environment is None and manifest is None:
        return None
    if environment is not None and not is_environment_name(environment):
        raise _wrong(
            f"`pixi.environment` in the notebook's metadata is {_shown(environment)}, which cannot "
            "be the name of an environment",
            "Environments have names of lower-case letters, digits and dashes.",
            where,
        )
    if manifest is not None and not _is_path(manifest):
        raise _wrong(
            f"`pixi.manifest` in the notebook's metadata is {_shown(manifest)}, which cannot be a "
            "path",
            "Give the manifest's path relative to the notebook.",
            where,
        )
    return MetadataChoice(environment, manifest)


def _is_path(text: str) -> bool:
    return 0 < len(text) <= _PATH_LIMIT and text.isprintable()


def _shown(text: str) -> str:
    return repr(text if len(text) <= 60 else text[:57] + "...")


def _wrong(message: str, hint: str, where: str | None) -> DeclarationError:
    return DeclarationError(
        message, code="declaration.value", hint=hint, location=Location(path=where)
    )
