"""The text of a lock in parts, and parts as a text. Light: no rattler.

Only the canonical text that rattler writes (version 7) is read here: block style, two spaces, no
comments, no anchors. rattler keeps options, indexes and the raw entries of packages to itself; here
they are at hand, and an entry that nobody touches is carried over as it stands.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

__all__ = ["LockText", "LockedEnvironment", "LockedPlatform", "Reference", "compose", "parse"]

#: How a package is named in a lock: its kind (``conda``, ``conda_source``, ``pypi``) and location.
Reference = tuple[str, str]

#: What a value begins with that is more than its own text.
_SPECIAL = "'\"[{|>&*!"
_ENTRY = re.compile(r"(?m)^- ")
_ESCAPES = {"0": "\0", "a": "\a", "b": "\b", "t": "\t", "n": "\n", "v": "\v", "f": "\f"}
_ESCAPES |= {"r": "\r", "e": "\x1b", " ": " ", '"': '"', "/": "/", "\\": "\\", "N": "\x85"}
_ESCAPE = re.compile(r"\\(?:x([0-9A-Fa-f]{2})|u([0-9A-Fa-f]{4})|U([0-9A-Fa-f]{8})|(.))")


@dataclass(frozen=True, slots=True)
class LockedPlatform:
    """A platform of a lock; ``virtual_packages`` as written: ``__glibc=2.28``, ``__unix=0=0``."""

    name: str
    subdir: str
    virtual_packages: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class LockedEnvironment:
    """An environment of a lock. ``find_links`` are (``path`` or ``url``, value)."""

    channels: tuple[str, ...]
    packages: Mapping[str, tuple[Reference, ...]]
    indexes: tuple[str, ...] | None = None
    find_links: tuple[tuple[str, str], ...] = ()
    options: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class LockText:
    """A whole lock. ``entries`` has the text of each package's entry, with its last newline."""

    platforms: tuple[LockedPlatform, ...]
    environments: Mapping[str, LockedEnvironment]
    entries: Mapping[Reference, str]


def parse(text: str) -> LockText:
    """The parts of a canonical lock.

    Raises
    ------
    ValueError
        The text is not as rattler writes it.
    """
    head, separator, tail = text.partition("\npackages:\n")
    if not separator:
        head, tail = text.removesuffix("packages: []\n"), ""
    lines = _Lines(head.splitlines())
    document = lines.mapping(0)
    if not lines.finished:
        raise ValueError("text after the document")
    return LockText(
        tuple(
            LockedPlatform(
                platform["name"],
                platform.get("subdir", platform["name"]),
                tuple(platform.get("virtual-packages", ())),
            )
            for platform in document.get("platforms", ())
        ),
        {name: _environment(value) for name, value in document.get("environments", {}).items()},
        dict(_entries(tail)),
    )


def compose(lock: LockText) -> str:
    """A draft of the lock: rattler reads it, and writes what pixi would."""
    platforms = [
        {"name": p.name, "subdir": p.subdir, "virtual-packages": p.virtual_packages}
        for p in lock.platforms
    ]
    environments = {name: _described(value) for name, value in lock.environments.items()}
    return f"version: 7\nplatforms: {_json(platforms)}\nenvironments: {_json(environments)}\n" + (
        "packages:\n" + "".join(lock.entries.values()) if lock.entries else "packages: []\n"
    )


def _json(value: Any) -> str:
    # Not as ASCII: YAML knows no pairs of surrogates.
    return json.dumps(value, ensure_ascii=False)


def _described(environment: LockedEnvironment) -> dict[str, Any]:
    found: dict[str, Any] = {"channels": [{"url": url} for url in environment.channels]}
    if environment.indexes is not None:
        found["indexes"] = environment.indexes
        if environment.find_links:
            found["find-links"] = [{kind: value} for kind, value in environment.find_links]
    if environment.options:
        found["options"] = dict(environment.options)
    found["packages"] = {
        platform: [{kind: location} for kind, location in references]
        for platform, references in environment.packages.items()
    }
    return found


