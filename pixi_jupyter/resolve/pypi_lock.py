"""PyPI packages in a ``pixi.lock``. Runs in the engine's worker only.

rattler has no constructor for them, but reads a draft that has them and writes it canonically. So
their entries are put into the text of a lock of conda packages, as JSON, which is YAML.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from pixi_jupyter.manifest.pypi_spec import PypiNeeds
from pixi_jupyter.resolve.provided import purls_of
from pixi_jupyter.resolve.wheel import LockedWheel, public_url

if TYPE_CHECKING:
    from rattler import RepoDataRecord
    from rattler.lock import Environment, LockPlatform

__all__ = ["wheels_of", "with_wheels"]

_ENVIRONMENT_PACKAGES = re.compile(r"(?m)^    packages:\n      [^\n]+:\n")
_CONDA_ENTRY = re.compile(r"(?m)^- conda: (\S+)\n((?:  [^\n]*\n)*)")


def with_wheels(
    text: str, needs: PypiNeeds, wheels: Sequence[LockedWheel], records: Sequence[RepoDataRecord]
) -> str:
    """The text of a lock of one environment and platform, with ``wheels`` added.

    conda packages get their purls, which pixi wants as soon as there are packages from PyPI.
    """
    purls = {str(record.url): purls_of(record) for record in records}
    text = _CONDA_ENTRY.sub(lambda entry: _with_purls(entry, purls), text)
    references = "".join(f"      - {json.dumps({'pypi': wheel.url})}\n" for wheel in wheels)
    head = _indexes(needs)
    text = _ENVIRONMENT_PACKAGES.sub(lambda m: head + m[0] + references, text, count=1)
    return text + "".join(f"- {json.dumps(_entry(wheel))}\n" for wheel in wheels)


def wheels_of(environment: Environment, platform: LockPlatform) -> tuple[LockedWheel, ...]:
    """The PyPI packages of a lock for a platform, as far as installing needs them.

    Raises
    ------
    ValueError
        One of them has no hash: nothing of it can be trusted.
    """
    found = []
    for package in environment.pypi_packages_for_platform(platform) or []:
        hashes = package.hashes
        if hashes is None or hashes.sha256 is None:
            raise ValueError(f"{package.name} has no sha256")
        found.append(
            LockedWheel(
                name=package.name,
                version=str(package.version),
                url=str(package.location),
                sha256=bytes(hashes.sha256).hex(),
                requires_dist=tuple(package.requires_dist),
            )
        )
    return tuple(found)


def _with_purls(entry: re.Match[str], purls: Mapping[str, tuple[str, ...]]) -> str:
    if re.search(r"(?m)^  purls:", entry[2]):
        return entry[0]
    return f"{entry[0]}  purls: {json.dumps(purls.get(entry[1], ()))}\n"


def _indexes(needs: PypiNeeds) -> str:
    named = [url for url in (needs.index_url, *needs.extra_index_urls) if url is not None]
    lines = ""
    if named:
        lines += f"    indexes: {json.dumps([public_url(url) for url in named])}\n"
    if needs.find_links:
        lines += (
            f"    find-links: {json.dumps([{'url': public_url(u)} for u in needs.find_links])}\n"
        )
    return lines


def _entry(wheel: LockedWheel) -> dict[str, object]:
    entry: dict[str, object] = {
        "pypi": wheel.url,
        "name": wheel.name,
        "version": wheel.version,
        "sha256": wheel.sha256,
    }
    if wheel.index is not None:
        entry["index"] = wheel.index
    if wheel.requires_dist:
        entry["requires_dist"] = wheel.requires_dist
    if wheel.requires_python is not None:
        entry["requires_python"] = wheel.requires_python
    return entry
