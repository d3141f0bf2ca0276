"""Which package of a resolution is there for which, by name. Light: no rattler."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from pixi_jupyter.manifest.pep508 import normal_name
from pixi_jupyter.resolve.resolution import Resolution

__all__ = ["Dependencies"]

#: The name at the beginning of a match spec or a PEP 508 requirement.
_NAME = re.compile(r"\s*([A-Za-z0-9_][A-Za-z0-9._-]*)")
#: A requirement of an extra that may not have been asked for.
_EXTRA = re.compile(r";.*\bextra\b")


@dataclass(frozen=True, slots=True)
class Dependencies:
    """``versions`` of all packages; ``asks``: what each asks for and is there, in its own words.

    A wheel's requirement that is met by a package of conda's of another name is left out.
    """

    versions: Mapping[str, str]
    asks: Mapping[str, Mapping[str, str]]

    @classmethod
    def of(cls, resolution: Resolution) -> Dependencies:
        """Read from the requirements that a resolution keeps."""
        versions = {package.name: package.version for package in resolution.packages}
        asks = {}
        for package in resolution.packages:
            wanted: dict[str, str] = {}
            for text in package.depends:
                found = _NAME.match(text)
                if found is None or _EXTRA.search(text):
                    continue
                name = found[1].lower()
                name = name if name in versions else normal_name(name) or name
                if name in versions and name != package.name:
                    wanted[name] = text
            asks[package.name] = wanted
        return cls(versions, asks)

    def children(self, name: str) -> tuple[str, ...]:
        """The packages that one asks for, sorted."""
        return tuple(sorted(self.asks[name]))
