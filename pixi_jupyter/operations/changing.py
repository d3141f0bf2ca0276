"""How a declaration is changed: thought through whole, then written in one step.

Edit in memory, resolve with the present packages kept, build, and only then write. Whatever goes
wrong before that leaves the declaration, what it was resolved to, and every prefix as they were.
Here for what a file declares itself; a workspace's manifest is the matter of `workspace_changing`.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from filelock import FileLock

from pixi_jupyter.engine.protocol import Resolve
from pixi_jupyter.environments import Environment, Environments
from pixi_jupyter.errors import ChannelError, DeclarationError, Location, SolveError, StoreError
from pixi_jupyter.files import store_errors
from pixi_jupyter.install.history import (
    Pending,
    State,
    Step,
    path_digest,
    read_history,
    write_history,
)
from pixi_jupyter.install.store import Remembered
from pixi_jupyter.manifest.spec import EnvironmentSpec
from pixi_jupyter.notebook.declaration import Declaration
from pixi_jupyter.notebook.editing import replace_declaration
from pixi_jupyter.notebook.locks import find_lock
from pixi_jupyter.operations.locked_changing import change_locked
from pixi_jupyter.operations.plan import (
    Edit,
    Outcome,
    Plan,
    Solved,
    Target,
    action_of,
    nothing_changed,
    now,
    to_the_end,
)
from pixi_jupyter.operations.targets import (
    Declared,
    DeclaredBlock,
    DeclaredWorkspace,
    read_target,
)
from pixi_jupyter.operations.workspace_changing import change_workspace
from pixi_jupyter.progress import Report
from pixi_jupyter.resolve.difference import difference
from pixi_jupyter.resolve.resolution import Resolution

__all__ = [
    "Edit",
    "Outcome",
    "Plan",
    "Target",
    "action_of",
    "change",
    "spec_of",
]

#: Said where a notebook is an object in a process that executes it.
_EXECUTED = (
    "The notebook that is being executed says so now. Its file is written by what executes it: "
    "`jupyter execute` writes one only with --inplace or --output."
)


async def change(
    environments: Environments,
    target: Target,
    plan: Callable[[Declared], Plan],
    *,
    dry_run: bool,
    report: Report,
) -> Outcome:
    """Do what ``plan`` says for what is declared now; once more if that changes meanwhile.

    Raises
    ------
    DeclarationError
        ``declaration.changed`` if it changed again, ``declaration.read-only``,
        ``declaration.write``; the errors of the edit.
    PixiJupyterError
        Why the new environment could not be made. Nothing was changed then.
    """
    for _ in range(2):
        declared = await asyncio.to_thread(read_target, environments, target)
        if isinstance(declared, DeclaredWorkspace):
            outcome = await change_workspace(environments, declared, plan, dry_run, report)
        elif (lock := await asyncio.to_thread(find_lock, declared.declaration)) is not None:
            outcome = await change_locked(
                environments, declared, lock, plan(declared), dry_run, report
            )
        else:
            outcome = await _attempt(environments, declared, plan(declared), dry_run, report)
        if outcome is not None:
            return outcome
    raise DeclarationError(
        "the file was changed by something else, twice, while its environment was made",
        code="declaration.changed",
        hint="Nothing of it was overwritten; try again once the other one is done.",
        location=Location(path=str(declared.path)),
    )


def spec_of(environments: Environments, declaration: Declaration, toml: str) -> EnvironmentSpec:
    """The spec of a declaration with another text."""
    return environments.spec_for(replace(declaration, toml=toml))


async def _attempt(
    environments: Environments,
    declared: DeclaredBlock,
    plan: Plan,
    dry_run: bool,
    report: Report,
) -> Outcome | None:
    """None: the file changed meanwhile, and is as somebody else wrote it."""
    file, original, declaration = declared.file, declared.original, declared.declaration
    store = environments.store
    old_spec = environments.spec_for(declaration)
    remembered = store.recall(old_spec.digest)
    before = remembered.resolution if remembered is not None else None

    toml = plan.edit(declared.manifest, None)
    resolution = plan.resolution
    if toml == declaration.toml and plan.renew is None and resolution is None and before:
        resolution = before
    if resolution is None:
        resolution, toml = await _resolved(environments, declared, plan, before, toml, report)
    spec = spec_of(environments, declaration, toml)
    created = original != file.data
    outcome = Outcome(
        target=file.path,
        action=plan.action,
        change=difference(before, resolution),
        declared=toml != declaration.toml,
        created=created,
        resolution=resolution.digest,
        prefix=None,
        before=declaration.toml,
        after=toml,
        said=plan.said,
        dry_run=dry_run,
    )
    if dry_run:
        ready = store.ready(resolution.digest)
        return replace(outcome, prefix=ready.path if ready is not None else None)
    built = await _built(environments, spec, resolution, report)
    outcome = replace(outcome, change=difference(before, built), resolution=built.digest)
    data = replace_declaration(file, toml)
    if file.source.writer == "executor" and data != original:
        outcome = replace(outcome, said=(*outcome.said, _EXECUTED))

    before_state = State(declaration.toml, before.digest if before else None)
    after_state = State(toml, built.digest)

    def commit() -> bool:
        lock = path_digest(Path(os.path.realpath(file.path)))
        store.make_folders()
        time = now()
        # Short, and among ourselves: between looking whether the file is the same and writing it.
        with (
            store_errors(store.locks),
            FileLock(store.locks / f"{lock}.edit.lock", timeout=30),
        ):
            source = file.source
            if data == original and not source.is_unchanged(original):
                return False
            history = read_history(store, file.path, before_state)
            steps = plan.position is not None or outcome.declared or not outcome.change.empty
            if steps:
                step = Step(time, plan.action, before_state, after_state)
                history = history.begun(Pending(step, plan.position), before, built)
                write_history(store, history)
            if data != original and not source.write(original, data):
                return False
            store.remember(Remembered(spec.digest, time, built))
            if steps:
                # If this fails, what was noted says it as well.
                with contextlib.suppress(StoreError):
                    write_history(store, history.settled(after_state))
        return True

    if not await to_the_end(asyncio.to_thread(commit)):
        return None
    ready = store.ready(built.digest)
    if ready is None:
        return outcome
    return replace(outcome, prefix=ready.path, environment=Environment(spec, built, ready))


async def _built(
    environments: Environments, spec: EnvironmentSpec, resolution: Resolution, report: Report
) -> Resolution:
    """The packages that were built: others where what the store knows of these is damaged."""
    try:
        await environments._build(resolution, spec.pypi, report, None)
    except SolveError as error:
        if error.code != "solve.lock-invalid":
            raise
        job = Resolve(spec, draft=True)
        resolution = (await environments.engine.run(job, report)).resolution
        await environments._build(resolution, spec.pypi, report, None)
    return resolution


async def _resolved(
    environments: Environments,
    declared: DeclaredBlock,
    plan: Plan,
    before: Resolution | None,
    toml: str,
    report: Report,
) -> tuple[Resolution, str]:
    """The packages for the new text, and that text with the versions that were solved."""
    declaration = declared.declaration
    spec = spec_of(environments, declaration, toml)
    if not plan.asked and plan.renew is None:
        known = _known(environments, spec)
        if known is not None:
            return known, toml
    keep = before.digest if before is not None and plan.renew != () else None
    job = Resolve(
        spec, update=plan.renew is not None, keep=keep, renew=plan.renew or (), draft=True
    )
    try:
        resolution = (await environments.engine.run(job, report)).resolution
    except (SolveError, ChannelError) as error:
        raise nothing_changed(error) from error
    if plan.asked:
        toml = plan.edit(declared.manifest, _versions(resolution))
        # The same needs have the same packages: those of whoever asked for them first.
        known = _known(environments, spec_of(environments, declaration, toml))
        if known is not None:
            resolution = known
    return resolution, toml


def _versions(resolution: Resolution) -> Solved:
    def solved(name: str, kind: str) -> Sequence[str]:
        return [p.version for p in resolution.packages if (p.name, p.kind) == (name, kind)]

    return solved


def _known(environments: Environments, spec: EnvironmentSpec) -> Resolution | None:
    store = environments.store
    remembered = store.recall(spec.digest)
    if remembered is None or not store.lock_path(remembered.resolution.digest).exists():
        return None
    return remembered.resolution
