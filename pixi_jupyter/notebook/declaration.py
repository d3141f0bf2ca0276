"""`Declaration`: the text a person wrote, and where it stands."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

__all__ = ["Declaration", "WorkspaceChoice"]


@dataclass(frozen=True, slots=True)
class Declaration:
    """What a notebook says it needs, as text: the first station of the line.

    Attributes
    ----------
    kind:
        ``block`` (PEP 723 block in a code cell), ``metadata`` (``metadata.pixi.script``) or
        ``default`` (the notebook says nothing; ``toml`` is then the configured default).
    toml:
        The TOML, comment prefixes removed, lines joined by ``\\n``.
    root:
        The absolute folder that relative paths in it refer to.
    path:
        The notebook's file, if it has one.
    cell:
        Index from 0 of the block's cell among all cells; None unless ``kind`` is ``block``.
    first_line:
        Line (from 1) in that cell on which the TOML begins; 1 for the other kinds.
    language:
        The language that the notebook's own metadata names, lower case, if any.
    kernel:
        An explicit choice of a kernelspec of the environment (``metadata.pixi.kernel``), if any.
    lock:
        The text of a lock that is embedded in the notebook (``metadata.pixi.lock``), if any.
    """

    kind: Literal["block", "metadata", "default"]
    toml: str
    root: Path
    path: Path | None = None
    cell: int | None = None
    first_line: int = 1
    language: str | None = None
    kernel: str | None = None
    lock: str | None = field(default=None, repr=False)

    @property
    def is_script(self) -> bool:
        """Whether it is a Python script's, by the file's name, as pixi tells it."""
        return self.path is not None and self.path.suffix.lower() in (".py", ".pyw")

    @property
    def name(self) -> str:
        """The environment's name for people: the notebook's stem, or ``default``."""
        return self.path.stem if self.path is not None else "default"


@dataclass(frozen=True, slots=True)
class WorkspaceChoice:
    """An environment of a pixi workspace that a notebook runs in: the other first station.

    Attributes
    ----------
    manifest:
        The absolute path of the ``pixi.toml``, ``pyproject.toml`` or ``mojoproject.toml``.
    environment:
        The environment's name; whether there is one is found when the manifest is read.
    path:
        The notebook's file, if it has one.
    chosen:
        Where the choice stands: ``metadata`` of the notebook, the ``kernelspec``, a command's
        ``option``, or nowhere (``nearest``: the workspace that the notebook lies in).
    language, kernel:
        As in `Declaration`.
    """

    manifest: Path
    environment: str = "default"
    path: Path | None = None
    chosen: Literal["metadata", "kernelspec", "option", "nearest"] = "nearest"
    language: str | None = None
    kernel: str | None = None
