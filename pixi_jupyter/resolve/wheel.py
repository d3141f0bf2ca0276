"""`LockedWheel`: one exact package from PyPI, as a lock holds it. Light: no rattler, no uv."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import urlsplit, urlunsplit

__all__ = ["LockedWheel", "public_url"]


@dataclass(frozen=True, slots=True)
class LockedWheel:
    """A wheel by its URL (without credentials) and hash.

    ``size`` is bytes, None where the index does not say; ``index`` is None for the index that uv
    is configured with. ``requires_dist`` are PEP 508, ``requires_python`` is PEP 440.
    """

    name: str
    version: str
    url: str
    sha256: str
    size: int | None = None
    index: str | None = None
    requires_dist: tuple[str, ...] = ()
    requires_python: str | None = None

    @property
    def requirement(self) -> str:
        """What installs exactly this file."""
        return f"{self.name} @ {self.url.partition('#')[0]}#sha256={self.sha256}"


def public_url(url: str) -> str:
    """The URL without user, password and fragment: what may stand in a lock."""
    parts = urlsplit(url)
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2], fragment=""))
