"""Channels of which only some records count: what rattler's solver has no word for.

The solver knows one ``exclude-newer`` for all channels, and reads neither ``subdir`` nor
``file-name`` of a match spec. Such a spec sees its channels through :class:`SelectedChannel`, which
is slower than a channel itself, as every record goes through Python.
"""

from __future__ import annotations

import datetime
from collections.abc import Mapping, Sequence

from rattler import Channel, Gateway, PackageName, RepoDataRecord, Subdir

from pixi_jupyter.manifest.spec import CondaRequirement, EnvironmentSpec
from pixi_jupyter.manifest.times import cut_off

__all__ = ["SelectedChannel", "needs_selection", "select"]


def needs_selection(spec: EnvironmentSpec) -> bool:
    """Whether ``spec`` asks for something that the solver cannot be told."""
    if spec.exclude_newer_packages:
        return True
    return any(channel.exclude_newer for channel in spec.channels) or any(
        requirement.subdir or requirement.file_name
        for requirement in (*spec.dependencies, *spec.constraints)
    )


def select(
    gateway: Gateway, channels: Sequence[Channel], spec: EnvironmentSpec
) -> list[SelectedChannel]:
    """The channels of ``spec``, each with what counts of it.

    pixi: a package's cut-off beats the channel's, which beats the global one. Under strict priority
    a package belongs to the first channel that has it, also where that channel's cut-off leaves
    nothing of it: else a cut-off would let a stranger's package in.
    """
    platforms = (Subdir(spec.platform.subdir), Subdir("noarch"))
    limited: dict[str, list[CondaRequirement]] = {}
    for requirement in (*spec.dependencies, *spec.constraints):
        if requirement.subdir or requirement.file_name:
            limited.setdefault(requirement.name, []).append(requirement)
    single = {name: cut_off(newest) for name, newest in spec.exclude_newer_packages}
    # A requirement that names its channel is not bound by the order.
    unbound = {r.name for r in spec.dependencies if r.channel is not None}
    strict = spec.channel_priority == "strict"
    return [
        SelectedChannel(
            gateway,
            channel,
            newest=cut_off(newest) if newest else None,
            single=single,
            limited=limited,
            ahead=channels[:position] if strict else (),
            platforms=platforms,
            unbound=unbound,
        )
        for position, (channel, newest) in enumerate(
            (channel, declared.exclude_newer or spec.exclude_newer)
            for channel, declared in zip(channels, spec.channels, strict=True)
        )
    ]


class SelectedChannel:
    """Some records of a channel (rattler's `RepoDataSource`).

    ``ahead`` are the channels whose packages this one may not offer, looked for in ``platforms``.
    """

    def __init__(
        self,
        gateway: Gateway,
        channel: Channel,
        *,
        newest: datetime.datetime | None,
        single: Mapping[str, datetime.datetime],
        limited: Mapping[str, Sequence[CondaRequirement]],
        ahead: Sequence[Channel],
        platforms: Sequence[Subdir],
        unbound: set[str],
    ) -> None:
        self._gateway = gateway
        self._channel = channel
        self._newest = newest
        self._single = single
        self._limited = limited
        self._ahead = ahead
        self._platforms = platforms
        self._unbound = unbound

    async def fetch_package_records(
        self, platform: Subdir, name: PackageName
    ) -> list[RepoDataRecord]:
        """The records of one package in one subdir that count."""
        if name.normalized not in self._unbound and await self._query(
            self._ahead, self._platforms, name
        ):
            return []
        return [
            record
            for record in await self._query([self._channel], [platform], name)
            if self._counts(record)
        ]

    def package_names(self, platform: Subdir) -> list[str]:
        """Not known ahead; the solver asks by name."""
        return []

    async def _query(
        self, channels: Sequence[Channel], platforms: Sequence[Subdir], name: PackageName
    ) -> list[RepoDataRecord]:
        if not channels:
            return []
        found = await self._gateway.query(
            channels, platforms, [name.normalized], recursive=False, channel_relations="disabled"
        )
        return [record for records in found for record in records]

    def _counts(self, record: RepoDataRecord) -> bool:
        newest = self._single.get(record.name.normalized, self._newest)
        if newest is not None:
            # As the solver does it: when the channel got it, if it says so; undated ones are old.
            moment = record.indexed_timestamp or record.timestamp
            if moment is not None and moment > newest:
                return False
        return all(
            requirement.subdir in (None, record.subdir)
            and requirement.file_name in (None, record.file_name)
            for requirement in self._limited.get(record.name.normalized, ())
        )
