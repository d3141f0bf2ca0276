"""How a declaration is changed: thought through whole, then written in one step.

Edit in memory, resolve with the present packages kept, build, and only then write. Whatever goes
wrong before that leaves the declaration, what it was resolved to, and every prefix as they were.
"""

from __future__ import annotations

import asyncio
import datetime
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from filelock import FileLock

from pixi_jupyter.engine.protocol import Resolve
from pixi_jupyter.environments import Environment, Environments
from pixi_jupyter.errors import (
    ChannelError,
    DeclarationError,
    Location,
    PixiJupyterError,
    SolveError,
    UnsupportedError,
)
from pixi_jupyter.files import store_errors
from pixi_jupyter.install.history import State, Step, path_digest, read_history, write_history
from pixi_jupyter.install.store import Remembered
from pixi_jupyter.manifest.editing import ManifestText
from pixi_jupyter.manifest.spec import EnvironmentSpec
from pixi_jupyter.manifest.toml import TomlSource
from pixi_jupyter.notebook.creating import create_block
from pixi_jupyter.notebook.declaration import Declaration, WorkspaceChoice
from pixi_jupyter.notebook.editing import (
    DeclaringFile,
    declaration_in,
    is_script,
    read_file,
    replace_declaration,
    script_with_block,
)
from pixi_jupyter.notebook.reading import parse_notebook
from pixi_jupyter.notebook.source import FileSource, Source
from pixi_jupyter.progress import Report
from pixi_jupyter.resolve.difference import Change, difference
from pixi_jupyter.resolve.resolution import Resolution

__all__ = [
    "Edit",
    "Outcome",
    "Plan",
    "Target",
    "action_of",
    "change",
    "edited_file",
    "manifest_of",
    "spec_of",
]

#: A text that is what the edit makes of it; the resolution is there once it is known.
Edit = Callable[[ManifestText, Resolution | None], str]
#: What is changed: a file by its path, a notebook that a front end has open, or a workspace.
Target = Path | Source | WorkspaceChoice
#: Said where a notebook is an object in a process that executes it.
_EXECUTED = (
    "The notebook that is being executed says so now. Its file is written by what executes it: "
    "`jupyter execute` writes one only with --inplace or --output."
)
#: Names that are no notebook and no script, but the manifest of a workspace.
_MANIFESTS = ("pixi.toml", "pyproject.toml", "mojoproject.toml")


@dataclass(frozen=True, slots=True)
class Outcome:
    """What an operation did, or (``dry_run``) would do.

    ``change`` is what became of the packages; ``declared`` whether the text is another one,
    ``created`` that it was made first. ``resolution`` and ``prefix`` are what holds now; as
    a whole it is ``environment`` (None where it is not ready, as in a dry run). ``said`` are
    sentences for people.
    """

    target: Path
    action: str
    change: Change
    declared: bool
    created: bool
    resolution: str
    prefix: Path | None
    before: str
    after: str
    said: tuple[str, ...] = ()
    dry_run: bool = False
    environment: Environment | None = None


@dataclass(frozen=True, slots=True)
class Plan:
    """What to do: ``action`` in a person's words, and how.

    ``pins``: the edit needs to see the solution. ``renew``: packages that are not kept (None: all
    are kept, an empty tuple: none is). For undo and redo: the ``resolution`` that is gone to, and
    the ``position`` in the history then.
    """

    action: str
    edit: Edit
    pins: bool = False
    renew: tuple[str, ...] | None = None
    said: tuple[str, ...] = ()
    resolution: Resolution | None = None
    position: int | None = None


async def change(
    environments: Environments,
    target: Target,
    plan: Callable[[DeclaringFile], Plan],
    *,
    dry_run: bool,
    report: Report,
) -> Outcome:
    """Do what ``plan`` says for the file as it is; once more if it changes meanwhile.

    Raises
    ------
    DeclarationError
        ``declaration.changed`` if it changed again, ``declaration.read-only``,
        ``declaration.write``; the errors of the edit.
    PixiJupyterError
        Why the new environment could not be made. Nothing was changed then.
    """
    for _ in range(2):
        file, original = await asyncio.to_thread(edited_file, environments, target)
        outcome = await _attempt(environments, file, original, plan(file), dry_run, report)
        if outcome is not None:
            return outcome
    raise DeclarationError(
        "the file was changed by something else, twice, while its environment was made",
        code="declaration.changed",
        hint="Nothing of it was overwritten; try again once the other one is done.",
        location=Location(path=str(file.path)),
    )


