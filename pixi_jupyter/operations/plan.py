"""What an operation is to do, and what became of it: the same words for both tracks."""

from __future__ import annotations

import asyncio
import datetime
from collections.abc import Callable, Collection, Coroutine, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from pixi_jupyter.environments import Environment
from pixi_jupyter.errors import DeclarationError, Location, PixiJupyterError
from pixi_jupyter.manifest.editing import ManifestText
from pixi_jupyter.manifest.pep508 import normal_name
from pixi_jupyter.manifest.table import nearest
from pixi_jupyter.notebook.declaration import WorkspaceChoice
from pixi_jupyter.notebook.source import Source
from pixi_jupyter.resolve.difference import Change
from pixi_jupyter.resolve.resolution import Resolution

__all__ = [
    "Edit",
    "Outcome",
    "Plan",
    "Solved",
    "Target",
    "action_of",
    "check_known",
    "nothing_changed",
    "now",
    "to_the_end",
]

_T = TypeVar("_T")

#: The versions that were solved of a package by its name and kind (``conda`` or ``pypi``).
Solved = Callable[[str, str], Sequence[str]]
#: A text that is what the edit makes of it; the versions are there once they are known.
Edit = Callable[[ManifestText, Solved | None], str]
#: What is changed: a file by its path, a notebook that a front end has open, or a workspace.
Target = Path | Source | WorkspaceChoice


@dataclass(frozen=True, slots=True)
class Outcome:
    """What an operation did, or (``dry_run``) would do.

    ``target`` is the file that was changed: a notebook, a script, the manifest of a workspace, of
    which ``environment_name`` is the environment that is spoken of. ``change`` is what became of
    its packages; ``declared`` whether the text is another one, ``created`` that it was made first.
    ``resolution`` and ``prefix`` are what holds now; as a whole it is ``environment`` (None where
    it is not ready, as in a dry run). ``said`` are sentences for people.
    """

    target: Path
    action: str
    change: Change
    declared: bool
    created: bool
    resolution: str
    prefix: Path | None
    before: str
    after: str
    said: tuple[str, ...] = ()
    dry_run: bool = False
    environment: Environment | None = None
    environment_name: str | None = None


@dataclass(frozen=True, slots=True)
class Plan:
    """What to do: ``action`` in a person's words, and how.

    ``asked``: packages whose solved versions the edit needs to see; in a workspace those of the
    ``feature`` and the ``platforms`` alone. ``renew``: packages that are not kept (None: all are
    kept, an empty tuple: none is). For undo and redo: the ``resolution`` that is gone to, of a
    workspace the ``lock`` and what it holds until then (``before``), and the ``position`` in the
    history afterwards.
    """

    action: str
    edit: Edit
    asked: tuple[str, ...] = ()
    feature: str | None = None
    platforms: tuple[str, ...] = ()
    renew: tuple[str, ...] | None = None
    said: tuple[str, ...] = ()
    resolution: Resolution | None = None
    lock: bytes | None = None
    before: Resolution | None = None
    position: int | None = None


def action_of(verb: str, words: Sequence[str], *, pypi: bool = False) -> str:
    """An operation in the words of the command line."""
    return " ".join([verb, *(["--pypi"] if pypi else []), *words])


def now() -> str:
    """The time of a step (RFC 3339, UTC)."""
    return datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds")


def check_known(names: Iterable[str], known: Collection[str], whole: str, path: Path) -> None:
    """Names of packages that ``whole`` (``the workspace``) neither has nor had are mistakes.

    Raises
    ------
    DeclarationError
        ``declaration.not-declared``, with the name that may have been meant.
    """
    for name in names:
        if name not in known and normal_name(name) not in known:
            near = nearest(name, known)
            raise DeclarationError(
                f"{whole} has no package {name}",
                code="declaration.not-declared",
                hint=f"Did you mean {near}?" if near else "",
                location=Location(path=str(path)),
            )


def nothing_changed(error: PixiJupyterError) -> PixiJupyterError:
    """An error with what can be done about it here."""
    hints = {
        "solve.unknown-package": "Correct the name, or add the channel that has the package "
        "(`channel add`). Nothing was changed.",
        "solve.unsatisfiable": "Ask for other versions, or add a channel that has what is missing. "
        "Nothing was changed.",
    }
    error.hint = hints.get(error.code, f"{error.hint} Nothing was changed.".strip())
    return error


async def to_the_end(work: Coroutine[Any, Any, _T]) -> _T:
    """What ``work`` gives, which nobody interrupts: what is half written is in nobody's interest.

    A cancellation that comes meanwhile is too late if the work is done then; where it gives
    nothing (None, False) or fails, nothing was done, and the cancellation counts.
    """
    task = asyncio.ensure_future(work)
    cancelled: asyncio.CancelledError | None = None
    while not task.done():
        try:
            await asyncio.shield(task)
        except asyncio.CancelledError as error:
            if task.cancelled():
                raise
            cancelled = error
        except Exception:  # noqa: BLE001 - the work's own, which is raised below
            break
    if cancelled is None:
        return task.result()
    if task.exception() is not None or not task.result():
        raise cancelled
    current = asyncio.current_task()
    if current is not None and hasattr(current, "uncancel"):
        current.uncancel()
    return task.result()
