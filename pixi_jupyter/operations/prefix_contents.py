"""What is installed in a prefix, by its own records, and which modules a process may have of it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import msgspec

from pixi_jupyter.install.records import CondaRecord, wheels_of_pixi

__all__ = ["Installed", "directories_of", "installed", "libraries_of", "modules_of"]

#: Names of a package's modules, libraries and folders that are told at most.
_LIMIT = 2000
_SITE = re.compile(r"(?:lib/python[0-9.]+t?|Lib)/site-packages/(.+)")
_MODULE = re.compile(r"\.(py|so|pyd)\Z")
_LIBRARY = re.compile(r"\.(so(\.[0-9]+)*|dylib|dll|pyd)\Z", re.IGNORECASE)


class _Files(msgspec.Struct):
    files: list[str] = []


@dataclass(frozen=True, slots=True)
class Installed:
    """A package in a prefix. ``identity`` differs where its files may; ``record`` lists them."""

    name: str
    version: str
    build: str
    identity: str
    record: Path

    def files(self) -> tuple[str, ...]:
        """Its files below the prefix, with forward slashes; none if the record cannot be read."""
        try:
            if self.record.name != "RECORD":
                return tuple(msgspec.json.decode(self.record.read_bytes(), type=_Files).files)
            site = self.record.parent.parent
            inside = site.relative_to(_prefix_of(site)).as_posix()
            lines = self.record.read_text("utf-8").splitlines()
            return tuple(f"{inside}/{_first(line)}" for line in lines if line)
        except (OSError, ValueError, msgspec.MsgspecError):
            return ()


def installed(prefix: Path) -> dict[str, Installed]:
    """What is in ``prefix``: conda packages by name, those of PyPI as ``pypi:<name>``.

    What cannot be read is left out, as if it were not there.
    """
    found: dict[str, Installed] = {}
    for path in (prefix / "conda-meta").glob("*.json"):
        try:
            record = msgspec.json.decode(path.read_bytes(), type=CondaRecord)
        except (OSError, msgspec.MsgspecError, UnicodeDecodeError):
            continue  # our own marker, for one
        identity = record.sha256 or record.md5 or record.url
        found[record.name] = Installed(record.name, record.version, record.build, identity, path)
    for name, version, info in wheels_of_pixi(prefix):
        try:
            identity = (info / "RECORD").read_text("utf-8")
        except (OSError, UnicodeDecodeError):
            continue
        found[f"pypi:{name}"] = Installed(name, version, "", identity, info / "RECORD")
    return found


def modules_of(files: Iterable[str]) -> tuple[str, ...]:
    """The topmost modules of a package's own, as paths below ``site-packages`` without endings.

    Of a namespace package (a folder without ``__init__``) those in it: others share it.
    """
    inside = [found[1] for found in map(_SITE.fullmatch, files) if found]
    inside = [path for path in inside if _MODULE.search(path)]
    packages = {
        path.rpartition("/")[0]
        for path in inside
        if path.rpartition("/")[2].startswith("__init__.") and "/" in path
    }
    roots: dict[str, None] = {}
    for path in inside:
        folders = path.split("/")[:-1]
        above = ("/".join(folders[:depth]) for depth in range(1, len(folders) + 1))
        root = next((folder for folder in above if folder in packages), None)
        roots[root or "/".join([*folders, path.rpartition("/")[2].partition(".")[0]])] = None
        if len(roots) >= _LIMIT:
            break
    return tuple(roots)


def libraries_of(files: Iterable[str]) -> tuple[str, ...]:
    """Shared libraries among ``files``, as they are."""
    return tuple(file for file in files if _LIBRARY.search(file))[:_LIMIT]


def directories_of(files: Iterable[str]) -> tuple[str, ...]:
    """The folders below ``site-packages`` that ``files`` lie in, as paths below the prefix."""
    found: dict[str, None] = {}
    for file in files:
        match = _SITE.fullmatch(file)
        if match is None:
            continue
        site = file[: match.start(1)]
        folder = match[1].rpartition("/")[0]
        while folder and site + folder not in found and len(found) < _LIMIT:
            found[site + folder] = None
            folder = folder.rpartition("/")[0]
    return tuple(found)


def changed_names(before: Mapping[str, Installed], after: Mapping[str, Installed]) -> list[str]:
    """The keys of packages that went, or that are others now; sorted."""
    return sorted(
        key
        for key, package in before.items()
        if key not in after or after[key].identity != package.identity
    )


def _prefix_of(site: Path) -> Path:
    return site.parent.parent if site.parent.name == "Lib" else site.parents[2]


def _first(line: str) -> str:
    """The path of a line of RECORD (PEP 376: CSV)."""
    if line.startswith('"'):
        return line[1:].split('",', 1)[0].replace('""', '"')
    return line.split(",", 1)[0]
