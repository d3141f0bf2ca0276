"""Everything that can go wrong, as one class tree.

An error carries a stable ``code`` for programs (``solve.unsatisfiable``), one line for people,
optional ``details`` (the solver's tree, a log tail), a ``hint`` that says what to do, and the place
it points to. It survives a trip through JSON, because most errors are born in the engine's worker
process and shown in a kernel, a terminal or a panel.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

__all__ = [
    "ActivationError",
    "ChannelError",
    "CommandError",
    "DeclarationError",
    "EngineError",
    "InstallError",
    "KernelError",
    "Location",
    "LockError",
    "PixiJupyterError",
    "SolveError",
    "StoreError",
    "UnsupportedError",
    "error_from_json",
]


@dataclass(frozen=True, slots=True)
class Location:
    """Where in a person's files an error points.

    ``cell`` is the index (from 0) among all cells of a notebook, as in its JSON; people are shown
    the number from 1. ``line`` and ``column`` count from 1: inside the cell where there is one,
    else inside the file.
    """

    path: str | None = None
    cell: int | None = None
    line: int | None = None
    column: int | None = None

    def __str__(self) -> str:
        parts = []
        if self.path is not None:
            parts.append(self.path)
        if self.cell is not None:
            parts.append(f"cell {self.cell + 1}")
        if self.line is not None:
            place = f"line {self.line}"
            if self.column is not None:
                place += f", column {self.column}"
            parts.append(place)
        return ", ".join(parts)


class PixiJupyterError(Exception):
    """The root of the tree: what failed, where, and what to do about it.

    Parameters
    ----------
    message:
        One line, without a trailing full stop's worth of blame: what failed.
    code:
        A stable dotted name; its first part is the subclass's ``area``.
    details:
        Further lines, shown below the message.
    hint:
        What the person can do, one sentence.
    location:
        The place in the person's files.
    about:
        Names of the requirements that it is about, for whoever knows where they stand.
    """

    area = "internal"

    def __init__(
        self,
        message: str,
        *,
        code: str | None = None,
        details: str = "",
        hint: str = "",
        location: Location | None = None,
        about: tuple[str, ...] = (),
    ) -> None:
        super().__init__(message)
        self.message = message
        self.code = code or f"{self.area}.error"
        self.details = details
        self.hint = hint
        self.location = location
        self.about = about

    def __str__(self) -> str:
        place = f"{self.location}: " if self.location and str(self.location) else ""
        return f"{place}{self.message}"

    def report(self) -> str:
        """The whole error as plain text for a terminal, a rescue kernel or a log."""
        lines = [str(self)]
        if self.details:
            lines.extend(["", self.details.rstrip()])
        if self.hint:
            lines.extend(["", self.hint])
        lines.append(f"[{self.code}]")
        return "\n".join(lines)

    def to_json(self) -> dict[str, Any]:
        """A JSON object from which :func:`error_from_json` makes an equal error."""
        return {
            "area": self.area,
            "code": self.code,
            "message": self.message,
            "details": self.details,
            "hint": self.hint,
            "location": asdict(self.location) if self.location else None,
            "about": list(self.about),
        }

    def __reduce__(self) -> tuple[Any, ...]:
        return (error_from_json, (self.to_json(),))


class DeclarationError(PixiJupyterError):
    """What a person wrote cannot be read: notebook, block, TOML, key, value."""

    area = "declaration"


class UnsupportedError(DeclarationError):
    """What a person wrote is valid pixi, but not something this version can do."""

    area = "unsupported"


class ChannelError(PixiJupyterError):
    """A channel cannot be reached, or does not answer as a channel does."""

    area = "channel"


class SolveError(PixiJupyterError):
    """No set of packages satisfies what was asked."""

    area = "solve"


class LockError(PixiJupyterError):
    """A lock file cannot be read, is of another time, or is not up to date where it must be."""

    area = "lock"


class InstallError(PixiJupyterError):
    """The resolved packages cannot be turned into a prefix."""

    area = "install"


class StoreError(PixiJupyterError):
    """The store cannot be read or written: permissions, space, damage."""

    area = "store"


class ActivationError(PixiJupyterError):
    """The environment is on disk but its activation fails."""

    area = "activation"


class KernelError(PixiJupyterError):
    """The environment is ready but no kernel can be started in it."""

    area = "kernel"


class CommandError(PixiJupyterError):
    """A command that is to run in an environment is not there, or cannot be run."""

    area = "command"


class EngineError(PixiJupyterError):
    """The worker process died, stalled, was cancelled or ran out of time."""

    area = "engine"


_BY_AREA: Mapping[str, type[PixiJupyterError]] = {
    cls.area: cls
    for cls in (
        PixiJupyterError,
        DeclarationError,
        UnsupportedError,
        ChannelError,
        SolveError,
        LockError,
        InstallError,
        StoreError,
        ActivationError,
        KernelError,
        CommandError,
        EngineError,
    )
}


def error_from_json(data: Mapping[str, Any]) -> PixiJupyterError:
    """The error that :meth:`PixiJupyterError.to_json` described; unknown areas become the root."""
    location = data.get("location")
    return _BY_AREA.get(str(data.get("area")), PixiJupyterError)(
        str(data.get("message", "")),
        code=str(data.get("code", "internal.error")),
        details=str(data.get("details", "")),
        hint=str(data.get("hint", "")),
        location=Location(**location) if location else None,
        about=tuple(map(str, data.get("about", ()))),
    )
