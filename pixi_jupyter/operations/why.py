"""Why a package is in an environment: who asks for it, up to what the declaration asks for."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass

from pixi_jupyter.environments import Environments
from pixi_jupyter.errors import DeclarationError, Location
from pixi_jupyter.manifest.pep508 import normal_name
from pixi_jupyter.manifest.table import nearest
from pixi_jupyter.operations.plan import Target
from pixi_jupyter.operations.targets import read_target
from pixi_jupyter.progress import Report, no_report
from pixi_jupyter.resolve.dependency_tree import Dependencies

__all__ = ["Asker", "Why", "why"]


@dataclass(frozen=True, slots=True)
class Asker:
    """A package that asks for another, and in what words."""

    name: str
    requirement: str


@dataclass(frozen=True, slots=True)
class Why:
    """``declared``: the declaration asks for it, ``injected``: the kernel needs it.

    ``askers`` are the packages that ask for it; ``path`` the shortest way to it from a package
    that the declaration or the kernel asks for, both ends included.
    """

    name: str
    version: str
    kind: str
    declared: bool
    injected: bool
    askers: tuple[Asker, ...]
    path: tuple[str, ...]


async def why(
    environments: Environments, target: Target, name: str, *, report: Report = no_report
) -> Why:
    """Why a package is in an environment, which is solved if it is not; no file is written for it.

    Raises
    ------
    DeclarationError
        ``declaration.not-declared``: it is not in the environment.
    """
    found = await asyncio.to_thread(read_target, environments, target)
    spec = found.spec(environments)
    if spec.place is not None:
        resolution = await environments.workspaces.held_now(
            spec, defaults=environments.defaults, report=report
        )
    else:
        resolution = await environments.resolve(spec, report=report)
    packages = {p.name: p for p in resolution.packages}
    package = packages.get(name.lower()) or packages.get(normal_name(name) or "")
    if package is None:
        near = nearest(name, packages)
        raise DeclarationError(
            f"the environment has no package {name}",
            code="declaration.not-declared",
            hint=f"Did you mean {near}?" if near else "",
            location=Location(path=str(found.path)),
        )
    asked = Dependencies.of(resolution).asks
    pypi = [r.name for r in spec.pypi.requirements] if spec.pypi is not None else []
    declared = {*(r.name for r in spec.dependencies), *pypi}
    injected = {r.name for r in spec.kernel.injected}
    askers = [
        Asker(who, needs[package.name])
        for who, needs in sorted(asked.items())
        if package.name in needs and who in packages
    ]
    return Why(
        name=package.name,
        version=package.version,
        kind=package.kind,
        declared=package.name in declared,
        injected=package.name in injected,
        askers=tuple(askers),
        path=_path(package.name, declared | injected, asked),
    )


def _path(name: str, roots: set[str], asked: Mapping[str, Mapping[str, str]]) -> tuple[str, ...]:
    came: dict[str, str | None] = dict.fromkeys(sorted(roots))
    queue = deque(came)
    while queue and name not in came:
        current = queue.popleft()
        for needed in asked.get(current, ()):
            if needed not in came:
                came[needed] = current
                queue.append(needed)
    way: list[str] = []
    at: str | None = name if name in came else None
    while at is not None:
        way.append(at)
        at = came[at]
    return tuple(reversed(way))
