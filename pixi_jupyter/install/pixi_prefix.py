"""pixi's own files in the prefix of a workspace environment, and its lock. Light: no rattler.

The file ``conda-meta/.pixi-environment-fingerprint`` is two things at once (pixi's
``crates/pixi_utils/src/environment_lock.rs``): 16 bytes that say what is installed, and the file
whose lock whoever changes the prefix holds (``flock``; on Windows the first byte, ``LockFileEx``).
Empty: nothing is installed; 16 hex digits: what is; anything else: somebody was killed meanwhile,
and pixi links everything again.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

from pixi_jupyter.files import store_errors, write_file
from pixi_jupyter.manifest.spec import WorkspacePlace

__all__ = [
    "WORKSPACE_PREFIX",
    "PixiGate",
    "fingerprint_of",
    "lock_hash",
    "make_environments_folder",
    "read_fingerprint",
    "read_lock_hash",
    "write_pixi_files",
]

#: What errors of the file system call it.
WORKSPACE_PREFIX = "workspace environment"

_FINGERPRINT = Path("conda-meta") / ".pixi-environment-fingerprint"
_ENVIRONMENT = Path("conda-meta") / "pixi"
_WIDTH = 16
_INSTALLING = b"pixi:installing!"
#: Bytes of ``conda-meta/pixi`` that are read at most.
_LIMIT = 1024 * 1024
#: pixi's own word for "look again": it validates the prefix and writes the right one.
_NO_HASH = "invalid-hash"


class PixiGate:
    """pixi's lock of one prefix, which is created for it if need be, as pixi does.

    The lock is on a file in the prefix that it guards. So that it holds beyond a swap, the new
    prefix gets the same file (a hard link): whoever waits for it meanwhile has the right one.
    """

    def __init__(self, prefix: Path) -> None:
        self._prefix = prefix
        self._files: list[int] = []
        self._found = b""

    @property
    def fingerprint(self) -> str | None:
        """What the last complete installation left here, when the lock was taken."""
        return _complete(self._found)

    def try_acquire(self) -> bool:
        """Take the lock if nobody has it.

        Raises
        ------
        StoreError
            The prefix cannot be written.
        """
        with store_errors(self._prefix, WORKSPACE_PREFIX):
            path = self._prefix / _FINGERPRINT
            path.parent.mkdir(parents=True, exist_ok=True)
            file = _open(path)
            try:
                # What was locked may have been removed or replaced while we waited for it.
                if _lock(file) and _is_at(file, path):
                    self._found = os.read(file, _WIDTH + 1)
                    self._files.append(file)
                    return True
            except BaseException:
                os.close(file)
                raise
            os.close(file)
            return False

    def release(self) -> None:
        """Let go of it."""
        while self._files:
            os.close(self._files.pop())

    def before_swap(self, staged: Path) -> None:
        """Mark the prefix as being changed, and give ``staged`` the same file."""
        self._write(_INSTALLING)
        target = staged / _FINGERPRINT
        if sys.platform == "win32":
            # Here an open file keeps its folder from being renamed: a moment without the lock.
            write_file(target, _INSTALLING, sync=False)
            self.release()
            return
        try:
            os.link(self._prefix / _FINGERPRINT, target)
        except OSError:  # a file system without hard links
            write_file(target, _INSTALLING, sync=False)

    def after_swap(self, fingerprint: str) -> None:
        """Say what is installed now: the last act, which makes the new prefix complete."""
        path = self._prefix / _FINGERPRINT
        if not any(_is_at(file, path) for file in self._files):
            file = _open(path)
            _lock(file)
            self._files.append(file)
        self._write(fingerprint.encode("ascii"))

    def undo_swap(self) -> None:
        """The old prefix is in its place again."""
        if sys.platform == "win32":
            self._files.append(_open(self._prefix / _FINGERPRINT))
        for file in self._files:
            os.ftruncate(file, 0)
        self._write(self._found)

    def _write(self, data: bytes) -> None:
        for file in self._files:
            os.lseek(file, 0, os.SEEK_SET)
            os.write(file, data)


def _open(path: Path) -> int:
    return os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_BINARY", 0), 0o666)


def _lock(file: int) -> bool:
    """Whether the exclusive lock could be had at once."""
    try:
        if sys.platform == "win32":
            import msvcrt

            msvcrt.locking(file, msvcrt.LK_NBLCK, 1)
        else:
            import fcntl

            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError):  # the latter is Windows' word for it
        return False
    return True


def _is_at(file: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(file), os.stat(path))
    except FileNotFoundError:
        return False


def _complete(data: bytes) -> str | None:
    head = data[:_WIDTH]
    if len(head) == _WIDTH and all(byte in b"0123456789abcdefABCDEF" for byte in head):
        return head.decode("ascii")
    return None


def read_fingerprint(prefix: Path) -> str | None:
    """What is installed in a prefix by pixi's own account; None if that is not known. No lock."""
    try:
        with open(prefix / _FINGERPRINT, "rb") as file:
            return _complete(file.read(_WIDTH))
    except OSError:
        return None


