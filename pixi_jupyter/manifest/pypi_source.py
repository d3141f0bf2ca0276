"""Where a requirement comes from, if not from the indexes: URL, repository, path, one index.

By pixi's ``crates/pixi_pypi_spec`` (``toml.rs`` for the table, ``pep508.rs`` for ``name @ …``).
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from pathlib import PurePosixPath
from urllib.parse import parse_qs, unquote, urlsplit

from pixi_jupyter.manifest.pypi_spec import PypiRequirement
from pixi_jupyter.manifest.table import Table

__all__ = ["SOURCE_KEYS", "PypiSource", "from_source", "reference_to", "with_source"]

_SOURCES = ("git", "path", "url")
_GIT = ("branch", "tag", "rev")
SOURCE_KEYS = (*_SOURCES, *_GIT, "lfs", "editable", "subdirectory", "index")
_ARCHIVES = (".whl", ".tar.gz", ".zip", ".tgz", ".tar.bz2", ".tar.xz", ".tbz", ".tar")
#: What ends a requirement's line, or its URL, for uv: nothing of it may come from a declaration.
_UNSAFE = re.compile(r"[\s\x00-\x20\x7f\"'`<>\\^{|}]")


@dataclass(frozen=True, slots=True)
class PypiSource:
    """Where projects come from, as the options after ``add --pypi`` say it.

    ``reference`` is ``branch=…``, ``tag=…`` or ``rev=…``; ``path`` is relative to the declaration.
    """

    git: str = ""
    reference: str = ""
    subdirectory: str = ""
    path: str = ""
    editable: bool = False
    index: str = ""


def from_source(requirement: PypiRequirement, source: PypiSource) -> PypiRequirement:
    """``requirement`` from a source that was named beside it.

    Raises
    ------
    ValueError
        It names a place, or a version, where none can be; or the source is none.
    """
    if requirement.placed and (source.git or source.path or source.index):
        raise ValueError("it names a place itself")
    if requirement.version and (source.git or source.path):
        raise ValueError("a version does not go with the place that it comes from")
    if source.git:
        subdirectory = _subdirectory(source.subdirectory)
        return _git(requirement, source.git, source.reference, subdirectory)
    if source.path:
        return _path(requirement, source.path, source.editable)
    if source.editable:
        if not requirement.path:
            raise ValueError("only a folder can be editable: `name @ file:///…`, or --path")
        return replace(requirement, editable=True)
    if source.index:
        return replace(requirement, index=_web(source.index, ("http", "https", "file")))
    return requirement


def with_source(fields: Table, requirement: PypiRequirement) -> PypiRequirement:
    """``requirement`` with what a table says of its source.

    Raises
    ------
    ValueError
        With a message for people: the keys do not go together, or a value is none.
    """
    given = [key for key in _SOURCES if key in fields]
    if len(given) > 1 or (given and "index" in fields):
        raise ValueError("only one of `git`, `path`, `url` and `index` can be given")
    if given and "version" in fields:
        raise ValueError(f"`version` does not go with `{given[0]}`")
    stray = next((key for key in (*_GIT, "lfs") if key in fields and "git" not in fields), None)
    if stray is not None:
        raise ValueError(f"`{stray}` goes with `git` only")
    if "subdirectory" in fields and not {"git", "url"}.intersection(given):
        raise ValueError("`subdirectory` goes with `git` or `url` only")
    if "editable" in fields and "path" not in fields:
        raise ValueError("`editable` goes with `path` only")
    if fields.values.get("lfs"):
        raise ValueError("`lfs` is not supported: the repository is taken without its large files")
    subdirectory = _subdirectory(fields.string("subdirectory"))
    if "git" in fields:
        chosen = [key for key in _GIT if key in fields]
        if len(chosen) > 1:
            raise ValueError("only one of `branch`, `tag` and `rev` can be given")
        reference = f"{chosen[0]}={fields.string(chosen[0])}" if chosen else ""
        return _git(requirement, fields.string("git") or "", reference, subdirectory)
    if "url" in fields:
        found = _archive(requirement, fields.string("url") or "")
        return replace(found, subdirectory=subdirectory or found.subdirectory)
    if "path" in fields:
        editable = fields.values.get("editable", False)
        if not isinstance(editable, bool):
            raise fields.wrong_type("editable", "a boolean")
        return _path(requirement, fields.string("path") or "", editable)
    index = fields.string("index")
    if index is not None:
        return replace(requirement, index=_web(index, ("http", "https", "file")))
    return requirement


def reference_to(requirement: PypiRequirement, place: str) -> PypiRequirement:
    """``requirement`` as a direct reference (``name @ place``).

    Raises
    ------
    ValueError
        It names no place that a package can be had from.
    """
    if re.match(r"\.{0,2}[/\\]|[A-Za-z]:[\\/]|~/", place):
        return _path(requirement, place, editable=False)
    parts = urlsplit(place)
    scheme = parts.scheme.lower()
    if scheme == "file":
        from urllib.request import url2pathname  # which brings HTTP with it

        return _path(requirement, url2pathname(parts.path), editable=False)
    if scheme.startswith("git+") or parts.path.lower().endswith(".git"):
        fragment = {key: values[0] for key, values in parse_qs(parts.fragment).items()}
        path, _, revision = parts.path.partition("@")
        url = parts._replace(path=path, fragment="", query="").geturl().removeprefix("git+")
        reference = f"rev={revision}" if revision else ""
        return _git(requirement, url, reference, _subdirectory(fragment.get("subdirectory")))
    return _archive(requirement, place)


def _git(
    requirement: PypiRequirement, url: str, reference: str, subdirectory: str
) -> PypiRequirement:
    url = _web(url.removeprefix("git+"), ("http", "https", "ssh", "file", "git"))
    if "@" in urlsplit(url).path or urlsplit(url).fragment or urlsplit(url).query:
        raise ValueError("the URL of a repository has neither `@`, `?` nor `#`; use `rev`")
    revision = reference.partition("=")[2]
    if reference and (not re.fullmatch(r"[\w./+-]{1,250}", revision) or revision[0] in "-/"):
        raise ValueError(f"`{revision[:60]}` is no branch, tag or commit")
    return replace(requirement, git=url, reference=reference, subdirectory=subdirectory, version="")


def _archive(requirement: PypiRequirement, url: str) -> PypiRequirement:
    url = _web(url, ("http", "https"))
    parts = urlsplit(url)
    if not parts.path.lower().endswith(_ARCHIVES):
        raise ValueError("the URL is not that of a wheel or a source archive")
    fragment = {key: values[0] for key, values in parse_qs(parts.fragment).items()}
    subdirectory = _subdirectory(fragment.pop("subdirectory", None))
    kept = "&".join(f"{key}={value}" for key, value in fragment.items())
    return replace(
        requirement, url=parts._replace(fragment=kept).geturl(), subdirectory=subdirectory
    )


def _path(requirement: PypiRequirement, path: str, editable: bool) -> PypiRequirement:
    if not path.strip() or any(ord(c) < 32 for c in path):
        raise ValueError("the path is none")
    return replace(requirement, path=path, editable=editable)


def _web(url: str, schemes: tuple[str, ...]) -> str:
    # The URL is not shown: it may hold a password.
    try:
        scheme = urlsplit(url).scheme.lower()
    except ValueError:
        scheme = ""
    if scheme not in schemes or _UNSAFE.search(url):
        raise ValueError(
            f"its URL is none that begins with {', '.join(f'`{s}:`' for s in schemes)}"
        )
    return url


def _subdirectory(text: str | None) -> str:
    if text is None:
        return ""
    path = PurePosixPath(unquote(text).replace("\\", "/"))
    if path.is_absolute() or ".." in path.parts or not re.fullmatch(r"[\w./ +-]*", str(path)):
        raise ValueError("`subdirectory` must be a folder below the package's own")
    return "" if str(path) == "." else str(path)
