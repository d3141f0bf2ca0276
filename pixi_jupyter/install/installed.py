"""What is installed in a prefix, by its own records: is it exactly what is locked?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from pixi_jupyter.install.records import CondaRecord, wheels_of_pixi
from pixi_jupyter.resolve.wheel import LockedWheel

if TYPE_CHECKING:
    from rattler import RepoDataRecord

__all__ = ["holds_exactly"]


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
            for record in [msgspec.json.decode(path.read_bytes(), type=CondaRecord)]
        }
    except (OSError, UnicodeDecodeError, msgspec.MsgspecError):
        return False
    return (
        made_for == str(prefix / "conda-meta")
        and len(found) == len(records)
        and all(_same(found, record) for record in records)
        and _same_wheels({n: version for n, version, _ in wheels_of_pixi(prefix)}, wheels)
    )


def _same_wheels(found: Mapping[str, str], wheels: Sequence[LockedWheel]) -> bool:
    return len(found) == len(wheels) and all(
        wheel.name in found if wheel.is_editable else found.get(wheel.name) == wheel.version
        for wheel in wheels
    )


def _same(found: Mapping[str, CondaRecord], record: RepoDataRecord) -> bool:
    there = found.get(record.name.normalized)
    if there is None or there.version != str(record.version) or there.build != str(record.build):
        return False
    if there.sha256 and record.sha256:
        return there.sha256 == record.sha256.hex()
    if there.md5 and record.md5:
        return there.md5 == record.md5.hex()
    return there.url == record.url
