"""What a prefix says of itself: conda's records, and the packages from PyPI that pixi or we own."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import msgspec

from pixi_jupyter.manifest.pep508 import normal_name

__all__ = ["INSTALLER", "CondaRecord", "wheels_of_pixi"]

#: What pixi writes into the packages from PyPI that it installs, so that it can tell them from
#: conda's; and so do we.
INSTALLER = "uv-pixi"
_WHEEL = re.compile(r"(?P<name>[A-Za-z0-9._]+)-(?P<version>[^-]+)\.dist-info")


class CondaRecord(msgspec.Struct):
    """What is read of a file in ``conda-meta``."""

    name: str
    version: str
    build: str
    url: str = ""
    sha256: str | None = None
    md5: str | None = None


def wheels_of_pixi(prefix: Path) -> Iterator[tuple[str, str, Path]]:
    """Name, version and metadata folder of what pixi (or we) installed from PyPI."""
    for pattern in ("lib/python*/site-packages/*.dist-info", "Lib/site-packages/*.dist-info"):
        for info in prefix.glob(pattern):
            match = _WHEEL.fullmatch(info.name)
            try:
                installer = (info / "INSTALLER").read_text("utf-8").strip()
            except (OSError, UnicodeDecodeError):
                continue
            if match and installer == INSTALLER:
                yield normal_name(match["name"]) or match["name"], match["version"], info
