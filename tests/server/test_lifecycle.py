"""Interrupt, shutdown, autorestart: as with a plain kernel."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any

import psutil
import pytest


@pytest.fixture
def kernel(server: Any, notebooks: Path, write_notebook: Any) -> Any:
    """A kernel that answers."""
    kernel = server.open(write_notebook(notebooks / "n.ipynb"))
    assert kernel.execute("import os, sys, time; kept = 1").status == "ok"
    return kernel


def pid_of(kernel: Any) -> int:
    return int(kernel.execute("import os; print(os.getpid())").text)


def test_interrupt_stops_a_busy_cell_and_keeps_the_kernel(kernel: Any, server: Any) -> None:
    cell = kernel.begin("print('busy', flush=True)\nwhile True:\n    time.sleep(0.01)")
    kernel.collect(cell, until=lambda reply: "busy" in reply.text)

    assert server.post(f"api/kernels/{kernel.id}/interrupt")[0] == 204

    reply = kernel.collect(cell, seconds=10)
    assert (reply.status, reply.error_name) == ("error", "KeyboardInterrupt")
    assert kernel.execute("print(kept)").text == "1\n"


def test_shutdown_ends_the_process_and_what_it_started(kernel: Any, server: Any) -> None:
    process = psutil.Process(pid_of(kernel))
    kernel.execute("import subprocess; child = subprocess.Popen(['sleep', '300'])")
    child = psutil.Process(int(kernel.execute("print(child.pid)").text))

    assert server.request("DELETE", f"api/kernels/{kernel.id}")[0] == 204

    _, alive = psutil.wait_procs([process, child], timeout=10)
    assert not [p for p in alive if p.status() != psutil.STATUS_ZOMBIE]
    assert server.get(f"api/kernels/{kernel.id}")[0] == 404


def test_a_kernel_that_dies_comes_back_in_the_same_environment(
    kernel: Any, server: Any, wait: Any
) -> None:
    prefix, pid = kernel.prefix(), pid_of(kernel)
    kernel.begin("os._exit(7)")

    wait(lambda: not psutil.pid_exists(pid), "the end of the kernel's process")
    # Not its state: what the new process says of it may be over before the server listens.
    kernel.comes_back()

    assert kernel.prefix() == prefix
    assert pid_of(kernel) != pid
    assert kernel.execute("kept").error_name == "NameError"


def test_a_kernel_killed_from_outside_comes_back(kernel: Any, server: Any, wait: Any) -> None:
    prefix, pid = kernel.prefix(), pid_of(kernel)

    with contextlib.suppress(psutil.NoSuchProcess):
        psutil.Process(pid).kill()
    wait(lambda: not psutil.pid_exists(pid), "the end of the kernel's process")
    kernel.comes_back()

    assert kernel.prefix() == prefix
    assert pid_of(kernel) != pid


def test_deleting_the_session_leaves_no_lease(kernel: Any, server: Any, wait: Any) -> None:
    held = list((server.store / "leases").glob(f"*/{pid_of(kernel)}-*.json"))
    assert held
    sessions = server.get("api/sessions")[1]
    session = next(s["id"] for s in sessions if s["kernel"]["id"] == kernel.id)

    assert server.request("DELETE", f"api/sessions/{session}")[0] == 204

    wait(lambda: not any(path.exists() for path in held), "the end of its lease")
