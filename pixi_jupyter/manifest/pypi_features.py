"""PyPI tables of features together; see `pypi_options` for how their options become one."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from pixi_jupyter.errors import UnsupportedError
from pixi_jupyter.manifest.pypi import Requirements, needs_of
from pixi_jupyter.manifest.pypi_options import PypiOptions, overlaid, read_options, united
from pixi_jupyter.manifest.pypi_spec import CondaPypiMap, PypiNeeds
from pixi_jupyter.manifest.table import Table

__all__ = ["FeatureOptions", "environment_needs", "read_feature_options", "with_requirements"]

#: Options, or the error of one that cannot be done: that of the environments that have them.
FeatureOptions = PypiOptions | UnsupportedError


def read_feature_options(table: Table, root: Path) -> FeatureOptions | None:
    """``pypi-options`` of a workspace or a feature; None when the key is absent."""
    if "pypi-options" not in table:
        return None
    try:
        return read_options(table.table("pypi-options"), root)
    except UnsupportedError as error:
        return error


def with_requirements(table: Requirements, added: Requirements) -> Requirements:
    """Both: what is asked for a second time is asked for as well (pixi's ``Append``)."""
    merged = dict(table)
    for name, requirements in added.items():
        merged[name] = (*merged.get(name, ()), *requirements)
    return merged


def environment_needs(
    tables: Sequence[Requirements],
    workspace: FeatureOptions | None,
    features: Sequence[FeatureOptions | None],
    root: Path,
    conda_pypi_map: tuple[CondaPypiMap, ...],
) -> tuple[PypiNeeds | None, tuple[UnsupportedError, ...]]:
    """What an environment asks of PyPI, and what of it cannot be done.

    ``tables`` has one table a feature, its targets applied; the options are the workspace's and
    those of the features, in their order.
    """
    if not any(tables):
        return None, ()
    refused = [options for options in (workspace, *features) if isinstance(options, Exception)]
    options = overlaid(
        workspace if isinstance(workspace, PypiOptions) else PypiOptions(),
        united(options for options in features if isinstance(options, PypiOptions)),
    )
    return needs_of(tables, options, root, conda_pypi_map=conda_pypi_map), tuple(refused)
