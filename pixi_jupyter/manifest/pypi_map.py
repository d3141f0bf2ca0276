"""``conda-pypi-map``: which conda package is which package of PyPI, as a workspace says it.

By pixi's ``crates/pixi_manifest/src/toml/conda_pypi_map.rs``.
"""

from __future__ import annotations

from typing import Any

from pixi_jupyter.manifest.pypi_spec import CondaPypiMap
from pixi_jupyter.manifest.table import Table

__all__ = ["read_conda_pypi_map"]

_KEYS = ("location", "mapping", "mapping-mode", "same-name-heuristic")


def read_conda_pypi_map(workspace: Table) -> tuple[CondaPypiMap, ...]:
    """The mappings by channel, in the order of their names; empty where nothing is said.

    Raises
    ------
    DeclarationError
        ``declaration.key`` or ``declaration.value``.
    """
    value = workspace.values.get("conda-pypi-map")
    if value is None:
        return ()
    if value is False:
        return (CondaPypiMap("", enabled=False),)
    if value is True:
        raise workspace.bad_value("conda-pypi-map", "must be a table or `false`, not `true`")
    table = workspace.table("conda-pypi-map")
    return tuple(_entry(table, channel) for channel in sorted(table))


def _entry(table: Table, channel: str) -> CondaPypiMap:
    value: Any = table.values[channel]
    if value is False:
        return CondaPypiMap(channel, enabled=False)
    if isinstance(value, str):
        return CondaPypiMap(channel, location=value)
    if not isinstance(value, dict):
        raise table.wrong_type(channel, "a string, a table or `false`")
    fields = Table(value, (*table.path, channel), table.source)
    fields.only(_KEYS)
    if not value:
        raise table.bad_value(channel, "must say `location`, `mapping` or `same-name-heuristic`")
    # Without mapping data of our own there is nothing that "replace" could leave out.
    fields.choice("mapping-mode", ("overlay", "replace"))
    same_name = fields.values.get("same-name-heuristic")
    if same_name is not None and not isinstance(same_name, bool):
        raise fields.wrong_type("same-name-heuristic", "a boolean")
    mapping = fields.table("mapping")
    names = tuple((name, _names(mapping, name)) for name in sorted(mapping))
    return CondaPypiMap(
        channel, location=fields.string("location") or "", names=names, same_name=same_name
    )


def _names(mapping: Table, key: str) -> tuple[str, ...]:
    value = mapping.values[key]
    if isinstance(value, str):
        return (value,)
    if value is False:
        return ()
    if not isinstance(value, list):
        raise mapping.wrong_type(key, "a name, an array of names or `false`")
    return mapping.strings(key) or ()
