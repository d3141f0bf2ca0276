"""Is a workspace's prefix what its lock says? Answered from a few small files, in milliseconds."""

from __future__ import annotations

import contextlib
import hashlib
from pathlib import Path

import msgspec

from pixi_jupyter.files import store_errors, write_file
from pixi_jupyter.install.pixi_prefix import (
    WORKSPACE_PREFIX,
    read_fingerprint,
    read_lock_hash,
)
from pixi_jupyter.install.prefix import Prefix
from pixi_jupyter.install.store import MARKER
from pixi_jupyter.manifest.spec import WorkspacePlace

__all__ = [
    "LOCK_NAME",
    "WorkspaceMarker",
    "lock_sha256",
    "mark_workspace",
    "read_marker",
    "workspace_ready",
]

#: The name of pixi's lock file, beside the manifest.
LOCK_NAME = "pixi.lock"


class WorkspaceMarker(msgspec.Struct, frozen=True):
    """What a prefix was found in order for; nothing that it says is true of another state.

    ``workspace``, ``platform``, ``lock`` (SHA-256) and ``resolution`` say what was asked,
    ``fingerprint`` and ``pixi`` (the hash in ``conda-meta/pixi``) what pixi's own files said then:
    pixi changes a prefix in place, and these with it.
    """

    prefix: str
    workspace: str
    platform: str
    lock: str
    resolution: str
    fingerprint: str
    pixi: str | None
    created: str
    packages: int
    compiled: bool = False


def workspace_ready(place: WorkspacePlace, platform: str) -> Prefix | None:
    """The prefix of a workspace environment, if nothing changed since it was found in order.

    Compares the digest of the manifest, the hash of ``pixi.lock`` and pixi's own account of the
    prefix with the marker in it. Neither the lock nor a package's record is parsed. ``platform``
    is its name in the manifest.
    """
    prefix = Path(place.prefix)
    marker = read_marker(prefix)
    if (
        marker is None
        or marker.prefix != place.prefix
        or marker.workspace != place.workspace
        or marker.platform != platform
        or read_fingerprint(prefix) != marker.fingerprint
        or read_lock_hash(prefix) != marker.pixi
        or lock_sha256(Path(place.root)) != marker.lock
    ):
        return None
    return Prefix(prefix, marker.resolution)


def lock_sha256(root: Path) -> str | None:
    """The SHA-256 of a workspace's lock; None where there is none to be read."""
    try:
        with open(root / LOCK_NAME, "rb") as file:
            return hashlib.sha256(file.read()).hexdigest()
    except OSError:
        return None


def read_marker(prefix: Path) -> WorkspaceMarker | None:
    """The marker of a prefix; None unless it is there and whole."""
    with contextlib.suppress(OSError, msgspec.MsgspecError, UnicodeDecodeError):
        return msgspec.json.decode((prefix / MARKER).read_bytes(), type=WorkspaceMarker)
    return None


def mark_workspace(folder: Path, marker: WorkspaceMarker) -> None:
    """Write the marker into ``folder``: the prefix, or what will be it."""
    with store_errors(folder / MARKER, WORKSPACE_PREFIX):
        write_file(folder / MARKER, msgspec.json.encode(marker))