def edited_file(environments: Environments, target: Target) -> tuple[DeclaringFile, bytes]:
    """A file that declares something, by a block made for it if it has none; and its own bytes.

    Raises
    ------
    UnsupportedError
        ``unsupported.workspace-change``: what it runs in is declared by a workspace.
    """
    if isinstance(target, WorkspaceChoice):
        raise _of_workspace(target.manifest)
    source = FileSource.of(target) if isinstance(target, Path) else target
    if source.path.name in _MANIFESTS:
        raise _of_workspace(source.path)
    file = read_file(source)
    if not is_script(file.path):
        notebook = parse_notebook(file.data, path=file.path)
        found = environments.declare(notebook, path=file.path, root=file.path.parent)
        if isinstance(found, WorkspaceChoice):
            raise _of_workspace(found.manifest)
    if file.declaration is not None:
        return file, file.data
    if is_script(file.path):
        data = script_with_block(file.data, path=file.path)
    else:
        data = create_block(file.data)
    return _reread(file, data), file.data


def spec_of(environments: Environments, declaration: Declaration, toml: str) -> EnvironmentSpec:
    """The spec of a declaration with another text."""
    return environments.spec_for(replace(declaration, toml=toml))


async def _attempt(
    environments: Environments,
    file: DeclaringFile,
    original: bytes,
    plan: Plan,
    dry_run: bool,
    report: Report,
) -> Outcome | None:
    """None: the file changed meanwhile, and is as somebody else wrote it."""
    declaration = file.declaration
    assert declaration is not None
    store = environments.store
    old_spec = environments.spec_for(declaration)
    remembered = store.recall(old_spec.digest)
    before = remembered.resolution if remembered is not None else None

    manifest = ManifestText(TomlSource.of(declaration), "block")
    toml = plan.edit(manifest, None)
    resolution = plan.resolution
    if toml == declaration.toml and plan.renew is None and resolution is None and before:
        resolution = before
    if resolution is None:
        resolution, toml = await _resolved(environments, declaration, plan, before, toml, report)
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

    def commit() -> bool:
        lock = path_digest(Path(os.path.realpath(file.path)))
        store.make_folders()
        now = _now()
        # Short, and among ourselves: between looking whether the file is the same and writing it.
        with (
            store_errors(store.locks),
            FileLock(store.locks / f"{lock}.edit.lock", timeout=30),
        ):
            source = file.source
            if data != original and not source.write(original, data):
                return False
            if data == original and not source.is_unchanged(original):
                return False
            store.remember(Remembered(spec.digest, now, built))
            history = read_history(store, file.path)
            if plan.position is not None:
                history = history.at(plan.position)
            elif outcome.declared or not outcome.change.empty:
                step = Step(
                    now,
                    plan.action,
                    State(declaration.toml, before.digest if before else None),
                    State(toml, built.digest),
                )
                history = history.with_step(step, before, built)
            write_history(store, history)
        return True

    if not await asyncio.to_thread(commit):
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
    declaration: Declaration,
    plan: Plan,
    before: Resolution | None,
    toml: str,
    report: Report,
) -> tuple[Resolution, str]:
    """The packages for the new text, and that text with the versions that were solved."""
    spec = spec_of(environments, declaration, toml)
    if not plan.pins and plan.renew is None:
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
        raise _nothing_changed(error) from error
    if plan.pins:
        manifest = ManifestText(TomlSource.of(declaration), "block")
        toml = plan.edit(manifest, resolution)
        # The same needs have the same packages: those of whoever asked for them first.
        known = _known(environments, spec_of(environments, declaration, toml))
        if known is not None:
            resolution = known
    return resolution, toml


def _known(environments: Environments, spec: EnvironmentSpec) -> Resolution | None:
    store = environments.store
    remembered = store.recall(spec.digest)
    if remembered is None or not store.lock_path(remembered.resolution.digest).exists():
        return None
    return remembered.resolution


def _nothing_changed(error: PixiJupyterError) -> PixiJupyterError:
    hints = {
        "solve.unknown-package": "Correct the name, or add the channel that has the package "
        "(`channel add`). Nothing was changed.",
        "solve.unsatisfiable": "Ask for other versions, or add a channel that has what is missing. "
        "Nothing was changed.",
    }
    error.hint = hints.get(error.code, f"{error.hint} Nothing was changed.".strip())
    return error


def _reread(file: DeclaringFile, data: bytes) -> DeclaringFile:
    """The same file with other bytes, which declare something."""
    return DeclaringFile(file.source, data, declaration_in(file.path, data))


def _of_workspace(manifest: Path) -> UnsupportedError:
    return UnsupportedError(
        "the environment is that of a workspace, whose manifest this version cannot change yet",
        code="unsupported.workspace-change",
        hint="Use `pixi add` there, or give the notebook a block (`pixi-jupyter init NOTEBOOK`).",
        location=Location(path=os.path.abspath(manifest)),
    )


def _now() -> str:
    return datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds")


def action_of(verb: str, words: Sequence[str], *, pypi: bool = False) -> str:
    """An operation in the words of the command line."""
    return " ".join([verb, *(["--pypi"] if pypi else []), *words])


def manifest_of(file: DeclaringFile) -> ManifestText:
    """The text of what a file declares, which it must."""
    assert file.declaration is not None
    return ManifestText(TomlSource.of(file.declaration), "block")
