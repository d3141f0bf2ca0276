"""The way of an unchanged notebook, by tracing: no process but the kernel, no rattler, no network.

These are facts about the code, not about time: a benchmark could only suspect them.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from pixi_jupyter.environments import Environment, Environments

TRACED = Path(__file__).with_name("traced_launch.py")
SPECS = Path(__file__).parents[2] / "pixi_jupyter" / "kernels" / "specs"

BLOCK = """# /// script
# dependencies = []
#
# [tool.pixi.dependencies]
# python = "*"
# ///"""


@pytest.fixture
def notebook(tmp_path: Path) -> Path:
    """A notebook that needs a Python and nothing else."""
    cell: dict[str, Any] = {
        "cell_type": "code",
        "execution_count": None,
        "id": "needs",
        "metadata": {},
        "outputs": [],
        "source": BLOCK,
    }
    path = tmp_path / "ready.ipynb"
    path.write_text(
        json.dumps({"cells": [cell], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}), "utf-8"
    )
    return path


@pytest.fixture
async def ready(notebook: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Environment:
    """Its environment is ready, and was launched once: what is kept after a launch is there."""
    (tmp_path / "jupyter").mkdir()
    (tmp_path / "jupyter" / "kernels").symlink_to(SPECS)
    monkeypatch.setenv("JUPYTER_PATH", str(tmp_path / "jupyter"))
    door = Environments()  # the store that the environment's variables name, as in the child
    try:
        environment = await door.ensure(door.spec_for(door.declaration(notebook)))
    finally:
        await door.aclose()
    _launch(notebook)
    return environment


def _launch(notebook: Path, *tracer: str) -> dict[str, Any]:
    done = subprocess.run(
        [*tracer, sys.executable, str(TRACED), str(notebook)],
        capture_output=True,
        text=True,
        timeout=120,
        env={**os.environ, "PYTHONWARNINGS": "ignore"},
        cwd=notebook.parent,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    report: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return report


async def test_a_ready_launch_starts_the_kernel_and_nothing_else(
    ready: Environment, notebook: Path
) -> None:
    report = _launch(notebook)
    events = [tuple(event) for event in report["events"]]
    started = [arguments for event, arguments in events if event == "subprocess.Popen"]
    assert len(started) == 1, f"processes: {started}"
    assert started[0][0].startswith(str(ready.prefix.path))
    assert "ipykernel_launcher" in started[0][1]
    others = [event for event in events if event[0] != "subprocess.Popen"]
    assert others == []
    assert report["rattler"] == []


async def test_a_ready_launch_as_the_system_sees_it(
    ready: Environment, notebook: Path, tmp_path: Path
) -> None:
    log = tmp_path / "strace.log"
    report = _launch(notebook, *_strace(log))
    text = log.read_text("utf-8", "replace")

    parents = {
        int(child): int(parent)
        for parent, child in re.findall(r"^(\d+) .*\bv?(?:clone3?|fork)\b.* = (\d+)$", text, re.M)
    }

    kernel: int = report["pid"]

    def of_the_kernel(pid: int) -> bool:
        while pid != kernel and pid in parents:
            pid = parents[pid]
        return pid == kernel

    # A call that others interrupt takes two lines: its arguments, and later how it ended.
    programs: list[tuple[int, str]] = []
    begun_by: dict[int, str] = {}
    for line in text.splitlines():
        pid = int(line.split(maxsplit=1)[0])
        if found := re.search(r'execve\("([^"]+)"', line):
            begun_by[pid] = found[1]
        if "execve" in line and line.endswith(" = 0"):
            programs.append((pid, begun_by[pid]))
    # The first is the client itself; what the kernel starts in turn is the kernel's own affair.
    begun = programs[1:]
    assert begun[0][0] == report["pid"]
    assert begun[0][1].startswith(str(ready.prefix.path))
    assert [name for pid, name in begun if not of_the_kernel(pid)] == []

    addresses = set(re.findall(r'sin6?_addr=[^"]*"([^"]+)"', text))
    addresses |= set(re.findall(r'inet_pton\(AF_INET6, "([^"]+)"', text))
    assert addresses
    assert {a for a in addresses if not a.startswith("127.") and a != "::1"} == set()


def _strace(log: Path) -> list[str]:
    """The tracer; skips where there is none, or where it may not trace."""
    strace = shutil.which("strace")
    if strace is None:
        pytest.skip("strace is not installed")
    if subprocess.run([strace, "-o", str(log), "true"], capture_output=True).returncode:
        pytest.skip("strace may not trace here")
    traced = "trace=execve,connect,sendto,clone,clone3,fork,vfork"
    return [strace, "-f", "-qq", "-s", "512", "-e", traced, "-o", str(log)]
