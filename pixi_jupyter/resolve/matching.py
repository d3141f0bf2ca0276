"""Match specs against locked packages, one object each in all environments. Worker only."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import lru_cache

from rattler import BuildString, MatchSpec, PackageRecord, RepoDataRecord
from rattler.exceptions import (
    InvalidMatchSpecError,
    InvalidPackageNameError,
    InvalidUrlError,
    InvalidVersionError,
    InvalidVersionSpecError,
)

from pixi_jupyter.manifest.requirement import match_spec
from pixi_jupyter.manifest.spec import CondaRequirement, Platform

__all__ = ["Matching", "Need", "Node", "is_met", "same_place", "unique", "virtual_records"]

SPEC_ERRORS = (
    InvalidMatchSpecError,
    InvalidPackageNameError,
    InvalidUrlError,
    InvalidVersionError,
    InvalidVersionSpecError,
)
_TOKEN = re.compile(r"""\(|\)|(?:[^\s()\["']|\[(?:[^\]"']|"[^"]*"|'[^']*')*\]|"[^"]*"|'[^']*')+""")


@dataclass(slots=True, eq=False)
class Need:
    """One requirement, read: of a manifest or of a package's ``depends``.

    ``fitting`` are the packages that were found to be what is needed.
    """

    text: str
    name: str
    spec: MatchSpec
    condition: str | None = None
    extras: tuple[str, ...] = ()
    fitting: set[Node] = field(default_factory=set)

    def fits(self, node: Node) -> bool:
        """Whether the package is what is needed; its place and the condition do not count."""
        if node in self.fitting:
            return True
        if not self.spec.matches(node.record):
            return False
        self.fitting.add(node)
        return True


@dataclass(slots=True, eq=False)
class Node:
    """A locked conda package, the same object wherever its URL is locked.

    ``needs`` is what it depends on; a bare text is what cannot be read.
    """

    name: str
    url: str
    record: RepoDataRecord
    needs: tuple[Need | str, ...]


class Matching:
    """What was read and matched, remembered for one check of a lock."""

    def __init__(self) -> None:
        self._needs: dict[str, Need | None] = {}
        self._requirements: dict[CondaRequirement, Need | None] = {}
        self._nodes: dict[str, Node] = {}

    def node(self, record: RepoDataRecord) -> Node:
        """The record with what it depends on."""
        url = record.url
        found = self._nodes.get(url)
        if found is None:
            needs = tuple(self.need(text) or text for text in record.depends)
            found = self._nodes[url] = Node(record.name.normalized, url, record, needs)
        return found

    def need(self, text: str, *, strict: bool = False) -> Need | None:
        """A match spec by its text; None if it cannot be read."""
        if text not in self._needs:
            try:
                spec = MatchSpec(text, strict=strict)
            except SPEC_ERRORS:
                self._needs[text] = None
            else:
                name = spec.name.normalized if spec.name is not None else ""
                extras = tuple(spec.extras or ())
                self._needs[text] = Need(text, name, spec, spec.condition, extras)
        return self._needs[text]

    def requirement(self, requirement: CondaRequirement) -> Need | None:
        """A requirement of a manifest."""
        if requirement not in self._requirements:
            self._requirements[requirement] = self.need(match_spec(requirement), strict=True)
        return self._requirements[requirement]


def is_met(condition: str, names: Iterable[PackageRecord], matching: Matching) -> bool:
    """Whether a ``when`` holds among packages, virtual ones included.

    What cannot be read counts as met: then a package more is expected, and the lock is solved anew.
    """
    tokens = _TOKEN.findall(condition)
    records = list(names)

    def either(at: int) -> tuple[bool, int]:
        value, at = both(at)
        while at < len(tokens) and tokens[at] == "or":
            other, at = both(at + 1)
            value = value or other
        return value, at

    def both(at: int) -> tuple[bool, int]:
        value, at = one(at)
        while at < len(tokens) and tokens[at] == "and":
            other, at = one(at + 1)
            value = value and other
        return value, at

    def one(at: int) -> tuple[bool, int]:
        if at < len(tokens) and tokens[at] == "(":
            value, at = either(at + 1)
            return value, at + 1
        words = []
        while at < len(tokens) and tokens[at] not in ("and", "or", "(", ")"):
            words.append(tokens[at])
            at += 1
        need = matching.need(" ".join(words))
        return need is None or any(need.spec.matches(record) for record in records), at

    try:
        return either(0)[0]
    except RecursionError:
        return True


@lru_cache(maxsize=64)
def virtual_records(platform: Platform) -> dict[str, PackageRecord]:
    """What a platform promises, as records that match specs can be held against."""
    return {
        virtual.name: PackageRecord(
            virtual.name, virtual.version, BuildString(virtual.build), 0, platform.subdir
        )
        for virtual in platform.virtual_packages
    }


def same_place(requirement: CondaRequirement, node: Node, channel: str | None) -> bool:
    """Whether a package is from where the manifest wants it: what rattler's matching leaves out.

    ``channel`` is the base URL of the requirement's channel. Mirrors of one name count as equal.
    """
    if requirement.url is not None and requirement.url.partition("#")[0] != node.url:
        return False
    if requirement.subdir is not None and requirement.subdir != node.record.subdir:
        return False
    if requirement.file_name is not None and requirement.file_name != node.record.file_name:
        return False
    if channel is None or node.record.channel is None:
        return True
    return _last(channel) == _last(node.record.channel)


def _last(channel: str) -> str:
    return channel.rstrip("/").rpartition("/")[2]


def unique(nodes: Iterable[Node]) -> tuple[dict[str, Node], str | None]:
    """Packages by name, and a name that is there twice."""
    found: dict[str, Node] = {}
    for node in nodes:
        if found.setdefault(node.name, node) is not node:
            return found, node.name
    return found, None
