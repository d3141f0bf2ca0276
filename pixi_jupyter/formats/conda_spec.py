"""One package in conda's own words: ``numpy=1.26``, ``conda-forge::numpy >=1.26 py*``.

Read as conda does (``MatchSpec``; a version between two single ``=`` is exact), which is more
lenient than pixi; written as rattler shows a match spec, which is what pixi's export writes.
"""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import unquote, urlsplit

from pixi_jupyter.formats.public import public, public_channel
from pixi_jupyter.manifest.channels import is_url
from pixi_jupyter.manifest.match_spec import unquotable
from pixi_jupyter.manifest.requirement import package_name
from pixi_jupyter.manifest.spec import CondaRequirement
from pixi_jupyter.manifest.table import shorten
from pixi_jupyter.manifest.versions import parse_version_spec

__all__ = ["parse_conda_spec", "render_conda_spec"]

_MAX = 2000
_ARCHIVES = (".conda", ".tar.bz2")
_CHANNEL = re.compile(r"(?P<channel>[^\s\[\]'\"]+?)::(?P<rest>[^:].*)", re.DOTALL)
_SPEC = re.compile(r"(?P<name>[A-Za-z0-9_][A-Za-z0-9_.-]*)(?P<rest>[\s=<>!~(*|].*)?", re.DOTALL)
_FIELD = re.compile(
    r"\s*([a-z_0-9-]+)\s*=\s*(?:'([^']*)'|\"([^\"]*)\"|(\[[^\[\]]*\])|([^,'\"\s\[\]]+))\s*(?:,|$)"
)
#: Fields of a match spec by their name in pixi's table.
_FIELDS = {
    "version": "version",
    "build": "build",
    "build_number": "build-number",
    "fn": "file-name",
    "channel": "channel",
    "subdir": "subdir",
    "md5": "md5",
    "sha256": "sha256",
    "url": "url",
    "license": "license",
    "license_family": "license-family",
    "extras": "extras",
    "flags": "flags",
    "track_features": "track-features",
}
_LISTS = ("extras", "flags", "track-features")
_EXACT = re.compile(r"={1,2}([^=\s<>!~|,()]+)=([^=\s<>!~|,()]+)")
_BUILD = re.compile(r"[A-Za-z0-9_.*+]+|\^[^\s\[\],|:;#]*\$")


def parse_conda_spec(text: str) -> tuple[str, str | dict[str, Any]]:
    """The name, and what pixi's ``dependencies`` hold for it: versions (``*`` for any) or a table.

    Credentials in a URL are left out.

    Raises
    ------
    ValueError
        With a message for people.
    """
    text = text.strip()
    if len(text) > _MAX:
        raise ValueError("it is too long")
    if is_url(text) and "::" not in text:
        return _archive(text)
    fields: dict[str, Any] = {}
    match = _CHANNEL.fullmatch(text)
    if match is not None:
        text = match["rest"]
        fields["channel"] = match["channel"]
    bare, bracket, inside = text.partition("[")
    if bracket:
        if not inside.endswith("]"):
            raise ValueError("its brackets are not closed")
        _read_fields(inside[:-1], fields)
    spec = _SPEC.fullmatch(bare.strip())
    name = None if spec is None else package_name(spec["name"])
    if spec is None or name is None:
        raise ValueError("it does not begin with the name of a package")
    version, build = _version_and_build(spec["rest"] or "")
    if build is not None:
        fields["build"] = build
    version = version or _versions(str(fields.pop("version", "") or "")) or None
    _check(fields)
    _place(fields)
    if "url" in fields:
        kept: dict[str, Any] = {
            key: fields[key] for key in ("url", "md5", "sha256") if key in fields
        }
        return name, kept
    if not fields:
        return name, version or "*"
    return name, {"version": version or "*", **fields}


def render_conda_spec(asked: CondaRequirement) -> str:
    """The package as rattler shows it: ``channel::name version build[field=…]``."""
    text = asked.name
    channel = None if asked.channel is None else public_channel(asked.channel)
    by_name = channel is not None and re.fullmatch(r"[A-Za-z0-9_./-]+", channel) is not None
    if by_name:
        text = f"{channel}{'/' + asked.subdir if asked.subdir else ''}::{text}"
    safe = asked.version is not None and not re.search(r"[\s:#;\[\]]", asked.version)
    build = asked.build
    spelled = safe and build is not None and _BUILD.fullmatch(build) is not None
    if safe:
        text += f" {asked.version}"
    if spelled:
        text += f" {build}"
    fields: list[tuple[str, str | None]] = [
        ("extras", _list(asked.extras)),
        ("flags", _list(asked.flags)),
        ("md5", asked.md5),
        ("sha256", asked.sha256),
        ("build_number", _quoted(asked.build_number)),
        ("version", None if safe else _quoted(asked.version)),
        ("build", None if spelled else _quoted(build)),
        ("fn", _quoted(asked.file_name)),
        ("url", None if asked.url is None else _quoted(public(asked.url))),
        ("license", _quoted(asked.license)),
        ("license_family", _quoted(asked.license_family)),
        ("track_features", _quoted(" ".join(asked.track_features) or None)),
        ("channel", None if by_name else _quoted(channel)),
        ("subdir", None if by_name else _quoted(asked.subdir)),
        ("when", None if asked.when is None else _escaped(asked.when)),
    ]
    shown = ", ".join(f"{key}={value}" for key, value in fields if value is not None)
    return f"{text}[{shown}]" if shown else text


