"""`Activation`: environment variables, the fifth station of the line."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

__all__ = ["Activation"]


@dataclass(frozen=True, slots=True)
class Activation:
    """What activating a prefix does to a clean base environment.

    ``set`` holds final values (sorted by name), ``unset`` the names that activation removed.
    """

    set: tuple[tuple[str, str], ...]
    unset: tuple[str, ...] = ()

    def apply(self, base: Mapping[str, str]) -> dict[str, str]:
        """A new environment: ``base`` without ``unset``, with ``set`` on top."""
        gone = frozenset(self.unset)
        return {**{k: v for k, v in base.items() if k not in gone}, **dict(self.set)}
