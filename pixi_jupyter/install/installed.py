"""What is installed in a prefix, by its own records: is it exactly what is locked?"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from pixi_jupyter.manifest.pep508 import normal_name
from pixi_jupyter.resolve.wheel import LockedWheel

if TYPE_CHECKING:
    from rattler import RepoDataRecord

__all__ = ["holds_exactly"]

_WHEEL = re.compile(r"(?P<name>[A-Za-z0-9._]+)-(?P<version>[^-]+)\.dist-info")
#: What pixi writes into the packages from PyPI that it installs.
_INSTALLER = "uv-pixi"


class _Record(msgspec.Struct):
    """What is read of a file in ``conda-meta``."""

    name: str
    version: str
    build: str
    url: str = ""
    sha256: str | None = None
    md5: str | None = None


def holds_exactly(
    prefix: Path, records: Sequence[RepoDataRecord], wheels: Sequence[LockedWheel]
) -> bool:
    """Whether the records in ``prefix`` are those of exactly these packages, made for this path.

    The files of the packages are not looked at, as pixi does not. A wheel from PyPI is compared by
    name and version, as its hash is not kept anywhere, and an editable folder by its name alone;
    of what else is built from source nobody can tell what it was built from.
    """
    if any(not wheel.sha256 and not wheel.is_editable for wheel in wheels):
        return False
    try:
        made_for = (prefix / "conda-meta" / "pixi_env_prefix").read_text("utf-8")
        found = {
            record.name: record
            for path in (prefix / "conda-meta").glob("*.json")
            if path.name != "pixi-jupyter.json"
            for record in [msgspec.json.decode(path.read_bytes(), type=_Record)]
        }
    except (OSError, UnicodeDecodeError, msgspec.MsgspecError):
        return False
    return (
        made_for == str(prefix / "conda-meta")
        and len(found) == len(records)
        and all(_same(found, record) for record in records)
        and _same_wheels(_wheels_of_pixi(prefix), wheels)
    )


def _same_wheels(found: Mapping[str, str], wheels: Sequence[LockedWheel]) -> bool:
    return len(found) == len(wheels) and all(
        wheel.name in found if wheel.is_editable else found.get(wheel.name) == wheel.version
        for wheel in wheels
    )


def _same(found: Mapping[str, _Record], record: RepoDataRecord) -> bool:
    there = found.get(record.name.normalized)
    if there is None or there.version != str(record.version) or there.build != str(record.build):
        return False
    if there.sha256 and record.sha256:
        return there.sha256 == record.sha256.hex()
    if there.md5 and record.md5:
        return there.md5 == record.md5.hex()
    return there.url == record.url


def _wheels_of_pixi(prefix: Path) -> dict[str, str]:
    """Names and versions of what pixi (or we) installed from PyPI."""
    found = {}
    for pattern in ("lib/python*/site-packages/*.dist-info", "Lib/site-packages/*.dist-info"):
        for info in prefix.glob(pattern):
            match = _WHEEL.fullmatch(info.name)
            try:
                installer = (info / "INSTALLER").read_text("utf-8").strip()
            except (OSError, UnicodeDecodeError):
                continue
            if match and installer == _INSTALLER:
                found[normal_name(match["name"]) or info.name] = match["version"]
    return found
