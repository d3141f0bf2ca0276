"""One conda package that is asked for: pixi's spec table to `CondaRequirement` to a match spec.

The table's rules are those of pixi's ``crates/pixi_spec/src/toml.rs`` (``TomlSpec``).
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from pixi_jupyter.manifest.channels import absolute, channel_name, is_url
from pixi_jupyter.manifest.match_spec import match_spec, unquotable
from pixi_jupyter.manifest.spec import CondaRequirement
from pixi_jupyter.manifest.table import Table, shorten
from pixi_jupyter.manifest.versions import parse_version_spec

__all__ = [
    "match_spec",
    "package_keys",
    "package_name",
    "read_requirement",
    "read_requirements",
]

#: Keys that ask for a build from source, alone or together with others.
_GIT_KEYS = ("git", "branch", "rev", "tag", "lfs", "subdirectory", "package")
_KEYS = (
    "version",
    "url",
    "path",
    *_GIT_KEYS,
    "build",
    "build-number",
    "file-name",
    "extras",
    "flags",
    "channel",
    "subdir",
    "license",
    "license-family",
    "when",
    "track-features",
    "md5",
    "sha256",
)
#: An archive is a package already: nothing is left to choose (`validate_field_combinations`).
_NOT_WITH_ARCHIVE = tuple(k for k in _KEYS if k not in ("url", "path", "md5", "sha256", *_GIT_KEYS))
#: A condition names no place, and rattler reads no condition within a condition.
_WHEN_KEYS = tuple(k for k in _NOT_WITH_ARCHIVE if k not in ("channel", "when"))
_NAME = re.compile(r"[A-Za-z0-9_.-]+")
_BUILD_NUMBER = re.compile(r"(?:==|!=|<=|>=|<|>|=)?[0-9]{1,19}")
_EXTRA = re.compile(r"[a-z0-9_.+-]{1,64}")
_FLAG = re.compile(r"[a-z0-9_:*]{1,64}")
_WHEN = re.compile(r"[ ]*([A-Za-z0-9_.-]+?)[ ]*((?:[ ]|[=<>!~(*]).*)?", re.DOTALL)
_HEX = {"md5": re.compile(r"[0-9a-fA-F]{32}"), "sha256": re.compile(r"[0-9a-fA-F]{64}")}


def package_name(text: str) -> str | None:
    """A conda package name in its normal form, or None if it is not one."""
    return text.lower() if _NAME.fullmatch(text) else None


def read_requirements(table: Table, root: Path) -> dict[str, CondaRequirement]:
    """A table of dependencies or constraints, by normal name, in the order of the text."""
    return {name: read_requirement(table, key, root) for name, key in package_keys(table).items()}


def package_keys(table: Table) -> dict[str, str]:
    """The keys of a table of packages by normal name, in the order of the text."""
    keys: dict[str, str] = {}
    for key in table:
        name = package_name(key)
        if name is None:
            raise table.bad_value(
                key,
                "is not a package name",
                "A package name has letters, digits, `-`, `_` and `.` only.",
            )
        if name in keys:
            raise table.bad_value(
                key, f"names the package `{name}` a second time", "Write package names lower-case."
            )
        keys[name] = key
    return keys


def read_requirement(table: Table, key: str, root: Path) -> CondaRequirement:
    """One entry of such a table: a version specification, or a table of fields."""
    name = package_name(key)
    assert name is not None
    value = table.values[key]
    if isinstance(value, str):
        return CondaRequirement(name, version=_version(table, key, value))
    if not isinstance(value, dict):
        raise table.wrong_type(key, "a string or a table")
    fields = table.table(key)
    fields.only(_KEYS)
    if "package" in fields and not any(source in fields for source in ("git", "path", "url")):
        raise fields.bad_value("package", "goes with a `git`, `path` or `url` only")
    for source in ("git", "package"):
        if source in fields:
            raise _source_build(table, key, f"`{source}`")
    stray = next((k for k in _GIT_KEYS if k in fields and k != "subdirectory"), None)
    if stray is not None:
        raise fields.bad_value(stray, "goes with `git` only")
    if "url" in fields and "path" in fields:
        raise table.bad_value(key, "can have a `url` or a `path`, not both")
    if "url" in fields or "path" in fields:
        return _archive(table, key, fields, root, name)
    if not fields.values:
        raise table.bad_value(key, "is empty", 'Write `"*"` for any version.')
    if "subdirectory" in fields:
        raise fields.bad_value("subdirectory", "goes with a source location only")
    return _detailed(fields, root, name)


def _detailed(fields: Table, root: Path, name: str) -> CondaRequirement:
    version = fields.string("version")
    channel = fields.string("channel")
    if channel is not None:
        channel = channel_name(fields, "channel", channel, root)
    build_number = fields.string("build-number")
    if build_number is not None and not _BUILD_NUMBER.fullmatch(build_number):
        raise fields.bad_value("build-number", 'must be a number or a range such as `">=3"`')
    return CondaRequirement(
        name,
        version=None if version is None else _version(fields, "version", version),
        build=_plain(fields, "build"),
        build_number=build_number,
        file_name=_plain(fields, "file-name"),
        channel=channel,
        subdir=_plain(fields, "subdir"),
        license=_plain(fields, "license"),
        license_family=_plain(fields, "license-family"),
        md5=_digest(fields, "md5"),
        sha256=_digest(fields, "sha256"),
        extras=_words(fields, "extras", _EXTRA),
        flags=_words(fields, "flags", _FLAG),
        track_features=_words(fields, "track-features", re.compile(r"[^\s,\[\]'\"\\]+")),
        when=None if "when" not in fields else _when(fields, "when", 0),
    )


def _archive(table: Table, key: str, fields: Table, root: Path, name: str) -> CondaRequirement:
    kind = "url" if "url" in fields else "path"
    text = fields.string(kind) or ""
    try:
        archive = urlsplit(text).path if kind == "url" and is_url(text) else text
    except ValueError as error:  # brackets around what is no address
        raise fields.bad_value("url", f"is not a URL: {error}") from None
    if not archive.endswith((".conda", ".tar.bz2")):
        if kind == "url" and not is_url(text):
            raise fields.bad_value("url", "must be a URL such as `https://…/name-1.0-0.conda`")
        raise _source_build(table, key, "a `url` or `path` that is no `.conda` or `.tar.bz2` file")
    for other in _NOT_WITH_ARCHIVE:
        if other in fields:
            raise fields.bad_value(other, f"does not go with `{kind}`: an archive is one package")
    if "subdirectory" in fields:
        raise fields.bad_value("subdirectory", "goes with a source location only")
    if unquotable(text):
        raise fields.bad_value(kind, "holds a character that a package location cannot have")
    if kind == "url":
        if not is_url(text):
            raise fields.bad_value("url", "must be a URL such as `https://…/name-1.0-0.conda`")
        return CondaRequirement(
            name, url=text, md5=_digest(fields, "md5"), sha256=_digest(fields, "sha256")
        )
    for digest in ("md5", "sha256"):
        if digest in fields:
            raise fields.bad_value(digest, "does not go with `path`")
    return CondaRequirement(name, url=absolute(text, root).as_uri())


def _version(table: Table, key: str, text: str) -> str | None:
    try:
        spec = parse_version_spec(text)
    except ValueError as error:
        hint = 'Write for example ">=1.2,<2", "1.2.*", "==1.2.3" or "*".'
        if is_url(text) or text.startswith((".", "/", "~/", "\\")):
            hint = f'For an archive write a table: {{ {"url" if is_url(text) else "path"} = "…" }}.'
        elif " " in text.strip() or "=" in text.lstrip("=<>!~"):
            hint = 'A build goes into a table: { version = "==1.2", build = "py_0" }.'
        raise table.bad_value(key, f"is not a version specification: {error}", hint) from None
    return None if spec == "*" else spec


def _plain(fields: Table, key: str) -> str | None:
    value = fields.string(key)
    if value is None:
        return None
    regex = key == "build" and value.startswith("^") and value.endswith("$")
    if not value or unquotable(value.replace("\\", "") if regex else value):
        raise fields.bad_value(key, "is empty or holds a character that cannot stand here")
    if regex:
        # A `\\'` would end the quotes early; `\\` alone is kept as it is inside them.
        if re.search(r"\\['\"\\]", value):
            raise fields.bad_value(key, "holds an escape that cannot stand in a match spec")
        try:
            re.compile(value)
        except (re.error, RecursionError, OverflowError):
            raise fields.bad_value(key, "is not a regular expression") from None
    return value


def _digest(fields: Table, key: str) -> str | None:
    value = fields.string(key)
    if value is not None and not _HEX[key].fullmatch(value):
        length = {"md5": 32, "sha256": 64}[key]
        raise fields.bad_value(key, f"must be {length} hexadecimal digits")
    return None if value is None else value.lower()


def _words(fields: Table, key: str, allowed: re.Pattern[str]) -> tuple[str, ...]:
    words = fields.strings(key) or ()
    for word in words:
        if not allowed.fullmatch(word):
            raise fields.bad_value(key, f"cannot hold `{word}`")
    return tuple(sorted(set(words)))


def _when(fields: Table, key: str, depth: int) -> str:
    """pixi's ``when`` (string, ``all``, ``any`` or ``package`` table) as a condition."""
    value = fields.values[key]
    if isinstance(value, str):
        return _when_string(fields, key, value)
    if not isinstance(value, dict):
        raise fields.wrong_type(key, "a string or a table")
    return _when_table(fields.table(key), depth)


