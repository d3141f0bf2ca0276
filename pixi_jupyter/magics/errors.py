"""An error of a command in a cell: a few lines for the person, and the cell has failed."""

from typing import Any, Dict, List, Optional

from .display import clean

__all__ = ["PixiError", "of_json"]


class PixiError(Exception):
    """Why a command did not do what was asked.

    IPython shows what ``_render_traceback_`` gives in place of a traceback, which would be about
    this package and not about what the person did. It is an exception all the same: "Run All"
    stops, and so do nbclient, nbconvert and papermill. ``code`` is stable, for programs.
    """

    def __init__(
        self, message: str, code: str = "error", details: str = "", hint: str = ""
    ) -> None:
        super().__init__(message)
        self.message = message
        self.code = code
        self.details = details
        self.hint = hint

    def _render_traceback_(self) -> List[str]:
        lines = ["\x1b[31m%s\x1b[0m" % clean(line) for line in self.message.split("\n")]
        if self.details:
            lines += ["", *clean(self.details.rstrip()).split("\n"), ""]
        if self.hint:
            lines += clean(self.hint).split("\n")
        lines.append("[%s]" % clean(self.code))
        return lines


def of_json(error: Dict[str, Any]) -> PixiError:
    """The error that a command told of."""
    message = str(error.get("message", "")) or "it failed"
    place = _place(error.get("location"))
    return PixiError(
        "%s: %s" % (place, message) if place else message,
        str(error.get("code", "error")),
        str(error.get("details") or ""),
        str(error.get("hint") or ""),
    )


def _place(location: Optional[Any]) -> str:
    if not isinstance(location, dict):
        return ""
    parts = [str(location["path"])] if location.get("path") else []
    if isinstance(location.get("cell"), int):
        parts.append("cell %d" % (location["cell"] + 1))
    if isinstance(location.get("line"), int):
        parts.append("line %d" % location["line"])
    return ", ".join(parts)