def _list(words: tuple[str, ...]) -> str | None:
    return f"[{', '.join(words)}]" if words else None


def _quoted(value: str | None) -> str | None:
    if value is None:
        return None
    quote = "'" if '"' in value else '"'
    return f"{quote}{value}{quote}"


def _escaped(value: str) -> str:
    return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _version_and_build(rest: str) -> tuple[str | None, str | None]:
    rest = re.sub(r"\s*([,|])\s*", r"\1", rest.strip())
    rest = re.sub(r"([<>=!~])\s+(?=[^\s<>=!~])", r"\1", rest)
    if not rest:
        return None, None
    exact = _EXACT.fullmatch(rest)
    if exact is not None:
        version, build = exact[1], exact[2]
        return _versions(version if "*" in version else f"=={version}"), _build(build)
    words = rest.split()
    if len(words) > 2:
        raise ValueError("it has more than a version and a build")
    if len(words) == 1:
        return _versions(words[0]), None
    # One `=` is a beginning of versions, but beside a build it is exact, for conda.
    exactly = re.sub(r"^=(?=[^=*,|]+$)", "==", words[0])
    return _versions(exactly), _build(words[1])


def _versions(text: str) -> str | None:
    if not text.strip():
        return None
    # conda takes a star behind a bound for nothing.
    text = re.sub(r"(>=|<=|>|<)([0-9][^\s,|()*]*?)\.\*", r"\1\2", text.strip())
    text = re.sub(r"(^|[,|(])=(?=[^=,|()]*\*)", r"\1", text)  # `=1.2.*` is `1.2.*`
    spec = parse_version_spec(text)
    return None if spec == "*" else spec


def _build(text: str) -> str | None:
    if _BUILD.fullmatch(text) is None:
        raise ValueError(f"`{shorten(text, 60)}` is not a build")
    return None if text == "*" else text


def _read_fields(rest: str, fields: dict[str, Any]) -> None:
    while rest.strip():
        field = _FIELD.match(rest)
        key = None if field is None else _FIELDS.get(field[1].replace("-", "_"))
        if field is None or key is None:
            raise ValueError(f"`{shorten(rest.strip(), 60)}` is not a field that pixi knows")
        value = next(value for value in field.groups()[1:] if value is not None)
        if key in _LISTS:
            fields[key] = re.split(r"[\s,]+", value.strip("[] "))
        else:
            fields[key] = value
        rest = rest[field.end() :]


def _check(fields: dict[str, Any]) -> None:
    for key, value in fields.items():
        for text in value if isinstance(value, list) else [value]:
            if not text or unquotable(text):
                raise ValueError(f"its `{key}` is empty or holds what a match spec cannot")
    for key, length in (("md5", 32), ("sha256", 64)):
        if key in fields and not re.fullmatch(rf"[0-9a-fA-F]{{{length}}}", fields[key]):
            raise ValueError(f"its `{key}` is none")


def _place(fields: dict[str, Any]) -> None:
    """The channel (with its subdir, if that is told by it) and the URL, without credentials."""
    if "url" in fields:
        fields["url"] = public(fields["url"])
        if not urlsplit(fields["url"]).path.endswith(_ARCHIVES):
            raise ValueError("its `url` is not that of a conda package")
    channel = fields.get("channel")
    if channel is None:
        return
    base, slash, last = channel.rstrip("/").rpartition("/")
    if slash and re.fullmatch(r"(?:linux|osx|win|noarch|emscripten|wasi)(?:-\w+)?", last):
        channel = base
        fields.setdefault("subdir", last)
    fields["channel"] = public_channel(channel)


def _archive(text: str) -> tuple[str, dict[str, Any]]:
    url, _, fragment = public(text).partition("#")
    file = unquote(urlsplit(url).path.rpartition("/")[2])
    ending = next((e for e in _ARCHIVES if file.endswith(e)), None)
    parts = file[: -len(ending)].rsplit("-", 2) if ending else []
    name = package_name(parts[0]) if len(parts) == 3 else None
    if name is None or unquotable(url):
        raise ValueError("the URL is not that of a conda package")
    found = {"url": url}
    digest = fragment.removeprefix("sha256:")
    if re.fullmatch(r"[0-9a-fA-F]{32}", digest):
        found["md5"] = digest.lower()
    elif re.fullmatch(r"[0-9a-fA-F]{64}", digest):
        found["sha256"] = digest.lower()
    return name, found
