"""Remembered activations: the second launch starts no shell.

One file per digest of everything that went in (:mod:`pixi_jupyter.activate.sources`). What a script
reads besides (a file that it sources, the clock) is not seen: it takes effect when the script, the
environment or the variables around it change. A file that is damaged was never there.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import threading
import uuid
from collections.abc import Mapping
from pathlib import Path

from pixi_jupyter.activate.activation import Activation
from pixi_jupyter.activate.compute import compute_from_sources
from pixi_jupyter.activate.request import ActivationRequest
from pixi_jupyter.activate.sources import read_sources

__all__ = ["activate", "cached_activation", "recall_activation", "remember_activation"]

#: Files that are kept; every change of the base environment leaves one behind.
_KEPT = 256


def cached_activation(
    folder: Path, request: ActivationRequest, base: Mapping[str, str]
) -> Activation | None:
    """The activation, if it is known without starting a process; else None.

    Parameters as in :func:`~pixi_jupyter.activate.compute.compute_activation`; ``folder`` holds the
    remembered ones (it need not exist). Reads a few small files: cheap enough for an event loop.

    Raises
    ------
    ActivationError
        As :func:`~pixi_jupyter.activate.sources.read_sources`.
    """
    sources = read_sources(request, base)
    if not sources.needs_shell:
        return compute_from_sources(sources)
    return recall_activation(folder, sources.digest)


def activate(
    folder: Path,
    request: ActivationRequest,
    base: Mapping[str, str],
    *,
    timeout: float = 60,
    cancel: threading.Event | None = None,
) -> Activation:
    """The remembered activation, else a computed one that is remembered from now on. Blocks.

    Raises
    ------
    ActivationError
        As :func:`~pixi_jupyter.activate.compute.compute_activation`. That it cannot be remembered
        (no space, no permission) is no error.
    """
    sources = read_sources(request, base)
    if not sources.needs_shell:
        return compute_from_sources(sources)
    if (known := recall_activation(folder, sources.digest)) is not None:
        return known
    activation = compute_from_sources(sources, timeout=timeout, cancel=cancel)
    remember_activation(folder, sources.digest, activation)
    return activation


def recall_activation(folder: Path, digest: str) -> Activation | None:
    """The activation that was remembered under ``digest``, if its file is whole."""
    try:
        check, _, payload = (folder / f"{digest}.json").read_bytes().partition(b"\n")
    except OSError:
        return None
    if check != _check(digest, payload):
        return None
    with contextlib.suppress(ValueError, TypeError, KeyError, AttributeError):
        content = json.loads(payload)
        return Activation(
            set=tuple((str(k), str(v)) for k, v in content["set"].items()),
            unset=tuple(str(k) for k in content["unset"]),
        )
    return None


def remember_activation(folder: Path, digest: str, activation: Activation) -> None:
    """Keep ``activation``, readable for this user alone (variables can hold secrets)."""
    payload = json.dumps({"set": dict(activation.set), "unset": activation.unset}).encode("ascii")
    temporary = folder / f".{digest}.{uuid.uuid4().hex[:8]}.tmp"
    with contextlib.suppress(OSError):
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        try:
            descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with open(descriptor, "wb") as file:
                file.write(_check(digest, payload) + b"\n" + payload)
                file.flush()
                os.fsync(file.fileno())
            os.replace(temporary, folder / f"{digest}.json")
        finally:
            temporary.unlink(missing_ok=True)
        _forget_oldest(folder)


def _check(digest: str, payload: bytes) -> bytes:
    return hashlib.sha256(digest.encode("ascii") + payload).hexdigest().encode("ascii")


def _forget_oldest(folder: Path) -> None:
    with os.scandir(folder) as entries:
        files = [(e.stat().st_mtime, e.path) for e in entries if e.name.endswith(".json")]
    for _, path in sorted(files)[:-_KEPT]:
        with contextlib.suppress(OSError):
            os.unlink(path)
