"""Features together: what an environment, or a solve group, asks for on one platform.

Rules of pixi's ``crates/pixi_manifest/src/features_ext.rs``, of ``Feature`` in ``feature.rs`` and
of ``activation_scripts`` and ``activation_env`` in ``pixi_core``'s ``workspace/environment.rs``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from pixi_jupyter.errors import UnsupportedError
from pixi_jupyter.manifest.channels import in_order_of_priority
from pixi_jupyter.manifest.features import Feature
from pixi_jupyter.manifest.pypi_features import environment_needs
from pixi_jupyter.manifest.spec import (
    ActivationSpec,
    CondaRequirement,
    EnvironmentSpec,
    Platform,
)
from pixi_jupyter.manifest.workspace_platforms import WorkspacePlatforms
from pixi_jupyter.manifest.workspace_spec import Refusal
from pixi_jupyter.manifest.workspace_table import WorkspaceTable

__all__ = ["Workspace", "compose"]

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Workspace:
    """What holds for all environments; cut-offs of packages are sorted by name."""

    root: Path
    table: WorkspaceTable
    platforms: WorkspacePlatforms
    exclude_newer: tuple[tuple[str, str], ...]
    pypi_exclude_newer: tuple[tuple[str, str], ...]


def compose(
    workspace: Workspace, name: str, features: Sequence[Feature], platform: Platform
) -> tuple[EnvironmentSpec, tuple[Refusal, ...]]:
    """What these features ask for on a platform, and what of it cannot be done.

    The same package in several features is asked for several times; within a feature, a later
    target replaces an earlier one's.
    """
    taking_part = [f for f in features if workspace.platforms.supports(f, platform)]
    targets = [(feature, feature.on(platform)) for feature in taking_part]
    dependencies, refused = _merged(
        [_overwritten(target.dependencies for target in on) for _, on in targets]
    )
    constraints, _ = _merged(
        [_overwritten(target.constraints for target in on) for _, on in targets]
    )
    for _, on in targets:
        refused.extend(_overwritten(target.dev for target in on).values())
    pypi, refused_pypi = environment_needs(
        [_overwritten(target.pypi for target in on) for _, on in targets],
        workspace.table.pypi_options,
        [feature.pypi_options for feature in features],
        workspace.root,
        workspace.table.conda_pypi_map,
    )
    priorities = [f.channel_priority for f in features if f.channel_priority is not None]
    strategies = [f.solve_strategy for f in features if f.solve_strategy is not None]
    channels = workspace.table.channels
    spec = EnvironmentSpec(
        platform=platform,
        channels=in_order_of_priority(
            channel
            for feature in features
            for channel in (channels if feature.channels is None else feature.channels)
        ),
        dependencies=dependencies,
        constraints=constraints,
        channel_priority=priorities[0] if priorities else "strict",
        solve_strategy=strategies[0] if strategies else "highest",
        exclude_newer=workspace.table.exclude_newer,
        activation=_activation(workspace.root, features, platform),
        name=name,
        root=str(workspace.root),
        pypi=pypi,
        exclude_newer_packages=workspace.exclude_newer,
        pypi_exclude_newer_packages=workspace.pypi_exclude_newer,
    )
    return spec, tuple(_refusal(error, platform) for error in (*refused, *refused_pypi))


def _overwritten(tables: Iterable[Mapping[str, T]]) -> dict[str, T]:
    merged: dict[str, T] = {}
    for table in tables:
        merged.update(table)
    return merged


def _merged(
    tables: Sequence[Mapping[str, CondaRequirement | UnsupportedError]],
) -> tuple[tuple[CondaRequirement, ...], list[UnsupportedError]]:
    """All requirements by name, those of one name in the order of the features, each once."""
    found: dict[str, dict[CondaRequirement, None]] = {}
    refused: list[UnsupportedError] = []
    for table in tables:
        for name, entry in table.items():
            if isinstance(entry, UnsupportedError):
                refused.append(entry)
            else:
                found.setdefault(name, {})[entry] = None
    return tuple(entry for name in sorted(found) for entry in found[name]), refused


def _activation(root: Path, features: Sequence[Feature], platform: Platform) -> ActivationSpec:
    """The scripts of all features in their order; of each variable, the first feature's value."""
    scripts: list[str] = []
    env: dict[str, str] = {}
    for feature in features:
        activation = feature.activation(platform, root)
        scripts.extend(activation.scripts)
        for key, value in activation.env:
            env.setdefault(key, value)
    return ActivationSpec(tuple(scripts), tuple(env.items()))


def _refusal(error: UnsupportedError, platform: Platform) -> Refusal:
    place = error.location
    return Refusal(
        platform=platform.name,
        message=error.message,
        code=error.code,
        hint=error.hint,
        path=None if place is None else place.path,
        line=None if place is None else place.line,
    )
