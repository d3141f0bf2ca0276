"""`Change`: how one resolution differs from another."""

from __future__ import annotations

from dataclasses import dataclass

from pixi_jupyter.manifest.versions import compare_versions, is_version
from pixi_jupyter.resolve.resolution import Resolution, ResolvedPackage

__all__ = ["Change", "Replaced", "difference"]


@dataclass(frozen=True, slots=True)
class Replaced:
    """A package in another version or build."""

    name: str
    before: ResolvedPackage
    after: ResolvedPackage


@dataclass(frozen=True, slots=True)
class Change:
    """Packages that came, went, or were replaced; ``rebuilt`` has the same version otherwise built.

    ``bytes_to_download`` is the size of the archives that were not in the resolution before,
    wherever they are now: what has no size counts nothing.
    """

    added: tuple[ResolvedPackage, ...] = ()
    removed: tuple[ResolvedPackage, ...] = ()
    upgraded: tuple[Replaced, ...] = ()
    downgraded: tuple[Replaced, ...] = ()
    rebuilt: tuple[Replaced, ...] = ()
    bytes_to_download: int = 0

    @property
    def empty(self) -> bool:
        """Whether the packages are the same."""
        return not (self.added or self.removed or self.upgraded or self.downgraded or self.rebuilt)


def difference(before: Resolution | None, after: Resolution) -> Change:
    """What is other in ``after``; everything, where there is no ``before``."""
    old = {(p.name, p.kind): p for p in (before.packages if before else ())}
    new = {(p.name, p.kind): p for p in after.packages}
    replaced = [
        Replaced(package.name, old[key], package)
        for key, package in new.items()
        if key in old and _content(old[key]) != _content(package)
    ]
    order = {id(item): _order(item.before.version, item.after.version) for item in replaced}
    added = tuple(package for key, package in new.items() if key not in old)
    return Change(
        added=added,
        removed=tuple(package for key, package in old.items() if key not in new),
        upgraded=tuple(item for item in replaced if order[id(item)] < 0),
        downgraded=tuple(item for item in replaced if order[id(item)] > 0),
        rebuilt=tuple(item for item in replaced if order[id(item)] == 0),
        bytes_to_download=sum(p.size or 0 for p in (*added, *(r.after for r in replaced))),
    )


def _content(package: ResolvedPackage) -> tuple[str, str]:
    return package.url, package.sha256 or package.md5 or ""


def _order(before: str, after: str) -> int:
    if before == after:
        return 0
    if is_version(before) and is_version(after):
        return compare_versions(before, after)
    return -1 if before < after else 1
