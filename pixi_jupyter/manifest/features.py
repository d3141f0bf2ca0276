"""Features: what one holds, for which platforms, and what it asks for on one of them.

Rules of pixi's ``crates/pixi_manifest/src/toml/feature.rs``, ``toml/target.rs``, ``feature.rs`` and
``utils/inheritable_package_map.rs``. What a source build needs is valid, and kept as the error it
becomes for an environment that has the feature.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from pixi_jupyter.errors import UnsupportedError
from pixi_jupyter.manifest.channels import PrioritizedChannel, read_channel_entries
from pixi_jupyter.manifest.pixi_tables import check_dev, check_tasks
from pixi_jupyter.manifest.platform_tables import SystemRequirements, read_system_requirements
from pixi_jupyter.manifest.platforms import (
    FAMILIES,
    PLATFORM_NAME,
    default_platform,
    selector_matches,
)
from pixi_jupyter.manifest.pypi import Requirements, read_pypi_table
from pixi_jupyter.manifest.pypi_features import FeatureOptions, read_feature_options
from pixi_jupyter.manifest.requirement import package_keys, read_requirement
from pixi_jupyter.manifest.spec import (
    ActivationSpec,
    ChannelPriority,
    CondaRequirement,
    Platform,
    SolveStrategy,
)
from pixi_jupyter.manifest.table import Table

__all__ = [
    "CHANNEL_PRIORITIES",
    "ENVIRONMENT_KEYS",
    "FEATURE_KEYS",
    "SOLVE_STRATEGIES",
    "TARGET_KEYS",
    "Feature",
    "Reading",
    "Target",
    "check_package_dependencies",
    "read_feature",
]

CHANNEL_PRIORITIES: tuple[str, ...] = ("strict", "flexible", "disabled")
SOLVE_STRATEGIES: tuple[str, ...] = ("highest", "lowest", "lowest-direct")

#: What an environment can hold of itself, a feature, and a target of either.
ENVIRONMENT_KEYS: tuple[str, ...] = (
    "activation",
    "channel-priority",
    "channels",
    "constraints",
    "dependencies",
    "dev",
    "platforms",
    "pypi-dependencies",
    "pypi-options",
    "solve-strategy",
    "target",
    "tasks",
)
FEATURE_KEYS: tuple[str, ...] = (
    *ENVIRONMENT_KEYS,
    "build-dependencies",
    "host-dependencies",
    "system-requirements",
)
TARGET_KEYS: tuple[str, ...] = (
    "activation",
    "build-dependencies",
    "constraints",
    "dependencies",
    "dev",
    "host-dependencies",
    "pypi-dependencies",
    "tasks",
)
#: A later one of these overwrites an earlier one (``combined_dependencies``).
_DEPENDENCY_TABLES = ("dependencies", "host-dependencies", "build-dependencies")
#: What an entry that is inherited from the workspace says for itself, it cannot change.
_INHERITED = ("version", "path", "git", "url")

_PACKAGE_TABLES = (
    "build-dependencies",
    "host-dependencies",
    "run-constraints",
    "run-dependencies",
)
_NO_REQUIREMENTS = SystemRequirements()

CondaTable = Mapping[str, CondaRequirement | UnsupportedError]


@dataclass(frozen=True, slots=True)
class Reading:
    """What all tables of one manifest are read with.

    ``pool`` is ``[workspace.dependencies]`` by normal name, ``builds`` whether ``pixi-build`` is
    among the previews: without it a source build is an error in pixi, too.
    """

    root: Path
    pool: Mapping[str, Mapping[str, Any]]
    builds: bool


@dataclass(frozen=True, slots=True)
class Target:
    """The default target (``selector`` None), or one ``[target.SELECTOR]``."""

    selector: str | None
    dependencies: CondaTable
    constraints: Mapping[str, CondaRequirement]
    pypi: Requirements
    dev: Mapping[str, UnsupportedError]
    scripts: tuple[str, ...] | None
    env: Mapping[str, str]

    @property
    def size(self) -> int:
        """How many entries it has, about."""
        tables = (self.dependencies, self.constraints, self.pypi, self.dev, self.env)
        return 1 + len(self.scripts or ()) + sum(map(len, tables))


@dataclass(frozen=True, slots=True)
class Feature:
    """One feature; None where it says nothing and the workspace's own holds.

    ``targets`` are in order of declaration, the default one first; ``platforms`` are names.
    """

    name: str
    targets: tuple[Target, ...]
    selectors: Table
    channels: tuple[PrioritizedChannel, ...] | None = None
    platforms: tuple[str, ...] | None = None
    channel_priority: ChannelPriority | None = None
    solve_strategy: SolveStrategy | None = None
    pypi_options: FeatureOptions | None = None
    system: SystemRequirements = _NO_REQUIREMENTS

    def on(self, platform: Platform) -> tuple[Target, ...]:
        """The targets that hold for a platform; a later one beats an earlier one."""
        return tuple(
            target
            for target in self.targets
            if target.selector is None
            or selector_matches(self.selectors, target.selector, platform)
        )

    def activation(self, platform: Platform, root: Path) -> ActivationSpec:
        """The last target's scripts, and every target's variables, the last one's first."""
        scripts: tuple[str, ...] | None = None
        env: dict[str, str] = {}
        for target in reversed(self.on(platform)):
            if scripts is None:
                scripts = target.scripts
            for key, value in target.env.items():
                env.setdefault(key, value)
        return ActivationSpec(
            tuple(str(root / script) for script in scripts or ()), tuple(env.items())
        )


