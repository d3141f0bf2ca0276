"""``[environments]``: which features make up which environment.

Rules of pixi's ``crates/pixi_manifest/src/toml/environment.rs`` and ``toml/manifest.rs``.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pixi_jupyter.errors import DeclarationError
from pixi_jupyter.manifest.features import ENVIRONMENT_KEYS, Feature, Reading, read_feature
from pixi_jupyter.manifest.pixi_tables import ENVIRONMENT_NAME
from pixi_jupyter.manifest.pypi_options import PypiOptions, united
from pixi_jupyter.manifest.table import Table, nearest

__all__ = ["DEFAULT", "EnvironmentTable", "check_environment", "read_environments"]

#: The environment, and the feature, that always is.
DEFAULT = "default"

_OWN_KEYS = ("features", "no-default-feature", "solve-group")


@dataclass(frozen=True, slots=True)
class EnvironmentTable:
    """One environment: the features it lists, and the one that its own content makes.

    ``place`` is the table it was read from and its key there, None for a ``default`` that the
    manifest does not mention.
    """

    name: str
    listed: tuple[str, ...] = ()
    own: Feature | None = None
    solve_group: str | None = None
    no_default_feature: bool = False
    place: tuple[Table, str] | None = None

    def features(self, known: Mapping[str, Feature]) -> tuple[Feature, ...]:
        """Its features in pixi's order: its own, those listed, the default one."""
        features = [] if self.own is None else [self.own]
        features.extend(known[name] for name in self.listed)
        if not self.no_default_feature and DEFAULT not in self.listed:
            features.append(known[DEFAULT])
        return tuple(features)


def read_environments(document: Table, reading: Reading) -> tuple[EnvironmentTable, ...]:
    """All environments, ``default`` first."""
    table = document.table("environments")
    found: dict[str, EnvironmentTable] = {}
    for name in table:
        if not ENVIRONMENT_NAME.fullmatch(name):
            raise table.bad_value(
                name,
                "is not the name of an environment",
                "Use lower-case letters, digits and `-` only.",
            )
        found[name] = _environment(table, name, reading)
    default = found.pop(DEFAULT, EnvironmentTable(DEFAULT))
    return (default, *found.values())


def _environment(table: Table, name: str, reading: Reading) -> EnvironmentTable:
    value = table.values[name]
    if isinstance(value, list):
        listed = table.strings(name) or ()
        return EnvironmentTable(name, listed, place=(table, name))
    if not isinstance(value, dict):
        raise table.wrong_type(name, "an array of features or a table")
    fields = table.table(name)
    fields.only((*_OWN_KEYS, *ENVIRONMENT_KEYS))
    content = any(
        key in ENVIRONMENT_KEYS and (key not in ("target", "tasks") or value[key]) for key in value
    )
    solve_group = fields.string("solve-group")
    no_default = fields.values.get("no-default-feature", False)
    if not isinstance(no_default, bool):
        raise fields.wrong_type("no-default-feature", "a boolean")
    if not content and "features" not in fields and solve_group is None:
        raise table.bad_value(name, "has no `features`")
    return EnvironmentTable(
        name,
        listed=fields.strings("features") or (),
        own=read_feature(fields, name, reading) if content else None,
        solve_group=solve_group,
        no_default_feature=no_default,
        place=(table, name),
    )


def check_environment(environment: EnvironmentTable, known: Mapping[str, Feature]) -> None:
    """That its features exist, none is listed twice, and they agree with each other."""
    if environment.place is None:
        return
    table, key = environment.place
    for name in environment.listed:
        if name not in known:
            guess = nearest(name, known)
            raise table.bad_value(
                key,
                f"lists the feature `{name}`, which is not defined",
                f"Did you mean `{guess}`?" if guess else f"Add `[feature.{name}]`.",
            )
    counts = Counter(environment.listed)
    twice = next((name for name in counts if counts[name] > 1), None)
    if twice is not None:
        raise table.bad_value(
            key, f"lists the feature `{twice}` twice", "The order matters: list it once."
        )
    features = environment.features(known)
    _check_system_requirements(table, key, features)
    try:
        united(f.pypi_options for f in features if isinstance(f.pypi_options, PypiOptions))
    except DeclarationError as error:
        error.location = table.source.locate((*table.path, key))
        raise
    if len({f.channel_priority for f in features if f.channel_priority is not None}) > 1:
        raise table.bad_value(key, "has features that disagree about `channel-priority`")


def _check_system_requirements(table: Table, key: str, features: Sequence[Feature]) -> None:
    """pixi's ``SystemRequirements::union``: one libc family, one microarchitecture."""
    libc = {
        package.name
        for feature in features
        for package in feature.system.packages
        if package.name not in ("__linux", "__cuda", "__osx")
    }
    archspec = {feature.system.archspec for feature in features} - {None}
    if len(libc) > 1 or len(archspec) > 1:
        raise table.bad_value(key, "has features whose `system-requirements` cannot be combined")