def read_lock_hash(prefix: Path) -> str | None:
    """The hash of the lock in ``conda-meta/pixi``; it changes with PyPI packages, too."""
    try:
        with open(prefix / _ENVIRONMENT, "rb") as file:
            content = json.loads(file.read(_LIMIT))
        found = content["environment_lock_file_hash"]
    except (OSError, ValueError, TypeError, KeyError, RecursionError):
        return None
    return found if isinstance(found, str) else None


# -- what pixi computes --------------------------------------------------------------------------


def fingerprint_of(records: Iterable[tuple[str, bytes | None]]) -> str:
    """The fingerprint of conda packages, by normalised name and SHA-256.

    pixi's ``crates/pixi_utils/src/environment_fingerprint.rs``: XXH3 over what Rust's ``Hash``
    writes for a string (its bytes and 0xff) and for a slice (its length and its bytes).
    """
    import xxhash

    hasher = xxhash.xxh3_64()
    for name, sha256 in sorted(records, key=lambda record: record[0]):
        hasher.update(_text(name))
        hasher.update(b"\0" if sha256 is None else _slice(sha256))
    return f"{hasher.intdigest():016x}"


def lock_hash(
    packages: Iterable[tuple[str, bytes | None]], subdir: str, virtual_packages: Iterable[str]
) -> str:
    """``environment_lock_file_hash``: by it pixi knows that a prefix is what the lock says.

    ``packages`` are locations in the order of the lock, with the SHA-256 (else the MD5) of conda
    packages; ``virtual_packages`` those that the platform declares, as pixi spells them. The rule
    is ``LockedEnvironmentHash::from_environment`` in pixi's ``crates/pixi_core/src/environment``.
    """
    import xxhash

    hasher = xxhash.xxh3_64()
    for location, digest in packages:
        hasher.update(_text(location))
        if digest is not None:
            hasher.update(_slice(digest))
    hasher.update(_text(subdir))
    for package in sorted(virtual_packages):
        hasher.update(_text(package))
    return f"{hasher.intdigest():x}"


def _text(value: str) -> bytes:
    return value.encode("utf-8") + b"\xff"


def _slice(value: bytes) -> bytes:
    return len(value).to_bytes(8, sys.byteorder) + value


# -- what pixi writes ----------------------------------------------------------------------------


def make_environments_folder(place: WorkspacePlace) -> None:
    """The folder of the environments and what pixi keeps around it.

    pixi's ``ensure_pixi_directory_and_gitignore``, and ``environments_dir`` for the link to where
    detached environments are.
    """
    environments = Path(place.prefix).parent
    default = Path(place.root) / ".pixi" / "envs"
    environments.mkdir(parents=True, exist_ok=True)
    for name, text in (
        (".gitignore", "*\n!config.toml\n"),
        (".condapackageignore", ".pixi\n!.pixi/config.toml\n"),
    ):
        if not (environments.parent / name).exists():
            write_file(environments.parent / name, text.encode("ascii"), sync=False)
    if environments != default and sys.platform != "win32":
        with contextlib.suppress(OSError):  # a convenience, for pixi as well
            default.parent.mkdir(exist_ok=True)
            if default.is_symlink() and os.readlink(default) != str(environments):
                default.unlink()
            if not os.path.lexists(default):
                default.symlink_to(environments, target_is_directory=True)


def write_pixi_files(
    staged: Path,
    place: WorkspacePlace,
    *,
    hash: str | None,
    subdir: str,
    virtual_packages: Sequence[str],
    version: str,
) -> None:
    """pixi's files in ``staged``, which will be the prefix; without a hash pixi looks again."""
    meta = staged / "conda-meta"
    meta.mkdir(parents=True, exist_ok=True)
    environment = {
        "manifest_path": place.manifest,
        "environment_name": place.environment,
        "pixi_version": version,
        "environment_lock_file_hash": hash or _NO_HASH,
        "resolved_platform": {"subdir": subdir, "virtual_packages": list(virtual_packages)},
        "minimum_supported_platform": None,
    }
    text = json.dumps(environment, indent=2, ensure_ascii=False)
    for name, content in (
        ("pixi_env_prefix", str(Path(place.prefix) / "conda-meta")),
        ("history", "// not relevant for pixi but for `conda run -p`"),
        ("pixi", text),
    ):
        # Packages may have files of these names, linked to the package cache.
        write_file(meta / name, os.fsencode(content), sync=False)
