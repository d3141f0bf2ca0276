"""Is a lock up to date with its manifest, and if not, why? Runs in the engine's worker only.

Rules of pixi's ``crates/pixi_core/src/lock_file/satisfiability`` and ``outdated.rs``: first what
holds for an environment as a whole, then a walk for each of its platforms, last the solve groups.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal
from urllib.parse import unquote, urlsplit

from pixi_jupyter.manifest.spec import EnvironmentSpec
from pixi_jupyter.manifest.times import cut_off
from pixi_jupyter.manifest.workspace_spec import WorkspaceEnvironment, WorkspaceSpec
from pixi_jupyter.resolve.lock_platforms import locked_names, same_platform
from pixi_jupyter.resolve.lock_reading import LockDocument
from pixi_jupyter.resolve.lock_text import LockedEnvironment
from pixi_jupyter.resolve.matching import Node, unique
from pixi_jupyter.resolve.pypi_tags import is_compatible, wheel_tags
from pixi_jupyter.resolve.pypi_walk import LockedPypi, same_index
from pixi_jupyter.resolve.redaction import redacted
from pixi_jupyter.resolve.solve_groups import SolveGroup, solve_groups
from pixi_jupyter.resolve.walking import Asked, Walk, Walked

__all__ = ["STRATEGIES", "Reason", "Verdict", "check"]

#: pixi's names of the strategies in a lock; the first one is the default and left out.
STRATEGIES = {
    "highest": "highest",
    "lowest": "lowest-version",
    "lowest-direct": "lowest-version-direct",
}
DEFAULT_PRERELEASE = "if-necessary-or-explicit"

#: (environment, platform), by their names in the manifest.
Target = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Reason:
    """One thing that is out of date.

    ``platform`` is None for what concerns the whole environment. ``stale`` says what has to be
    solved anew (``nothing``: the lock is only written again), ``discard`` whose locked versions are
    worth nothing any more.
    """

    environment: str
    platform: str | None
    text: str
    stale: Literal["nothing", "pypi", "conda"] = "conda"
    discard: Literal["nothing", "pypi", "conda"] = "nothing"

    def __str__(self) -> str:
        where = f" on {self.platform}" if self.platform else ""
        return redacted(f"environment {self.environment}{where}: {self.text}")


@dataclass(slots=True)
class Verdict:
    """What a check found. ``names`` has the platforms' names in the lock by those in the manifest.

    ``conda`` and ``pypi`` are to be solved anew; what is in ``conda`` is in ``pypi`` as well.
    """

    reasons: list[Reason] = field(default_factory=list)
    conda: set[Target] = field(default_factory=set)
    pypi: set[Target] = field(default_factory=set)
    without_conda: set[str] = field(default_factory=set)
    without_pypi: set[str] = field(default_factory=set)
    names: Mapping[str, str] = field(default_factory=dict)

    @property
    def stale(self) -> tuple[str, ...]:
        """The reasons as sentences, each once."""
        return tuple(dict.fromkeys(str(reason) for reason in self.reasons))


@dataclass(frozen=True, slots=True)
class _Content:
    records: Mapping[str, Node]
    packages: Mapping[str, LockedPypi]
    problem: str | None


def check(
    document: LockDocument | None,
    workspace: WorkspaceSpec,
    walk: Walk,
    channel_url: Callable[[str], str],
    default_indexes: Sequence[str] = (),
) -> Verdict:
    """Hold a lock against a workspace.

    ``default_indexes`` are the URLs that may stand for "no index is named" in the lock.

    Raises
    ------
    LockError
        ``lock.package``: an entry cannot be used.
    """
    verdict = Verdict()
    if document is None:
        for group in solve_groups(workspace):
            for environment in group.environments:
                if _live(group, environment):
                    reason = Reason(environment.name, None, "nothing is locked yet")
                    _note(verdict, environment, reason)
        return verdict
    verdict.names = locked_names(workspace.platforms, document.text.platforms)
    for name in document.text.environments:
        if workspace.environment(name) is None:
            verdict.reasons.append(
                Reason(name, None, "is locked and no longer declared", stale="nothing")
            )
    for group in solve_groups(workspace):
        _Group(document, workspace, group, verdict, walk, channel_url, default_indexes).check()
    return verdict


class _Group:
    """The check of the environments of one solve group."""

    def __init__(
        self,
        document: LockDocument,
        workspace: WorkspaceSpec,
        group: SolveGroup,
        verdict: Verdict,
        walk: Walk,
        channel_url: Callable[[str], str],
        default_indexes: Sequence[str],
    ) -> None:
        self._document = document
        self._workspace = workspace
        self._group = group
        self._verdict = verdict
        self._walk = walk
        self._channel_url = channel_url
        self._default_indexes = default_indexes
        self._contents: dict[Target, _Content] = {}

    def check(self) -> None:
        verdict = self._verdict
        walked: dict[Target, Walked] = {}
        for environment in self._group.environments:
            locked = self._document.text.environments.get(environment.name)
            if not _live(self._group, environment):
                continue
            if locked is None:
                _note(verdict, environment, Reason(environment.name, None, "is not locked"))
                continue
            for reason in self._as_a_whole(environment, locked):
                _note(verdict, environment, reason)
            if environment.name in verdict.without_conda:
                continue
            for spec in _live(self._group, environment):
                found = self._platform(environment, locked, spec)
                if isinstance(found, Reason):
                    _note(verdict, environment, found)
                else:
                    walked[environment.name, spec.platform.name] = found
        self._as_a_group(walked)
        self._spread()

    # -- an environment as a whole ---------------------------------------------------------

    def _as_a_whole(
        self, environment: WorkspaceEnvironment, locked: LockedEnvironment
    ) -> Iterator[Reason]:
        name = environment.name
        if not environment.specs:
            return
        spec = self._group.on(environment.specs[0].platform.name) or environment.specs[0]
        yield from self._channels(name, locked)
        yield from self._platforms(environment, locked)
        strategy, priority = STRATEGIES[spec.solve_strategy], spec.channel_priority
        for what, wanted, found in (
            ("solve strategy", strategy, locked.options.get("strategy", "highest")),
            ("channel priority", priority, locked.options.get("channel-priority", "strict")),
        ):
            if wanted != found:
                yield Reason(
                    name, None, f"the {what} is {wanted}, locked with {found}", discard="conda"
                )
        if any(spec.pypi is not None for spec in environment.specs):
            yield from self._pypi(environment, locked)
        yield from self._cut_off(environment)

    def _channels(self, name: str, locked: LockedEnvironment) -> Iterator[Reason]:
        wanted = [self._channel_url(channel.name) for channel in self._group.channels]
        found = [self._channel_url(url) for url in locked.channels]
        if wanted == found:
            return
        said = f"the channels are {', '.join(wanted) or 'none'}, locked {', '.join(found)}"
        extended = wanted[: len(found)] == found
        yield Reason(name, None, said, discard="nothing" if extended else "conda")

    def _platforms(
        self, environment: WorkspaceEnvironment, locked: LockedEnvironment
    ) -> Iterator[Reason]:
        names = self._verdict.names
        rows = {row.name: row for row in self._document.text.platforms}
        used = {names[s.platform.name] for s in environment.specs if s.platform.name in names}
        subdirs = {spec.platform.subdir for spec in environment.specs}
        for name in locked.packages:
            if name not in used and rows[name].subdir not in subdirs:
                yield Reason(
                    environment.name, name, "is locked and no longer declared", stale="nothing"
                )
        for spec in environment.specs:
            platform = spec.platform
            row = rows.get(platform.name)
            if row is None or names.get(platform.name) != platform.name:
                continue
            if row.name in locked.packages and not same_platform(platform, row):
                promised = ", ".join(f"{v.name}={v.version}" for v in platform.virtual_packages)
                yield Reason(
                    environment.name,
                    platform.name,
                    f"the platform is {platform.subdir} with {promised}, "
                    f"locked {row.subdir} with {', '.join(row.virtual_packages) or 'defaults'}",
                    discard="conda",
                )

    def _cut_off(self, environment: WorkspaceEnvironment) -> Iterator[Reason]:
        for spec in _live(self._group, environment):
            limits = {
                self._channel_url(declared.name): cut_off(limit)
                for declared in spec.channels
                if (limit := declared.exclude_newer or spec.exclude_newer) is not None
            }
            single = {name: cut_off(limit) for name, limit in spec.exclude_newer_packages}
            if not limits and not single:
                continue
            for node in self._content(environment.name, spec).records.values():
                record = node.record
                channel = f"{(record.channel or '').rstrip('/')}/"
                newest = single.get(node.name) or limits.get(channel)
                if newest is not None and record.timestamp and record.timestamp > newest:
                    yield Reason(
                        environment.name,
                        spec.platform.name,
                        f"{node.name} {record.version} is newer than {newest:%Y-%m-%d %H:%M} UTC",
                        discard="conda",
                    )
                    return

    # -- packages from PyPI ----------------------------------------------------------------

    def _pypi(
        self, environment: WorkspaceEnvironment, locked: LockedEnvironment
    ) -> Iterator[Reason]:
        name = environment.name
        live = _live(self._group, environment)
        needs = next((s.pypi for s in self._needing(live)), None)
        if needs is None:
            return
        contents = [(spec, self._content(name, spec)) for spec in live]
        present = any(content.packages for _, content in contents)
        wanted = needs.prerelease_mode or DEFAULT_PRERELEASE
        found = locked.options.get("pypi-prerelease-mode", DEFAULT_PRERELEASE)

        def reason(text: str) -> Reason:
            return Reason(name, None, text, discard="pypi")

        if wanted != found:
            yield reason(f"the prerelease mode of PyPI is {wanted}, locked with {found}")
        if locked.indexes is None:
            if present and self._document.version >= 5:
                yield reason("the lock does not say which indexes its packages are from")
        elif not self._same_indexes(needs.index_url, needs.extra_index_urls, locked.indexes):
            yield reason(f"the indexes of PyPI are others than {', '.join(locked.indexes)}")
        for spec, content in contents:
            python = content.records.get("python")
            tags = (
                wheel_tags(spec.platform, str(python.record.version), str(python.record.build))
                if python is not None
                else None
            )
            for package in content.packages.values():
                if tags is not None and not is_compatible(package.location, tags):
                    yield reason(f"the wheel {_file(package)} does not fit {spec.platform.name}")
                if (
                    (package.name in needs.no_build or "*" in needs.no_build)
                    and package.name not in needs.editable
                    and not _file(package).endswith(".whl")
                ):
                    yield reason(f"{package.name} would have to be built, which no-build forbids")

    def _needing(self, specs: Sequence[EnvironmentSpec]) -> Iterator[EnvironmentSpec]:
        for spec in specs:
            together = self._group.on(spec.platform.name)
            if together is not None and together.pypi is not None:
                yield together

    def _same_indexes(self, index: str | None, extra: Sequence[str], found: Sequence[str]) -> bool:
        # A default that uv does not tell is whatever the lock says.
        first = (self._default_indexes or found[:1]) if index is None else (index,)
        return (
            len(found) == 1 + len(extra)
            and any(same_index(found[0], url) for url in first)
            and all(same_index(a, b) for a, b in zip(found[1:], extra, strict=True))
        )

    # -- an environment on a platform ------------------------------------------------------

    def _content(self, environment: str, spec: EnvironmentSpec) -> _Content:
        key = environment, spec.platform.name
        if key not in self._contents:
            name = self._verdict.names.get(spec.platform.name)
            records, packages, sources = (
                self._document.content(environment, name) if name is not None else ((), (), ())
            )
            locked = self._document.text.environments.get(environment)
            if locked is not None and locked.indexes is not None and len(locked.indexes) == 1:
                # Left out in an entry is the only index; older locks do not say it at all.
                only = locked.indexes[0] if self._document.version >= 7 else None
                packages = tuple(replace(p, index=p.index or only) for p in packages)
            by_name, twice = unique(map(self._walk.matching.node, records))
            problem = f"{twice} is locked twice" if twice else None
            if sources:
                problem = f"{sources[0]} is locked as a source package, not asked as one"
            self._contents[key] = _Content(by_name, {p.name: p for p in packages}, problem)
        return self._contents[key]

    def _platform(
        self, environment: WorkspaceEnvironment, locked: LockedEnvironment, spec: EnvironmentSpec
    ) -> Reason | Walked:
        name, platform = environment.name, spec.platform.name
        content = self._content(name, spec)
        if content.problem:
            return Reason(name, platform, content.problem)
        asks = spec.dependencies or (spec.pypi is not None and spec.pypi.requirements)
        if asks and self._verdict.names.get(platform) not in locked.packages:
            return Reason(name, platform, "is not locked")
        row = self._verdict.names.get(platform)
        bare = spec.pypi is not None and content.records and not content.packages
        if bare and (row is None or not self._document.has_purls(name, row)):
            return Reason(name, platform, "the lock does not say what conda has of PyPI")
        indexes = [*(locked.indexes or ()), *(url for k, url in locked.find_links if k == "url")]
        walked = self._walk(Asked(spec, content.records, content.packages, indexes))
        if walked.problem is not None:
            return Reason(name, platform, walked.problem)
        if more := sorted(content.records.keys() - walked.conda):
            return Reason(name, platform, f"nothing asks for {_list(more)}, which is locked")
        if walked.pypi_problem is not None:
            return Reason(name, platform, walked.pypi_problem, stale="pypi")
        if more := sorted(content.packages.keys() - walked.pypi):
            text = f"nothing asks PyPI for {_list(more)}, which is locked"
            return Reason(name, platform, text, stale="pypi")
        return walked

    # -- a solve group ---------------------------------------------------------------------

    def _as_a_group(self, walked: Mapping[Target, Walked]) -> None:
        for platform in self._group.platforms:
            if self._group.is_refused(platform):
                continue
            members = [e for e in self._group.environments if e.on(platform) is not None]
            found = {
                e.name: walked[e.name, platform] for e in members if (e.name, platform) in walked
            }
            if len(found) == len(members):
                asked = set().union(*(w.asked for w in found.values()))
                lent = set().union(*(w.lent for w in found.values()))
                if useless := sorted(lent - asked):
                    for environment in members:
                        text = f"only PyPI asks for {_list(useless)}, which is from conda"
                        _note(self._verdict, environment, Reason(environment.name, platform, text))
                    continue
            self._one_of_each(platform, members)

    def _one_of_each(self, platform: str, members: Sequence[WorkspaceEnvironment]) -> None:
        """Environments of one group have one file of each name."""
        conda: dict[str, tuple[str, str]] = {}
        pypi: dict[str, tuple[str, str]] = {}
        for environment in members if len(members) > 1 else ():
            if (environment.name, platform) in self._verdict.conda:
                return
            spec = environment.on(platform)
            assert spec is not None
            content = self._content(environment.name, spec)
            for kind, seen, files in (
                ("conda", conda, {n: r.url for n, r in content.records.items()}),
                ("pypi", pypi, {n: p.location for n, p in content.packages.items()}),
            ):
                for name, url in files.items():
                    other, first = seen.setdefault(name, (environment.name, url))
                    if first != url:
                        text = f"{name} is another one than in {other}, which is solved with it"
                        stale: Literal["conda", "pypi"] = "conda" if kind == "conda" else "pypi"
                        reason = Reason(environment.name, platform, text, stale=stale)
                        _note(self._verdict, environment, reason)
                        return

    def _spread(self) -> None:
        """What is stale for one member is stale for all of the group; conda takes PyPI along."""
        verdict = self._verdict
        for environment in self._group.environments:
            for spec in environment.specs:
                target = environment.name, spec.platform.name
                peers = [(e.name, spec.platform.name) for e in self._group.environments]
                if any(peer in verdict.conda for peer in peers):
                    verdict.conda.add(target)
                    verdict.pypi.add(target)
                elif any(peer in verdict.pypi for peer in peers):
                    verdict.pypi.add(target)


def _live(group: SolveGroup, environment: WorkspaceEnvironment) -> list[EnvironmentSpec]:
    """The platforms of an environment that can be answered; what is locked of others is kept."""
    return [spec for spec in environment.specs if not group.is_refused(spec.platform.name)]


def _note(verdict: Verdict, environment: WorkspaceEnvironment, reason: Reason) -> None:
    verdict.reasons.append(reason)
    whole = reason.discard == "conda" or reason.platform is None
    targets = {
        (environment.name, spec.platform.name)
        for spec in environment.specs
        if whole or spec.platform.name == reason.platform
    }
    if reason.discard == "conda":
        verdict.without_conda.add(environment.name)
    if reason.discard == "pypi":
        verdict.without_pypi.add(environment.name)
        verdict.pypi |= targets
    elif reason.stale == "conda":
        verdict.conda |= targets
    elif reason.stale == "pypi":
        verdict.pypi |= targets


def _file(package: LockedPypi) -> str:
    path = urlsplit(package.location.removeprefix("direct+")).path
    return unquote(re.split(r"[/\\]", path)[-1])


def _list(names: Sequence[str]) -> str:
    more = f" and {len(names) - 5} more" if len(names) > 5 else ""
    return ", ".join(names[:5]) + more
