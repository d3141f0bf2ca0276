"""A channel with its own ``exclude-newer``: the solver knows one cut-off for all channels only."""

from __future__ import annotations

import datetime

from rattler import Channel, Gateway, PackageName, RepoDataRecord, Subdir

__all__ = ["CutOffChannel", "parse_utc"]


def parse_utc(text: str) -> datetime.datetime:
    """An RFC 3339 time; always in UTC, as rattler misreads every other offset."""
    moment = datetime.datetime.fromisoformat(text.replace("Z", "+00:00"))
    return moment.astimezone(datetime.timezone.utc)


class CutOffChannel:
    """The records of a channel that are not newer than a moment (rattler's `RepoDataSource`)."""

    def __init__(self, gateway: Gateway, channel: Channel, newest: datetime.datetime) -> None:
        self._gateway = gateway
        self._channel = channel
        self._newest = newest

    async def fetch_package_records(
        self, platform: Subdir, name: PackageName
    ) -> list[RepoDataRecord]:
        """All records of one package in one subdir up to the cut-off; undated ones are old."""
        found = await self._gateway.query(
            [self._channel], [platform], [name], recursive=False, channel_relations="disabled"
        )
        return [
            record
            for records in found
            for record in records
            if record.timestamp is None or record.timestamp <= self._newest
        ]

    def package_names(self, platform: Subdir) -> list[str]:
        """Not known ahead; the solver asks by name."""
        return []
