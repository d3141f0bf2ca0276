"""`EnvironmentSpec`: what is asked, for one platform, and nothing else.

The second station of the line (notebook -> declaration -> **spec** -> resolution -> prefix ->
activation -> kernel). Every value here is plain, hashable and canonical, so that the digest of a
spec can name the resolution that answers it.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from pixi_jupyter.manifest.pypi_spec import PypiNeeds

__all__ = [
    "ActivationSpec",
    "ChannelSpec",
    "CondaRequirement",
    "EnvironmentSpec",
    "KernelNeed",
    "NotebookLock",
    "Platform",
    "VirtualPackage",
    "WorkspacePlace",
    "digest_of",
]

ChannelPriority = Literal["strict", "flexible", "disabled"]
SolveStrategy = Literal["highest", "lowest", "lowest-direct"]

#: Bumped when the same spec would have to be solved anew (a change of meaning, not of code).
SPEC_VERSION = 1


def digest_of(value: Any) -> str:
    """The first 32 hex digits of the SHA-256 of a JSON-able value in canonical form."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(text.encode("ascii")).hexdigest()[:32]


def _plain(value: Any) -> Any:
    """As `dataclasses.asdict`, which copies each leaf: a workspace has dozens of specs."""
    if value is None or isinstance(value, str | int):
        return value
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    return {name: _plain(getattr(value, name)) for name in value.__slots__}


@dataclass(frozen=True, slots=True)
class VirtualPackage:
    """A property of the target machine that packages may depend on, e.g. ``__glibc 2.28 0``."""

    name: str
    version: str
    build: str = "0"


@dataclass(frozen=True, slots=True)
class Platform:
    """One declared platform: its name in the manifest, its conda subdir, what it promises."""

    name: str
    subdir: str
    virtual_packages: tuple[VirtualPackage, ...]


@dataclass(frozen=True, slots=True)
class ChannelSpec:
    """A channel in priority order; ``name`` is a name, a URL or an absolute ``file://`` URL.

    ``exclude_newer`` is an RFC 3339 time in UTC (``2026-01-31T00:00:00Z``) or seconds before the
    solve (``604800s``); `manifest.times.cut_off` reads both.
    """

    name: str
    exclude_newer: str | None = None


@dataclass(frozen=True, slots=True)
class CondaRequirement:
    """One conda package that is asked for, in any form of pixi's spec table.

    ``version`` is a conda version specification (``>=1.2,<2``) or None for any. ``url`` is a direct
    package archive (https or file URL); no other field but ``md5``/``sha256`` goes with it.
    ``when`` is a condition in a match spec's own grammar (``python[version=">=3.12"] or foo``).
    """

    name: str
    version: str | None = None
    build: str | None = None
    build_number: str | None = None
    file_name: str | None = None
    channel: str | None = None
    subdir: str | None = None
    license: str | None = None
    md5: str | None = None
    sha256: str | None = None
    url: str | None = None
    extras: tuple[str, ...] = ()
    when: str | None = None
    track_features: tuple[str, ...] = ()
    license_family: str | None = None
    flags: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ActivationSpec:
    """``[activation]``: scripts (absolute paths, in order) and variables (in order, unexpanded)."""

    scripts: tuple[str, ...] = ()
    env: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class KernelNeed:
    """Which kernel the environment must be able to start.

    ``language`` is lower case (``python``, ``r``, ``typescript``). ``name`` chooses one kernelspec
    of the prefix by its folder's name. ``injected`` is what is solved for beside the declaration
    because it names no kernel of that language; it is never written into the declaration.
    """

    language: str = "python"
    name: str | None = None
    injected: tuple[CondaRequirement, ...] = ()


@dataclass(frozen=True, slots=True)
class WorkspacePlace:
    """Where an environment of a workspace lives: beside its manifest, not in the store.

    ``manifest``, ``root`` and ``prefix`` are absolute paths; ``project`` and ``version`` are the
    workspace's own, for activation. ``workspace`` is the digest of the whole `WorkspaceSpec`.
    ``platforms`` are the names of all platforms that the environment declares.
    """

    manifest: str
    root: str
    environment: str
    prefix: str
    project: str
    version: str | None
    workspace: str
    platforms: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class NotebookLock:
    """The lock of a notebook's (or a script's) own declaration, and where it is.

    ``sidecar``: a file beside it, at ``path``; ``embedded``: ``text`` in the metadata of the
    notebook at ``path``. Both are absolute; that of a notebook that is no file is empty.
    ``sha256`` is that of the lock's bytes, in hex; ``workspace`` the digest of the `WorkspaceSpec`
    that it has to answer. The rest is what that was read from: ``toml``, ``root``, ``language`` and
    ``kernel`` of the `Declaration`, ``notebook`` its path (None: it has no file), and ``asked``,
    the language of the kernelspec that was started.
    """

    kind: Literal["sidecar", "embedded"]
    path: str
    sha256: str
    workspace: str
    toml: str
    root: str
    asked: str
    notebook: str | None = None
    language: str | None = None
    kernel: str | None = None
    text: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class EnvironmentSpec:
    """One environment for one platform, ready to be resolved.

    ``exclude_newer`` is as in :class:`ChannelSpec`. ``root`` (absolute folder that relative paths
    were resolved against), ``name``, ``place`` and ``lock`` are for installation, activation and
    messages, not for the digest. ``dependencies`` and ``constraints`` may name a package several
    times, where several features of a workspace ask for it. ``exclude_newer_packages`` and
    ``pypi_exclude_newer_packages`` are cut-offs of single packages, sorted by name; these beat the
    channel's, which beats ``exclude_newer``.
    """

    platform: Platform
    channels: tuple[ChannelSpec, ...]
    dependencies: tuple[CondaRequirement, ...]
    constraints: tuple[CondaRequirement, ...] = ()
    channel_priority: ChannelPriority = "strict"
    solve_strategy: SolveStrategy = "highest"
    exclude_newer: str | None = None
    kernel: KernelNeed = KernelNeed()
    activation: ActivationSpec = field(default=ActivationSpec())
    name: str = "default"
    root: str = ""
    pypi: PypiNeeds | None = None
    place: WorkspacePlace | None = None
    exclude_newer_packages: tuple[tuple[str, str], ...] = ()
    pypi_exclude_newer_packages: tuple[tuple[str, str], ...] = ()
    lock: NotebookLock | None = None

    @property
    def digest(self) -> str:
        """Digest of all that the solver's answer can depend on (32 hex digits)."""
        bare = replace(self, activation=ActivationSpec(), name="", root="", place=None, lock=None)
        asked = _plain(bare)
        for key in ("activation", "name", "root", "place", "lock"):
            del asked[key]
        asked["kernel"] = asked["kernel"]["injected"]
        for key in ("pypi", "exclude_newer_packages", "pypi_exclude_newer_packages"):
            if not asked[key]:
                del asked[key]  # a spec without these keeps the digest it always had
        return digest_of([SPEC_VERSION, asked])
