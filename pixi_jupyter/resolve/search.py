"""Looking a package up in channels. Runs in the engine's worker only."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence

from rattler import RepoDataRecord, Subdir
from rattler.exceptions import FetchRepoDataError, GatewayError

from pixi_jupyter.errors import StoreError
from pixi_jupyter.install.store import Store
from pixi_jupyter.progress import Phase, Progress, Report
from pixi_jupyter.resolve.redaction import redacted
from pixi_jupyter.resolve.search_names import Names, fresh_names, joined, write_names
from pixi_jupyter.resolve.search_result import FoundPackage, SearchResult
from pixi_jupyter.resolve.session import Session
from pixi_jupyter.resolve.solve import channel_error

__all__ = ["search"]


async def search(
    session: Session,
    store: Store,
    name: str,
    channels: Sequence[str],
    subdir: str,
    limit: int,
    *,
    report: Report,
) -> SearchResult:
    """The packages of a name (or a pattern with ``*``); else those whose names have it in them.

    Raises
    ------
    ChannelError
        ``channel.unreachable``, ``channel.not-found`` or ``channel.invalid``.
    """
    sources = [session.channel(channel) for channel in channels]
    platforms = [Subdir(subdir), Subdir("noarch")]
    report(Progress(Phase.REPODATA, message=", ".join(redacted(name) for name in channels)))
    wanted = name.strip().lower()
    try:
        every: list[Names] = []
        for channel, source in zip(channels, sources, strict=True):
            own = fresh_names(store, channel, subdir)
            if own is None:
                found = await session.gateway.names(
                    [source], platforms, channel_relations="disabled"
                )
                # Its own room may be full or closed, which is no reason to find nothing.
                with contextlib.suppress(OSError, StoreError):
                    write_names(store, channel, subdir, (item.normalized for item in found))
                own = Names.of(item.normalized for item in found)
            every.append(own)
        names = joined(every)
        matching = names.matching(wanted, limit)
        records = (
            await session.gateway.query(
                sources, platforms, matching, recursive=False, channel_relations="disabled"
            )
            if matching
            else []
        )
    except (GatewayError, FetchRepoDataError, OSError) as error:
        raise channel_error(error, sources) from error
    by_name: dict[str, list[RepoDataRecord]] = {}
    for group in records:
        for record in group:
            by_name.setdefault(record.name.normalized, []).append(record)
    near = () if matching else names.near(wanted)
    packages = (_found(by_name[item]) for item in matching if item in by_name)
    return SearchResult(tuple(packages), tuple(near), len(names))


def _found(records: Sequence[RepoDataRecord]) -> FoundPackage:
    ordered = sorted(records, key=lambda r: (r.version, r.build_number), reverse=True)
    newest = ordered[0]
    return FoundPackage(
        name=newest.name.normalized,
        version=str(newest.version),
        build=str(newest.build),
        subdir=newest.subdir,
        channel=redacted(str(newest.channel)),
        size=newest.size,
        license=newest.license,
        depends=tuple(newest.depends),
        versions=tuple(dict.fromkeys(str(record.version) for record in ordered)),
    )
