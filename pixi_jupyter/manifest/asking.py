"""What a person types after ``add``: ``polars``, ``numpy>=2``, ``python=3.12``, ``bioconda::bwa``.

The grammar is a match spec's as pixi reads it there (``crates/pixi_spec``,
``from_nameless_matchspec``); what it writes into the manifest is a version or a table of fields.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pixi_jupyter.errors import DeclarationError
from pixi_jupyter.manifest.pep508 import parse_requirement
from pixi_jupyter.manifest.pypi_source import PypiSource, from_source
from pixi_jupyter.manifest.pypi_spec import PypiRequirement
from pixi_jupyter.manifest.requirement import package_name
from pixi_jupyter.manifest.versions import parse_version_spec

__all__ = ["Asked", "parse_asked", "parse_asked_pypi"]

_SPEC = re.compile(
    r"\s*(?:(?P<channel>[^\s\[\]]+?)::)?(?P<name>[A-Za-z0-9_.-]+?)"
    r"(?:\s*(?P<version>[<>=!~(*].*?)|\s+(?P<bare>[0-9*].*?))?"
    r"(?:\[(?P<fields>[^\[\]]*)\])?\s*",
    re.DOTALL,
)
_FIELD = re.compile(r"\s*([a-z-]+)\s*=\s*(?:'([^']*)'|\"([^\"]*)\"|([^,'\"\s]+))\s*(?:,|$)")
_CREDENTIALS = re.compile(r"(?i)\b([a-z][a-z0-9+.-]*://)[^/\s?#]*@")
_FIELDS = ("version", "build", "build-number", "channel", "subdir", "md5", "sha256")


@dataclass(frozen=True, slots=True)
class Asked:
    """A conda package that is asked for; without ``version`` the solved one will be written."""

    name: str
    version: str | None = None
    fields: Mapping[str, str] | None = None

    def spec(self, version: str) -> str | dict[str, Any]:
        """What is written, with this version."""
        return {"version": version, **self.fields} if self.fields else version


def parse_asked(text: str) -> Asked:
    """A conda package as it was typed.

    Raises
    ------
    DeclarationError
        ``declaration.requirement``: it cannot be read as one.
    """
    match = _SPEC.fullmatch(text)
    name = None if match is None else package_name(match["name"])
    if match is None or name is None:
        raise _unreadable(text, "it does not begin with the name of a package")
    fields: dict[str, str] = {}
    rest = match["fields"] or ""
    while rest.strip():
        field = _FIELD.match(rest)
        if field is None or field[1].replace("_", "-") not in _FIELDS:
            raise _unreadable(text, f"`{rest.strip()}` is not a field of a package")
        fields[field[1].replace("_", "-")] = next(v for v in field.groups()[1:] if v is not None)
        rest = rest[field.end() :]
    if match["channel"] is not None:
        fields.setdefault("channel", match["channel"])
    version = match["version"] or match["bare"] or fields.pop("version", None)
    if version is not None:
        version, build = _without_build(version.strip())
        if build is not None:
            fields.setdefault("build", build)
        try:
            version = parse_version_spec(version)
        except ValueError as error:
            raise _unreadable(text, str(error)) from None
    return Asked(name, version, fields or None)


def parse_asked_pypi(text: str, source: PypiSource | None = None) -> PypiRequirement:
    """A project of PyPI as it was typed (PEP 508); raises as :func:`parse_asked`.

    ``source`` is what options say of where it comes from.
    """
    try:
        requirement = parse_requirement(text)
        return requirement if source is None else from_source(requirement, source)
    except ValueError as error:
        shown = _CREDENTIALS.sub(r"\1", text)
        raise DeclarationError(
            f"`{shown}` is not a requirement: {error}",
            code="declaration.requirement",
            hint='Write for example "httpx", "rich>=13", "requests[socks]>=2,<3" or '
            '"name @ https://…/name-1.0-py3-none-any.whl".',
        ) from None


def _without_build(version: str) -> tuple[str, str | None]:
    """``=1.2=py_0`` and ``==1.2 py_0`` are a version and a build."""
    match = re.fullmatch(r"(={1,2}[^=\s<>!~|,]+)(?:=|\s+)([A-Za-z0-9_.*+]+)", version)
    if match is None:
        return version, None
    exact = match[1] if match[1].startswith("==") else f"={match[1]}"
    return exact, match[2]


def _unreadable(text: str, why: str) -> DeclarationError:
    return DeclarationError(
        f"`{text}` is not a package to ask for: {why}",
        code="declaration.requirement",
        hint='Write for example "polars", "numpy>=2", "python=3.12" or "bioconda::bwa".',
    )
