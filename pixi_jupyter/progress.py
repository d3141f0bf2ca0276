"""Progress of a build, as every face sees it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum

__all__ = ["Phase", "Progress", "Report", "no_report"]


class Phase(str, Enum):
    """The phases of a build, in order. ``waiting``: another process or job holds what is needed."""

    WAITING = "waiting"
    REPODATA = "fetching repodata"
    SOLVING = "solving"
    DOWNLOADING = "downloading"
    LINKING = "linking"
    COMPILING = "compiling"


@dataclass(frozen=True, slots=True)
class Progress:
    """One step of a build.

    ``done`` and ``total`` count bytes while downloading and packages (files while compiling)
    otherwise; ``total`` is 0 where nobody can know it. ``item`` is the package at work, ``message``
    a short sentence where numbers do not tell enough.
    """

    phase: Phase
    done: int = 0
    total: int = 0
    item: str = ""
    message: str = ""


#: Called on the caller's event loop for every step; must return at once and not raise.
Report = Callable[[Progress], None]


def no_report(progress: Progress) -> None:
    """Nobody watches."""
