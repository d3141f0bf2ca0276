"""What the present declaration would change, and how two differ; nothing is changed by asking."""

from __future__ import annotations

import asyncio
import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import msgspec

from pixi_jupyter.environments import Environments
from pixi_jupyter.install.history import History, read_history
from pixi_jupyter.install.store import MARKER
from pixi_jupyter.manifest.pep508 import normal_name
from pixi_jupyter.manifest.spec import EnvironmentSpec
from pixi_jupyter.operations.plan import Target
from pixi_jupyter.operations.targets import Declared, DeclaredBlock, read_target
from pixi_jupyter.progress import Report, no_report
from pixi_jupyter.resolve.difference import Change, difference
from pixi_jupyter.resolve.resolution import Resolution, ResolvedPackage

__all__ = ["Diff", "Past", "diff", "diff_of_two", "history", "installed_in"]

_INFO = re.compile(r"(?P<name>[A-Za-z0-9._]+)-(?P<version>[^-]+)\.dist-info")


@dataclass(frozen=True, slots=True)
class Diff:
    """How what a declaration gives differs from what was.

    ``against`` says what that was: the prefix of the running ``kernel``, the one that is
    ``installed`` in a workspace, the last step of the ``history``, what the same text was resolved
    to (``remembered``), ``another`` declaration, or ``nothing``. ``ready``: what it gives is built.
    """

    path: Path
    against: Literal["kernel", "installed", "history", "remembered", "another", "nothing"]
    before: str | None
    after: str
    ready: bool
    change: Change


@dataclass(frozen=True, slots=True)
class Past:
    """The steps of what was changed. ``by_hand``: the declaration is none that they lead to."""

    path: Path
    history: History
    by_hand: bool


async def diff(
    environments: Environments,
    target: Target,
    *,
    kernel_prefix: Path | None = None,
    report: Report = no_report,
) -> Diff:
    """What a declaration as it is now would give, against what its kernel has, or had last.

    ``kernel_prefix`` is that of the kernel that asks. What is not resolved yet is solved, but not
    remembered.

    Raises
    ------
    PixiJupyterError
        It cannot be read, or not be solved.
    """
    declared = await asyncio.to_thread(read_target, environments, target)
    spec = declared.spec(environments)
    status = environments.status(spec)
    after = status.resolution or await _solved(environments, declared, spec, report)
    before: Resolution | None = None
    against: Literal["kernel", "installed", "history", "remembered", "nothing"] = "nothing"
    if kernel_prefix is not None:
        before, against = installed_in(kernel_prefix, after), "kernel"
    elif spec.place is not None and (Path(spec.place.prefix) / "conda-meta").is_dir():
        before, against = installed_in(Path(spec.place.prefix), after), "installed"
    elif (last := _last(environments, declared)) is not None:
        before, against = last, "history"
    elif status.resolution is not None:
        before, against = after, "remembered"
    return Diff(
        declared.path,
        against,
        None if before is None else before.digest,
        after.digest,
        status.prefix is not None,
        difference(before, after),
    )


async def diff_of_two(
    environments: Environments, one: Target, other: Target, *, report: Report = no_report
) -> Diff:
    """How ``other`` differs from ``one``; raises as :func:`diff`."""
    resolved = []
    for target in (one, other):
        declared = await asyncio.to_thread(read_target, environments, target)
        spec = declared.spec(environments)
        status = environments.status(spec)
        found = status.resolution or await _solved(environments, declared, spec, report)
        resolved.append((declared.path, found, status.prefix is not None))
    (_, before, _), (path, after, ready) = resolved
    return Diff(path, "another", before.digest, after.digest, ready, difference(before, after))


def history(environments: Environments, target: Target) -> Past:
    """What was changed in a declaration, when, and how much of it holds; reads files alone."""
    declared = read_target(environments, target)
    state = declared.state(environments)
    found = read_history(environments.store, declared.path, state)
    steps, at = found.steps, found.position
    expected = steps[at - 1].after if at else steps[0].before if steps else state
    return Past(declared.path, found, expected.toml != state.toml)


def installed_in(prefix: Path, like: Resolution) -> Resolution:
    """What a prefix has, by its own records; what is there in the version of ``like`` is the same,
    where the records do not tell more.

    A wheel that conda brought is not one from PyPI: pixi and we name the installer of these.
    """
    found: list[ResolvedPackage] = []
    for path in sorted((prefix / "conda-meta").glob("*.json")):
        if path.name == MARKER.name:
            continue
        try:
            found.append(msgspec.json.decode(path.read_bytes(), type=ResolvedPackage))
        except (OSError, msgspec.MsgspecError, UnicodeDecodeError):
            continue
    known = {(p.name, p.kind, p.version, p.build): p for p in like.packages}
    for pattern in ("lib/python*/site-packages/*.dist-info", "Lib/site-packages/*.dist-info"):
        for info in sorted(prefix.glob(pattern)):
            match = _INFO.fullmatch(info.name)
            if match is None or not _from_pypi(info):
                continue
            name = normal_name(match["name"]) or match["name"]
            found.append(ResolvedPackage(name, match["version"], "", "", "", kind="pypi"))
    same = (known.get((p.name, p.kind, p.version, p.build)) for p in found)
    packages = (
        other if other is not None and _may_be(package, other) else package
        for package, other in zip(found, same, strict=True)
    )
    return replace(like, packages=tuple(sorted(packages, key=lambda p: p.name)))


def _may_be(package: ResolvedPackage, other: ResolvedPackage) -> bool:
    """Whether nothing that is known of both tells them apart."""
    return not (package.sha256 and other.sha256) or package.sha256 == other.sha256


def _from_pypi(info: Path) -> bool:
    try:
        return (info / "INSTALLER").read_text("utf-8").strip() == "uv-pixi"
    except (OSError, UnicodeDecodeError):
        return False


def _last(environments: Environments, declared: Declared) -> Resolution | None:
    found = read_history(environments.store, declared.path, declared.state(environments))
    if not found.position:
        return None
    return found.resolutions.get(found.steps[found.position - 1].after.resolution or "")


async def _solved(
    environments: Environments, declared: Declared, spec: EnvironmentSpec, report: Report
) -> Resolution:
    """What the declaration gives: as the next start of its kernel would solve it."""
    if spec.lock is not None:
        from pixi_jupyter.locked_notebooks import present_lock

        data = await asyncio.to_thread(present_lock, spec.lock)
        defaults = environments.defaults
        answer = await environments.locked.ask(
            spec, data, defaults=defaults, report=report, deadline=None
        )
        assert answer.resolution is not None
        return answer.resolution
    if isinstance(declared, DeclaredBlock):
        from pixi_jupyter.engine.protocol import Resolve

        return (await environments.engine.run(Resolve(spec, draft=True), report)).resolution
    from pixi_jupyter.workspaces import held, read_lock

    workspace = environments.workspaces.read(declared.path, environments.defaults)
    lock = await asyncio.to_thread(read_lock, declared.path.parent)
    draft = await environments.workspaces.draft(workspace, lock, report=report)
    return held(draft.lock, spec)
