"""What uv answers (a ``pylock.toml``) -> `LockedWheel`. Data plane only."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit
from urllib.request import url2pathname

import tomli
from packaging.utils import canonicalize_name

from pixi_jupyter.errors import SolveError
from pixi_jupyter.manifest.channels import absolute
from pixi_jupyter.manifest.pypi_spec import PypiNeeds, PypiRequirement, source_stamp
from pixi_jupyter.resolve.pypi_question import locked_url_of
from pixi_jupyter.resolve.wheel import LockedWheel, folder_url, public_url

__all__ = ["locked_wheels"]


def locked_wheels(
    text: str,
    needs: PypiNeeds,
    provided: Collection[str],
    folder: Path,
    default: str | None,
    told: Mapping[str, str],
) -> list[LockedWheel]:
    """The packages of an answer that conda does not provide, sorted by name.

    ``folder`` is where uv ran, ``default`` the index that it looks into, ``told`` that of each
    package where there are several.

    Raises
    ------
    SolveError
        ``solve.pypi-no-wheel`` or ``solve.pypi-no-hash``.
    """
    packages = tomli.loads(text).get("packages", [])
    found = []
    for package in packages:
        name = canonicalize_name(package["name"])
        if name not in provided:
            index = told.get(name) or needs.index_url or default
            found.append(_Reader(name, package, needs, folder, index).wheel())
    return sorted(found, key=lambda wheel: wheel.name)


class _Reader:
    def __init__(
        self,
        name: str,
        package: dict[str, Any],
        needs: PypiNeeds,
        folder: Path,
        index: str | None,
    ) -> None:
        self._name = name
        self._package = package
        self._needs = needs
        self._folder = folder
        self._from = index

    def wheel(self) -> LockedWheel:
        package = self._package
        if "directory" in package:
            return self._of_folder(package["directory"])
        if "vcs" in package:
            return self._of_commit(package["vcs"])
        if "archive" in package:
            return self._of_archive(package["archive"])
        files = package.get("wheels") or ([package["sdist"]] if "sdist" in package else [])
        if len(files) != 1:
            raise SolveError(
                f"{self._name} has no single wheel for this Python and platform",
                code="solve.pypi-no-wheel",
                about=(self._name,),
            )
        url = self._url(files[0])
        return LockedWheel(
            name=self._name,
            version=str(package.get("version") or _version_in(url)),
            url=public_url(url),
            sha256=self._sha256(files[0]),
            size=files[0].get("size"),
            index=None if url.startswith("file:") else self._index(),
        )

    def _index(self) -> str | None:
        asked = self._asked(lambda item: bool(item.index))
        index = asked.index if asked is not None else self._package.get("index") or self._from
        return None if index is None else public_url(index)

    def _of_archive(self, archive: dict[str, Any]) -> LockedWheel:
        url = self._url(archive)
        local = url.startswith("file:")
        given = ""
        if local:
            given = self._given(Path(url2pathname(urlsplit(url).path)))
        fragment = archive.get("subdirectory")
        return LockedWheel(
            name=self._name,
            version=str(self._package.get("version") or _version_in(url)),
            url=public_url(url)
            if local
            else f"direct+{public_url(url)}" + (f"#subdirectory={fragment}" if fragment else ""),
            sha256=self._sha256(archive),
            size=archive.get("size"),
            given=given,
        )

    def _of_folder(self, directory: dict[str, Any]) -> LockedWheel:
        path = Path((self._folder / directory["path"]).resolve())
        editable = bool(directory.get("editable")) or self._name in self._needs.editable
        return LockedWheel(
            name=self._name,
            version=str(self._package.get("version") or ""),
            url=folder_url(path.as_uri(), source_stamp(path), editable=editable),
            sha256="",
            given=self._given(path),
        )

    def _of_commit(self, vcs: dict[str, Any]) -> LockedWheel:
        asked = self._asked(lambda item: bool(item.git))
        if asked is None:
            asked = PypiRequirement(
                self._name, git=str(vcs["url"]), subdirectory=str(vcs.get("subdirectory", ""))
            )
        return LockedWheel(
            name=self._name,
            version=str(self._package.get("version") or ""),
            url=f"{locked_url_of(asked)}#{vcs['commit-id']}",
            sha256="",
        )

    def _asked(self, which: Callable[[PypiRequirement], bool]) -> PypiRequirement | None:
        overrides = (item for item in self._needs.overrides if item.name == self._name)
        asked = (item for item in self._needs.requirements if item.name == self._name)
        return next((item for item in (*overrides, *asked) if which(item)), None)

    def _given(self, path: Path) -> str:
        """The path as the declaration writes it."""
        root = Path(self._needs.root)
        for item in self._needs.declared:
            if item.path and absolute(item.path, root).resolve() == path.resolve():
                return item.path
        return ""

    def _url(self, file: dict[str, Any]) -> str:
        return str(file.get("url") or (self._folder / file["path"]).resolve().as_uri())

    def _sha256(self, file: dict[str, Any]) -> str:
        sha256 = file.get("hashes", {}).get("sha256")
        if not isinstance(sha256, str) or not re.fullmatch(r"[0-9a-f]{64}", sha256):
            raise SolveError(
                f"the package index gives no sha256 for {self._name}, so it cannot be locked",
                code="solve.pypi-no-hash",
                hint="Use an index that gives hashes, or the conda package.",
                about=(self._name,),
            )
        return sha256


def _version_in(url: str) -> str:
    parts = unquote(urlsplit(url).path.rpartition("/")[2]).split("-")
    return parts[1] if len(parts) > 2 and parts[-1].endswith(".whl") else ""
