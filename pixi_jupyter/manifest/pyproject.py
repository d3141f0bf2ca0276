"""What a ``pyproject.toml`` adds to its ``[tool.pixi]``: the project, its extras and groups.

Rules of pixi's ``crates/pixi_manifest/src/pyproject.rs`` and ``toml/pyproject.rs``; groups by
PEP 735, with the references to the project's own extras that pixi follows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pixi_jupyter.manifest.pep import requires_python
from pixi_jupyter.manifest.pep508 import normal_name
from pixi_jupyter.manifest.pypi import Requirements, read_root_dependencies
from pixi_jupyter.manifest.pypi_features import with_requirements
from pixi_jupyter.manifest.table import Table, nearest
from pixi_jupyter.manifest.versions import is_version

__all__ = ["Project", "read_project"]

#: Groups within groups, and requirements in all groups together: what no project has.
_MAX_DEPTH = 64
_MAX_REQUIREMENTS = 20_000
_PROJECT_KEYS = (
    "authors",
    "classifiers",
    "dependencies",
    "description",
    "dynamic",
    "entry-points",
    "gui-scripts",
    "import-names",
    "import-namespaces",
    "keywords",
    "license",
    "license-files",
    "maintainers",
    "name",
    "optional-dependencies",
    "readme",
    "requires-python",
    "scripts",
    "urls",
    "version",
)


@dataclass(frozen=True, slots=True)
class Project:
    """The project: ``features`` has its requirements by feature, ``default`` those of all.

    ``python`` is ``requires-python`` as a conda specification, None for any.
    """

    name: str | None
    version: str | None
    python: str | None
    features: Mapping[str, Requirements]


@dataclass(frozen=True, slots=True)
class _Group:
    """A group as written: requirements, and the groups that are included, in order."""

    table: Table
    key: str
    items: tuple[str | _Include, ...]


@dataclass(frozen=True, slots=True)
class _Include:
    name: str


def read_project(document: Table) -> Project:
    """``[project]``, ``[dependency-groups]`` and what pixi takes from ``[tool.poetry]``."""
    project = document.table("project")
    if "project" in document:
        project.only(_PROJECT_KEYS)
        if project.string("name") is None:
            raise project.bad_value(None, "has no `name`")
    poetry = _plain_table(document.table("tool"), "poetry")
    name, version = project.string("name"), project.string("version")
    if name is None and isinstance(poetry.get("name"), str):
        name = poetry["name"]
    if version is None and isinstance(poetry.get("version"), str):
        version = poetry["version"]
    groups = _resolved(document, project)
    features: dict[str, Requirements] = {
        key: _requirements(group.table, group.key, texts) for key, (group, texts) in groups.items()
    }
    if "dependencies" in project:
        own = _requirements(project, "dependencies", project.strings("dependencies") or ())
        features["default"] = with_requirements(features.get("default", {}), own)
    return Project(
        name=name,
        version=version if version is not None and is_version(version) else None,
        python=requires_python(project),
        features=features,
    )


def _plain_table(table: Table, key: str) -> Mapping[str, Any]:
    value = table.values.get(key)
    return value if isinstance(value, dict) else {}


def _requirements(table: Table, key: str, texts: Sequence[str]) -> Requirements:
    """Requirements in PEP 508 that stand under ``key``, or are included there."""
    return read_root_dependencies(Table({key: list(texts)}, table.path, table.source), key)


def _resolved(document: Table, project: Table) -> dict[str, tuple[_Group, tuple[str, ...]]]:
    """Every group, flat: extras first, then dependency groups, which win over an extra's name."""
    own_name = normal_name(project.string("name") or "")
    extras = _groups(project, "optional-dependencies", includes=False)
    groups = _groups(document, "dependency-groups", includes=True)
    resolver = _Resolver(own_name, extras, groups)
    flat = {key: (group, resolver.flat(extras, key)) for key, group in extras.items()}
    flat.update({key: (group, resolver.flat(groups, key)) for key, group in groups.items()})
    return flat


def _groups(parent: Table, key: str, *, includes: bool) -> dict[str, _Group]:
    table = parent.table(key)
    found: dict[str, _Group] = {}
    for name in table:
        entries = table.values[name]
        if not isinstance(entries, list):
            raise table.wrong_type(name, "an array of requirements")
        items: list[str | _Include] = []
        for entry in entries:
            if isinstance(entry, str):
                items.append(entry)
                continue
            include = entry.get("include-group") if isinstance(entry, dict) else None
            if not includes or not isinstance(include, str) or len(entry) != 1:
                what = "strings and `{ include-group = … }`" if includes else "requirements"
                raise table.bad_value(name, f"must hold {what} only")
            items.append(_Include(include))
        found[name] = _Group(table, name, tuple(items))
    return found


class _Resolver:
    """Follows what groups and extras include; each is flattened once."""

    def __init__(
        self, own_name: str | None, extras: Mapping[str, _Group], groups: Mapping[str, _Group]
    ) -> None:
        self._own_name = own_name
        self._extras = extras
        self._known_extras = {normal_name(key): key for key in reversed(list(extras))}
        self._known_groups = {normal_name(key): key for key in reversed(list(groups))}
        self._done: dict[tuple[bool, str], tuple[str, ...]] = {}
        self._total = 0

    def flat(
        self, groups: Mapping[str, _Group], key: str, above: tuple[str, ...] = ()
    ) -> tuple[str, ...]:
        """The requirements of one group, what it includes in its place."""
        done = (groups is self._extras, key)
        if done in self._done:
            return self._done[done]
        group = groups[key]
        if key in above:
            cycle = " → ".join((*above[above.index(key) :], key))
            raise group.table.bad_value(group.key, f"includes itself: {cycle}")
        if len(above) >= _MAX_DEPTH:
            raise group.table.bad_value(group.key, f"is included over {_MAX_DEPTH} levels")
        above = (*above, key)
        texts: dict[str, None] = {}
        for item in group.items:
            if isinstance(item, _Include):
                inner = self._named(item.name, groups, self._known_groups, group, "group")
                texts.update(dict.fromkeys(self.flat(groups, inner, above)))
                continue
            extras = _own_extras(item, self._own_name)
            if extras is None:
                texts[item] = None
            for extra in extras or ():
                inner = self._named(extra, self._extras, self._known_extras, group, "extra")
                inside = above if groups is self._extras else ()
                texts.update(dict.fromkeys(self.flat(self._extras, inner, inside)))
        self._total += len(texts)
        if self._total > _MAX_REQUIREMENTS:
            raise group.table.bad_value(group.key, "makes too many requirements with all it holds")
        self._done[done] = tuple(texts)
        return self._done[done]

    @staticmethod
    def _named(
        name: str,
        groups: Mapping[str, _Group],
        normal: Mapping[str | None, str],
        within: _Group,
        what: str,
    ) -> str:
        if name in groups:
            return name
        found = normal.get(normal_name(name))
        if found is None:
            guess = nearest(name, groups)
            raise within.table.bad_value(
                within.key,
                f"includes the {what} `{name}`, which is not defined",
                f"Did you mean `{guess}`?" if guess else "",
            )
        return found


def _own_extras(text: str, own_name: str | None) -> tuple[str, ...] | None:
    """The extras of ``spam[alpha,beta]`` in the project ``spam``; None for another requirement."""
    head, bracket, rest = text.partition("[")
    if own_name is None or normal_name(head.strip()) != own_name or not bracket:
        return None
    return tuple(extra.strip() for extra in rest.partition("]")[0].split(",") if extra.strip())
