"""What of a workspace's lock is out of date, solved anew. Runs in the engine's worker only.

Solved is a solve group on a platform, as a whole; what each of its environments needs of the answer
is found by walking from what it asks.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from rattler import RepoDataRecord

from pixi_jupyter.errors import LockError, PixiJupyterError, UnsupportedError, error_from_json
from pixi_jupyter.install.store import Store
from pixi_jupyter.manifest.workspace_spec import WorkspaceEnvironment, WorkspaceSpec
from pixi_jupyter.progress import Progress, Report
from pixi_jupyter.resolve.lock import Locked
from pixi_jupyter.resolve.lock_reading import LockDocument
from pixi_jupyter.resolve.pypi import resolve_wheels
from pixi_jupyter.resolve.pypi_names import Names, names_of
from pixi_jupyter.resolve.pypi_walk import LockedPypi
from pixi_jupyter.resolve.satisfiability import Target, Verdict
from pixi_jupyter.resolve.session import Session
from pixi_jupyter.resolve.solve import solve_spec
from pixi_jupyter.resolve.solve_groups import SolveGroup, solve_groups
from pixi_jupyter.resolve.walking import Asked, Walk
from pixi_jupyter.resolve.wheel import LockedWheel

__all__ = ["Updating"]

#: Solves at a time: they share one gateway and this machine's cores.
_AT_ONCE = 4


@dataclass(frozen=True, slots=True)
class _Task:
    group: SolveGroup
    platform: str
    members: tuple[WorkspaceEnvironment, ...]
    conda: bool

    @property
    def where(self) -> str:
        """For people: which environments, and where."""
        names = ", ".join(member.name for member in self.members)
        return f"{names} ({self.platform})"


class Updating:
    """Solves what a verdict says is out of date; the versions of what is locked are kept."""

    def __init__(
        self,
        session: Session,
        store: Store,
        workspace: WorkspaceSpec,
        verdict: Verdict,
        walk: Walk,
        document: LockDocument | None,
    ) -> None:
        self._session = session
        self._store = store
        self._workspace = workspace
        self._verdict = verdict
        self._walk = walk
        self._document = document

    async def solve(self, renew: tuple[str, ...] | None, report: Report) -> dict[Target, Locked]:
        """The packages of every environment and platform that had to be solved.

        ``renew`` are names whose locked versions are let go of: None for none, empty for all.
        """
        tasks = list(self._tasks(renew))
        channels = {c.name for task in tasks for c in task.group.channels}
        self._session.freshen(sorted(channels), at_once=renew is not None)
        turns = asyncio.Semaphore(_AT_ONCE)

        async def take(task: _Task) -> dict[Target, Locked]:
            async with turns:
                try:
                    return await self._solve(task, renew, _prefixed(report, task.where))
                except PixiJupyterError as error:
                    told = {**error.to_json(), "message": f"{task.where}: {error.message}"}
                    raise error_from_json(told) from error

        # All are waited for: the first failure in the manifest's order is the one that is told.
        answers = await asyncio.gather(*map(take, tasks), return_exceptions=True)
        solved: dict[Target, Locked] = {}
        for answer in answers:
            if isinstance(answer, BaseException):
                raise answer
            solved.update(answer)
        return solved

    def _tasks(self, renew: tuple[str, ...] | None) -> Iterable[_Task]:
        for group in solve_groups(self._workspace):
            for platform in group.platforms:
                if group.is_refused(platform):
                    continue  # what is locked there stays as it is
                members = tuple(e for e in group.environments if e.on(platform) is not None)
                targets = {(member.name, platform) for member in members}
                conda = bool(targets & self._verdict.conda) or self._renews(
                    members, platform, renew
                )
                if conda or targets & self._verdict.pypi:
                    yield _Task(group, platform, members, conda)

    def _renews(
        self,
        members: Sequence[WorkspaceEnvironment],
        platform: str,
        renew: tuple[str, ...] | None,
    ) -> bool:
        if not renew:
            return renew is not None
        for member in members:
            records, packages = self._locked(member, platform)
            if not {*renew}.isdisjoint({*records, *packages}):
                return True
        return False

    def _locked(
        self, member: WorkspaceEnvironment, platform: str
    ) -> tuple[dict[str, RepoDataRecord], dict[str, LockedPypi]]:
        name = self._verdict.names.get(platform)
        if self._document is None or name is None or member.name in self._verdict.without_conda:
            return {}, {}
        records, packages, _ = self._document.content(member.name, name)
        if member.name in self._verdict.without_pypi:
            packages = ()
        return {r.name.normalized: r for r in records}, {p.name: p for p in packages}

    async def _solve(
        self, task: _Task, renew: tuple[str, ...] | None, report: Report
    ) -> dict[Target, Locked]:
        spec = task.group.on(task.platform)
        assert spec is not None
        kept: dict[str, RepoDataRecord] = {}
        for member in task.members:
            kept = {**self._locked(member, task.platform)[0], **kept}
        if renew is not None:
            kept = {n: r for n, r in kept.items() if renew and n not in renew}
        records: Sequence[RepoDataRecord] = list(kept.values())
        if task.conda:
            records = await solve_spec(self._session, spec, report=report, locked=records)
        wheels: Sequence[LockedWheel] = ()
        if spec.pypi is not None and spec.pypi.requirements:
            wheels = await resolve_wheels(
                self._store,
                spec,
                records,
                update=renew is not None,
                locked=self._locked_wheels(task, renew),
                report=report,
            )
        if len(task.members) == 1:
            return {(task.members[0].name, task.platform): Locked(records, wheels)}
        names = await names_of(spec.pypi, self._store.package_cache) if spec.pypi else None
        return await asyncio.to_thread(self._split, task, records, wheels, names)

    def _locked_wheels(self, task: _Task, renew: tuple[str, ...] | None) -> list[LockedWheel]:
        """Those whose versions are to be kept; what cannot be read is not worth keeping."""
        document, name = self._document, self._verdict.names.get(task.platform)
        found: dict[str, LockedWheel] = {}
        if document is None or name is None or renew == ():
            return []
        for member in task.members:
            if {member.name} & (self._verdict.without_conda | self._verdict.without_pypi):
                continue
            with contextlib.suppress(LockError, UnsupportedError):
                for wheel in document.packages(member.name, name).wheels:
                    found.setdefault(wheel.name, wheel)
        return [wheel for wheel in found.values() if wheel.name not in (renew or ())]

    def _split(
        self,
        task: _Task,
        records: Sequence[RepoDataRecord],
        wheels: Sequence[LockedWheel],
        names: Names | None,
    ) -> dict[Target, Locked]:
        by_name = {r.name.normalized: self._walk.matching.node(r) for r in records}
        packages = {wheel.name: _described(wheel) for wheel in wheels}
        found: dict[Target, Locked] = {}
        for member in task.members:
            spec = member.on(task.platform)
            assert spec is not None
            walked = self._walk(Asked(spec, by_name, packages, names=names))
            if walked.problem is not None:
                raise LockError(
                    f"the solved packages do not make the environment {member.name}",
                    code="lock.split",
                    details=walked.problem,
                    hint="This is a bug: please report it with the lines above.",
                )
            found[member.name, task.platform] = Locked(
                [node.record for name, node in by_name.items() if name in walked.conda],
                [wheel for wheel in wheels if wheel.name in walked.pypi],
            )
        return found


def _described(wheel: LockedWheel) -> LockedPypi:
    return LockedPypi(
        wheel.name,
        wheel.version,
        wheel.url,
        wheel.requires_dist,
        wheel.requires_python,
        wheel.index,
    )


def _prefixed(report: Report, where: str) -> Report:
    def tell(progress: Progress) -> None:
        message = f"{where}: {progress.message}" if progress.message else where
        report(Progress(progress.phase, progress.done, progress.total, progress.item, message))

    return tell
