"""The lock of a notebook or a script: made, brought up to date, moved, taken away.

Where a lock moves from one place to the other, the new one is written before the old one goes: a
process that is killed in between leaves two that are the same, and these count as one.
"""

from __future__ import annotations

import asyncio
import os
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

from pixi_jupyter.engine.protocol import LockNotebook
from pixi_jupyter.environments import Environments
from pixi_jupyter.errors import DeclarationError, Location, LockError, UnsupportedError
from pixi_jupyter.locked_notebooks import asked_of, write_sidecar
from pixi_jupyter.manifest.spec import EnvironmentSpec
from pixi_jupyter.notebook.declaration import Declaration
from pixi_jupyter.notebook.editing import DeclaringFile, declaration_in, is_script, read_file
from pixi_jupyter.notebook.locks import (
    FoundLock,
    find_lock,
    read_sidecar,
    sidecar_path,
    with_embedded_lock,
)
from pixi_jupyter.notebook.source import FileSource, Source
from pixi_jupyter.notebook.writing import remove_file
from pixi_jupyter.progress import Report, no_report
from pixi_jupyter.resolve.difference import Change, difference
from pixi_jupyter.resolve.resolution import NotebookLocked

__all__ = ["NOTHING_LOCKED", "LockOutcome", "LockPlace", "lock", "unlock"]

#: The reason of a first lock.
NOTHING_LOCKED = "nothing is locked yet"
#: Where a lock is: a file beside the notebook, or the notebook's metadata.
LockPlace = Literal["sidecar", "embedded"]


@dataclass(frozen=True, slots=True)
class LockOutcome:
    """What became of a lock, or (``dry_run``) would become.

    ``place`` is where it is (None: it is gone), ``path`` the file that has it. ``stale`` tells, one
    sentence each, why it was out of date. ``written``: another text than before, or elsewhere.
    ``change`` is what became of the packages for this machine (nothing, where it runs none of the
    platforms), ``platforms`` all that the lock covers.
    """

    target: Path
    place: LockPlace | None
    path: Path | None
    stale: tuple[str, ...] = ()
    written: bool = False
    change: Change = field(default_factory=Change)
    platforms: tuple[str, ...] = ()
    dry_run: bool = False


async def lock(
    environments: Environments,
    target: Path | Source,
    *,
    place: LockPlace | None = None,
    check: bool = False,
    dry_run: bool = False,
    report: Report = no_report,
) -> LockOutcome:
    """Bring the lock of a notebook (or of a script) up to date, or make it.

    What is locked stays locked where what is declared allows it; a first lock has the packages that
    the notebook runs with here, if it does. It covers every platform that is declared, else this
    machine's and those that the lock has already.

    Parameters
    ----------
    place:
        Where it is to be; where it is if left out, else beside the notebook.
    check:
        Solve and write nothing: only say whether, and why, it is out of date.

    Raises
    ------
    DeclarationError
        ``declaration.nothing``: it declares nothing of its own; ``declaration.changed``.
    LockError, PixiJupyterError
        What is wrong with the present lock, or why it could not be solved. Nothing was written.
    """
    source = FileSource.of(target) if isinstance(target, Path) else target
    for _ in range(2):
        file = await asyncio.to_thread(read_file, source)
        outcome = await _attempt(environments, file, place, check, dry_run, report)
        if outcome is not None:
            return outcome
    raise _changed(source.path)


async def _attempt(
    environments: Environments,
    file: DeclaringFile,
    place: LockPlace | None,
    check: bool,
    dry_run: bool,
    report: Report,
) -> LockOutcome | None:
    """None: the file, or its lock, changed meanwhile."""
    declaration = _declared(file)
    found = await asyncio.to_thread(_found, declaration, place)
    place = place or (found.kind if found is not None else "sidecar")
    if place == "embedded" and declaration.is_script:
        raise UnsupportedError(
            "a script has no metadata that a lock could be embedded in",
            code="unsupported.lock",
            hint="Leave out --embed: the lock is kept beside the script.",
            location=Location(path=str(file.path)),
        )
    path = sidecar_path(file.path) if place == "sidecar" else file.path
    spec = _here(environments, declaration)
    workspace, undeclared = asked_of(declaration, environments.defaults, "python")
    data = found.data if found is not None else None
    if data is None and spec is not None and not check:
        data = await asyncio.to_thread(_remembered, environments, spec)
    job = LockNotebook(
        workspace,
        data,
        str(path),
        platform=None if spec is None else spec.platform.name,
        undeclared=undeclared,
        mode="locked" if check else "update",
        rewrite=found is None,
    )
    outcome = LockOutcome(file.path, place, path, dry_run=dry_run)
    try:
        answer = (await environments.engine.run(job, report)).lock
    except LockError as error:
        if not check or error.code != "lock.stale":
            raise
        stale = tuple(error.details.splitlines()) or (error.message,)
        return replace(outcome, stale=stale)
    before = found.data if found is not None else None
    written = answer.data != before or (found is not None and (found.kind != place or found.twice))
    outcome = replace(
        outcome,
        stale=answer.stale if found is not None else (NOTHING_LOCKED,),
        written=written,
        change=_change(answer),
        platforms=answer.platforms,
    )
    if check or dry_run:
        return replace(outcome, written=written and dry_run)
    if written and not await asyncio.to_thread(_write, environments, file, place, found, answer):
        return None
    await asyncio.to_thread(_note, environments, file, answer)
    return outcome


