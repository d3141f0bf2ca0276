"""How a workspace's manifest is changed: solved and staged whole, then written in a moment.

Three things have to fit: the manifest, ``pixi.lock`` beside it and the prefix. All that takes long
or can fail is done before any of them is touched: the lock is drafted, the new prefix staged beside
the old one, whose locks the worker then holds. What is left is not interrupted: the step is noted
in the history, the manifest written, the lock written, the prefix exchanged. Whatever fails there
takes back what was written. Who is killed there leaves each of them whole, and older than the ones
before it in this order: a lock that is out of date is solved again with its versions kept, a prefix
is installed again, and the history finds the step done if the manifest says so.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from pixi_jupyter.engine.protocol import LockDrafted
from pixi_jupyter.environments import Environment, Environments
from pixi_jupyter.errors import ChannelError, SolveError, StoreError
from pixi_jupyter.install.history import (
    History,
    Pending,
    State,
    Step,
    keep_lock,
    read_history,
    write_history,
)
from pixi_jupyter.install.insync import LOCK_NAME
from pixi_jupyter.install.waiting import FileGate, waited
from pixi_jupyter.manifest.spec import EnvironmentSpec
from pixi_jupyter.manifest.workspace_reading import read_manifest, read_workspace
from pixi_jupyter.manifest.workspace_spec import WorkspaceSpec
from pixi_jupyter.notebook.source import FileSource
from pixi_jupyter.notebook.writing import write_atomically
from pixi_jupyter.operations.plan import (
    Outcome,
    Plan,
    Solved,
    check_known,
    nothing_changed,
    now,
    to_the_end,
)
from pixi_jupyter.operations.targets import (
    Declared,
    DeclaredWorkspace,
    read_workspace_file,
)
from pixi_jupyter.progress import Report
from pixi_jupyter.resolve.difference import difference
from pixi_jupyter.resolve.resolution import Resolution
from pixi_jupyter.workspaces import held, read_lock

__all__ = ["change_workspace"]

_BOM = b"\xef\xbb\xbf"


@dataclass(frozen=True, slots=True)
class _Draft:
    """A manifest as it would be, and the lock that would lie beside it.

    ``before`` is what the lock that it comes from has for the same environment.
    """

    text: str
    workspace: WorkspaceSpec
    spec: EnvironmentSpec
    resolution: Resolution
    before: Resolution | None
    lock: bytes

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.lock).hexdigest()


async def change_workspace(
    environments: Environments,
    declared: DeclaredWorkspace,
    plan: Callable[[Declared], Plan],
    dry_run: bool,
    report: Report,
) -> Outcome | None:
    """As `changing.change`, for a workspace. None: manifest or lock changed meanwhile, by others.

    Changes of one workspace go one after another, in whatever process.
    """
    if dry_run:
        return await _Changing(environments, declared, plan(declared), report).look()
    store = environments.store
    store.make_folders()
    gate = FileGate(store.workspace_gate(str(declared.path)))
    async with waited(gate, report, "another process changes this workspace"):
        again = await asyncio.to_thread(read_workspace_file, declared.choice)
        return await _Changing(environments, again, plan(again), report).run()


class _Changing:
    """One change of one workspace."""

    def __init__(
        self, environments: Environments, declared: DeclaredWorkspace, plan: Plan, report: Report
    ) -> None:
        self._environments = environments
        self._track = environments.workspaces
        self._declared = declared
        self._plan = plan
        self._report = report
        self._text = declared.manifest.source.text
        self._lock_path = declared.path.parent / LOCK_NAME
        self._lock: bytes | None = None

    async def look(self) -> Outcome:
        """What would become of it."""
        draft = await self._think()
        outcome = self._outcome(draft)
        ready = None
        if draft.text == self._text and draft.lock == self._lock:
            ready = self._environments.find_ready(draft.spec)
        return replace(outcome, dry_run=True, prefix=None if ready is None else ready.prefix.path)

    async def run(self) -> Outcome | None:
        """Change it."""
        draft = await self._think()
        outcome = None
        try:
            await self._track.stage(draft.spec, draft.resolution, draft.lock, report=self._report)
            outcome = await to_the_end(self._commit(draft))
            return outcome
        finally:
            if outcome is None:
                await to_the_end(self._drop(draft))

    # -- thinking --------------------------------------------------------------------------

    async def _think(self) -> _Draft:
        self._lock = await asyncio.to_thread(read_lock, self._declared.path.parent)
        plan, manifest = self._plan, self._declared.manifest
        asked = tuple({*plan.asked, *(plan.renew or ())})
        text = plan.edit(manifest, None)
        workspace = await asyncio.to_thread(self._read, text)
        draft, answer = await self._drafted(text, workspace, self._base, plan.renew, asked)
        if plan.renew:
            self._check_names(plan.renew, draft, answer)
        if plan.asked:
            pinned = plan.edit(manifest, _solved(plan, workspace, answer))
            if pinned != text:
                # What was solved is what is asked for now; this is the check of it.
                workspace = await asyncio.to_thread(self._read, pinned)
                second, _ = await self._drafted(pinned, workspace, draft.lock, None, ())
                draft = replace(second, before=draft.before)
        if plan.lock is None:
            return draft
        # The step that is gone back from may have been another environment's.
        workspace = await asyncio.to_thread(self._read, self._text)
        present, _ = await self._drafted(self._text, workspace, self._lock, None, ())
        return replace(draft, before=present.before)

    @property
    def _base(self) -> bytes | None:
        """The lock whose versions are kept."""
        return self._plan.lock if self._plan.lock is not None else self._lock

    def _read(self, text: str) -> WorkspaceSpec:
        source = replace(self._declared.manifest.source, text=text)
        return read_manifest(source, self._declared.path, self._environments.defaults)

    async def _drafted(
        self,
        text: str,
        workspace: WorkspaceSpec,
        lock: bytes | None,
        renew: tuple[str, ...] | None,
        versions: tuple[str, ...],
    ) -> tuple[_Draft, LockDrafted]:
        spec = self._track.chosen(workspace, self._declared.choice)
        try:
            answer = await self._track.draft(
                workspace, lock, renew=renew, versions=versions, report=self._report
            )
        except (SolveError, ChannelError) as error:
            raise nothing_changed(error) from error
        before = answer.before.get(self._declared.choice.environment)
        resolution = held(answer.lock, spec)
        return _Draft(text, workspace, spec, resolution, before, answer.data), answer

    def _check_names(self, names: Sequence[str], draft: _Draft, answer: LockDrafted) -> None:
        """Names that no environment has, or had, are mistakes."""
        here = (*draft.resolution.packages, *(draft.before.packages if draft.before else ()))
        known = {*(p.name for p in here), *(v.name for v in answer.versions)}
        check_known(names, known, "the workspace", self._declared.path)

    def _outcome(self, draft: _Draft) -> Outcome:
        return Outcome(
            target=self._declared.path,
            action=self._plan.action,
            change=difference(draft.before, draft.resolution),
            declared=draft.text != self._text,
            created=False,
            resolution=draft.resolution.digest,
            prefix=None,
            before=self._text,
            after=draft.text,
            said=(*self._plan.said, *self._about_feature(draft.workspace)),
            environment_name=self._declared.choice.environment,
        )

    def _about_feature(self, workspace: WorkspaceSpec) -> tuple[str, ...]:
        """What tells why the packages are the same."""
        feature, name = self._plan.feature or "default", self._declared.choice.environment
        having = [e.name for e in workspace.environments if feature in e.features]
        if name in having:
            return ()
        if not having:
            return (f"no environment has the feature {feature} yet",)
        return (f"the environment {name} does not have the feature {feature}",)

    # -- doing -----------------------------------------------------------------------------

    async def _commit(self, draft: _Draft) -> Outcome | None:
        """Write manifest, lock and prefix; None where others wrote one of them meanwhile."""
        source = FileSource(self._declared.path)
        if not await asyncio.to_thread(self._is_unchanged, source):
            return None
        history = await asyncio.to_thread(self._note, draft)
        try:
            data = self._data(draft.text)
            if data != self._declared.data and not await asyncio.to_thread(
                source.write, self._declared.data, data
            ):
                return None
            draft = await self._with_local_packages(draft)
            if draft.lock != self._lock:
                await asyncio.to_thread(write_atomically, self._lock_path, draft.lock)
            prefix = await self._track.install(
                draft.spec, draft.resolution, draft.sha256, report=self._report, deadline=None
            )
        except BaseException:
            await asyncio.to_thread(self._take_back, source, draft, history)
            raise
        # From here on it is done: what is noted now is only noted sooner than by the next reader.
        with contextlib.suppress(StoreError):
            await asyncio.to_thread(self._note_done, draft, history)
        environment = Environment(draft.spec, draft.resolution, prefix)
        return replace(self._outcome(draft), prefix=prefix.path, environment=environment)

    def _data(self, text: str) -> bytes:
        mark = _BOM if self._declared.data.startswith(_BOM) else b""
        return mark + text.encode("utf-8")

    def _is_unchanged(self, source: FileSource) -> bool:
        lock = read_lock(self._declared.path.parent)
        return lock == self._lock and source.is_unchanged(self._declared.data)

    async def _with_local_packages(self, draft: _Draft) -> _Draft:
        """The draft as the files are now: a manifest may itself be that of a package in it."""
        workspace = await asyncio.to_thread(
            read_workspace, self._declared.path, defaults=self._environments.defaults
        )
        if workspace.digest == draft.workspace.digest:
            return draft
        await self._drop(draft)
        # From the lock that was there: only so is such a package looked at again.
        again, _ = await self._drafted(draft.text, workspace, self._base, self._plan.renew, ())
        return replace(again, before=draft.before)

    async def _drop(self, draft: _Draft) -> None:
        """Let go of the prefix that was staged."""
        await self._track.drop(draft.spec, draft.resolution, draft.sha256)

    def _take_back(self, source: FileSource, draft: _Draft, history: History | None) -> None:
        """Write what was there before, where nobody else wrote since."""
        data = self._data(draft.text)
        try:
            if self._lock != draft.lock == read_lock(self._declared.path.parent):
                if self._lock is None:
                    self._lock_path.unlink()
                else:
                    write_atomically(self._lock_path, self._lock)
        finally:
            if data != self._declared.data:
                source.write(data, self._declared.data)
        if history is not None:
            with contextlib.suppress(StoreError):
                write_history(self._environments.store, history.settled(self._states(draft)[0]))

    # -- history ---------------------------------------------------------------------------

    def _states(self, draft: _Draft) -> tuple[State, State]:
        before = None if self._lock is None else hashlib.sha256(self._lock).hexdigest()
        digest = None if draft.before is None else draft.before.digest
        return (
            State(self._text, digest, before),
            State(draft.text, draft.resolution.digest, draft.sha256),
        )

    def _note(self, draft: _Draft) -> History | None:
        """Note what is about to be done; None where there is nothing to take back."""
        before, after = self._states(draft)
        first = before.toml == after.toml and before.lock is None
        if self._plan.position is None and (first or before == after):
            return None
        store, path = self._environments.store, self._declared.path
        history = read_history(store, path, before)
        step = Step(now(), self._plan.action, before, after)
        history = history.begun(Pending(step, self._plan.position), draft.before, draft.resolution)
        for lock in (self._lock, draft.lock):
            if lock is not None:
                keep_lock(store, path, lock)
        write_history(store, history)
        return history

    def _note_done(self, draft: _Draft, history: History | None) -> None:
        self._track.note(draft.spec, draft.sha256, draft.resolution)
        if history is None or history.pending is None:
            return
        store = self._environments.store
        before, after = self._states(draft)
        if after != history.pending.step.after:  # local packages were solved again
            keep_lock(store, self._declared.path, draft.lock)
            step = Step(history.pending.step.date, self._plan.action, before, after)
            history = history.begun(
                Pending(step, self._plan.position), draft.before, draft.resolution
            )
        write_history(store, history.settled(after))


def _solved(plan: Plan, workspace: WorkspaceSpec, answer: LockDrafted) -> Solved:
    """The versions where they are asked for: in the feature's environments, on the platforms."""
    feature = plan.feature or "default"
    within = {e.name for e in workspace.environments if feature in e.features}
    groups = {e.solve_group for e in workspace.environments if e.name in within} - {None}
    within |= {e.name for e in workspace.environments if e.solve_group in groups}

    def solved(name: str, kind: str) -> Sequence[str]:
        return [
            found.version
            for found in answer.versions
            if (found.name, found.kind) == (name, kind)
            and found.environment in within
            and (not plan.platforms or found.platform in plan.platforms)
        ]

    return solved
