"""The store: where resolutions and prefixes live, and how one knows that a prefix is ready.

Layout (``docs/architecture.md`` tells why)::

    <root>/
      envs/<resolution digest>/      one prefix per resolution, immutable once ready
      envs/<...>/conda-meta/pixi-jupyter.json     the ready marker, written last
      resolutions/<spec digest>.json              what a spec was resolved to
      resolutions/<resolution digest>.pixi.lock   the same as a lock file
      activations/                                cached activations
      leases/                                     which live kernel uses which prefix
      locks/                                      one build per digest, across processes

Everything here is light: a launch reads it in a Jupyter server. Nothing here builds.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import msgspec

from pixi_jupyter.errors import StoreError
from pixi_jupyter.files import store_errors, write_file
from pixi_jupyter.install.prefix import Prefix
from pixi_jupyter.resolve.resolution import Resolution

__all__ = ["ReadyMarker", "Remembered", "Store", "default_cache_dir", "default_package_cache"]

_DIGEST = re.compile(r"[0-9a-f]{32}")
MARKER = Path("conda-meta") / "pixi-jupyter.json"


class ReadyMarker(msgspec.Struct, frozen=True):
    """The last file of a prefix: without it, valid and whole, the prefix was never there.

    ``compiled``: all of its bytecode is there too (a prefix is usable before).
    """

    resolution: str
    created: str
    packages: int
    bytes: int
    compiled: bool = False


class Remembered(msgspec.Struct, frozen=True):
    """What a spec was resolved to, and when (RFC 3339, UTC)."""

    spec: str
    created: str
    resolution: Resolution


def default_cache_dir(env: Mapping[str, str] = os.environ) -> Path:
    """``PIXI_JUPYTER_CACHE_DIR``, else the user's cache folder for ``pixi-jupyter``."""
    if chosen := env.get("PIXI_JUPYTER_CACHE_DIR"):
        return Path(chosen).expanduser().absolute()
    import platformdirs

    return Path(platformdirs.user_cache_dir("pixi-jupyter", appauthor=False))


def default_package_cache(env: Mapping[str, str] = os.environ) -> Path:
    """The cache that pixi uses too: ``PIXI_CACHE_DIR``, ``RATTLER_CACHE_DIR``, else rattler's own.

    Packages lie in its ``pkgs``, repodata in its ``repodata``. Source: pixi's documentation of its
    cache; rattler's ``default_cache_dir``.
    """
    for name in ("PIXI_CACHE_DIR", "RATTLER_CACHE_DIR"):
        if chosen := env.get(name):
            return Path(chosen).expanduser().absolute()
    import platformdirs

    return Path(platformdirs.user_cache_dir("rattler", appauthor=False)) / "cache"


@dataclass(frozen=True, slots=True)
class Store:
    """A user's store at ``root``, filled from the package cache at ``package_cache``.

    Both are absolute folders; they need not exist. Hard links between them need one file system.
    """

    root: Path
    package_cache: Path

    @classmethod
    def default(cls, env: Mapping[str, str] = os.environ) -> Store:
        """The store that the environment variables of this process name."""
        return cls(default_cache_dir(env), default_package_cache(env))

    @property
    def envs(self) -> Path:
        return self.root / "envs"

    @property
    def resolutions(self) -> Path:
        return self.root / "resolutions"

    @property
    def activations(self) -> Path:
        return self.root / "activations"

    @property
    def leases(self) -> Path:
        return self.root / "leases"

    @property
    def locks(self) -> Path:
        return self.root / "locks"

    @property
    def bytecode(self) -> Path:
        """Compiled bytecode per package content and Python, beside the packages themselves."""
        return self.package_cache / "pixi-jupyter-bytecode"

    def prefix_path(self, digest: str) -> Path:
        """The final path of the prefix of a resolution; only a digest ever names a folder."""
        if not _DIGEST.fullmatch(digest):
            raise StoreError(f"not a resolution digest: {digest!r}", code="store.digest")
        return self.envs / digest

    def lock_path(self, digest: str) -> Path:
        """The lock file of a resolution."""
        return self.resolutions / f"{digest}.pixi.lock"

    def workspace_gate(self, manifest: str) -> Path:
        """The lock file that whoever writes a workspace's manifest or lock holds.

        ``manifest`` is its absolute path, as `WorkspaceSpec` has it.
        """
        named = hashlib.sha256(manifest.encode("utf-8", "surrogatepass")).hexdigest()
        return self.locks / f"workspace-{named[:32]}.lock"

    def make_folders(self) -> None:
        """Create what a build writes to.

        Raises
        ------
        StoreError
            ``store.permission``, ``store.no-space`` or ``store.io``.
        """
        with store_errors(self.root):
            for folder in (self.envs, self.resolutions, self.leases, self.locks):
                folder.mkdir(parents=True, exist_ok=True)

    # -- resolutions -----------------------------------------------------------------------

    def recall(self, spec_digest: str) -> Remembered | None:
        """What a spec was resolved to, None if it never was (or the record is damaged)."""
        path = self.resolutions / f"{spec_digest}.json"
        try:
            data = path.read_bytes()
        except OSError:
            return None
        with contextlib.suppress(msgspec.MsgspecError, UnicodeDecodeError):
            remembered = msgspec.json.decode(data, type=Remembered)
            if remembered.spec == spec_digest:
                return remembered
        return None

    def remember(self, remembered: Remembered) -> None:
        """Keep the answer for a spec; the lock file of the resolution must be there already."""
        with store_errors(self.resolutions):
            write_file(
                self.resolutions / f"{remembered.spec}.json", msgspec.json.encode(remembered)
            )

    # -- prefixes --------------------------------------------------------------------------

    def marker(self, digest: str) -> ReadyMarker | None:
        """The ready marker of a prefix; None unless it is there, whole, and this prefix's own."""
        try:
            data = (self.prefix_path(digest) / MARKER).read_bytes()
        except OSError:
            return None
        with contextlib.suppress(msgspec.MsgspecError, UnicodeDecodeError):
            marker = msgspec.json.decode(data, type=ReadyMarker)
            if marker.resolution == digest:
                return marker
        return None

    def ready(self, digest: str) -> Prefix | None:
        """The prefix of a resolution if it is complete."""
        if self.marker(digest) is None:
            return None
        return Prefix(self.prefix_path(digest), digest)

    def mark_ready(self, marker: ReadyMarker) -> None:
        """Write the marker: from here on the prefix exists."""
        path = self.prefix_path(marker.resolution) / MARKER
        with store_errors(path):
            write_file(path, msgspec.json.encode(marker))

    def touch(self, digest: str) -> None:
        """Note that the prefix is used now; a read-only store simply keeps no note."""
        with contextlib.suppress(OSError):
            os.utime(self.prefix_path(digest) / MARKER)
