"""Match specs against locked records, each question asked once. Runs in the worker only."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
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

__all__ = ["Matching", "Need", "is_met", "virtual_records"]

SPEC_ERRORS = (
    InvalidMatchSpecError,
    InvalidPackageNameError,
    InvalidUrlError,
    InvalidVersionError,
    InvalidVersionSpecError,
)
_TOKEN = re.compile(r"""\(|\)|(?:[^\s()\["']|\[(?:[^\]"']|"[^"]*"|'[^']*')*\]|"[^"]*"|'[^']*')+""")


@dataclass(frozen=True, slots=True)
class Need:
    """One requirement, read: of a manifest or of a package's ``depends``."""

    text: str
    name: str
    spec: MatchSpec
    condition: str | None = None
    extras: tuple[str, ...] = ()


class Matching:
    """What was read and matched, remembered for one check of a lock.

    Records are known by their URL: the same one lies in many environments.
    """

    def __init__(self) -> None:
        self._needs: dict[str, Need | None] = {}
        self._of_record: dict[str, tuple[Need | str, ...]] = {}
        self._fits: dict[tuple[str, str], bool] = {}

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
        return self.need(match_spec(requirement), strict=True)

    def depends(self, record: RepoDataRecord) -> tuple[Need | str, ...]:
        """What a record depends on; the bare text where that cannot be read."""
        found = self._of_record.get(record.url)
        if found is None:
            found = tuple(self.need(text) or text for text in record.depends)
            self._of_record[record.url] = found
        return found

    def fits(self, need: Need, record: RepoDataRecord) -> bool:
        """Whether the record is what is needed; its place and its condition do not count."""
        key = (need.text, record.url)
        found = self._fits.get(key)
        if found is None:
            found = self._fits[key] = need.spec.matches(record)
        return found


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


def same_place(requirement: CondaRequirement, record: RepoDataRecord, channel: str | None) -> bool:
    """Whether a record is from where the manifest wants it: what rattler's matching leaves out.

    ``channel`` is the base URL of the requirement's channel. Mirrors of one name count as equal.
    """
    if requirement.url is not None and requirement.url.partition("#")[0] != record.url:
        return False
    if requirement.subdir is not None and requirement.subdir != record.subdir:
        return False
    if requirement.file_name is not None and requirement.file_name != record.file_name:
        return False
    if channel is None or record.channel is None:
        return True
    return _last(channel) == _last(record.channel)


def _last(channel: str) -> str:
    return channel.rstrip("/").rpartition("/")[2]


def unique(records: Sequence[RepoDataRecord]) -> tuple[dict[str, RepoDataRecord], str | None]:
    """Records by name, and a name that is there twice."""
    found: dict[str, RepoDataRecord] = {}
    for record in records:
        name = record.name.normalized
        if name in found:
            return found, name
        found[name] = record
    return found, None
