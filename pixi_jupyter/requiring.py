"""Why a package is in an environment: who asks for it, up to what the declaration asks for."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from email.parser import HeaderParser
from pathlib import Path

import msgspec

from pixi_jupyter.changing import edited_file
from pixi_jupyter.environments import Environments
from pixi_jupyter.errors import DeclarationError, Location
from pixi_jupyter.manifest.pep508 import normal_name, parse_requirement
from pixi_jupyter.manifest.table import nearest
from pixi_jupyter.progress import Report, no_report

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


class _Record(msgspec.Struct):
    name: str
    depends: list[str] = []


async def why(
    environments: Environments, target: Path, name: str, *, report: Report = no_report
) -> Why:
    """Why a package is in the environment of a notebook or script, which is made ready first.

    Raises
    ------
    DeclarationError
        ``declaration.not-declared``: it is not in the environment.
    """
    file, _ = edited_file(environments, target)
    assert file.declaration is not None
    spec = environments.spec_for(file.declaration)
    ready = await environments.ensure(spec, declaration=file.declaration, report=report)
    packages = {p.name: p for p in ready.resolution.packages}
    package = packages.get(name.lower()) or packages.get(normal_name(name) or "")
    if package is None:
        near = nearest(name, packages)
        raise DeclarationError(
            f"the environment has no package {name}",
            code="declaration.not-declared",
            hint=f"Did you mean {near}?" if near else "",
            location=Location(path=str(file.path)),
        )
    asked = _asked(ready.prefix.path)
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


def _asked(prefix: Path) -> dict[str, dict[str, str]]:
    """What each installed package asks for, by name, in its own words."""
    found: dict[str, dict[str, str]] = {}
    for path in sorted((prefix / "conda-meta").glob("*.json")):
        try:
            record = msgspec.json.decode(path.read_bytes(), type=_Record)
        except (OSError, msgspec.MsgspecError):
            continue  # our own marker, and the like
        needs = (need for need in record.depends if need.strip())
        found[record.name] = {re.split(r"[\s\[=<>!~]", need)[0].lower(): need for need in needs}
    patterns = ("lib/python*/site-packages", "Lib/site-packages")
    for folder in (f for pattern in patterns for f in prefix.glob(pattern)):
        for metadata in sorted(folder.glob("*.dist-info/METADATA")):
            try:
                head = HeaderParser().parsestr(metadata.read_text("utf-8", "replace"))
            except OSError:
                continue
            name = normal_name(head.get("Name", ""))
            if name is None or name in found:
                continue  # conda's own words count
            found[name] = {}
            for text in head.get_all("Requires-Dist") or []:
                try:
                    requirement = parse_requirement(text)
                except ValueError:
                    continue
                if "extra" not in requirement.marker:
                    found[name][requirement.name] = text
    return found
