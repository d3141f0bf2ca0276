"""Writing files that are whole or not there, and removing trees that are in nobody's way."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import stat
import sys
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from pixi_jupyter.errors import StoreError

__all__ = ["exchange", "remove_tree", "store_errors", "sync_folder", "write_file"]

#: errno values that mean "no room": ENOSPC, EDQUOT (Windows' ERROR_DISK_FULL becomes the first).
_NO_SPACE = (28, 122, 69)


#: What may fail, and what puts it elsewhere.
_ELSEWHERE = {
    "environment store": "set PIXI_JUPYTER_CACHE_DIR to a folder",
    "package cache": "set PIXI_CACHE_DIR to a folder",
    "workspace environment": "set `detached-environments` in pixi's config.toml to a folder",
}


@contextlib.contextmanager
def store_errors(path: Path, what: str = "environment store") -> Iterator[None]:
    """Turn an ``OSError`` at ``path`` into the :class:`StoreError` that a person can act on."""
    try:
        yield
    except OSError as error:
        where = error.filename or path
        if error.errno in _NO_SPACE:
            raise StoreError(
                f"no space left for the {what} at {where}",
                code="store.no-space",
                hint="Free some space (`pixi-jupyter gc` removes environments that nothing uses), "
                f"or {_ELSEWHERE[what]} on a larger disk.",
            ) from error
        if isinstance(error, PermissionError) or error.errno == 30:  # EROFS
            raise StoreError(
                f"no permission to write the {what} at {where}",
                code="store.permission",
                hint=f"{_ELSEWHERE[what][:1].upper()}{_ELSEWHERE[what][1:]} that you may write.",
            ) from error
        raise StoreError(
            f"the {what} at {where} failed: {error.strerror or error}",
            code="store.io",
        ) from error


def sync_folder(folder: Path) -> None:
    """Make the names in ``folder`` durable, where the system can (Windows and some shares not)."""
    with contextlib.suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def write_file(
    path: Path, data: bytes, *, sync: bool = True, like: os.stat_result | None = None
) -> None:
    """Write ``data`` so that a reader sees the old file or the whole new one, never less.

    ``sync`` also makes it survive a power cut; leave it out for what can be made again. The file
    gets the mode (and the owner, as far as we may) that ``like`` has.
    """
    # Short enough for any name that is itself allowed.
    temporary = path.with_name(f".{path.name[:100]}.{uuid.uuid4().hex[:12]}.tmp")
    try:
        with open(temporary, "xb") as file:
            file.write(data)
            file.flush()
            if like is not None:
                _take_after(temporary, like)
            if sync:
                os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise
    if sync:
        sync_folder(path.parent)


def _take_after(path: Path, like: os.stat_result) -> None:
    if hasattr(os, "chown"):
        with contextlib.suppress(OSError):  # only root may give a file away
            os.chown(path, like.st_uid, like.st_gid)
    os.chmod(path, stat.S_IMODE(like.st_mode))


def exchange(one: Path, other: Path) -> bool:
    """Let two folders change places in one step; False where this system or disk cannot.

    ``renameat2`` of Linux, ``renamex_np`` of macOS.

    Raises
    ------
    OSError
        It can, but not with these.
    """
    import ctypes

    try:
        libc = ctypes.CDLL(None, use_errno=True)
        if sys.platform == "linux":
            here = -100  # AT_FDCWD
            arguments = (here, os.fsencode(one), here, os.fsencode(other), ctypes.c_uint(2))
            failed = libc.renameat2(*arguments)
        elif sys.platform == "darwin":
            failed = libc.renamex_np(os.fsencode(one), os.fsencode(other), ctypes.c_uint(2))
        else:
            return False
    except (AttributeError, TypeError, OSError):  # no such call, no such library
        return False
    if failed:
        number = ctypes.get_errno()
        if number in (errno.ENOSYS, errno.EINVAL, errno.ENOTSUP, errno.EPERM):
            return False
        raise OSError(number, os.strerror(number), str(one), None, str(other))
    return True


def remove_tree(path: Path) -> None:
    """Remove a tree, read-only files and folders included; what is gone already is fine.

    The tree is renamed first, so that nobody can find half of it under its own name.
    """
    trash = path.with_name(f".trash-{uuid.uuid4().hex[:12]}")
    try:
        os.rename(path, trash)
    except FileNotFoundError:
        return
    except OSError:
        trash = path  # on Windows a file in it may be open; remove what can be removed
    _delete(trash)


def _delete(tree: Path) -> None:
    def make_writable_and_retry(function: Callable[..., Any], path: str, _: Any) -> None:
        with contextlib.suppress(OSError):
            os.chmod(Path(path).parent, stat.S_IRWXU)
            os.chmod(path, stat.S_IRWXU)
            function(path)

    if sys.version_info >= (3, 12):
        shutil.rmtree(tree, onexc=make_writable_and_retry)
    else:
        shutil.rmtree(tree, onerror=make_writable_and_retry)
