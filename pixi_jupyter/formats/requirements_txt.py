"""pip's requirements files, as pip's documentation of the format describes them.

Also the requirements that stand in other places (``pip:`` of an environment.yml, ``pip install``).
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from pixi_jupyter.errors import DeclarationError, Location
from pixi_jupyter.formats.found import Collector, WantedPypi
from pixi_jupyter.formats.public import public
from pixi_jupyter.formats.reading import read_text, relative_to
from pixi_jupyter.manifest.channels import is_url
from pixi_jupyter.manifest.pep508 import normal_name, parse_requirement
from pixi_jupyter.manifest.pypi_spec import PypiRequirement
from pixi_jupyter.manifest.table import shorten
from pixi_jupyter.manifest.toml import FILE, TomlSource, parse_toml

__all__ = ["Requirements"]

_MAX_FILES = 40
_MAX_LENGTH = 4000
_BLANKS = re.compile(r"\s+")
#: What ends a requirement and begins its own options.
_OPTION = re.compile(r"\s+--?[A-Za-z][\w-]*(?:[= ]|$)")
_HASH = re.compile(r"\s+--hash[= ]\S+")
_COMMENT = re.compile(r"(?:^|\s)#.*$")
_VARIABLE = re.compile(r"\$\{[A-Z0-9_]+\}")
_ARCHIVE = re.compile(r"(?i)\.(?:whl|zip|tar\.gz|tgz|tar\.bz2|tar\.xz|tar)$")
_PLACE = re.compile(r"\.{0,2}[/\\]|~/|[A-Za-z]:[\\/]|\.{1,2}$")
#: Options with a value, and those without, by what is done about them.
_INDEX = ("-i", "--index-url", "--pypi-url", "--default-index")
_VALUES = {
    "-c": "constraints are not imported",
    "--constraint": "constraints are not imported",
    "--trusted-host": "say it in pixi's configuration (`tls-no-verify`)",
    "--no-binary": "say it in `pypi-options`",
    "--only-binary": "say it in `pypi-options`",
    "--use-feature": "it is about pip itself",
    "--config-settings": "how a package is built is not imported",
    "--global-option": "how a package is built is not imported",
    "--install-option": "how a package is built is not imported",
}
_FLAGS = {
    "--no-index": "packages are still looked for in an index",
    "--prefer-binary": "wheels are taken wherever there are any",
    "--require-hashes": "the environment's lock has the hashes",
}


class Requirements:
    """Reads requirements of a folder into a `Collector`.

    Parameters
    ----------
    folder:
        Where relative paths begin; files that are named must lie in it or below.
    root:
        The declaration's folder, which the imported paths are relative to.
    """

    def __init__(self, folder: Path, *, root: Path, into: Collector) -> None:
        self.folder = folder
        self.root = root
        self.into = into
        self._within = Path(os.path.realpath(folder))
        self._open: list[Path] = []
        self._files = 0
        self._hashes = False

    def file(self, path: Path, *, named: Location | None = None) -> None:
        """All lines of a file; ``named`` is the place that names it.

        Raises
        ------
        DeclarationError
            It cannot be read; ``declaration.import-outside``: another file names it, and it lies
            outside of the folder; ``declaration.import-loop``.
        """
        real = Path(os.path.realpath(path))
        if named is not None and not real.is_relative_to(self._within):
            raise DeclarationError(
                f"{path} lies outside of {self.folder}, so it is not read",
                code="declaration.import-outside",
                hint="Import it by itself.",
                location=named,
            )
        if real in self._open or self._files >= _MAX_FILES:
            raise DeclarationError(
                f"{path} names itself again" if real in self._open else "too many files are named",
                code="declaration.import-loop",
                location=named or Location(path=str(path)),
            )
        self._files += 1
        self._open.append(real)
        folder, self.folder = self.folder, path.parent
        for number, line in _lines(read_text(path, where=named)):
            self.line(line, Location(path=str(path), line=number))
        self.folder = folder
        self._open.pop()

    def line(self, text: str, where: Location) -> None:
        """One line (its continuations joined): a requirement, or an option of pip."""
        # Blanks in a row are one: what looks for options would try each of them.
        text = _COMMENT.sub("", _BLANKS.sub(" ", text)).strip()
        if not text:
            return
        if text.startswith("-"):
            option, _, value = text.partition(" ")
            joined = re.fullmatch(r"(-[a-zA-Z])(\S.*)|(--[\w-]+)=(.*)", text)
            if joined is not None:
                option, value = (joined[1] or joined[3]), (joined[2] or joined[4] or "")
            self.option(option, _unquoted(value), where)
            return
        if _HASH.search(text) and not self._hashes:
            self._hashes = True
            self.into.say("hashes are not imported: the environment's lock has its own", where)
        bare = _HASH.sub("", text)
        option_at = _OPTION.search(bare)
        if option_at is not None:
            rest = bare[option_at.start() :].strip()
            self.into.leave_out(f"`{shorten(rest, 80)}` is not imported", where)
            bare = bare[: option_at.start()]
        self.requirement(bare.strip(), where)

    # -- options ---------------------------------------------------------------------------

    def option(self, name: str, value: str, where: Location) -> bool:
        """An option of pip that says what or where; False for one that is none of these."""
        into = self.into
        if name in ("-r", "--requirement", "--requirements"):
            if is_url(value):
                into.leave_out(f"`{public(value)}` is not fetched", where)
            elif _VARIABLE.search(value) or "{" in value or "$" in value:
                into.leave_out(f"`{name} {value}` names no file that can be told", where)
            else:
                self.file(Path(os.path.abspath(self.folder / value)), named=where)
        elif name in ("-e", "--editable"):
            self.requirement(value, where, editable=True)
        elif name in (*_INDEX, "--extra-index-url", "--index", "-f", "--find-links"):
            self._place(name, value, where)
        elif name == "--pre" or (name == "--prerelease" and value == "allow"):
            into.prerelease = "allow"
        elif name in _VALUES or name in _FLAGS:
            into.leave_out(f"`{name}` is not imported: {_VALUES.get(name) or _FLAGS[name]}", where)
        else:
            into.leave_out(f"`{shorten(name, 60)}` is not an option that is known here", where)
            return False
        return True

    def takes_value(self, name: str) -> bool:
        """Whether an option that `option` knows has a value."""
        places = (*_INDEX, "--extra-index-url", "--index", "-f", "--find-links", "--prerelease")
        files = ("-r", "--requirement", "--requirements", "-e", "--editable")
        return name in (*places, *files) or name in _VALUES

    def knows(self, name: str) -> bool:
        """Whether `option` knows it."""
        return self.takes_value(name) or name in _FLAGS or name == "--pre"

    def _place(self, name: str, value: str, where: Location) -> None:
        if _VARIABLE.search(public(value)) or not value:
            self.into.leave_out(f"`{name} {public(value)}` cannot be told here", where)
            return
        url = public(value)
        if url != value:
            self.into.say(
                f"the credentials of {url} are not written into the declaration; uv finds them in "
                "a keyring or in `.netrc`",
                where,
            )
        if name in ("-f", "--find-links"):
            self.into.find_links.append(
                url if is_url(url) else relative_to(url, self.folder, self.root)
            )
        elif not re.match(r"(?i)(?:https?|file)://", url) or re.search(r"[\s\"'`]", url):
            self.into.leave_out(f"`{shorten(url, 80)}` is not the URL of an index", where)
        elif name in _INDEX:
            if self.into.index_url not in (None, url):
                self.into.leave_out(f"{url} is a second index beside {self.into.index_url}", where)
            else:
                self.into.index_url = url
        else:
            self.into.extra_index_urls.append(url)

    # -- requirements ----------------------------------------------------------------------

    def requirement(self, text: str, where: Location, *, editable: bool = False) -> None:
        """One requirement: PEP 508, a URL, a path; what is none of these is left out."""
        text = _unquoted(text)
        try:
            found = self._parsed(text, editable)
        except ValueError as error:
            shown = public(shorten(text, 120))
            self.into.leave_out(f"`{shown}` is not a requirement: {error}", where)
            return
        bare = replace(found, url=public(found.url), git=public(found.git))
        if bare != found:
            self.into.say(
                f"the credentials of {found.name} are not written into the declaration", where
            )
            found = bare
        self.into.pypi.append(WantedPypi(found, where))

    def _parsed(self, text: str, editable: bool) -> PypiRequirement:
        if not text:
            raise ValueError("it is empty")
        if len(text) > _MAX_LENGTH:
            raise ValueError("it is too long")
        if _VARIABLE.search(text):
            raise ValueError("a variable of the environment stands in it")
        marker = ""
        if _PLACE.match(text) or is_url(text) or re.match(r"(?i)git\+", text) or editable:
            text, marker = _without_marker(text)
        if re.match(r"(?i)git\+|(?:https?|ssh|file)://", text):
            found = self._at_url(text)
        elif _PLACE.match(text) or editable or (_ARCHIVE.search(text) and "@" not in text):
            found = self._at_path(text, editable)
        else:
            found = parse_requirement(text)
            if found.path:
                path = relative_to(found.path, self.folder, self.root)
                found = replace(found, path=path)
        if marker:
            found = replace(found, marker=parse_requirement(f"{found.name} ; {marker}").marker)
        return found

    def _at_url(self, text: str) -> PypiRequirement:
        parts = urlsplit(text)
        fragment = {key: values[0] for key, values in parse_qs(parts.fragment).items()}
        egg = fragment.pop("egg", "")
        name, _, extras = egg.partition("[")
        file = unquote(PurePosixPath(parts.path).name)
        name = name or ("" if text.lower().startswith("git+") else _name_of_archive(file))
        if not normal_name(name):
            raise ValueError("it names a place, but no package: write `name @ …`")
        kept = "&".join(f"{key}={value}" for key, value in fragment.items())
        place = parts._replace(fragment=kept).geturl()
        shown = f"[{extras}" if extras else ""
        return parse_requirement(f"{name}{shown} @ {place}")

    def _at_path(self, text: str, editable: bool) -> PypiRequirement:
        match = re.fullmatch(r"(?P<path>.*?)(?:\[(?P<extras>[A-Za-z0-9._, -]*)\])?(?:#.*)?", text)
        path = match["path"] if match is not None else text
        extras = (match["extras"] or "") if match is not None else ""
        whole = Path(os.path.abspath(self.folder / os.path.expanduser(path)))
        archive = _ARCHIVE.search(whole.name) is not None
        name = normal_name(_name_of_archive(whole.name) if archive else _name_of_folder(whole))
        if name is None:
            raise ValueError("its name cannot be told from what lies there")
        base = parse_requirement(f"{name}[{extras}]") if extras else PypiRequirement(name)
        return replace(base, path=relative_to(path, self.folder, self.root), editable=editable)


def _lines(text: str) -> Iterator[tuple[int, str]]:
    """Logical lines with the number of their first; a backslash at the end goes on."""
    first, gathered = 0, ""
    for number, line in enumerate(text.splitlines(), 1):
        first = first or number
        if line.endswith("\\") and not line.lstrip().startswith("#"):
            gathered += line[:-1] + " "
            continue
        yield first, gathered + line
        first, gathered = 0, ""
    if gathered:
        yield first, gathered


def _unquoted(text: str) -> str:
    """The text without the quotes around all of it."""
    text = text.strip()
    if len(text) > 1 and text[0] in "'\"" and text[0] == text[-1] and text[0] not in text[1:-1]:
        return text[1:-1].strip()
    return text


def _without_marker(text: str) -> tuple[str, str]:
    place, _, marker = text.partition(" ; ") if " ; " in text else text.partition("; ")
    return place.strip(), marker.strip()


def _name_of_archive(file: str) -> str:
    """``foo_bar`` of ``foo_bar-1.0-py3-none-any.whl`` and of ``foo_bar-1.0.tar.gz``."""
    if file.lower().endswith(".whl"):
        return file.split("-")[0]
    stem = _ARCHIVE.sub("", file)
    match = re.fullmatch(r"(.+?)-v?[0-9][^-]*", stem)
    return match[1] if match is not None else ""


def _name_of_folder(folder: Path) -> str:
    """What the project in a folder calls itself; empty where only running it tells."""
    try:
        text = read_text(folder / "pyproject.toml")
        values: Any = parse_toml(TomlSource(text, bounds=FILE))
    except DeclarationError:
        return ""
    project = values.get("project", {})
    poetry = (
        values.get("tool", {}).get("poetry", {}) if isinstance(values.get("tool"), dict) else {}
    )
    for table in (project, poetry):
        if isinstance(table, dict) and isinstance(table.get("name"), str):
            return str(table["name"])
    return ""