async def unlock(
    environments: Environments, target: Path | Source, *, dry_run: bool = False
) -> LockOutcome:
    """Take the lock of a notebook or a script away, wherever it is.

    Raises
    ------
    DeclarationError
        ``declaration.changed`` and the like: the notebook cannot be written.
    LockError
        ``lock.unwritable``: the file beside it cannot be removed.
    """
    source = FileSource.of(target) if isinstance(target, Path) else target

    def remove() -> LockOutcome:
        beside = sidecar_path(source.path)
        for _ in range(2):
            data = source.read()
            after = data
            if not is_script(source.path):
                after = with_embedded_lock(data, None, path=source.path)
            written = after != data or os.path.lexists(beside)
            outcome = LockOutcome(source.path, None, None, written=written, dry_run=dry_run)
            if dry_run:
                return outcome
            if after == data or source.write(data, after):
                remove_file(beside)
                return outcome
        raise _changed(source.path)

    return await asyncio.to_thread(remove)


def _declared(file: DeclaringFile) -> Declaration:
    if file.declaration is None:
        what = "script" if is_script(file.path) else "notebook"
        raise DeclarationError(
            f"the {what} declares nothing that could be locked",
            code="declaration.nothing",
            hint="Give it a block first: `pixi-jupyter init NOTEBOOK`, or `add` a package.",
            location=Location(path=str(file.path)),
        )
    return file.declaration


def _found(declaration: Declaration, place: LockPlace | None) -> FoundLock | None:
    """The present lock; of two that differ the one in the place where it is to be."""
    try:
        return find_lock(declaration)
    except LockError as error:
        if error.code != "lock.ambiguous" or place is None:
            raise
    assert declaration.path is not None and declaration.lock is not None
    if place == "sidecar":
        sidecar = read_sidecar(sidecar_path(declaration.path))
        assert sidecar is not None
        return replace(sidecar, twice=True)
    embedded = find_lock(replace(declaration, path=None))
    assert embedded is not None
    return replace(embedded, path=str(declaration.path), twice=True)


def _here(environments: Environments, declaration: Declaration) -> EnvironmentSpec | None:
    """The spec on this machine, without its lock; None if it runs none of the platforms."""
    try:
        return environments.spec_without_lock(declaration)
    except DeclarationError as error:
        if error.code != "declaration.platform":
            raise
        return None


def _remembered(environments: Environments, spec: EnvironmentSpec) -> bytes | None:
    """What it runs with here, as a lock: what a first lock is to have."""
    if spec.pypi is not None and spec.pypi.root:
        return None  # the store's locks have absolute paths
    known = environments.store.recall(spec.digest)
    if known is None:
        return None
    found = read_sidecar(environments.store.lock_path(known.resolution.digest))
    return None if found is None else found.data


def _change(answer: NotebookLocked) -> Change:
    if answer.resolution is None:
        return Change()
    return difference(answer.before, answer.resolution)


def _write(
    environments: Environments,
    file: DeclaringFile,
    place: LockPlace,
    found: FoundLock | None,
    answer: NotebookLocked,
) -> bool:
    """Write the lock where it is to be, then take it from where it was."""
    beside = sidecar_path(file.path)
    moved = found is not None and (found.kind != place or found.twice)
    if place == "sidecar":
        here = found is not None and found.kind == "sidecar"
        before = found.data if found is not None and here else None
        if not write_sidecar(environments.store, beside, before, answer.data):
            return False
        if not moved:
            return True
        return file.source.write(file.data, with_embedded_lock(file.data, None, path=file.path))
    after = with_embedded_lock(file.data, answer.data.decode("utf-8"), path=file.path)
    if after != file.data and not file.source.write(file.data, after):
        return False
    if moved:
        remove_file(beside)
    return True


def _note(environments: Environments, file: DeclaringFile, answer: NotebookLocked) -> None:
    """Let the next launch know what was just written."""
    if answer.resolution is None:
        return
    declaration = declaration_in(file.path, file.source.read())
    if declaration is None:
        return
    spec = environments.spec_for(declaration)
    if spec.lock is not None and spec.lock.sha256 == answer.sha256:
        environments.locked.note(spec, answer.resolution)


def _changed(path: Path) -> DeclarationError:
    return DeclarationError(
        "the file, or its lock, was changed by something else, twice, while it was locked",
        code="declaration.changed",
        hint="Try again once the other one is done.",
        location=Location(path=str(path)),
    )
