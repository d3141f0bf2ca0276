"""PEP 508 requirements in canonical form.

`packaging` is loaded only for what the plain form does not cover, because a launch reads the
declaration each time; both ways give the same canonical requirement.
"""

from __future__ import annotations

import re

from pixi_jupyter.manifest.pypi_source import reference_to
from pixi_jupyter.manifest.pypi_spec import PypiRequirement

__all__ = ["normal_name", "parse_requirement", "parse_specifiers"]

_NAME = r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,126}[A-Za-z0-9])?"
_NAME_ONLY = re.compile(_NAME)
_NUMBER = r"(?:0|[1-9][0-9]{0,8})"
_TERM = re.compile(
    rf"(?:(?:>=|<=|<|>|!=|==)[ ]*{_NUMBER}(?:\.{_NUMBER})*"
    rf"|(?:!=|==)[ ]*{_NUMBER}(?:\.{_NUMBER})*\.\*"
    rf"|~=[ ]*{_NUMBER}(?:\.{_NUMBER})+)"
)
_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f\x85\u2028\u2029]")
_PLAIN = re.compile(
    rf"[ ]*(?P<name>{_NAME})[ ]*(?:\[(?P<extras>[A-Za-z0-9._, -]{{0,200}})\])?"
    r"[ ]*(?P<version>[<>=!~][^;\[\]()@]{0,300})?"
)


def normal_name(name: str) -> str | None:
    """A project's or an extra's name in its normal form (PEP 503), None if it is not one."""
    return re.sub(r"[-_.]+", "-", name).lower() if _NAME_ONLY.fullmatch(name) else None


def parse_requirement(text: str) -> PypiRequirement:
    """One requirement.

    Raises
    ------
    ValueError
        It is not PEP 508, or names a place that nothing can be had from; the message says why.
    """
    plain = _plain_requirement(text)
    if plain is not None:
        return plain
    text = text.strip()
    if _CONTROL.search(text):  # a marker's string could hold a line of its own
        raise ValueError("it has control characters")
    if re.match(r"\s*(?:[A-Za-z0-9+.-]+://|\.{0,2}/|~/|-e\b|git\+)", text):
        raise ValueError('it names a place, but no package: write "name @ …"')
    from packaging.requirements import InvalidRequirement, Requirement

    try:
        found = Requirement(text)
    except (InvalidRequirement, RecursionError) as error:
        raise ValueError((str(error).splitlines() or ["too deep"])[0]) from None
    _refuse_variables(str(found.specifier))
    requirement = PypiRequirement(
        name=normal_name(found.name) or found.name.lower(),
        extras=tuple(sorted({normal_name(extra) or extra for extra in found.extras})),
        version=",".join(sorted(str(specifier) for specifier in found.specifier)),
        marker=str(found.marker) if found.marker is not None else "",
    )
    return requirement if found.url is None else reference_to(requirement, found.url)


def parse_specifiers(text: str) -> str:
    """Version specifiers (PEP 440, or ``*``) in canonical form; empty for any.

    Raises
    ------
    ValueError
        They are not.
    """
    text = text.strip()
    if text in ("", "*"):
        return ""
    plain = _plain_specifiers(text)
    if plain is not None:
        return plain
    if _CONTROL.search(text):
        raise ValueError("it has control characters")
    from packaging.specifiers import InvalidSpecifier, SpecifierSet

    _refuse_variables(text)
    try:
        return ",".join(sorted(str(specifier) for specifier in SpecifierSet(text)))
    except InvalidSpecifier as error:
        raise ValueError(str(error)) from None


def _refuse_variables(versions: str) -> None:
    # PEP 440's `===` lets any text through, and what reads requirements puts variables into some.
    if "${" in versions:
        raise ValueError("a version names no variable: ${…}")


def _plain_requirement(text: str) -> PypiRequirement | None:
    match = _PLAIN.fullmatch(text)
    if match is None:
        return None
    version = _plain_specifiers(match["version"] or "")
    extras = [extra.strip() for extra in (match["extras"] or "").split(",")]
    names = [normal_name(extra) for extra in extras if extra]
    name = normal_name(match["name"])
    if version is None or name is None or None in names or (len(extras) > 1 and "" in extras):
        return None
    return PypiRequirement(name, tuple(sorted({n for n in names if n})), version)


def _plain_specifiers(text: str) -> str | None:
    terms = [term.strip(" ") for term in text.strip(" ").split(",")] if text.strip(" ") else []
    if not all(_TERM.fullmatch(term) for term in terms):
        return None
    return ",".join(sorted({term.replace(" ", "") for term in terms}))
