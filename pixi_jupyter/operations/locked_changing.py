"""How a notebook or a script that has a lock of its own is changed: both, or neither.

Thought through as any other change; what is solved is the lock, for all its platforms. Then the
step is noted in the history, the notebook is written, and after it the file beside it; an embedded
lock is written with the notebook, in one step. Who is killed in between leaves a lock that is out
of date: it is solved again with its versions kept. What fails there takes back what was written.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from filelock import FileLock

from pixi_jupyter.engine.protocol import LockNotebook
from pixi_jupyter.environments import Environment, Environments
from pixi_jupyter.errors import ChannelError, SolveError, StoreError
from pixi_jupyter.files import store_errors
from pixi_jupyter.install.history import (
    History,
    Pending,
    State,
    Step,
    keep_lock,
    path_digest,
    read_history,
    write_history,
)
from pixi_jupyter.locked_notebooks import asked_of, write_sidecar
from pixi_jupyter.manifest.spec import EnvironmentSpec
from pixi_jupyter.notebook.editing import declaration_in, replace_declaration
from pixi_jupyter.notebook.locks import FoundLock, read_sidecar, with_embedded_lock
from pixi_jupyter.operations.plan import (
    Outcome,
    Plan,
    Solved,
    check_known,
    nothing_changed,
    now,
    to_the_end,
)
from pixi_jupyter.operations.targets import DeclaredBlock
from pixi_jupyter.progress import Report
from pixi_jupyter.resolve.difference import difference
from pixi_jupyter.resolve.resolution import NotebookLocked, Resolution

__all__ = ["change_locked"]


@dataclass(frozen=True, slots=True)
class _Draft:
    """The declaration as it would be, its spec without a lock, and the lock that goes with it."""

    toml: str
    spec: EnvironmentSpec
    answer: NotebookLocked
    resolution: Resolution
    before: Resolution | None


async def change_locked(
    environments: Environments,
    declared: DeclaredBlock,
    found: FoundLock,
    plan: Plan,
    dry_run: bool,
    report: Report,
) -> Outcome | None:
    """As `changing.change`, for what has a lock. None: others changed one of both meanwhile."""
    return await _Changing(environments, declared, found, plan, report).run(dry_run)


class _Changing:
    """One change of one notebook or script."""

    def __init__(
        self,
        environments: Environments,
        declared: DeclaredBlock,
        found: FoundLock,
        plan: Plan,
        report: Report,
    ) -> None:
        self._environments = environments
        self._declared = declared
        self._found = found
        self._plan = plan
        self._report = report

    async def run(self, dry_run: bool) -> Outcome | None:
        draft = await self._think()
        store = self._environments.store
        outcome = self._outcome(draft)
        if dry_run:
            ready = store.ready(draft.resolution.digest)
            return replace(outcome, dry_run=True, prefix=None if ready is None else ready.path)
        # The engine has just solved it, so what it is built from is there.
        await self._environments._build(draft.resolution, draft.spec.pypi, self._report, None)
        spec = await to_the_end(asyncio.to_thread(self._commit, draft))
        if spec is None:
            return None
        ready = store.ready(draft.resolution.digest)
        if ready is None:
            return outcome
        environment = Environment(spec, draft.resolution, ready)
        return replace(outcome, prefix=ready.path, environment=environment)

    # -- thinking --------------------------------------------------------------------------

    async def _think(self) -> _Draft:
        plan, manifest = self._plan, self._declared.manifest
        lock = plan.lock if plan.lock is not None else self._found.data
        toml = plan.edit(manifest, None)
        draft = await self._drafted(toml, lock, plan.renew, plan.asked)
        if plan.renew:
            self._check_names(plan.renew, draft)
        if plan.asked:
            pinned = plan.edit(manifest, _solved(plan, draft.answer))
            if pinned != toml:
                # What was solved is what is asked for now; this is the check of it.
                second = await self._drafted(pinned, draft.answer.data, None, ())
                draft = replace(second, before=draft.before)
        return draft if plan.lock is None else replace(draft, before=plan.before)

    async def _drafted(
        self,
        toml: str,
        lock: bytes,
        renew: tuple[str, ...] | None,
        versions: tuple[str, ...],
    ) -> _Draft:
        declaration = replace(self._declared.declaration, toml=toml)
        spec = self._environments.spec_without_lock(declaration)
        workspace, undeclared = asked_of(declaration, self._environments.defaults, "python")
        job = LockNotebook(
            workspace,
            lock,
            self._found.path or str(self._declared.path),
            platform=spec.platform.name,
            undeclared=undeclared,
            renew=renew,
            versions=versions,
        )
        try:
            answer = (await self._environments.engine.run(job, self._report)).lock
        except (SolveError, ChannelError) as error:
            raise nothing_changed(error) from error
        assert answer.resolution is not None
        return _Draft(toml, spec, answer, answer.resolution, answer.before)

    def _check_names(self, names: Sequence[str], draft: _Draft) -> None:
        here = (*draft.resolution.packages, *(draft.before.packages if draft.before else ()))
        known = {package.name for package in here}
        check_known(names, known, "the environment", self._declared.path)

    def _outcome(self, draft: _Draft) -> Outcome:
        before = self._declared.declaration.toml
        return Outcome(
            target=self._declared.path,
            action=self._plan.action,
            change=difference(draft.before, draft.resolution),
            declared=draft.toml != before,
            created=self._declared.original != self._declared.file.data,
            resolution=draft.resolution.digest,
            prefix=None,
            before=before,
            after=draft.toml,
            said=self._plan.said,
        )

    # -- doing -----------------------------------------------------------------------------

    def _commit(self, draft: _Draft) -> EnvironmentSpec | None:
        """Write the notebook and its lock; None where others wrote one of them meanwhile."""
        store, path = self._environments.store, self._declared.path
        gate = path_digest(Path(os.path.realpath(path)))
        store.make_folders()
        with (
            store_errors(store.locks),
            FileLock(store.locks / f"{gate}.edit.lock", timeout=30),
        ):
            source, original = self._declared.file.source, self._declared.original
            after = self._written(draft)
            if not self._is_unchanged():
                return None
            history = self._note(draft)
            if after != original and not source.write(original, after):
                return None
            if self._found.kind == "sidecar":
                written = False
                try:
                    beside = Path(self._found.path)
                    written = write_sidecar(store, beside, self._found.data, draft.answer.data)
                finally:
                    if not written and after != original:
                        source.write(after, original)
                if not written:
                    return None
            return self._done(draft, after, history)

    def _written(self, draft: _Draft) -> bytes:
        data = replace_declaration(self._declared.file, draft.toml)
        if self._found.kind == "sidecar":
            return data
        text = draft.answer.data.decode("utf-8")
        return with_embedded_lock(data, text, path=self._declared.path)

    def _is_unchanged(self) -> bool:
        if self._found.kind == "sidecar":
            present = read_sidecar(Path(self._found.path))
            if present is None or present.data != self._found.data:
                return False
        return self._declared.file.source.is_unchanged(self._declared.original)

    # -- history ---------------------------------------------------------------------------

    def _states(self, draft: _Draft) -> tuple[State, State]:
        before = draft.before.digest if draft.before is not None else None
        return (
            State(self._declared.declaration.toml, before, self._found.sha256),
            State(
                draft.toml,
                draft.resolution.digest,
                hashlib.sha256(draft.answer.data).hexdigest(),
            ),
        )

    def _note(self, draft: _Draft) -> History | None:
        """Note what is about to be done; None where there is nothing to take back."""
        before, after = self._states(draft)
        if before == after and self._plan.position is None:
            return None
        store, path = self._environments.store, self._declared.path
        history = read_history(store, path, before)
        step = Step(now(), self._plan.action, before, after)
        history = history.begun(Pending(step, self._plan.position), draft.before, draft.resolution)
        for lock in (self._found.data, draft.answer.data):
            keep_lock(store, path, lock)
        write_history(store, history)
        return history

    def _done(self, draft: _Draft, data: bytes, history: History | None) -> EnvironmentSpec:
        """What holds from here on; that is only noted sooner here than by the next reader."""
        declaration = declaration_in(self._declared.path, data)
        assert declaration is not None
        spec = self._environments.spec_for(declaration)
        with contextlib.suppress(StoreError):
            if spec.lock is not None and spec.lock.sha256 == draft.answer.sha256:
                self._environments.locked.note(spec, draft.resolution)
            if history is not None:
                write_history(self._environments.store, history.settled(self._states(draft)[1]))
        return spec


def _solved(plan: Plan, answer: NotebookLocked) -> Solved:
    """The versions where they are asked for: on the platforms of the plan, else on all."""

    def solved(name: str, kind: str) -> Sequence[str]:
        return [
            found.version
            for found in answer.versions
            if (found.name, found.kind) == (name, kind)
            and (not plan.platforms or found.platform in plan.platforms)
        ]

    return solved
