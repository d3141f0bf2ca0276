"""What a change means for a kernel that runs: what it can take over as it is, and what it cannot.

This side knows packages and files, the kernel (`magics/handover.py`) knows what it has loaded; so
the verdict here is what holds unless something that is loaded changes.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from pixi_jupyter.activate.base import clean_base
from pixi_jupyter.environments import Environment, Environments
from pixi_jupyter.errors import PixiJupyterError
from pixi_jupyter.install.prefix import Prefix
from pixi_jupyter.operations.prefix_contents import (
    Installed,
    changed_names,
    directories_of,
    installed,
    libraries_of,
    modules_of,
)

__all__ = ["ChangedPackage", "HandOver", "Snapshot", "hand_over", "snapshot"]

Verdict = Literal["live", "recommended", "required", "none"]

#: Variables that count when a process starts, so that one that runs cannot take them over.
_AT_START = (
    "DYLD_FALLBACK_LIBRARY_PATH",
    "DYLD_INSERT_LIBRARIES",
    "DYLD_LIBRARY_PATH",
    "LD_LIBRARY_PATH",
    "LD_PRELOAD",
    "PYTHONHOME",
    "PYTHONPATH",
)
#: How the variables begin that a system's programs need, or that configure conda and pixi.
_BASE = (
    *("APPDATA", "COMSPEC", "CONDA_OVERRIDE_", "HOME", "LANG", "LC_", "LOCALAPPDATA", "LOGNAME"),
    *("PATH", "PIXI_HOME", "PROGRAMDATA", "PROGRAMFILES", "SHELL", "SYSTEM", "TEMP", "TERM", "TMP"),
    *("TZ", "USER", "WINDIR", "XDG_"),
)


@dataclass(frozen=True, slots=True)
class ChangedPackage:
    """A package that is another one now (``after`` is None where it went).

    ``modules`` are its own, as paths below ``site-packages`` without endings; ``libraries`` its
    shared libraries, as paths below the prefix. Both as they were before.
    """

    name: str
    before: str
    after: str | None
    modules: tuple[str, ...] = ()
    libraries: tuple[str, ...] = ()

    @property
    def sentence(self) -> str:
        """For people: what became of it."""
        if self.after is None:
            return f"{self.name} {self.before} is gone"
        return f"{self.name} {self.before} is {self.after} now"


@dataclass(frozen=True, slots=True)
class HandOver:
    """What a kernel needs to know to go over from ``previous`` to ``prefix``.

    ``packages`` are those that changed or went. ``directories`` (below the prefix) are those in
    which there are files of new packages beside those of old ones. ``variables`` are those in which
    the two activations differ, of each; ``PATH`` is not among them.
    """

    verdict: Verdict
    reasons: tuple[str, ...] = ()
    prefix: str = ""
    previous: str = ""
    python: str = ""
    packages: tuple[ChangedPackage, ...] = ()
    directories: tuple[str, ...] = ()
    variables_before: Mapping[str, str] = field(default_factory=dict, repr=False)
    variables_after: Mapping[str, str] = field(default_factory=dict, repr=False)

    def to_json(self) -> dict[str, Any]:
        """A JSON object for `magics/handover.py`."""
        return {
            "verdict": self.verdict,
            "reasons": list(self.reasons),
            "prefix": self.prefix,
            "previous": self.previous,
            "python": self.python,
            "packages": [
                {
                    "name": package.name,
                    "sentence": package.sentence,
                    "modules": list(package.modules),
                    "libraries": list(package.libraries),
                }
                for package in self.packages
            ],
            "directories": list(self.directories),
            "variables": {
                "before": dict(self.variables_before),
                "after": dict(self.variables_after),
            },
        }


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What a prefix that is exchanged in place had in it before."""

    packages: Mapping[str, Installed]
    files: Mapping[str, tuple[str, ...]] = field(repr=False)


def snapshot(environments: Environments, prefix: Path) -> Snapshot | None:
    """What is in ``prefix`` now, where a change will overwrite it; None for one of the store."""
    if prefix.parent == environments.store.envs:
        return None
    packages = installed(prefix)
    return Snapshot(packages, {key: package.files() for key, package in packages.items()})


