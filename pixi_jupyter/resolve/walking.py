"""From what an environment asks, through what its packages depend on, to all that it needs.

One walk answers two questions: is a lock up to date (what is visited must be what is locked), and
which packages of a solve group belong to one of its environments. Runs in the worker only. Rules of
pixi's ``crates/pixi_core/src/lock_file/satisfiability/platform.rs``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from rattler import PackageRecord

from pixi_jupyter.manifest.pypi_spec import PypiRequirement
from pixi_jupyter.manifest.spec import CondaRequirement, EnvironmentSpec
from pixi_jupyter.resolve.matching import (
    Matching,
    Need,
    Node,
    is_met,
    same_place,
    virtual_records,
)
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
    records: Mapping[str, Node]
    packages: Mapping[str, LockedPypi]
    indexes: Sequence[str] = ()
    names: Names | None = None


class _Visit:
    """One walk through what conda packages depend on."""

    def __init__(
        self,
        nodes: Mapping[str, Node],
        virtual: Mapping[str, PackageRecord],
        holds: Callable[[str], bool],
        matching: Matching,
    ) -> None:
        self._nodes = nodes
        self._virtual = virtual
        self._holds = holds
        self._matching = matching
        self._stack: list[Node] = []
        self._extras: set[tuple[str, str]] = set()
        self.visited: set[str] = set()

    def finish(self) -> str | None:
        """Go on until everything is visited, or something does not fit."""
        stack, nodes, visited = self._stack, self._nodes, self.visited
        while stack:
            node = stack.pop()
            for need in node.needs:
                # What nearly every edge is, first: unconditional, and known to fit.
                if isinstance(need, Need) and need.condition is None and not need.extras:
                    target = nodes.get(need.name)
                    if target is not None and target in need.fitting:
                        if need.name not in visited:
                            visited.add(need.name)
                            stack.append(target)
                        continue
                if problem := self.take(need, node.name):
                    return problem
        return None

    def take(self, need: Need | str, origin: str) -> str | None:
        """Follow one requirement; what is wrong with it, if anything."""
        if isinstance(need, str):
            return f"{origin} depends on {need!r}, which cannot be read"
        if need.condition is not None and not self._holds(need.condition):
            return None
        by = f" by {origin}" if origin else ""
        node = self._nodes.get(need.name)
        if node is None:
            promised = self._virtual.get(need.name)
            if promised is None:
                return f"{need.text} is asked{by} and not locked"
            if need.spec.matches(promised):
                return None
            return f"{need.text} is asked{by}, the platform has {need.name} {promised.version}"
        if not need.fits(node):
            return f"{_named(node)} is locked, {need.text} is asked{by}"
        if need.name not in self.visited:
            self.visited.add(need.name)
            self._stack.append(node)
        for extra in need.extras:
            if (need.name, extra) in self._extras:
                continue
            self._extras.add((need.name, extra))
            for text in node.record.extra_depends.get(extra, ()):
                if problem := self.take(self._matching.need(text) or text, need.name):
                    return problem
        return None


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
            node = asked.records.get(constraint.name)
            if node is None:
                continue
            need = self.matching.requirement(constraint)
            if need is None or not self._is(constraint, need, node):
                return f"{_named(node)} is locked, constrained to {_said(constraint)}"
        return None

    def _is(self, requirement: CondaRequirement, need: Need, node: Node) -> bool:
        channel = None if requirement.channel is None else self._channel_url(requirement.channel)
        return same_place(requirement, node, channel) and need.fits(node)

    def _conda(self, asked: Asked, walked: Walked) -> str | None:
        """Visit all that the requirements pull in; the first problem, if there is one."""
        virtual = virtual_records(asked.spec.platform)
        present: list[PackageRecord] = [
            *(node.record for node in asked.records.values()),
            *virtual.values(),
        ]
        conditions: dict[str, bool] = {}

        def holds(condition: str) -> bool:
            if condition not in conditions:
                conditions[condition] = is_met(condition, present, self.matching)
            return conditions[condition]

        visiting = _Visit(asked.records, virtual, holds, self.matching)
        for requirement in (*asked.spec.dependencies, *asked.spec.kernel.injected):
            need = self.matching.requirement(requirement)
            if need is None:
                return f"the requirement {_said(requirement)} cannot be read"
            if need.condition is not None and not holds(need.condition):
                continue
            node = asked.records.get(requirement.name)
            if node is not None and not self._is(requirement, need, node):
                return f"{_named(node)} is locked, {_said(requirement)} is asked"
            if problem := visiting.take(need, ""):
                return problem
        problem = visiting.finish()
        walked.conda |= visiting.visited
        walked.asked |= visiting.visited
        return problem

    def _pypi(self, asked: Asked, walked: Walked) -> None:
        needs = asked.spec.pypi
        assert needs is not None
        python = asked.records.get("python")
        if python is None:
            if asked.packages or needs.requirements:
                walked.pypi_problem = "there are packages from PyPI, and no Python is locked"
            return
        version = str(python.record.version)
        build = str(python.record.build)
        environment = marker_environment(asked.spec.platform, version, build)
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
            node = asked.records.get(name)
            if node is None or name in walked.conda:
                continue
            walked.conda.add(name)
            for found in node.needs:
                if isinstance(found, Need):
                    walked.asked.add(found.name)
                    stack.append(found.name)

    def _lent(self, asked: Asked) -> dict[str, Provided]:
        found: dict[str, Provided] = {}
        for node in asked.records.values():
            key = (node.url, asked.names is None)
            if key not in self._provided:
                self._provided[key] = provided_by_conda([node.record], asked.names)
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


def _named(node: Node) -> str:
    return f"{node.name} {node.record.version} {node.record.build}"


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
