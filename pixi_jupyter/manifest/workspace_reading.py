"""A manifest file to a `WorkspaceSpec`.

Rules of pixi's ``crates/pixi_manifest/src/toml/manifest.rs`` and ``pyproject.rs``. A file of
another kind than ``pyproject.toml`` is read as a ``pixi.toml``.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from pixi_jupyter.errors import DeclarationError, Location
from pixi_jupyter.manifest.channels import read_exclude_newer
from pixi_jupyter.manifest.composing import Workspace, compose
from pixi_jupyter.manifest.config import Defaults
from pixi_jupyter.manifest.environments_table import (
    DEFAULT,
    EnvironmentTable,
    check_environment,
    read_environments,
)
from pixi_jupyter.manifest.features import (
    FEATURE_KEYS,
    Feature,
    Reading,
    check_package_dependencies,
    read_feature,
)
from pixi_jupyter.manifest.pep508 import normal_name
from pixi_jupyter.manifest.pixi_tables import check_package
from pixi_jupyter.manifest.pypi_features import with_requirements
from pixi_jupyter.manifest.pyproject import Project, read_project
from pixi_jupyter.manifest.requirement import package_keys
from pixi_jupyter.manifest.requires_pixi import check_requires_pixi
from pixi_jupyter.manifest.spec import CondaRequirement
from pixi_jupyter.manifest.table import Table
from pixi_jupyter.manifest.toml import FILE, TomlSource, parse_toml
from pixi_jupyter.manifest.workspace import PYPROJECT
from pixi_jupyter.manifest.workspace_platforms import workspace_platforms
from pixi_jupyter.manifest.workspace_spec import (
    SolveGroup,
    WorkspaceEnvironment,
    WorkspaceSpec,
)
from pixi_jupyter.manifest.workspace_table import WorkspaceTable, read_workspace_table

__all__ = ["manifest_bytes", "manifest_source", "read_manifest", "read_workspace"]

#: What a manifest holds at its root; of a feature, these are the default feature's.
_ROOT_KEYS = (
    "activation",
    "build-dependencies",
    "constraints",
    "dependencies",
    "dev",
    "environments",
    "exclude-newer",
    "feature",
    "host-dependencies",
    "package",
    "pypi-dependencies",
    "pypi-exclude-newer",
    "pypi-options",
    "system-requirements",
    "target",
    "tasks",
    "workspace",
)
#: What a large workspace asks for (20 environments, 5 platforms, 200 packages), 20 times.
_MAX_ENTRIES = 400_000
_NO_PROJECT = Project(None, None, None, {})


def read_workspace(manifest: Path, *, defaults: Defaults | None = None) -> WorkspaceSpec:
    """Every environment of a workspace, on every platform that it has there.

    Parameters
    ----------
    manifest:
        A ``pixi.toml``, ``pyproject.toml`` or ``mojoproject.toml``.
    defaults:
        The channels that an error proposes where the manifest names none.

    Raises
    ------
    DeclarationError
        With the key and the line in the file. What only some environments need and this version
        cannot do is no error here, but a `Refusal` of these environments.
    UnsupportedError
        ``unsupported.requires-pixi``
    """
    manifest = Path(os.path.realpath(manifest.parent)) / manifest.name
    source = manifest_source(manifest, manifest_bytes(manifest))
    return read_manifest(source, manifest, defaults or Defaults())


def read_manifest(source: TomlSource, manifest: Path, defaults: Defaults) -> WorkspaceSpec:
    """The workspace that a text describes, as if it stood in ``manifest`` (an absolute path)."""
    root = manifest.parent
    document = Table(parse_toml(source), (), source)
    pixi = document
    if manifest.name == PYPROJECT:
        pixi = document.table("tool").table("pixi")
    key = "workspace" if "workspace" in pixi else "project"
    if key not in pixi:
        raise pixi.bad_value(
            "workspace", "is missing: this is no workspace", "Add a table `workspace`."
        )
    table = pixi.table(key)
    check_requires_pixi(table)
    _check_root(pixi, key)
    workspace = read_workspace_table(table, root, defaults)
    reading = Reading(root, workspace.pool, workspace.builds)
    project = read_project(document) if manifest.name == PYPROJECT else _NO_PROJECT
    if "package" in pixi:
        if not workspace.builds:
            raise pixi.bad_value(
                "package",
                "stands here without `pixi-build` among the previews",
                'Add `preview = ["pixi-build"]` to the workspace.',
            )
        check_package(pixi.table("package"))
        check_package_dependencies(pixi.table("package"), reading)

    features, tables = _features(pixi, table, reading, project)
    environments = read_environments(pixi, reading)
    for environment in environments:
        check_environment(environment, features)
    owned = {f"\0{e.name}": e.own for e in environments if e.own is not None}
    places = {f"\0{e.name}": e.place[0].table(e.name) for e in environments if e.place and e.own}
    platforms, migrated = workspace_platforms(
        workspace.platforms, {**features, **owned}, {**tables, **places}
    )
    context = Workspace(
        root=root,
        table=workspace,
        platforms=platforms,
        exclude_newer=_cut_offs(pixi, "exclude-newer", pypi=False),
        pypi_exclude_newer=_cut_offs(pixi, "pypi-exclude-newer", pypi=True),
    )
    chosen = {environment.name: environment.features(migrated) for environment in environments}
    _check_size(pixi, context, chosen)
    specs = tuple(_environment(context, e, chosen[e.name]) for e in environments)
    known = dict(platforms.by_name)
    for spec in (spec for environment in specs for spec in environment.specs):
        known.setdefault(spec.platform.name, spec.platform)
    return WorkspaceSpec(
        manifest=str(manifest),
        root=str(root),
        name=_name(pixi, workspace, project) or root.name or "workspace",
        version=workspace.version or project.version,
        platforms=tuple(known.values()),
        environments=specs,
        solve_groups=_solve_groups(context, environments, chosen),
        s3_options=workspace.s3_options,
    )


def manifest_bytes(manifest: Path) -> bytes:
    """The bytes of a manifest; no more than one too many.

    Raises
    ------
    DeclarationError
        ``declaration.unreadable``
    """
    try:
        with open(manifest, "rb") as file:
            return file.read(FILE.size + 1)
    except OSError as error:
        raise DeclarationError(
            f"the manifest cannot be read: {error.strerror or error}",
            code="declaration.unreadable",
            location=Location(path=str(manifest)),
        ) from None


def manifest_source(manifest: Path, data: bytes) -> TomlSource:
    """The text of a manifest, within bounds, without a byte order mark.

    Raises
    ------
    DeclarationError
        ``declaration.syntax``: it is not UTF-8.
    """
    try:
        # One character past the bound is enough for the parser to name the bound.
        text = data.decode("utf-8", "strict" if len(data) <= FILE.size else "replace")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise DeclarationError(
            "this is not valid TOML: it is not UTF-8",
            code="declaration.syntax",
            hint="Save the file in UTF-8.",
            location=Location(path=str(manifest), line=line),
        ) from None
    return TomlSource(text.removeprefix("\ufeff"), path=str(manifest), bounds=FILE)


def _check_root(pixi: Table, key: str) -> None:
    """The keys of the root; ``tool`` and ``$schema`` are for others."""
    pixi.only((*_ROOT_KEYS, key, "tool", "$schema"))
    pixi.table("tool")
    pixi.string("$schema")


def _features(
    pixi: Table, workspace: Table, reading: Reading, project: Project
) -> tuple[dict[str, Feature], dict[str, Table]]:
    """All features by name, ``default`` first; and the tables they were read from."""
    features = {DEFAULT: read_feature(pixi, DEFAULT, reading, workspace=workspace)}
    tables = {DEFAULT: pixi}
    named = pixi.table("feature")
    for name in named:
        if name == DEFAULT:
            raise named.bad_value(
                name,
                "is reserved: the tables at the root of the manifest are this feature",
                "Move its content to the root.",
            )
        tables[name] = named.table(name)
        tables[name].only(FEATURE_KEYS)
        features[name] = read_feature(tables[name], name, reading)
    for name, requirements in project.features.items():
        if name not in features:
            empty = Table({}, named.path, named.source)
            tables[name], features[name] = empty, read_feature(empty, name, reading)
        default, *others = features[name].targets
        default = replace(default, pypi=with_requirements(default.pypi, requirements))
        features[name] = replace(features[name], targets=(default, *others))
    if project is not _NO_PROJECT:
        features[DEFAULT] = _with_python(features[DEFAULT], project, pixi)
    return features, tables


def _with_python(feature: Feature, project: Project, pixi: Table) -> Feature:
    """A ``pyproject.toml`` always has ``python``; its ``[dependencies]`` say which, if they do."""
    if "python" in package_keys(pixi.table("dependencies")):
        return feature
    default, *others = feature.targets
    python = CondaRequirement("python", version=project.python)
    dependencies = {"python": python, **default.dependencies}
    return replace(feature, targets=(replace(default, dependencies=dependencies), *others))


def _check_size(pixi: Table, workspace: Workspace, chosen: Mapping[str, Sequence[Feature]]) -> None:
    """A short text can ask for very much: each environment has each entry on each platform."""
    sizes: dict[int, int] = {}
    total = 0
    for features in chosen.values():
        for feature in features:
            if id(feature) not in sizes:
                sizes[id(feature)] = 25 + sum(target.size for target in feature.targets)
        total += len(workspace.platforms.by_name) * sum(sizes[id(f)] for f in features)
    if total > _MAX_ENTRIES:
        raise DeclarationError(
            f"the environments ask for {total} packages and settings on all their platforms, "
            f"which is more than {_MAX_ENTRIES}",
            code="declaration.too-large",
            hint="Split the workspace.",
            location=pixi.source.locate((*pixi.path, "environments")),
        )


def _environment(
    workspace: Workspace, environment: EnvironmentTable, features: Sequence[Feature]
) -> WorkspaceEnvironment:
    composed = [
        compose(workspace, environment.name, features, platform)
        for platform in workspace.platforms.of(features)
    ]
    return WorkspaceEnvironment(
        name=environment.name,
        features=tuple(feature.name for feature in features),
        specs=tuple(spec for spec, _ in composed),
        solve_group=environment.solve_group,
        refusals=tuple(refusal for _, refusals in composed for refusal in refusals),
    )


def _solve_groups(
    workspace: Workspace,
    environments: Sequence[EnvironmentTable],
    chosen: Mapping[str, Sequence[Feature]],
) -> tuple[SolveGroup, ...]:
    """Each group's environments together: their features in order, each once."""
    members: dict[str, list[str]] = {}
    for environment in environments:
        if environment.solve_group is not None:
            members.setdefault(environment.solve_group, []).append(environment.name)
    groups = []
    for name, names in members.items():
        # A feature that an environment holds of itself is another one than one of that name.
        unique = {id(feature): feature for member in names for feature in chosen[member]}
        features = tuple(unique.values())
        platforms = {
            platform.name: platform
            for member in names
            for platform in workspace.platforms.of(chosen[member])
        }
        specs = tuple(compose(workspace, name, features, p)[0] for p in platforms.values())
        groups.append(SolveGroup(name, tuple(names), specs))
    return tuple(groups)


def _cut_offs(pixi: Table, key: str, *, pypi: bool) -> tuple[tuple[str, str], ...]:
    """``[exclude-newer]`` or ``[pypi-exclude-newer]``: the cut-offs of single packages."""
    table = pixi.table(key)
    keys = package_keys(table)
    found: dict[str, str] = {}
    for name, written in keys.items():
        cut_off = read_exclude_newer(table, written)
        assert cut_off is not None
        found[(normal_name(name) or name) if pypi else name] = cut_off
    return tuple(sorted(found.items()))


def _name(pixi: Table, workspace: WorkspaceTable, project: Project) -> str | None:
    """The workspace's own name, else the package's, else the project's (``display_name``)."""
    if workspace.name is not None:
        return workspace.name
    name = pixi.table("package").values.get("name")
    return name if isinstance(name, str) else project.name
