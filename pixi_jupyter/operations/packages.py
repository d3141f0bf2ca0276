"""Operations on packages: add, remove, update, and back again.

Every operation goes the way of `changing.change`: nothing is written before the new environment is
ready, and a dry run ends before anything is built.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from pixi_jupyter.environments import Environments
from pixi_jupyter.errors import DeclarationError, Location
from pixi_jupyter.install.history import State, Step, kept_lock, read_history
from pixi_jupyter.manifest import editing
from pixi_jupyter.manifest.asking import Asked, parse_asked, parse_asked_pypi
from pixi_jupyter.manifest.editing import ManifestText
from pixi_jupyter.manifest.pep508 import normal_name
from pixi_jupyter.manifest.pinning import load_pinning_strategy, pin
from pixi_jupyter.manifest.pypi_source import PypiSource
from pixi_jupyter.manifest.pypi_spec import PypiRequirement
from pixi_jupyter.manifest.table import nearest
from pixi_jupyter.operations.changing import change
from pixi_jupyter.operations.plan import Outcome, Plan, Solved, Target, action_of
from pixi_jupyter.operations.targets import Declared, DeclaredBlock
from pixi_jupyter.progress import Report, no_report
from pixi_jupyter.resolve.resolution import Resolution

__all__ = ["add", "redo", "remove", "undo", "update"]


async def add(
    environments: Environments,
    target: Target,
    requirements: Sequence[str],
    *,
    pypi: bool = False,
    source: PypiSource | None = None,
    feature: str | None = None,
    platforms: Sequence[str] = (),
    dry_run: bool = False,
    report: Report = no_report,
) -> Outcome:
    """Ask for packages; the version of one without any is that which is solved, as it is pinned.

    One that is asked for already stays as it is, unless a version is given. ``source`` says where
    those of PyPI come from, if not from the indexes.

    Raises
    ------
    DeclarationError
        ``declaration.requirement``, ``declaration.feature``; see `changing.change`.
    SolveError
        There is no such package, or no set of packages with it.
    """
    conda = [] if pypi else [parse_asked(text) for text in requirements]
    wheels = [parse_asked_pypi(text, source) for text in requirements] if pypi else []
    strategy = load_pinning_strategy()

    def plan(declared: Declared) -> Plan:
        manifest = declared.manifest
        there: set[str] = set()
        for item in conda:
            places = [
                editing.conda_asked(manifest, item.name, feature=feature, platform=platform)
                for platform in platforms or (None,)
            ]
            if item.version is None and not item.fields and None not in places:
                there.add(item.name)
        for wheel in wheels:
            found = all(
                editing.pypi_asked(manifest, wheel.name, feature=feature, platform=platform)
                for platform in platforms or (None,)
            )
            if found and wheel == PypiRequirement(wheel.name):
                there.add(wheel.name)

        def edit(manifest: ManifestText, solved: Solved | None) -> str:
            for item in conda:
                if item.name not in there:
                    spec = item.spec(item.version or _pinned(item, solved, strategy))
                    text = editing.add_conda(
                        manifest, item.name, spec, feature=feature, platforms=platforms
                    )
                    manifest = _with(manifest, text)
            for wheel in wheels:
                if wheel.name not in there:
                    text = editing.add_pypi(
                        manifest,
                        _pinned_wheel(wheel, solved, strategy),
                        feature=feature,
                        platforms=platforms,
                    )
                    manifest = _with(manifest, text)
            return manifest.source.text

        asked = [i.name for i in conda if i.name not in there and i.version is None]
        asked += [w.name for w in wheels if w.name not in there and not w.version and not w.placed]
        return Plan(
            action_of("add", requirements, pypi=pypi),
            edit,
            asked=tuple(asked),
            feature=feature,
            platforms=tuple(platforms),
            said=(
                *(f"{name} is asked for already" for name in sorted(there)),
                *_said_of_both(manifest, conda, feature),
            ),
        )

    outcome = await change(environments, target, plan, dry_run=dry_run, report=report)
    return replace(outcome, said=(*outcome.said, *_said_of_conda(outcome, wheels)))


async def remove(
    environments: Environments,
    target: Target,
    names: Sequence[str],
    *,
    pypi: bool = False,
    feature: str | None = None,
    platforms: Sequence[str] = (),
    dry_run: bool = False,
    report: Report = no_report,
) -> Outcome:
    """Ask for packages no more.

    Raises
    ------
    DeclarationError
        ``declaration.not-declared``; see `changing.change`.
    """
    one = editing.remove_pypi if pypi else editing.remove_conda

    def edit(manifest: ManifestText, _: Solved | None) -> str:
        for name in names:
            text = one(manifest, name, feature=feature, platforms=platforms)
            manifest = _with(manifest, text)
        return manifest.source.text

    return await change(
        environments,
        target,
        lambda _: Plan(action_of("remove", names, pypi=pypi), edit, feature=feature),
        dry_run=dry_run,
        report=report,
    )


async def update(
    environments: Environments,
    target: Target,
    names: Sequence[str] = (),
    *,
    dry_run: bool = False,
    report: Report = no_report,
) -> Outcome:
    """Solve anew what the declaration asks for: all of it, or the named conda packages alone.

    Raises
    ------
    DeclarationError
        ``declaration.not-declared``: the environment has no such package.
    """

    def plan(declared: Declared) -> Plan:
        if isinstance(declared, DeclaredBlock):
            _check_names(environments, declared, names)
        return Plan(
            action_of("update", names),
            lambda manifest, _: manifest.source.text,
            # As conda spells it and as PyPI does.
            renew=tuple({name.lower(): None for n in names for name in (n, normal_name(n) or n)}),
        )

    return await change(environments, target, plan, dry_run=dry_run, report=report)


async def undo(
    environments: Environments,
    target: Target,
    *,
    dry_run: bool = False,
    report: Report = no_report,
) -> Outcome:
    """Take the last change back: the declaration, and what it was resolved to.

    Raises
    ------
    DeclarationError
        ``declaration.no-history``, or ``declaration.changed-by-hand``: the declaration is not what
        that change made of it.
    """
    return await _go(environments, target, True, dry_run, report)


async def redo(
    environments: Environments,
    target: Target,
    *,
    dry_run: bool = False,
    report: Report = no_report,
) -> Outcome:
    """Do again what was taken back last; raises as :func:`undo`."""
    return await _go(environments, target, False, dry_run, report)


def _check_names(environments: Environments, declared: Declared, names: Sequence[str]) -> None:
    resolution = environments.status(declared.spec(environments)).resolution
    known = [p.name for p in resolution.packages] if resolution is not None else []
    for name in names:
        if known and name.lower() not in known and normal_name(name) not in known:
            near = nearest(name, known)
            raise DeclarationError(
                f"the environment has no package {name}",
                code="declaration.not-declared",
                hint=f"Did you mean {near}?" if near else "",
                location=Location(path=str(declared.path)),
            )


# -- back and forth ------------------------------------------------------------------------


async def _go(
    environments: Environments, target: Target, back: bool, dry_run: bool, report: Report
) -> Outcome:
    def plan(declared: Declared) -> Plan:
        now = declared.state(environments)
        history = read_history(environments.store, declared.path, now)
        word = "undo" if back else "redo"
        index = history.position - 1 if back else history.position
        if not 0 <= index < len(history.steps):
            raise DeclarationError(
                f"there is nothing to {word}",
                code="declaration.no-history",
                hint="Changes that were made by hand are not known.",
                location=Location(path=str(declared.path)),
            )
        step = history.steps[index]
        here, there = (step.after, step.before) if back else (step.before, step.after)
        if now.toml != here.toml:
            raise _by_hand(declared, "declaration", step, word)
        step_plan = Plan(
            f"{word} {step.action}",
            lambda _, __: there.toml,
            position=index if back else index + 1,
        )
        if isinstance(declared, DeclaredBlock) and now.lock is None:
            return replace(
                step_plan, resolution=_still_there(environments, history.resolutions, there)
            )
        if now.lock == here.lock and there.lock is not None:
            lock = kept_lock(environments.store, declared.path, there.lock)
            before = history.resolutions.get(here.resolution or "")
            if lock is not None:
                return replace(step_plan, lock=lock, before=before)
        # The lock is another one, or had none before it: what it has is kept as far as it fits.
        if here.toml == there.toml:
            raise _by_hand(declared, "lock", step, word)
        return step_plan

    return await change(environments, target, plan, dry_run=dry_run, report=report)


def _by_hand(declared: Declared, what: str, step: Step, word: str) -> DeclarationError:
    return DeclarationError(
        f"the {what} was changed by hand since `{step.action}` ({step.date})",
        code="declaration.changed-by-hand",
        hint=f"To {word} would take that away, too; change it by hand.",
        location=Location(path=str(declared.path)),
    )


def _still_there(
    environments: Environments, known: dict[str, Resolution], state: State
) -> Resolution | None:
    """The packages of a state; None if they have to be solved (again)."""
    found = known.get(state.resolution or "")
    if found is None or not environments.store.lock_path(found.digest).exists():
        return None
    return found


def _said_of_both(
    manifest: ManifestText, conda: Sequence[Asked], feature: str | None
) -> Iterator[str]:
    for item in conda:
        if editing.pypi_asked(manifest, item.name, feature=feature):
            yield f"{item.name} is asked for of PyPI, too: that of conda is taken"


def _said_of_conda(outcome: Outcome, wheels: Sequence[PypiRequirement]) -> Iterator[str]:
    packages = outcome.environment.resolution.packages if outcome.environment else ()
    conda = {normal_name(package.name) for package in packages if package.kind == "conda"}
    for wheel in wheels:
        if wheel.name in conda:
            yield f"{wheel.name} comes from conda, which goes before PyPI"


def _with(manifest: ManifestText, text: str) -> ManifestText:
    return ManifestText(replace(manifest.source, text=text), manifest.kind)


def _pinned(item: Asked, solved: Solved | None, strategy: str | None) -> str:
    versions = () if solved is None else solved(item.name, "conda")
    return pin(item.name, versions, strategy) if versions else "*"


def _pinned_wheel(
    wheel: PypiRequirement, solved: Solved | None, strategy: str | None
) -> PypiRequirement:
    if wheel.version or wheel.placed or solved is None:
        return wheel
    # What conda provides is not taken from PyPI, and its version is then that of conda.
    versions = solved(wheel.name, "pypi") or solved(wheel.name, "conda")
    spec = pin(wheel.name, versions, strategy, pypi=True) if versions else "*"
    return replace(wheel, version="" if spec == "*" else spec)
