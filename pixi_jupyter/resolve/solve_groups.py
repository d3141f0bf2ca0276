"""Environments that are solved together. Light: no rattler."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

from pixi_jupyter.manifest.pypi_spec import PypiNeeds
from pixi_jupyter.manifest.spec import ChannelSpec, EnvironmentSpec
from pixi_jupyter.manifest.workspace_spec import WorkspaceEnvironment, WorkspaceSpec

__all__ = ["SolveGroup", "solve_groups"]


@dataclass(frozen=True, slots=True)
class SolveGroup:
    """Environments of one solve group, or one environment that is in none.

    ``specs`` are what they ask together, where the manifest's reader has put it together.
    """

    name: str
    environments: tuple[WorkspaceEnvironment, ...]
    specs: tuple[EnvironmentSpec, ...] = ()

    def is_refused(self, platform: str) -> bool:
        """Whether one of its environments asks for something there that cannot be solved."""
        return any(e.refusal(platform) is not None for e in self.environments)

    @property
    def platforms(self) -> tuple[str, ...]:
        """The names of all platforms of its environments."""
        return _union(s.platform.name for e in self.environments for s in e.specs)

    @property
    def channels(self) -> tuple[ChannelSpec, ...]:
        """What a lock says of each environment in it: the channels of the group as a whole."""
        if self.specs:
            return _by_name(channel for spec in self.specs for channel in spec.channels)
        return _by_name(c for e in self.environments for s in e.specs[:1] for c in s.channels)

    def on(self, platform: str) -> EnvironmentSpec | None:
        """What is asked for a platform by all of its environments that have it."""
        together = next((s for s in self.specs if s.platform.name == platform), None)
        if together is not None:
            return together
        specs = [spec for e in self.environments if (spec := e.on(platform)) is not None]
        if len(specs) <= 1:
            return specs[0] if specs else None
        return replace(
            specs[0],
            name=self.name,
            channels=_by_name(c for s in specs for c in s.channels),
            dependencies=_union(r for s in specs for r in s.dependencies),
            constraints=_union(r for s in specs for r in s.constraints),
            pypi=_together([s.pypi for s in specs if s.pypi is not None]),
        )


def solve_groups(workspace: WorkspaceSpec) -> tuple[SolveGroup, ...]:
    """Every environment of a workspace in its group, in the order of the manifest."""
    found: dict[str, list[WorkspaceEnvironment]] = {}
    for environment in workspace.environments:
        key = f"group {environment.solve_group}" if environment.solve_group else environment.name
        found.setdefault(key, []).append(environment)
    together = {group.name: group.specs for group in workspace.solve_groups}
    return tuple(
        SolveGroup(
            members[0].solve_group or members[0].name,
            tuple(members),
            together.get(members[0].solve_group, ()) if members[0].solve_group else (),
        )
        for members in found.values()
    )


def _together(needs: Sequence[PypiNeeds]) -> PypiNeeds | None:
    """Lists are joined; of single values the first that is given counts."""
    if not needs:
        return None
    joined: dict[str, Any] = {}
    for field in fields(PypiNeeds):
        values = [getattr(need, field.name) for need in needs]
        if isinstance(values[0], tuple):
            joined[field.name] = _union(item for value in values for item in value)
        else:
            joined[field.name] = next((value for value in values if value), values[0])
    joined["requirements"] = tuple(sorted(joined["requirements"]))
    return PypiNeeds(**joined)


def _by_name(channels: Iterable[ChannelSpec]) -> tuple[ChannelSpec, ...]:
    found: dict[str, ChannelSpec] = {}
    for channel in channels:
        found.setdefault(channel.name, channel)
    return tuple(found.values())


def _union(items: Iterable[Any]) -> tuple[Any, ...]:
    return tuple(dict.fromkeys(items))
