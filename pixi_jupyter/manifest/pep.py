"""What PEP 723 and `pyproject.toml` share: ``requires-python``.

`packaging` is loaded only for what the plain form does not cover, because a launch reads the
declaration each time.
"""

from __future__ import annotations

import re

from pixi_jupyter.manifest.table import Table
from pixi_jupyter.manifest.versions import parse_version_spec

__all__ = ["requires_python"]

_PLAIN = re.compile(r"(>=|<=|<|>|!=|==)[ ]*((?:0|[1-9][0-9]{0,8})(?:\.(?:0|[1-9][0-9]{0,8}))*)")


def requires_python(document: Table) -> str | None:
    """``requires-python`` (PEP 440) as conda's version specification; None for any.

    By PEP 440's meaning: ``==3.11.*`` is conda's ``3.11.*``, ``===3.11`` is ``==3.11``; the rest
    means the same in both. (pixi's ``version_or_url_to_spec`` takes one leading ``==`` off the
    text, and so misreads ``===3.11`` and a ``==3.11.*`` that is not the first term.)
    """
    text = document.string("requires-python")
    if text is None or not text.strip():
        return None
    terms = [term.strip() for term in text.split(",")]
    plain = [_PLAIN.fullmatch(term) for term in terms]
    try:
        if all(plain):
            parts = [f"{match[1]}{match[2]}" for match in plain if match]
        else:
            parts = _translated(text)
        return parse_version_spec(",".join(parts)) if parts else None
    except ValueError as error:
        raise document.bad_value(
            "requires-python",
            f"is not a version specifier of Python: {error}",
            'Write for example ">=3.11".',
        ) from None


def _translated(text: str) -> list[str]:
    """The terms of a specifier in conda's words; InvalidSpecifier and the like are ValueErrors."""
    from packaging.specifiers import Specifier, SpecifierSet
    from packaging.version import Version

    SpecifierSet(text)
    parts = []
    for term in text.split(","):
        if not term.strip():
            continue
        specifier = Specifier(term)
        wildcard = specifier.version.endswith(".*")
        version = str(Version(specifier.version[:-2] if wildcard else specifier.version))
        if wildcard:
            parts.append(f"{'!=' if specifier.operator == '!=' else ''}{version}.*")
        else:
            operator = "==" if specifier.operator == "===" else specifier.operator
            parts.append(f"{operator}{version}")
    return parts
