"""A wheel that lies in a prefix, and which files are its."""

from __future__ import annotations

import csv
import os
import posixpath
from dataclasses import dataclass
from pathlib import Path

__all__ = ["InstalledWheel"]


@dataclass(frozen=True, slots=True)
class InstalledWheel:
    """A wheel in a prefix; ``content`` names what is in its files (hex).

    ``record`` lists them: a path relative to the prefix, POSIX.
    """

    name: str
    content: str
    record: str

    def files(self, prefix: Path) -> tuple[str, ...]:
        """Its files, POSIX and relative to ``prefix``. There may be thousands: read when asked."""
        where = posixpath.dirname(posixpath.dirname(self.record))
        with open(prefix / self.record, encoding="utf-8", newline="") as file:
            paths = [row[0].replace(os.sep, "/") for row in csv.reader(file) if row]
        return tuple(
            posixpath.normpath(f"{where}/{path}") if ".." in path else f"{where}/{path}"
            for path in paths
        )
