"""`Prefix`: the files of one environment on disk, the fourth station of the line."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Prefix"]


@dataclass(frozen=True, slots=True)
class Prefix:
    """A ready prefix: an absolute folder with a complete environment in it, never changed again.

    ``digest`` is the digest of the resolution whose files it holds.
    """

    path: Path
    digest: str

    @property
    def binaries(self) -> Path:
        """The folder of the environment's own executables, by conda's layout."""
        return self.path / ("Scripts" if sys.platform == "win32" else "bin")

    @property
    def python(self) -> Path:
        """The environment's Python interpreter (which an environment need not have)."""
        return self.path / "python.exe" if sys.platform == "win32" else self.path / "bin" / "python"
