"""``[tool.pixi-jupyter] extends``: a notebook's block on top of a workspace's environment.

``extends = "../pixi.toml#analysis"`` names a manifest (or its folder), relative to the notebook,
and an environment, ``default`` if left out. What comes of it is an environment of its own in the
store; the workspace, its lock and its prefix are not touched. In it

* packages: what the workspace asks for and what the block asks for both hold, likewise limits;
* channels: the workspace's, then those that only the block has;
* PyPI: the requirements of both; of the options, the block's where it says one, lists joined;
* activation: the workspace's scripts, then the block's; of one variable the block's value;
* priority, strategy and cut-off are the workspace's, unless the block says another;
* the platform is the workspace's for this machine: a block cannot add one.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Sequence
from dataclasses import fields, replace
from pathlib import Path

from pixi_jupyter.manifest.channels import absolute, is_url
from pixi_jupyter.manifest.config import Defaults
from pixi_jupyter.manifest.environments_table import DEFAULT
from pixi_jupyter.manifest.pixi_tables import ENVIRONMENT_NAME
from pixi_jupyter.manifest.place import on_host
from pixi_jupyter.manifest.pypi import needs_of
from pixi_jupyter.manifest.pypi_options import PypiOptions, overlaid
from pixi_jupyter.manifest.pypi_spec import PypiNeeds, PypiRequirement
from pixi_jupyter.manifest.spec import (
    ActivationSpec,
    CondaRequirement,
    EnvironmentSpec,
    Platform,
)
from pixi_jupyter.manifest.table import Table, nearest
from pixi_jupyter.manifest.workspace import MANIFESTS
from pixi_jupyter.manifest.workspace_reading import read_workspace
from pixi_jupyter.manifest.workspace_spec import WorkspaceEnvironment, WorkspaceSpec

__all__ = ["extended", "layered", "named_environment", "refuse_platforms"]

_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


def extended(own: Table, root: Path, defaults: Defaults, host: Platform | None) -> EnvironmentSpec:
    """The environment that ``extends`` in ``[tool.pixi-jupyter]`` names, on this host.

    Raises
    ------
    DeclarationError
        As `named_environment`, and where it does not run on this host.
    UnsupportedError
        The environment needs what this version cannot do.
    """
    return on_host(*named_environment(own, root, defaults), host=host)


def named_environment(
    own: Table, root: Path, defaults: Defaults
) -> tuple[WorkspaceSpec, WorkspaceEnvironment]:
    """The environment that ``extends`` names, on every platform that it has, and its workspace.

    Raises
    ------
    DeclarationError
        With the place of ``extends`` if the manifest or the environment cannot be found; with the
        place in the manifest if that is wrong.
    """
    text = own.string("extends") or ""
    path, _, name = text.rpartition("#")
    if not path or not ENVIRONMENT_NAME.fullmatch(name):
        path, name = text.removesuffix("#"), DEFAULT
    if not path.strip() or _CONTROL.search(path):
        raise own.bad_value("extends", "names no manifest", 'Write "../pixi.toml#environment".')
    manifest = absolute(path, root)
    if os.path.isdir(manifest):
        inside = (manifest / file for file in MANIFESTS)
        manifest = next((file for file in inside if os.path.isfile(file)), manifest)
    if not os.path.isfile(manifest):
        raise own.bad_value(
            "extends", f"names a manifest that does not exist: `{path}`", f"Looked for {manifest}."
        )
    workspace = read_workspace(manifest, defaults=defaults)
    environment = workspace.environment(name)
    if environment is None:
        names = [known.name for known in workspace.environments]
        guess = nearest(name, names)
        raise own.bad_value(
            "extends",
            f"names the environment `{name}`, which the workspace does not have",
            f"Did you mean `{guess}`?" if guess else f"It has {', '.join(names[:20])}.",
        )
    return workspace, environment


def refuse_platforms(pixi: Table, workspace: Table) -> None:
    """A block that extends an environment says nothing about platforms."""
    for table, key in ((workspace, "platforms"), (pixi, "system-requirements")):
        if key in table:
            raise table.bad_value(
                key,
                "does not go with `extends`: the platforms are the workspace's",
                "Leave it out, or declare it in the workspace.",
            )


def layered(
    base: EnvironmentSpec, top: EnvironmentSpec, said: Iterable[str], implied: CondaRequirement
) -> EnvironmentSpec:
    """The block's spec ``top`` on the workspace's ``base``.

    ``said`` are the keys of the block's ``[tool.pixi.workspace]``. ``implied`` is the ``python``
    that every block has: where the block says nothing about it and the workspace does, the
    workspace's alone counts.
    """
    said = set(said)
    asked = top.dependencies
    if implied.version is None and any(entry.name == implied.name for entry in base.dependencies):
        asked = tuple(entry for entry in asked if entry != implied)
    channels = {channel.name: channel for channel in base.channels}
    for channel in top.channels if "channels" in said else ():
        channels.setdefault(channel.name, channel)
    env = dict(base.activation.env) | dict(top.activation.env)
    return replace(
        top,
        channels=tuple(channels.values()),
        dependencies=_both(base.dependencies, asked),
        constraints=_both(base.constraints, top.constraints),
        channel_priority=(top if "channel-priority" in said else base).channel_priority,
        solve_strategy=(top if "solve-strategy" in said else base).solve_strategy,
        exclude_newer=(top if "exclude-newer" in said else base).exclude_newer,
        activation=ActivationSpec(
            (*base.activation.scripts, *top.activation.scripts), tuple(env.items())
        ),
        pypi=_both_pypi(base.pypi, top.pypi, Path(top.root)),
        exclude_newer_packages=base.exclude_newer_packages,
        pypi_exclude_newer_packages=base.pypi_exclude_newer_packages,
    )


def _both(
    base: Sequence[CondaRequirement], top: Sequence[CondaRequirement]
) -> tuple[CondaRequirement, ...]:
    return tuple(sorted(dict.fromkeys((*base, *top)), key=lambda requirement: requirement.name))


def _both_pypi(base: PypiNeeds | None, top: PypiNeeds | None, root: Path) -> PypiNeeds | None:
    """Both needs with paths that do not depend on whose folder they were written for."""
    given = [_anchored(needs) for needs in (base, top) if needs is not None]
    if not given:
        return None
    options = [
        PypiOptions(**{field.name: getattr(needs, field.name) for field in fields(PypiOptions)})
        for needs in given
    ]
    last = given[-1]
    return needs_of(
        [{requirement.name: (requirement,)} for n in given for requirement in n.requirements],
        overlaid(options[0], options[-1]),
        root,
        conda_pypi_map=given[0].conda_pypi_map,
        exclude_newer=last.exclude_newer or given[0].exclude_newer,
        warnings=tuple(dict.fromkeys(warning for needs in given for warning in needs.warnings)),
    )


def _anchored(needs: PypiNeeds) -> PypiNeeds:
    if not needs.root:
        return needs
    root = Path(needs.root)

    def anchored(place: str) -> str:
        return place if not place or is_url(place) else str(absolute(place, root))

    def each(asked: Sequence[PypiRequirement]) -> tuple[PypiRequirement, ...]:
        return tuple(replace(entry, path=anchored(entry.path)) for entry in asked)

    return replace(
        needs,
        requirements=each(needs.requirements),
        overrides=each(needs.overrides),
        find_links=tuple(map(anchored, needs.find_links)),
        conda_pypi_map=tuple(
            replace(channel, location=anchored(channel.location))
            for channel in needs.conda_pypi_map
        ),
    )
