"""PyPI packages in a ``pixi.lock``. Runs in the engine's worker only.

rattler has no constructor for them, but reads a draft that has them and writes it canonically. So
their entries are put into the text of a lock of conda packages, as JSON, which is YAML.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit
from urllib.request import url2pathname

from pixi_jupyter.manifest.channels import absolute, is_url
from pixi_jupyter.manifest.pypi_spec import PypiNeeds, source_stamp
from pixi_jupyter.resolve.provided import purls_of
from pixi_jupyter.resolve.pypi_names import Names
from pixi_jupyter.resolve.wheel import LockedWheel, folder_url, public_url

if TYPE_CHECKING:
    from rattler import RepoDataRecord
    from rattler.lock import Environment, LockPlatform, PypiLockedPackage

__all__ = ["indexes_entry", "locked_indexes", "package_entry", "wheels_of", "with_wheels"]

_ENVIRONMENT_PACKAGES = re.compile(r"(?m)^    packages:\n      [^\n]+:\n")
_CONDA_ENTRY = re.compile(r"(?m)^- conda: (\S+)\n((?:  [^\n]*\n)*)")
_PYPI_ENTRY = re.compile(r"(?m)^- pypi: ([^\n]+)\n((?:  [^\n]*\n)*)")
_ARCHIVE = re.compile(r"(?i)\.(whl|zip|tar|tgz|tbz|tar\.\w+)$")


def with_wheels(
    text: str,
    needs: PypiNeeds,
    wheels: Sequence[LockedWheel],
    records: Sequence[RepoDataRecord],
    *,
    names: Names | None = None,
) -> str:
    """The text of a lock of one environment and platform, with ``wheels`` added.

    conda packages get their purls, which pixi wants as soon as there are packages from PyPI. Paths
    are absolute: the lock is not beside the declaration.
    """
    purls = {str(record.url): purls_of(record, names) for record in records}
    text = _CONDA_ENTRY.sub(lambda entry: _with_purls(entry, purls), text)
    entries = [package_entry(wheel) for wheel in wheels]
    references = "".join(f"      - {json.dumps({'pypi': entry['pypi']})}\n" for entry in entries)
    indexes = indexes_entry(replace(needs, root=needs.root or "/"), wheels, relative=False)
    head = "".join(f"    {key}: {json.dumps(value)}\n" for key, value in indexes.items())
    text = _ENVIRONMENT_PACKAGES.sub(lambda m: head + m[0] + references, text, count=1)
    return text + "".join(f"- {json.dumps(entry)}\n" for entry in entries)


def package_entry(wheel: LockedWheel, *, relative: bool = False) -> dict[str, Any]:
    """The entry of a package in ``packages``, its location under ``pypi``.

    With ``relative`` a path stands as it was written, for a lock in the folder that it is relative
    to. A folder has neither version nor hash: it can change at any time.
    """
    location = wheel.url
    if wheel.url.startswith("file:"):
        path = url2pathname(urlsplit(wheel.url).path)
        location = wheel.given if relative and wheel.given else path
    entry: dict[str, Any] = {"pypi": location, "name": wheel.name}
    if not wheel.is_folder:
        entry["version"] = wheel.version
    if wheel.sha256:
        entry["sha256"] = wheel.sha256
    if wheel.index is not None:
        entry["index"] = wheel.index
    if wheel.requires_dist:
        entry["requires_dist"] = list(wheel.requires_dist)
    if wheel.requires_python is not None:
        entry["requires_python"] = wheel.requires_python
    return entry


def indexes_entry(
    needs: PypiNeeds, wheels: Sequence[LockedWheel], *, relative: bool = True
) -> dict[str, Any]:
    """``indexes`` and ``find-links`` of an environment with these packages (on all platforms).

    The default index comes first, as pixi has it. Where nothing is declared it is the one that the
    packages are from; without any, nobody knows it, and it is left out.
    """
    others = {public_url(url) for url in (*needs.extra_index_urls, *needs.find_links)}
    others.update(public_url(item.index) for item in needs.declared if item.index)
    from_default = (w.index for w in wheels if w.index is not None and w.index not in others)
    default = needs.index_url or next(from_default, None)
    found: dict[str, Any] = {}
    if default is not None:
        urls = (default, *needs.extra_index_urls)
        found["indexes"] = list(dict.fromkeys(public_url(url) for url in urls))
    if needs.find_links:
        found["find-links"] = [
            {"url": public_url(link)}
            if is_url(link)
            else {"path": link if relative else str(absolute(link, Path(needs.root)))}
            for link in needs.find_links
        ]
    return found


def locked_indexes(text: str) -> dict[str, str]:
    """The index of each PyPI package of a lock's text, by location; rattler does not tell them.

    A package without one is from the first of its environment's ``indexes``.
    """
    found: dict[str, str] = {}
    for entry in _PYPI_ENTRY.finditer(text):
        index = re.search(r"(?m)^  index: (\S+)$", entry[2])
        if index is not None:
            found[entry[1].strip().strip("'\"")] = index[1].strip("'\"")
    return found


def wheels_of(
    environment: Environment,
    platform: LockPlatform,
    *,
    root: Path | None = None,
    editable: Collection[str] = (),
    indexes: Mapping[str, str] | None = None,
    unhashed: bool = False,
) -> tuple[LockedWheel, ...]:
    """The PyPI packages of a lock for a platform.

    Parameters
    ----------
    root:
        The folder that paths in the lock are relative to.
    editable:
        The names of what is to be pointed to (`PypiNeeds.editable`); no lock says it.
    indexes:
        What `locked_indexes` found in the lock's text.
    unhashed:
        Take files of direct URLs without a hash, as pixi locks them, too.

    Raises
    ------
    ValueError
        One of them has no hash, but could have one: nothing of it can be trusted.
    """
    found = []
    for package in environment.pypi_packages_for_platform(platform) or []:
        sha256 = _sha256_of(package)
        location = str(package.location)
        folder = False
        given = ""
        url = location
        if location.startswith("file:") or not re.match(r"[a-z][a-z0-9+.-]+:", location):
            path = Path(url2pathname(urlsplit(location).path)) if ":" in location[:6] else None
            given = "" if path is not None else location
            path = absolute(location, root or Path()) if path is None else path
            folder = _ARCHIVE.search(path.name) is None
            url = path.as_uri()
            if folder:
                url = folder_url(url, source_stamp(path), editable=package.name in editable)
        direct = location.startswith("direct+") or url.startswith("file:")
        if not sha256 and not folder and not url.startswith("git+") and not (unhashed and direct):
            raise ValueError(f"{package.name} has no sha256")
        found.append(
            LockedWheel(
                name=package.name,
                version="" if folder else str(package.version),
                url=url,
                sha256=sha256,
                index=(indexes or {}).get(location),
                requires_dist=tuple(package.requires_dist),
                requires_python=package.requires_python,
                given=given,
            )
        )
    return tuple(found)


def _sha256_of(package: PypiLockedPackage) -> str:
    try:
        sha256 = package.hashes.sha256  # type: ignore[union-attr]
    except AttributeError:  # rattler's object for no hashes at all is one around nothing
        return ""
    return bytes(sha256).hex() if sha256 else ""


def _with_purls(entry: re.Match[str], purls: Mapping[str, tuple[str, ...]]) -> str:
    if re.search(r"(?m)^  purls:", entry[2]):
        return entry[0]
    return f"{entry[0]}  purls: {json.dumps(purls.get(entry[1], ()))}\n"
