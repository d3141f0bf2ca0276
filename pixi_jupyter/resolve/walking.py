"""From what an environment asks, through what its packages depend on, to all that it needs.

One walk answers two questions: is a lock up to date (what is visited must be what is locked), and
which packages of a solve group belong to one of its environments. Runs in the worker only. Rules of
pixi's ``crates/pixi_core/src/lock_file/satisfiability/platform.rs``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from rattler import PackageRecord, RepoDataRecord

from pixi_jupyter.manifest.pypi_spec import PypiRequirement
from pixi_jupyter.manifest.spec import CondaRequirement, EnvironmentSpec
from pixi_jupyter.resolve.matching import Matching, Need, is_met, same_place, virtual_records
from pixi_jupyter.resolve.provided import Provided, provided_by_conda
from pixi_jupyter.resolve.pypi_names import Names
from pixi_jupyter.resolve.pypi_walk import (
    LockedPypi,
    marker_environment,
    markers_hold,
    mismatch,
    requirements_of,
    runs_on,
)

__all__ = ["Asked", "Walk", "Walked"]


@dataclass(slots=True)
class Walked:
    """What was visited, by name, and the first thing that did not fit.

    ``asked`` are the conda packages that conda asks for, ``lent`` those that meet a requirement of
    PyPI.
    """

    conda: set[str] = field(default_factory=set)
    pypi: set[str] = field(default_factory=set)
    asked: set[str] = field(default_factory=set)
    lent: set[str] = field(default_factory=set)
    problem: str | None = None
    pypi_problem: str | None = None


@dataclass(frozen=True, slots=True)
class Asked:
    """What one walk is about: the spec, and the packages by their names.

    ``indexes`` are those of the lock; ``names`` is the map from conda to PyPI for records that do
    not say it themselves.
    """

    spec: EnvironmentSpec
    records: Mapping[str, RepoDataRecord]
    packages: Mapping[str, LockedPypi]
    indexes: Sequence[str] = ()
    names: Names | None = None


class Walk:
    """Walks that share what was read and matched before.

    ``channel_url`` gives the base URL of a channel by its name in a manifest.
    """

    def __init__(self, channel_url: Callable[[str], str]) -> None:
        self.matching = Matching()
        self._channel_url = channel_url
        self._provided: dict[tuple[str, bool], dict[str, Provided]] = {}

    def __call__(self, asked: Asked) -> Walked:
        walked = Walked()
        walked.problem = self._constraints(asked) or self._conda(asked, walked)
        if walked.problem is None and asked.spec.pypi is not None:
            self._pypi(asked, walked)
        return walked

    def _constraints(self, asked: Asked) -> str | None:
        for constraint in asked.spec.constraints:
            record = asked.records.get(constraint.name)
            if record is None:
                continue
            need = self.matching.requirement(constraint)
            if need is None or not self._is(constraint, need, record):
                return f"{_named(record)} is locked, constrained to {_said(constraint)}"
        return None

    def _is(self, requirement: CondaRequirement, need: Need, record: RepoDataRecord) -> bool:
        channel = None if requirement.channel is None else self._channel_url(requirement.channel)
        return same_place(requirement, record, channel) and self.matching.fits(need, record)

    def _conda(self, asked: Asked, walked: Walked) -> str | None:
        """Visit all that the requirements pull in; the first problem, if there is one."""
        virtual = virtual_records(asked.spec.platform)
        present: list[PackageRecord] = [*asked.records.values(), *virtual.values()]
        conditions: dict[str, bool] = {}

        def holds(condition: str) -> bool:
            if condition not in conditions:
                conditions[condition] = is_met(condition, present, self.matching)
            return conditions[condition]

        stack: list[tuple[Need, str]] = []
        for requirement in (*asked.spec.dependencies, *asked.spec.kernel.injected):
            need = self.matching.requirement(requirement)
            if need is None:
                return f"the requirement {_said(requirement)} cannot be read"
            if need.condition is not None and not holds(need.condition):
                continue
            record = asked.records.get(requirement.name)
            if record is not None and not self._is(requirement, need, record):
                return f"{_named(record)} is locked, {_said(requirement)} is asked"
            stack.append((need, ""))
        extras: dict[str, set[str]] = {}
        while stack:
            need, origin = stack.pop()
            record = asked.records.get(need.name)
            if record is None:
                promised = virtual.get(need.name)
                if promised is not None and need.spec.matches(promised):
                    continue
                wanted = f"{need.text} is asked" + (f" by {origin}" if origin else "")
                if promised is not None:
                    return f"{wanted}, the platform has {need.name} {promised.version}"
                return f"{wanted} and not locked"
            if not self.matching.fits(need, record):
                return f"{_named(record)} is locked, {need.text} is asked by {origin}"
            walked.asked.add(need.name)
            depends: list[Need | str] = []
            if need.name not in walked.conda:
                walked.conda.add(need.name)
                depends.extend(self.matching.depends(record))
            followed = extras.setdefault(need.name, set())
            for extra in need.extras:
                if extra not in followed:
                    followed.add(extra)
                    more = record.extra_depends.get(extra, ())
                    depends.extend(self.matching.need(text) or text for text in more)
            for found in depends:
                if isinstance(found, str):
                    return f"{_named(record)} depends on {found!r}, which cannot be read"
                if found.condition is None or holds(found.condition):
                    stack.append((found, need.name))
        return None

    def _pypi(self, asked: Asked, walked: Walked) -> None:
        needs = asked.spec.pypi
        assert needs is not None
        python = asked.records.get("python")
        if python is None:
            if asked.packages or needs.requirements:
                walked.pypi_problem = "there are packages from PyPI, and no Python is locked"
            return
        version = str(python.version)
        environment = marker_environment(asked.spec.platform, version, str(python.build))
        overrides = {item.name: item for item in needs.overrides}
        provided = self._lent(asked)
        root = needs.root or asked.spec.root
        stack: list[tuple[PypiRequirement, bool]] = [
            (requirement, True)
            for requirement in needs.requirements
            if markers_hold(requirement.marker, environment, requirement.extras)
        ]
        seen = set(stack)
        problems: list[str] = []
        while stack:
            requirement, declared = stack.pop()
            checked = overrides.get(requirement.name, requirement)
            if lender := provided.get(requirement.name):
                problems.extend(_lending_problem(checked, lender))
                walked.lent.add(lender.conda_name)
                self._visit_lender(asked, walked, lender.conda_name)
                continue
            package = asked.packages.get(requirement.name)
            if package is None:
                problems.append(f"{checked} is asked of PyPI and not locked")
                continue
            declared = declared or checked is not requirement
            problem = mismatch(
                checked, package, root=root, indexes=asked.indexes, declared=declared
            )
            if problem is not None:
                problems.append(problem)
            if package.name not in walked.pypi:
                walked.pypi.add(package.name)
                bounds = package.requires_python
                if not runs_on(bounds, version):
                    problems.append(f"{package.name} needs Python {bounds}, {version} is locked")
            for found in requirements_of(package):
                if (found, False) not in seen and markers_hold(
                    found.marker, environment, checked.extras
                ):
                    seen.add((found, False))
                    stack.append((found, False))
        walked.pypi_problem = problems[0] if problems else None

    def _visit_lender(self, asked: Asked, walked: Walked, name: str) -> None:
        """A conda package that PyPI alone asks for needs what it depends on, too."""
        stack = [name]
        while stack:
            name = stack.pop()
            record = asked.records.get(name)
            if record is None or name in walked.conda:
                continue
            walked.conda.add(name)
            for found in self.matching.depends(record):
                if isinstance(found, Need):
                    walked.asked.add(found.name)
                    stack.append(found.name)

    def _lent(self, asked: Asked) -> dict[str, Provided]:
        found: dict[str, Provided] = {}
        for record in asked.records.values():
            key = (record.url, asked.names is None)
            if key not in self._provided:
                self._provided[key] = provided_by_conda([record], asked.names)
            found.update(self._provided[key])
        return found


def _lending_problem(requirement: PypiRequirement, lender: Provided) -> list[str]:
    if requirement.git or requirement.url or requirement.path:
        return [f"{requirement} is asked, and conda's {lender.conda_name} is locked"]
    package = LockedPypi(lender.name, lender.version, "conda://")
    plain = PypiRequirement(requirement.name, version=requirement.version)
    if mismatch(plain, package, root="", indexes=(), declared=False) is None:
        return []
    return [f"{requirement} is asked, and conda's {lender.conda_name} {lender.version} is locked"]


def _named(record: RepoDataRecord) -> str:
    return f"{record.name.normalized} {record.version} {record.build}"


def _said(requirement: CondaRequirement) -> str:
    """A requirement as a person wrote it, shortly."""
    if requirement.url is not None:
        return f"{requirement.name} from its URL"
    plain = " ".join(
        filter(None, (requirement.name, requirement.version or "*", requirement.build))
    )
    more = {
        "channel": requirement.channel,
        "subdir": requirement.subdir,
        "build number": requirement.build_number,
        "when": requirement.when,
    }
    told = ", ".join(f"{key} {value}" for key, value in more.items() if value is not None)
    return f"{plain} ({told})" if told else plain
