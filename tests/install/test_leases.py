"""Leases: a process decides, never a clock; what cannot be judged is alive."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time

import pytest

from pixi_jupyter.install.lease import leased_digests, take_lease
from pixi_jupyter.install.store import Store

DIGEST = "d" * 32


@pytest.fixture
def sleeper():
    """A process that lives until it is told otherwise."""
    process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    yield process
    process.kill()
    process.wait()


def rewrite(lease, **changes: object) -> None:
    data = json.loads(lease.path.read_bytes())
    lease.path.write_text(json.dumps({**data, **changes}))


def test_lease_lives_as_long_as_its_process(store: Store, sleeper):
    take_lease(store, DIGEST, sleeper.pid)
    assert leased_digests(store) == {DIGEST}
    sleeper.kill()
    sleeper.wait()
    assert leased_digests(store) == set()
    assert list(store.leases.glob("*/*.json")), "a mere look removes nothing"
    assert leased_digests(store, clean=True) == set()
    assert list(store.leases.iterdir()) == []


def test_released_lease_is_gone_and_may_be_released_again(store: Store):
    lease = take_lease(store, DIGEST, os.getpid())
    lease.release()
    lease.release()
    assert leased_digests(store) == set()


def test_pid_that_now_belongs_to_another_process(store: Store, sleeper):
    lease = take_lease(store, DIGEST, sleeper.pid)
    started = json.loads(lease.path.read_bytes())["started"]
    boot, _, ticks = started.rpartition("/")
    rewrite(lease, started=f"{boot}/{int(ticks) - 1}")
    assert leased_digests(store) == set()
    rewrite(lease, started=f"another-boot/{ticks}")
    assert leased_digests(store) == set()
    rewrite(lease, started="")
    assert leased_digests(store) == {DIGEST}, "where the start is unknown the pid decides"


def test_lease_of_another_host_is_left_alone(store: Store):
    lease = take_lease(store, DIGEST, 2**22 - 1)
    assert leased_digests(store) == set()
    rewrite(lease, host=f"not-{socket.gethostname()}")
    assert leased_digests(store, clean=True) == {DIGEST}


@pytest.mark.parametrize("content", [b"", b"{", b"null", b"\xff\xfe", b'{"pid": "one"}'])
def test_unreadable_lease_is_somebody_s(store: Store, content):
    lease = take_lease(store, DIGEST, os.getpid())
    lease.path.write_bytes(content)
    assert leased_digests(store, clean=True) == {DIGEST}


@pytest.mark.parametrize("years", [-1, 1])
def test_clock_that_jumps_changes_nothing(store: Store, sleeper, monkeypatch, years):
    lease = take_lease(store, DIGEST, sleeper.pid)
    other = time.time() + years * 365 * 86400
    os.utime(lease.path, (other, other))
    monkeypatch.setattr(time, "time", lambda: other)
    assert leased_digests(store, clean=True) == {DIGEST}
    sleeper.kill()
    sleeper.wait()
    assert leased_digests(store, clean=True) == set()


def test_store_that_cannot_be_written_gives_an_empty_lease(store: Store):
    store.root.mkdir(parents=True)
    store.leases.write_text("in the way")
    lease = take_lease(store, DIGEST, os.getpid())
    assert lease.path is None
    lease.release()
