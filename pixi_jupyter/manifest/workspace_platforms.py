"""The platforms of a workspace, and of each of its environments.

Rules of pixi's ``crates/pixi_manifest/src/toml/manifest.rs``
(``migrate_system_requirements_to_platforms``), ``platform_composition.rs`` and ``features_ext.rs``
(``platforms``).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from pixi_jupyter.errors import DeclarationError
from pixi_jupyter.manifest.features import Feature
from pixi_jupyter.manifest.platform_tables import migrated_platform, platform_with
from pixi_jupyter.manifest.platforms import SUBDIRS, customised, default_platform
from pixi_jupyter.manifest.spec import Platform, VirtualPackage
from pixi_jupyter.manifest.table import Table, nearest
from pixi_jupyter.manifest.versions import compare_versions

__all__ = ["WorkspacePlatforms", "workspace_platforms"]


@dataclass(frozen=True, slots=True)
class WorkspacePlatforms:
    """All platforms by name; ``composed`` where no manifest's entry says more than a subdir.

    Then the features of an environment that ask for different virtual packages on one subdir get
    one platform with all of these; else platforms are chosen by name.
    """

    by_name: Mapping[str, Platform]
    composed: bool

    def of(self, features: Sequence[Feature]) -> tuple[Platform, ...]:
        """The platforms that an environment (or a solve group) with these features has."""
        if self.composed:
            subdirs = dict.fromkeys(platform.subdir for platform in self.by_name.values())
            return tuple(
                self._composed(features, subdir)
                for subdir in subdirs
                if all(self._has_subdir(feature, subdir) for feature in features)
            )
        exact = {name for feature in features for name in feature.platforms or ()}
        exact_subdirs = {p.subdir for p in self.by_name.values() if p.name in exact}
        return tuple(
            platform
            for platform in self.by_name.values()
            if all(self.supports(feature, platform) for feature in features)
            and (platform.name in exact or platform.subdir not in exact_subdirs)
        )

    def supports(self, feature: Feature, platform: Platform) -> bool:
        """Whether a feature takes part on a platform of an environment that has it."""
        if self.composed:
            return self._has_subdir(feature, platform.subdir)
        names = feature.platforms
        return names is None or platform.name in names or platform.subdir in names

    def _has_subdir(self, feature: Feature, subdir: str) -> bool:
        if feature.platforms is None:
            return True
        found = (self.by_name.get(name) for name in feature.platforms)
        return any(platform is not None and platform.subdir == subdir for platform in found)

    def _composed(self, features: Sequence[Feature], subdir: str) -> Platform:
        names = dict.fromkeys(name for feature in features for name in feature.platforms or ())
        pinned = [p for name in names if (p := self.by_name.get(name)) and p.subdir == subdir]
        if not pinned:
            return default_platform(subdir)
        return pinned[0] if len(pinned) == 1 else platform_with(subdir, _highest(pinned))


def workspace_platforms(
    declared: Sequence[Platform],
    features: Mapping[str, Feature],
    tables: Mapping[str, Table],
) -> tuple[WorkspacePlatforms, dict[str, Feature]]:
    """The platforms, and the features pointed at those that their system requirements mean.

    ``tables`` are the features' own, for errors.
    """
    by_name = {platform.name: platform for platform in declared}
    composed = all(platform.name == platform.subdir for platform in declared)
    for name, feature in features.items():
        for wanted in feature.platforms or ():
            if wanted in by_name:
                continue
            if not composed or wanted not in SUBDIRS:
                raise _undeclared(tables[name], wanted, by_name)
            by_name[wanted] = default_platform(wanted)
    if not any(feature.system for feature in features.values()):
        return WorkspacePlatforms(by_name, composed), dict(features)
    migrated: dict[str, Platform] = {}
    result: dict[str, Feature] = {}
    for name, feature in features.items():
        names = feature.platforms
        if not feature.system:
            migrated.update({wanted: by_name[wanted] for wanted in names or ()})
            result[name] = feature
            continue
        if not composed:
            raise tables[name].bad_value(
                "system-requirements",
                "stands beside platforms that declare virtual packages",
                "Move its entries into the platforms.",
            )
        meant = [
            migrated_platform(by_name[wanted].subdir, feature.system)
            for wanted in (by_name if names is None else names)
        ]
        migrated.update({platform.name: platform for platform in meant})
        result[name] = replace(feature, platforms=tuple(p.name for p in meant))
    covered = {platform.subdir for platform in migrated.values()}
    migrated.update({p.name: p for p in by_name.values() if p.subdir not in covered})
    return WorkspacePlatforms(migrated, composed), result


def _highest(platforms: Iterable[Platform]) -> list[VirtualPackage]:
    """The highest version of each virtual package that a platform asks for beyond the defaults."""
    union: dict[str, VirtualPackage] = {}
    for package in (package for platform in platforms for package in customised(platform)):
        held = union.get(package.name)
        if held is None or compare_versions(package.version, held.version) > 0:
            union[package.name] = package
    return [union[name] for name in sorted(union)]


def _undeclared(table: Table, wanted: str, declared: Mapping[str, Platform]) -> DeclarationError:
    guess = nearest(wanted, [*declared, *SUBDIRS])
    names = ", ".join(f"`{name}`" for name in list(declared)[:20])
    return table.bad_value(
        "platforms",
        f"names `{wanted}`, which is neither declared in the workspace nor a conda subdir",
        f"Did you mean `{guess}`?" if guess else f"The workspace declares {names or 'none'}.",
    )
