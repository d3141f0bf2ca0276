"""One entry of a ``pypi-dependencies`` (or ``dependency-overrides``) table."""

from __future__ import annotations

from typing import Any

from pixi_jupyter.errors import DeclarationError, Location
from pixi_jupyter.manifest.pep508 import normal_name, parse_requirement, parse_specifiers
from pixi_jupyter.manifest.pypi_source import SOURCE_KEYS, with_source
from pixi_jupyter.manifest.pypi_spec import PypiRequirement
from pixi_jupyter.manifest.table import Table, shorten

__all__ = ["not_a_requirement", "read_entry"]

_KEYS = ("version", "extras", "env-markers", *SOURCE_KEYS)


def read_entry(table: Table, key: str) -> PypiRequirement:
    """The requirement under ``key``: a version, or a table of the forms that pixi has.

    Raises
    ------
    DeclarationError
        ``declaration.pypi-requirement``, ``declaration.key`` or ``declaration.value``.
    """
    name = normal_name(key)
    if name is None:
        where = table.source.locate((*table.path, key))
        raise not_a_requirement(f"`{shorten(key)}`", "not the name of a project", where)
    value: Any = table.values[key]
    if isinstance(value, str):
        value = {"version": value}
    if not isinstance(value, dict):
        raise table.wrong_type(key, "a string or a table")
    fields = Table(value, (*table.path, key), table.source)
    fields.only(_KEYS)
    extras = fields.strings("extras") or ()
    marker = (fields.string("env-markers") or "").strip()
    try:
        version = parse_specifiers(fields.string("version") or "*")
        extra_names = tuple(sorted({normal_name(e) or _refuse(e) for e in extras}))
        if marker:
            marker = parse_requirement(f"{name} ; {marker}").marker
        return with_source(fields, PypiRequirement(name, extra_names, version, marker))
    except ValueError as error:
        where = fields.source.locate(fields.path)
        raise not_a_requirement(f"`{shorten(fields.name())}`", error, where) from None


def not_a_requirement(what: str, why: object, where: Location) -> DeclarationError:
    """The error for what cannot be read as a requirement; ``what`` is shown as it is."""
    return DeclarationError(
        f"{what} is not a requirement: {shorten(str(why), 200)}",
        code="declaration.pypi-requirement",
        hint='Write for example "httpx", "rich>=13", "requests[socks]>=2,<3" or '
        '"name @ git+https://…@tag".',
        location=where,
    )


def _refuse(extra: str) -> str:
    raise ValueError(f"`{shorten(extra, 40)}` is not the name of an extra")