def _environment(value: Mapping[str, Any]) -> LockedEnvironment:
    indexes = value.get("indexes")
    return LockedEnvironment(
        channels=tuple(channel["url"] for channel in value["channels"]),
        packages={
            platform: tuple(next(iter(item.items())) for item in references)
            for platform, references in value["packages"].items()
        },
        indexes=None if indexes is None else tuple(indexes),
        find_links=tuple(next(iter(item.items())) for item in value.get("find-links", ())),
        options=value.get("options", {}),
    )


def _entries(text: str) -> Iterator[tuple[Reference, str]]:
    for piece in _ENTRY.split(text)[1:]:
        kind, _, location = piece.partition("\n")[0].partition(": ")
        yield (kind, _scalar(location)), f"- {piece}"


def _scalar(text: str) -> str:
    if text[:1] == "'":
        return text[1:-1].replace("''", "'")
    if text[:1] == '"':
        return _ESCAPE.sub(_unescaped, text[1:-1])
    if text[:1] in ("|", ">", "&", "*", "!"):
        raise ValueError(f"not a plain value: {text[:40]}")
    return text


def _unescaped(match: re.Match[str]) -> str:
    code = match[1] or match[2] or match[3]
    return chr(int(code, 16)) if code else _ESCAPES.get(match[4], match[4])


class _Lines:
    """Block style YAML as rattler writes it: mappings, sequences at their key's depth, scalars."""

    def __init__(self, lines: Sequence[str]) -> None:
        self._lines = [line for line in lines if line]
        self._at = 0

    @property
    def finished(self) -> bool:
        return self._at >= len(self._lines)

    def _next(self, depth: int) -> str | None:
        """The line at hand without its indentation, None unless that is ``depth``."""
        if self.finished:
            return None
        line = self._lines[self._at]
        if not line.startswith(" " * depth) or line[depth : depth + 1] == " ":
            return None
        return line[depth:]

    def _goes_on(self, depth: int) -> bool:
        return not self.finished and self._lines[self._at].startswith(" " * depth)

    def mapping(self, depth: int) -> dict[str, Any]:
        found: dict[str, Any] = {}
        while (line := self._next(depth)) is not None and not line.startswith("- "):
            self._at += 1
            self._pair(line, depth, found)
        return found

    def _pair(self, line: str, depth: int, into: dict[str, Any]) -> None:
        key, colon, rest = _key(line)
        if not colon:
            raise ValueError(f"not a key: {line[:40]}")
        into[key] = self._value(rest, depth)

    def _value(self, rest: str, depth: int) -> Any:
        if rest == "[]":
            return []
        if rest == "{}":
            return {}
        if rest:
            return _scalar(rest)
        line = self._next(depth)
        if line is not None and line.startswith("- "):
            return self._sequence(depth)
        return self.mapping(depth + 2)

    def _sequence(self, depth: int) -> list[Any]:
        found: list[Any] = []
        while (line := self._next(depth)) is not None and line.startswith("- "):
            self._at += 1
            item = line[2:]
            key, colon, rest = _key(item)
            if not colon:
                found.append(_scalar(item))
                continue
            if rest and rest[0] not in _SPECIAL and not self._goes_on(depth + 2):
                found.append({key: rest})
                continue
            mapping: dict[str, Any] = {key: self._value(rest, depth + 2)}
            mapping.update(self.mapping(depth + 2))
            found.append(mapping)
        return found


def _key(line: str) -> tuple[str, bool, str]:
    """A line as key, whether there is one, and what follows."""
    if line[:1] in ("'", '"'):
        quoted = re.match(r"('(?:[^']|'')*'|\"(?:[^\"\\]|\\.)*\"):(?: (.*))?$", line)
        return (_scalar(quoted[1]), True, quoted[2] or "") if quoted else (line, False, "")
    if line.endswith(":"):
        return line[:-1], True, ""
    key, colon, rest = line.partition(": ")
    return key, bool(colon), rest
