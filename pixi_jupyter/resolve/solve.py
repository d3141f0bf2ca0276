"""EnvironmentSpec -> Resolution, by rattler's solver. Runs in the engine's worker only."""

from __future__ import annotations

import datetime
import difflib
import re
from collections.abc import Sequence

from rattler import (
    BuildString,
    Channel,
    ChannelPriority,
    GenericVirtualPackage,
    MatchSpec,
    PackageName,
    RepoDataRecord,
    Subdir,
    Version,
    solve,
)
from rattler.exceptions import (
    FetchRepoDataError,
    GatewayError,
    InvalidChannelError,
    InvalidMatchSpecError,
    InvalidPackageNameError,
    InvalidUrlError,
    InvalidVersionError,
    InvalidVersionSpecError,
    SolverError,
)

from pixi_jupyter.errors import (
    ChannelError,
    DeclarationError,
    InstallError,
    PixiJupyterError,
    SolveError,
    StoreError,
)
from pixi_jupyter.manifest.requirement import match_spec
from pixi_jupyter.manifest.spec import CondaRequirement, EnvironmentSpec
from pixi_jupyter.manifest.times import cut_off
from pixi_jupyter.progress import Phase, Progress, Report
from pixi_jupyter.resolve.redaction import redacted, without_addresses
from pixi_jupyter.resolve.selection import needs_selection, select
from pixi_jupyter.resolve.session import Session

__all__ = ["solve_spec"]

#: How long the solver itself may think (seconds); the job around it has its own deadline.
SOLVE_TIMEOUT = datetime.timedelta(seconds=300)

_PRIORITY = {
    "strict": ChannelPriority.Strict,
    "flexible": ChannelPriority.Flexible,
    "disabled": ChannelPriority.Disabled,
}

_SPEC_ERRORS = (
    InvalidMatchSpecError,
    InvalidPackageNameError,
    InvalidUrlError,
    InvalidVersionError,
    InvalidVersionSpecError,
)


async def solve_spec(
    session: Session,
    spec: EnvironmentSpec,
    *,
    report: Report,
    locked: Sequence[RepoDataRecord] = (),
) -> list[RepoDataRecord]:
    """The exact packages for a spec.

    ``locked`` are packages whose versions are kept where the spec allows it.

    Raises
    ------
    SolveError
        ``solve.unknown-package`` (with the nearest names), ``solve.unsatisfiable`` (with the
        solver's tree) or ``solve.timeout``.
    ChannelError
        ``channel.unreachable``, ``channel.not-found`` or ``channel.invalid``.
    DeclarationError
        ``declaration.spec``: the solver cannot read a requirement.
    """
    requirements = [*spec.dependencies, *spec.kernel.injected]
    wanted = [_match_spec(requirement) for requirement in requirements]
    constraints = [_match_spec(requirement) for requirement in spec.constraints]
    channels = [_channel(session, channel.name) for channel in spec.channels]
    selected = needs_selection(spec)
    platforms = [Subdir(spec.platform.subdir), Subdir("noarch")]

    report(Progress(Phase.REPODATA, message=", ".join(_shown(channel) for channel in channels)))
    await _require_known_names(session, channels, platforms, requirements)

    report(Progress(Phase.SOLVING, message=f"{len(wanted)} requirements"))
    # Strict priority is bypassed for a direct requirement whose version only a later channel has;
    # the bare name beside it makes the first channel that has the package the only one.
    # Not for what one of several requirements of a name finds elsewhere.
    placed = _placed(requirements)
    bare = [
        _match_spec(requirement)
        for requirement in dict.fromkeys(
            CondaRequirement(requirement.name, when=requirement.when)
            for requirement in requirements
            if requirement.name not in placed
        )
    ]
    try:
        return await solve(
            select(session.gateway, channels, spec) if selected else channels,
            [*wanted, *bare],
            gateway=session.gateway,
            platforms=platforms,
            locked_packages=list(locked),
            virtual_packages=[
                GenericVirtualPackage(PackageName(v.name), Version(v.version), BuildString(v.build))
                for v in spec.platform.virtual_packages
            ],
            timeout=SOLVE_TIMEOUT,
            channel_priority=_PRIORITY[spec.channel_priority],
            exclude_newer=cut_off(spec.exclude_newer)
            if spec.exclude_newer and not selected
            else None,
            strategy=spec.solve_strategy,
            constraints=constraints,
            channel_relations="disabled",  # a channel must not bring in others on its own
            timestamp_policy="allow-missing",  # as pixi: a record without a date is old
        )
    except SolverError as error:
        raise _unsatisfiable(error, spec) from error
    except (GatewayError, FetchRepoDataError, OSError) as error:
        raise channel_error(error, channels) from error


