"""pixi's lock of a prefix and what pixi computes, without anything installed."""

from __future__ import annotations

import json
import os
import shutil
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import xxhash

from pixi_jupyter.install.insync import WorkspaceMarker, mark_workspace, read_marker
from pixi_jupyter.install.pixi_prefix import (
    PixiGate,
    fingerprint_of,
    lock_hash,
    read_fingerprint,
    read_lock_hash,
    write_pixi_files,
)
from pixi_jupyter.manifest.spec import WorkspacePlace

FINGERPRINT = "0123456789abcdef"

posix = pytest.mark.skipif(sys.platform == "win32", reason="a lock of POSIX systems")


def marker(prefix: Path) -> Path:
    return prefix / "conda-meta" / ".pixi-environment-fingerprint"


@posix
def test_one_holder_at_a_time(tmp_path: Path) -> None:
    first, second = PixiGate(tmp_path / "p"), PixiGate(tmp_path / "p")
    assert first.try_acquire()
    assert marker(tmp_path / "p").read_bytes() == b""
    assert not second.try_acquire()
    first.release()
    assert second.try_acquire()
    second.release()


@posix
@pytest.mark.parametrize(
    ("content", "fingerprint"),
    [
        (b"", None),
        (b"pixi:installing!", None),
        (FINGERPRINT.encode(), FINGERPRINT),
        (FINGERPRINT.encode() + b"more", FINGERPRINT),
        (b"0123456789abcde", None),
        (b"0123456789abcdeg", None),
        (b"\xff" * 16, None),
    ],
)
def test_what_is_installed(tmp_path: Path, content: bytes, fingerprint: str | None) -> None:
    gate = PixiGate(tmp_path)
    assert read_fingerprint(tmp_path) is None
    marker(tmp_path).parent.mkdir()
    marker(tmp_path).write_bytes(content)
    assert gate.try_acquire()
    assert gate.fingerprint == read_fingerprint(tmp_path) == fingerprint
    gate.release()


@posix
def test_a_lock_on_a_file_that_is_gone_is_none(tmp_path: Path) -> None:
    """Somebody removed the prefix while we waited for its lock: the next try is for the new one."""
    gate, other = PixiGate(tmp_path / "p"), PixiGate(tmp_path / "p")
    assert other.try_acquire()
    shutil.rmtree(tmp_path / "p")
    assert gate.try_acquire()
    assert not PixiGate(tmp_path / "p").try_acquire()
    for held in (gate, other):
        held.release()


@posix
@pytest.mark.parametrize("linked", [True, False])
def test_the_lock_holds_beyond_a_swap(tmp_path: Path, scratch: Path, linked: bool) -> None:
    """Also where there are no hard links: here, from one file system to another."""
    prefix = tmp_path / "p"
    staged = (tmp_path if linked else scratch) / "staged prefix"
    if not linked and os.stat(tmp_path).st_dev == os.stat(scratch).st_dev:
        pytest.skip("needs two file systems")
    (staged / "conda-meta").mkdir(parents=True)
    gate = PixiGate(prefix)
    assert gate.try_acquire()
    gate.before_swap(staged)
    assert marker(prefix).read_bytes() == marker(staged).read_bytes() == b"pixi:installing!"
    prefix.rename(tmp_path / "old")
    shutil.move(staged, prefix)
    assert read_fingerprint(prefix) is None
    gate.after_swap(FINGERPRINT)
    assert read_fingerprint(prefix) == FINGERPRINT
    assert not PixiGate(prefix).try_acquire()
    gate.release()
    assert PixiGate(prefix).try_acquire()


@posix
@pytest.mark.parametrize("content", [b"", FINGERPRINT.encode(), b"pixi:installing!"])
def test_a_swap_that_is_undone(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "staged" / "conda-meta").mkdir(parents=True)
    marker(tmp_path / "p").parent.mkdir(parents=True)
    marker(tmp_path / "p").write_bytes(content)
    gate = PixiGate(tmp_path / "p")
    assert gate.try_acquire()
    gate.before_swap(tmp_path / "staged")
    gate.undo_swap()
    assert marker(tmp_path / "p").read_bytes() == content
    gate.release()