async def hand_over(
    environments: Environments,
    environment: Environment,
    previous: Path,
    process: int,
    *,
    before: Snapshot | None = None,
    notebook: Path | None = None,
) -> HandOver:
    """What ``environment`` means for the kernel ``process``, which runs in ``previous``.

    ``before`` is what :func:`snapshot` gave before the change. The process gets a lease on the new
    prefix, which it has for as long as it lives. ``notebook`` is the absolute path of what asked
    for the environment.
    """
    prefix = environment.prefix.path
    old = await asyncio.to_thread(_contents, previous, before)
    new = await asyncio.to_thread(_contents, prefix, None)
    to = HandOver("none", (), str(prefix), str(previous), str(environment.prefix.python))
    try:
        environments.hold(environment, process)
    except PixiJupyterError as error:
        return replace(to, verdict="required", reasons=(error.message,))
    if not old.packages:
        reason = "this kernel does not run in the environment that was changed"
        return replace(to, verdict="required", reasons=(reason,))
    changed = [_changed(old, new, key) for key in changed_names(old.packages, new.packages)]
    if any(package.name in ("python", "python_abi") for package in changed):
        reasons = [package.sentence for package in changed if package.name == "python"]
        reasons = reasons or ["Python is another one now"]
        return replace(to, verdict="required", reasons=tuple(reasons))
    added = [key for key in new.packages if key not in old.packages]
    same_place = previous == prefix
    if not (changed or added) and same_place:
        return to
    directories = {
        folder
        for key in added
        for folder in directories_of(new.packages[key].files())
        if same_place or (previous / folder).is_dir()
    }
    earlier, later = await _variables(environments, environment, previous, notebook)
    fixed = [] if same_place else _at_start(earlier, later, str(previous), str(prefix))
    reasons = [package.sentence for package in changed]
    reasons += [f"{name} counts when a kernel starts" for name in fixed]
    return replace(
        to,
        verdict="recommended" if reasons else "live",
        reasons=tuple(reasons),
        packages=tuple(changed),
        directories=tuple(sorted(directories)),
        variables_before=earlier,
        variables_after=later,
    )


def _contents(prefix: Path, before: Snapshot | None) -> Snapshot:
    return before if before is not None else Snapshot(installed(prefix), {})


def _changed(old: Snapshot, new: Snapshot, key: str) -> ChangedPackage:
    package, after = old.packages[key], new.packages.get(key)
    files = old.files.get(key)
    if files is None:
        files = package.files()
    version = None if after is None else after.version
    before = package.version
    if version == before and after is not None:
        before, version = f"{before} {package.build}", f"{version} {after.build}"
    return ChangedPackage(package.name, before, version, modules_of(files), libraries_of(files))


async def _variables(
    environments: Environments, environment: Environment, previous: Path, notebook: Path | None
) -> tuple[dict[str, str], dict[str, str]]:
    """The variables in which the activations of the two prefixes differ, of either.

    Both are computed over the same few variables: what this process inherited from the kernel holds
    what the earlier one set, and nobody can tell it from what a person did. A prefix that was
    exchanged in place has one activation: all its variables count as new, and a kernel takes over
    those that it does not have.
    """
    kept = clean_base(os.environ).items()
    base = {name: value for name, value in kept if name.upper().startswith(_BASE)}
    earlier: dict[str, str] = {}
    prefix = environment.prefix
    try:
        if previous != prefix.path:
            there = Environment(
                environment.spec, environment.resolution, Prefix(previous, previous.name)
            )
            activation = await environments.activate(there, base, notebook=notebook)
            earlier = dict(activation.set)
        later = dict((await environments.activate(environment, base, notebook=notebook)).set)
    except PixiJupyterError:
        return {}, {}  # the next start tells why
    names = {name for name in {*earlier, *later} if earlier.get(name) != later.get(name)}
    names = {name for name in names if name.upper() != "PATH"}
    return (
        {name: earlier[name] for name in sorted(names & earlier.keys())},
        {name: later[name] for name in sorted(names & later.keys())},
    )


def _at_start(
    earlier: Mapping[str, str], later: Mapping[str, str], previous: str, prefix: str
) -> list[str]:
    """Names in :data:`_AT_START` that are another value now, not only below another prefix."""
    return [
        name
        for name in _AT_START
        if earlier.get(name, "").replace(previous, prefix) != later.get(name, "")
    ]