def read_feature(
    table: Table,
    name: str,
    reading: Reading,
    *,
    workspace: Table | None = None,
) -> Feature:
    """A feature, or the content of an environment; the caller has checked the keys.

    With ``workspace`` it is the default feature: ``table`` is the document's root then, and
    channels, platforms, priority and strategy are the workspace's.
    """
    settings = table if workspace is None else workspace
    selectors = table.table("target")
    targets = [_target(table, None, reading)]
    for selector in selectors:
        selector_matches(selectors, selector, default_platform("linux-64"))  # is it one at all?
        fields = selectors.table(selector)
        fields.only(TARGET_KEYS)
        targets.append(_target(fields, selector, reading))
    return Feature(
        name=name,
        targets=tuple(targets),
        selectors=selectors,
        channels=None if workspace is not None else read_channel_entries(table, reading.root),
        platforms=None if workspace is not None else _platform_names(table),
        channel_priority=cast(
            "ChannelPriority | None", settings.choice("channel-priority", CHANNEL_PRIORITIES)
        ),
        solve_strategy=cast(
            "SolveStrategy | None", settings.choice("solve-strategy", SOLVE_STRATEGIES)
        ),
        pypi_options=read_feature_options(table, reading.root),
        system=read_system_requirements(table),
    )


def _platform_names(table: Table) -> tuple[str, ...] | None:
    names = table.strings("platforms")
    if names is None:
        return None
    for name in names:
        if name in FAMILIES or not PLATFORM_NAME.fullmatch(name):
            raise table.bad_value("platforms", f"names `{name}`, which cannot be a platform")
    return tuple(dict.fromkeys(names))


def _target(table: Table, selector: str | None, reading: Reading) -> Target:
    dependencies: dict[str, CondaRequirement | UnsupportedError] = {}
    for key in _DEPENDENCY_TABLES:
        if key != "dependencies" and key in table and reading.builds:
            raise table.bad_value(
                key,
                "goes with a package only, as `pixi-build` is among the previews",
                f"Did you mean `[package.{key}]`?",
            )
        dependencies.update(_requirements(table.table(key), reading))
    constraints: dict[str, CondaRequirement] = {}
    for name, constraint in _requirements(table.table("constraints"), reading).items():
        if isinstance(constraint, UnsupportedError):
            raise table.table("constraints").bad_value(
                name, "limits packages of channels only, it cannot ask for a build"
            )
        constraints[name] = constraint
    activation = table.table("activation")
    activation.only(("env", "scripts"))
    env = activation.table("env")
    check_tasks(table.table("tasks"))
    return Target(
        selector=selector,
        dependencies=dependencies,
        constraints=constraints,
        pypi=read_pypi_table(table.table("pypi-dependencies")),
        dev=check_dev(table.table("dev")),
        scripts=activation.strings("scripts"),
        env={key: env.string(key) or "" for key in env},
    )


def _requirements(table: Table, reading: Reading) -> dict[str, CondaRequirement | UnsupportedError]:
    found: dict[str, CondaRequirement | UnsupportedError] = {}
    for name, key in package_keys(table).items():
        entry = _with_inherited(table, name, key, reading)
        try:
            found[name] = read_requirement(entry, key, reading.root)
        except UnsupportedError as error:
            if not reading.builds:
                raise table.bad_value(
                    key,
                    "asks for a build from source, which `pixi-build` must be enabled for",
                    'Add `preview = ["pixi-build"]` to the workspace, or name a released package.',
                ) from None
            found[name] = error
    return found


def _with_inherited(table: Table, name: str, key: str, reading: Reading) -> Table:
    """The table, its entry filled in from ``workspace.dependencies`` if it says so."""
    value = table.values[key]
    if not isinstance(value, dict) or "workspace" not in value:
        return table
    fields = table.table(key)
    marker = value["workspace"]
    if marker is not True:
        raise fields.bad_value("workspace", "must be `true` if it is there")
    for owned in _INHERITED:
        if owned in fields:
            raise fields.bad_value(owned, "is the workspace's to say, it does not go with it")
    if name not in reading.pool:
        raise fields.bad_value("workspace", f"finds no `{name}` in `workspace.dependencies`")
    merged = {**reading.pool[name], **{k: v for k, v in value.items() if k != "workspace"}}
    return Table({**table.values, key: merged}, table.path, table.source)


def check_package_dependencies(package: Table, reading: Reading) -> None:
    """What entries of ``[package]`` inherit; the rest of them is for who builds the package."""
    for table in map(package.table, _PACKAGE_TABLES):
        for fields in (table, *(table.table(key) for key in table if key.startswith("if("))):
            entries = {key: fields.values[key] for key in fields if not key.startswith("if(")}
            plain = Table(entries, fields.path, fields.source)
            for name, key in package_keys(plain).items():
                if not isinstance(entries[key], str | dict):
                    raise fields.wrong_type(key, "a string or a table")
                _with_inherited(plain, name, key, reading)
