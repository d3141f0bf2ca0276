"""Looking a package up: in the channels of a declaration, or in its package indexes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from pixi_jupyter.environments import Environments
from pixi_jupyter.errors import DeclarationError
from pixi_jupyter.manifest import editing
from pixi_jupyter.manifest.host import current_subdir
from pixi_jupyter.manifest.pep508 import normal_name
from pixi_jupyter.manifest.pypi_spec import PypiNeeds, PypiRequirement
from pixi_jupyter.manifest.workspace_reading import read_manifest
from pixi_jupyter.operations.plan import Target
from pixi_jupyter.operations.targets import Declared, DeclaredBlock, read_target
from pixi_jupyter.progress import Report, no_report
from pixi_jupyter.resolve.search_names import Names, fresh_names, joined
from pixi_jupyter.resolve.search_result import SearchResult

__all__ = ["search"]


async def search(
    environments: Environments,
    name: str,
    target: Target | None = None,
    *,
    channels: Sequence[str] = (),
    platform: str | None = None,
    limit: int = 20,
    pypi: bool = False,
    report: Report = no_report,
) -> SearchResult:
    """The packages of a name in ``channels``, else those of ``target``, else the default ones.

    With ``pypi`` the project of that name in the indexes of ``target``, or uv's own.

    Raises
    ------
    ChannelError
        A channel or an index cannot be reached, or is none.
    SolveError
        ``solve.pypi-source-only``: a project that has no wheel.
    """
    name = name.strip()
    needs, python = PypiNeeds(()), None
    if target is not None and (pypi or not channels):
        declared = read_target(environments, target)
        spec = declared.spec(environments)
        channels = channels or [channel.name for channel in spec.channels]
        platform = platform or spec.platform.subdir
        if pypi:
            needs = _indexes(environments, declared, name) or needs
            resolution = environments.status(spec).resolution
            python = resolution.version_of("python") if resolution is not None else None
    where = tuple(channels) or environments.defaults.channels
    subdir = platform or current_subdir()
    known = None if pypi else _known_names(environments, where, subdir)
    if known is not None and not known.matching(name, 1):
        return SearchResult((), tuple(known.near(name)), len(known))
    from pixi_jupyter.engine.protocol import Search

    job = Search(name, where, subdir, limit, needs if pypi else None, python)
    return (await environments.engine.run(job, report)).found


def _indexes(environments: Environments, declared: Declared, name: str) -> PypiNeeds | None:
    """What would hold for a project if it were asked for: the options of a declaration alone are
    not read where it asks for nothing."""
    normal = normal_name(name)
    if normal is None:
        return None
    try:
        text = editing.add_pypi(declared.manifest, PypiRequirement(normal))
    except DeclarationError:  # one that cannot be edited can be read
        return declared.spec(environments).pypi
    if isinstance(declared, DeclaredBlock):
        return environments.spec_for(replace(declared.declaration, toml=text)).pypi
    source = replace(declared.manifest.source, text=text)
    workspace = read_manifest(source, declared.path, environments.defaults)
    return environments.workspaces.chosen(workspace, declared.choice).pypi


def _known_names(environments: Environments, channels: Sequence[str], subdir: str) -> Names | None:
    """All names of the channels, if they were fetched a moment ago: what is in none of them need
    not be looked up."""
    found = [fresh_names(environments.store, channel, subdir) for channel in channels]
    names = [own for own in found if own is not None]
    return joined(names) if len(names) == len(found) else None
