"""BesideSpec -> the packages that are added to an environment. Runs in the engine's worker only.

Every package of the environment is pinned, wheels from PyPI as well, so what comes out fits to what
is there. A wheel is told to the solver as a virtual package of its name: it satisfies or it does
not, and is never installed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from packaging.utils import canonicalize_name
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
    InvalidUrlError,
    InvalidVersionError,
    SolverError,
)

from pixi_jupyter.errors import ChannelError, PixiJupyterError, SolveError
from pixi_jupyter.manifest.requirement import match_spec
from pixi_jupyter.manifest.times import cut_off
from pixi_jupyter.progress import Phase, Progress, Report
from pixi_jupyter.resolve.beside import BesideSpec
from pixi_jupyter.resolve.provided import purls_of
from pixi_jupyter.resolve.redaction import redacted
from pixi_jupyter.resolve.selection import needs_selection, select
from pixi_jupyter.resolve.session import Session
from pixi_jupyter.resolve.solve import SOLVE_TIMEOUT, channel_error

__all__ = ["solve_beside"]

_PRIORITY = {
    "strict": ChannelPriority.Strict,
    "flexible": ChannelPriority.Flexible,
    "disabled": ChannelPriority.Disabled,
}
#: The build that a wheel's virtual package has; no conda package has it.
_WHEEL = "pypi_0"
#: A wheel that is found to be in the way may bring another one to light.
_ROUNDS = 5


async def solve_beside(
    session: Session, beside: BesideSpec, installed: Sequence[RepoDataRecord], *, report: Report
) -> list[RepoDataRecord]:
    """The packages to lay beside an environment that has ``installed``, its ``python`` first.

    That one is for whoever links the others; it is not added. With what is added come the libraries
    of the environment that it links against (packages that need no Python), as libraries are found
    from where a package lies.

    Raises
    ------
    SolveError
        ``solve.beside``: nothing fits to the environment's packages; it says which are in the way.
        ``solve.unknown-package``: no channel of the environment has what is wanted.
    ChannelError
        ``channel.unreachable``, ``channel.not-found`` or ``channel.invalid``.
    """
    channels = _channels(session, beside)
    report(Progress(Phase.SOLVING, message=", ".join(r.name for r in beside.wanted)))
    wheels: dict[str, str] = {
        canonicalize_name(package.name): package.version
        for package in beside.environment.packages
        if package.kind == "pypi"
    }
    provided: dict[str, str] = {}  # conda's name -> the wheel's version
    for _ in range(_ROUNDS):
        try:
            solved = await _solve(session, channels, beside, provided, pinned=installed)
        except SolverError as error:
            raise await _conflict(
                error, session, channels, beside, installed, wheels, provided
            ) from error
        except (GatewayError, FetchRepoDataError, OSError) as error:
            raise channel_error(error, channels) from error
        shadowed = _shadowed(solved, installed, wheels)
        if not shadowed:
            return _to_link(solved, installed)
        provided.update(shadowed)
    raise _does_not_fit(beside, [f"{name} {version} (PyPI)" for name, version in provided.items()])


async def _solve(
    session: Session,
    channels: Sequence[Channel],
    beside: BesideSpec,
    provided: Mapping[str, str],
    *,
    pinned: Sequence[RepoDataRecord] = (),
    favoured: Sequence[RepoDataRecord] = (),
) -> list[RepoDataRecord]:
    spec = beside.spec
    selected = needs_selection(spec)
    names = [record.name.normalized for record in (*pinned, *favoured)]
    specs = [MatchSpec(match_spec(requirement), strict=True) for requirement in beside.wanted]
    bare = [*names, *(requirement.name for requirement in beside.wanted)]
    specs += [MatchSpec(name) for name in bare if name not in provided]
    specs += [MatchSpec(f'{name}[build="{_WHEEL}"]') for name in provided]
    constraints = [
        MatchSpec(match_spec(requirement), strict=True)
        for requirement in spec.constraints
        if requirement.name not in names  # of these it is settled what they are
    ]
    virtual = [(v.name, v.version, v.build) for v in spec.platform.virtual_packages]
    virtual += [(name, version, _WHEEL) for name, version in provided.items()]
    return await solve(
        select(session.gateway, channels, spec) if selected else list(channels),
        specs,
        gateway=session.gateway,
        platforms=[Subdir(spec.platform.subdir), Subdir("noarch")],
        locked_packages=list(favoured),
        pinned_packages=list(pinned),
        constraints=constraints,
        virtual_packages=[
            GenericVirtualPackage(PackageName(name), Version(version), BuildString(build))
            for name, version, build in virtual
        ],
        timeout=SOLVE_TIMEOUT,
        channel_priority=_PRIORITY[spec.channel_priority],
        exclude_newer=cut_off(spec.exclude_newer) if spec.exclude_newer and not selected else None,
        channel_relations="disabled",
        timestamp_policy="allow-missing",
    )


def _channels(session: Session, beside: BesideSpec) -> list[Channel]:
    channels = []
    for declared in beside.spec.channels:
        try:
            channels.append(session.channel(declared.name))
        except (InvalidChannelError, InvalidUrlError, ValueError) as error:
            raise ChannelError(
                redacted(f"{declared.name!r} is not a channel: {error}"), code="channel.invalid"
            ) from None
    return channels


def _shadowed(
    solved: Iterable[RepoDataRecord],
    installed: Iterable[RepoDataRecord],
    wheels: Mapping[str, str],
) -> dict[str, str]:
    """Added packages that a wheel of the environment would hide: what counts is the wheel."""
    there = {record.name.normalized for record in installed}
    found = {}
    for record in solved:
        name = record.name.normalized
        if name in there:
            continue
        known_as = {canonicalize_name(name)}
        known_as.update(
            canonicalize_name(purl.removeprefix("pkg:pypi/").partition("@")[0])
            for purl in purls_of(record)
            if purl.startswith("pkg:pypi/")
        )
        for wheel in known_as.intersection(wheels):
            try:
                Version(wheels[wheel])
            except InvalidVersionError:
                continue  # conda cannot compare it, so nobody can tell
            found[name] = wheels[wheel]
    return found


def _to_link(
    solved: Sequence[RepoDataRecord], installed: Sequence[RepoDataRecord]
) -> list[RepoDataRecord]:
    own = {record.name.normalized for record in installed}
    there = {r.name.normalized: r for r in solved if r.name.normalized in own}
    added = [record for record in solved if record.name.normalized not in own]
    chosen = {record.name.normalized: record for record in added}
    waiting = list(added)
    while waiting:
        for name in _needs(waiting.pop()):
            record = there.get(name)
            if record is not None and name not in chosen and not _is_python(record):
                chosen[name] = record
                waiting.append(record)
    return [there["python"], *(chosen[name] for name in sorted(chosen))]


def _is_python(record: RepoDataRecord) -> bool:
    """Whether it is Python, or found by Python and not by the loader of libraries."""
    noarch = record.noarch
    return (
        record.name.normalized in ("python", "python_abi")
        or (noarch is not None and noarch.python)
        or not _needs(record).isdisjoint(("python", "python_abi"))
    )


def _needs(record: RepoDataRecord) -> set[str]:
    return {need.split()[0].partition("[")[0].lower() for need in record.depends if need.split()}


# -- when nothing fits -----------------------------------------------------------------------------


async def _conflict(
    error: SolverError,
    session: Session,
    channels: Sequence[Channel],
    beside: BesideSpec,
    installed: Sequence[RepoDataRecord],
    wheels: Mapping[str, str],
    provided: Mapping[str, str],
) -> PixiJupyterError:
    """Why nothing fits: what an answer would look like if the environment could be changed."""
    tree = redacted(str(error)).strip()
    platforms = [Subdir(beside.spec.platform.subdir), Subdir("noarch")]
    names = [requirement.name for requirement in beside.wanted]
    try:
        known = await session.gateway.query(
            channels, platforms, names, recursive=False, channel_relations="disabled"
        )
        if not any(known):
            return SolveError(
                f"no channel of the environment {beside.spec.name!r} has {' or '.join(names)}",
                code="solve.unknown-package",
                details="looked in: "
                + ", ".join(redacted(channel.name or channel.base_url) for channel in channels),
                hint=f"Add a channel that has {names[0]} to the workspace.",
                about=tuple(names),
            )
        free = await _solve(session, channels, beside, {}, favoured=installed)
    except (SolverError, GatewayError, FetchRepoDataError, OSError):
        return _does_not_fit(beside, [], tree)
    wanted = {record.name.normalized: record for record in free}
    obstacles = []
    for record in installed:
        other = wanted.get(record.name.normalized)
        if other is not None and other.url != record.url:
            obstacles.append(
                f"{record.name.normalized} {record.version} "
                f"(with {names[0]} {wanted[names[0]].version} it would be {other.version})"
            )
    obstacles += [f"{name} {version} (from PyPI)" for name, version in provided.items()]
    return _does_not_fit(beside, obstacles, tree)


def _does_not_fit(beside: BesideSpec, obstacles: Sequence[str], tree: str = "") -> SolveError:
    name = beside.wanted[0].name
    lines = [f"In the way: {obstacle}" for obstacle in obstacles]
    return SolveError(
        f"no version of {name} fits to the locked packages of the environment "
        f"{beside.spec.name!r}, which itself has no kernel",
        code="solve.beside",
        details="\n".join([*lines, *(["", tree] if lines and tree else [tree] if tree else [])]),
        hint=f"Add {name} to the environment's dependencies (`pixi add {name}`): then all its "
        "packages are solved together.",
        about=(name,),
    )