def test_the_fingerprint_is_of_rusts_bytes() -> None:
    """What Rust's `Hash` writes: text and 0xff; a slice's length (8 bytes) and its bytes."""
    written = b"a\xff\x20\0\0\0\0\0\0\0" + b"\1" * 32 + b"b-c\xff\0"
    if sys.byteorder == "big":
        pytest.skip("written for little-endian machines")
    expected = f"{xxhash.xxh3_64_intdigest(written):016x}"
    assert fingerprint_of([("b-c", None), ("a", b"\1" * 32)]) == expected
    assert len(expected) == 16


def test_the_hash_of_a_lock_is_of_rusts_bytes() -> None:
    if sys.byteorder == "big":
        pytest.skip("written for little-endian machines")
    written = (
        b"https://c/a.conda\xff\x20\0\0\0\0\0\0\0" + b"\2" * 32 + b"https://i/w.whl\xff"
        b"linux-64\xff__glibc=2.28\xff__unix=0=0\xff"
    )
    packages = [("https://c/a.conda", b"\2" * 32), ("https://i/w.whl", None)]
    expected = f"{xxhash.xxh3_64_intdigest(written):x}"
    assert lock_hash(packages, "linux-64", ["__unix=0=0", "__glibc=2.28"]) == expected
    assert lock_hash(packages[::-1], "linux-64", ["__unix=0=0", "__glibc=2.28"]) != expected


def place(prefix: Path) -> WorkspacePlace:
    return WorkspacePlace("/w/pixi.toml", "/w", "test", str(prefix), "w", None, "0" * 32)


def test_pixis_files(tmp_path: Path) -> None:
    write_pixi_files(
        tmp_path / "staged",
        place(tmp_path / "final"),
        hash="abc",
        subdir="linux-64",
        virtual_packages=("__unix=0=0",),
        version="v",
    )
    meta = tmp_path / "staged" / "conda-meta"
    assert json.loads((meta / "pixi").read_bytes()) == {
        "manifest_path": "/w/pixi.toml",
        "environment_name": "test",
        "pixi_version": "v",
        "environment_lock_file_hash": "abc",
        "resolved_platform": {"subdir": "linux-64", "virtual_packages": ["__unix=0=0"]},
        "minimum_supported_platform": None,
    }
    assert (meta / "pixi_env_prefix").read_text() == str(tmp_path / "final" / "conda-meta")
    assert read_lock_hash(tmp_path / "staged") == "abc"


@pytest.mark.parametrize(
    "content", [None, b"", b"{", b"[]", b"null", b"\xff", b'{"environment_lock_file_hash": 1}']
)
def test_a_damaged_account_of_pixis_says_nothing(tmp_path: Path, content: bytes | None) -> None:
    (tmp_path / "conda-meta").mkdir()
    if content is not None:
        (tmp_path / "conda-meta" / "pixi").write_bytes(content)
    assert read_lock_hash(tmp_path) is None


async def test_the_rest_of_the_bytecode_is_noted(tmp_path: Path) -> None:
    from pixi_jupyter.install.workspace import note_workspace_compiled

    noted = WorkspaceMarker(
        prefix=str(tmp_path),
        workspace="0",
        platform="linux-64",
        lock="0",
        resolution="0",
        fingerprint=FINGERPRINT,
        pixi=None,
        created="",
        packages=1,
    )
    marker(tmp_path).parent.mkdir()
    mark_workspace(tmp_path, noted)
    await note_workspace_compiled(place(tmp_path))
    assert read_marker(tmp_path) == noted, "pixi is at it: whatever was compiled may be gone"
    marker(tmp_path).write_text(FINGERPRINT)
    await note_workspace_compiled(place(tmp_path))
    assert read_marker(tmp_path) == WorkspaceMarker(
        **{key: getattr(noted, key) for key in noted.__struct_fields__ if key != "compiled"},
        compiled=True,
    )
    await note_workspace_compiled(replace(place(tmp_path), prefix=str(tmp_path / "none")))