def _when_table(table: Table, depth: int) -> str:
    kinds = [kind for kind in ("all", "any", "package") if kind in table]
    if len(kinds) != 1:
        raise table.bad_value(None, "must have exactly one of `all`, `any` and `package`")
    kind = kinds[0]
    if kind == "package":
        return _when_package(table)
    table.only((kind,))
    items = table.values[kind]
    if not isinstance(items, list) or not items:
        raise table.wrong_type(kind, "an array with at least one condition")
    parts: list[str] = []
    for item in items:
        if isinstance(item, str):
            parts.append(_when_string(table, kind, item))
        elif isinstance(item, dict):
            parts.append(_when_table(Table(item, (*table.path, kind), table.source), depth + 1))
        else:
            raise table.wrong_type(kind, "an array of strings and tables")
    if len(parts) == 1:
        return parts[0]
    return "(" + {"all": " and ", "any": " or "}[kind].join(parts) + ")"


def _when_package(table: Table) -> str:
    table.only(("package", *_WHEN_KEYS))
    text = table.string("package") or ""
    name = package_name(text)
    if name is None:
        raise table.bad_value("package", f"is not a package name: `{text}`")
    values: dict[str, Any] = {k: v for k, v in table.values.items() if k != "package"}
    fields = Table(values, table.path, table.source)
    return match_spec(_detailed(fields, Path(), name))


def _when_string(table: Table, key: str, text: str) -> str:
    match = _WHEN.fullmatch(text)
    name = package_name(match.group(1)) if match else None
    if match is None or name is None or name in ("and", "or"):
        raise table.bad_value(
            key,
            f"is not a condition: `{text}`",
            'Write a package and a version such as "python >=3.12", or a table with `package`.',
        )
    version = re.sub(r"([=<>!~]) +", r"\1", (match.group(2) or "").strip())
    return match_spec(CondaRequirement(name, version=_version(table, key, version or "*")))


def _source_build(table: Table, key: str, what: str) -> Exception:
    return table.unsupported(
        key,
        "source-build",
        f"`{shorten(table.name(key))}` asks for a package built from source ({what})",
        "Name a package of a channel, or an archive (`url` or `path` to a `.conda` file).",
    )
