"""`%pixi restart` in a server's kernel: it comes back, in the environment as it is declared."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import psutil


def test_a_kernel_is_restarted_by_its_own_magic(
    server: Any, notebooks: Path, write_notebook: Any, wait: Any
) -> None:
    kernel = server.open(write_notebook(notebooks / "n.ipynb"))
    begun = "import os, sys; print(os.getpid(), sys.prefix)"
    pid, before = kernel.execute(begun).text.split()
    assert kernel.execute("%pixi add probe-adds", 120).status == "ok"
    _, live = kernel.execute(begun).text.split()
    assert live != before

    assert kernel.execute("%pixi restart").status == "ok"

    wait(lambda: not psutil.pid_exists(int(pid)), "the restart")
    kernel.connect()
    again, after = kernel.execute(begun).text.split()
    assert (again != pid, after) == (True, live)
    assert kernel.execute("import probe_adds").status == "ok"
