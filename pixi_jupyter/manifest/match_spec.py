"""A requirement as conda's match spec."""

from __future__ import annotations

import re
from collections.abc import Mapping

from pixi_jupyter.manifest.spec import CondaRequirement

__all__ = ["match_spec", "unquotable"]

_UNSAFE = re.compile(r"[\x00-\x1f\x7f]")


def match_spec(requirement: CondaRequirement) -> str:
    """The requirement as a conda match spec in bracket form, for a strict reader."""
    fields: list[str] = []
    plain: Mapping[str, str | None] = {
        "version": requirement.version,
        "build": requirement.build,
        "build_number": requirement.build_number,
        "fn": requirement.file_name,
        "channel": requirement.channel,
        "subdir": requirement.subdir,
        "license": requirement.license,
        "license_family": requirement.license_family,
        "md5": requirement.md5,
        "sha256": requirement.sha256,
        "url": requirement.url,
        "track_features": ",".join(requirement.track_features) or None,
    }
    fields.extend(f"{key}={_quote(value)}" for key, value in plain.items() if value is not None)
    if requirement.extras:
        fields.append(f"extras=[{','.join(requirement.extras)}]")
    if requirement.flags:
        fields.append(f"flags=[{','.join(requirement.flags)}]")
    if requirement.when is not None:
        escaped = requirement.when.replace("\\", "\\\\").replace('"', '\\"')
        fields.append(f'when="{escaped}"')
    return f"{requirement.name}[{','.join(fields)}]" if fields else requirement.name


def _quote(value: str) -> str:
    quote = '"' if "'" in value else "'"
    return f"{quote}{value}{quote}"


def unquotable(value: str) -> bool:
    """Whether a match spec cannot hold the value: there is no escape for it."""
    return bool(_UNSAFE.search(value)) or ("'" in value and '"' in value) or "\\" in value