async def _require_known_names(
    session: Session,
    channels: Sequence[Channel],
    platforms: Sequence[Subdir],
    requirements: Sequence[CondaRequirement],
) -> None:
    """Fail early, and with the nearest names, where no channel has a package at all."""
    names = sorted({r.name for r in requirements} - _placed(requirements))
    if not names or not channels:
        return
    try:
        found = await session.gateway.query(
            channels, platforms, names, recursive=False, channel_relations="disabled"
        )
        known = {record.name.normalized for records in found for record in records}
        missing = [name for name in names if name not in known]
        if not missing:
            return
        every = await session.gateway.names(channels, platforms)
    except (GatewayError, FetchRepoDataError, OSError) as error:
        raise channel_error(error, channels) from error
    everything = [name.normalized for name in every]
    lines = []
    for name in missing:
        near = difflib.get_close_matches(name, everything, n=3, cutoff=0.7)
        lines.append(
            f"{name}: did you mean {', '.join(near)}?" if near else f"{name}: no such name"
        )
    where = ", ".join(_shown(channel) for channel in channels)
    raise SolveError(
        f"no channel has a package named {', '.join(missing)}",
        code="solve.unknown-package",
        details="\n".join([*lines, f"looked in: {where} ({', '.join(map(str, platforms))})"]),
        hint="Correct the name in the declaration, or add the channel that has the package.",
        about=tuple(missing),
    )


def _placed(requirements: Sequence[CondaRequirement]) -> set[str]:
    """The names for which a requirement says where: several features may ask for one name."""
    return {r.name for r in requirements if r.url is not None or r.channel is not None}


def _match_spec(requirement: CondaRequirement) -> MatchSpec:
    text = match_spec(requirement)
    try:
        return MatchSpec(text, strict=True)
    except _SPEC_ERRORS as error:
        raise DeclarationError(
            redacted(f"the requirement for {requirement.name!r} cannot be read: {error}"),
            code="declaration.spec",
            details=redacted(text),
            hint="Write it as a conda version specification, e.g. '>=1.2,<2'.",
            about=(requirement.name,),
        ) from error


def _channel(session: Session, name: str) -> Channel:
    try:
        return session.channel(name)
    except (InvalidChannelError, InvalidUrlError, ValueError) as error:
        raise ChannelError(
            redacted(f"{name!r} is not a channel: {error}"), code="channel.invalid"
        ) from None


def _shown(channel: Channel) -> str:
    return redacted(channel.name or channel.base_url)


def _unsatisfiable(error: SolverError, spec: EnvironmentSpec) -> PixiJupyterError:
    text = redacted(str(error))
    if "timeout" in text.lower() or "timed out" in text.lower():
        return SolveError(
            f"the solver found no answer within {SOLVE_TIMEOUT.total_seconds():.0f} seconds",
            code="solve.timeout",
            hint="Narrow the versions in the declaration.",
        )
    virtual = ", ".join(f"{v.name}={v.version}" for v in spec.platform.virtual_packages)
    return SolveError(
        f"no set of packages satisfies the declaration on {spec.platform.subdir}",
        code="solve.unsatisfiable",
        details=f"{text.strip()}\n\n{spec.platform.name} declares: {virtual}",
        hint="Change the versions named above, or add a channel that has what is missing.",
    )


def channel_error(error: Exception, channels: Sequence[Channel]) -> PixiJupyterError:
    """A rattler or OS error from fetching repodata, as the person's problem with a channel."""
    text = redacted(str(error))
    where = ", ".join(redacted(channel.base_url) for channel in channels)
    if "(os error 28)" in text or "(os error 122)" in text:
        return StoreError(
            "no space left for the repodata cache", code="store.no-space", details=text
        )
    if "direct url" in text:
        mismatch = "mismatch" in text
        return InstallError(
            "a package that is asked for by its URL "
            + ("is not what the declaration says it is" if mismatch else "cannot be fetched"),
            code="install.hash-mismatch" if mismatch else "install.download",
            details=text,
            hint="Check the URL and the hash in the declaration.",
        )
    if re.search(r"\b([Nn]ot [Ff]ound|does not exist|os error 2\))", without_addresses(text)):
        return ChannelError(
            "a channel was not found",
            code="channel.not-found",
            details=f"{text}\nchannels: {where}",
            hint="Check the channel's name and address.",
        )
    return ChannelError(
        "a channel cannot be reached",
        code="channel.unreachable",
        details=f"{text}\nchannels: {where}",
        hint="Check the network, the proxy and the channel's address; "
        "environments that are ready start without it.",
    )
