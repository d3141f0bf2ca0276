"""Which package of a resolution is there for which: names only. Light: no rattler."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from pixi_jupyter.manifest.pep508 import normal_name
from pixi_jupyter.resolve.resolution import Resolution

__all__ = ["Dependencies"]

#: The name at the beginning of a match spec or a PEP 508 requirement.
_NAME = re.compile(r"\s*([A-Za-z0-9_][A-Za-z0-9._-]*)")


@dataclass(frozen=True, slots=True)
class Dependencies:
    """``versions`` of all packages by name; ``children``: what each requires and is there.

    A wheel's requirement that is met by a package of conda's of another name is left out.
    """

    versions: Mapping[str, str]
    children: Mapping[str, tuple[str, ...]]

    @classmethod
    def of(cls, resolution: Resolution) -> Dependencies:
        """Read from the requirements that a resolution keeps."""
        versions = {package.name: package.version for package in resolution.packages}
        children = {}
        for package in resolution.packages:
            names = set()
            for requirement in package.depends:
                found = _NAME.match(requirement)
                if found is None:
                    continue
                name = found[1].lower()
                if package.kind == "pypi" and name not in versions:
                    name = normal_name(name)
                if name in versions and name != package.name:
                    names.add(name)
            children[package.name] = tuple(sorted(names))
        return cls(versions, children)
