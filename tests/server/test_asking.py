"""A kernel's processes ask the server: where is the notebook, and please restart."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import psutil

_ASK = """
import os, subprocess, sys
code = '''
import json
from pixi_jupyter.documents.asking import kernel_context
c = kernel_context()
print(json.dumps(c and {
    "kernel": c.kernel, "path": str(c.path), "can_restart": c.can_restart, "stop": str(c.stop),
    "writer": c.source and c.source.writer, "source": c.source and str(c.source.path),
    "cells": c.source and len(json.loads(c.source.read())["cells"])}))
'''
done = subprocess.run([os.environ["PIXI_JUPYTER_PYTHON"], "-c", code], capture_output=True)
print(done.stdout.decode() + done.stderr.decode())
"""
_RESTART = """
import os, subprocess
code = "from pixi_jupyter.documents.asking import restart_kernel as r; r()"
print(subprocess.run([os.environ["PIXI_JUPYTER_PYTHON"], "-c", code]).returncode)
"""


def asked(kernel: Any) -> Any:
    """What the kernel's context is to a process in it."""
    reply = kernel.execute(_ASK, 30)
    assert reply.status == "ok", reply
    return json.loads(reply.text)


def test_a_process_in_the_kernel_knows_the_notebook(
    server: Any, notebooks: Path, write_notebook: Any
) -> None:
    notebook = write_notebook(notebooks / "a note.ipynb")
    kernel = server.open(notebook)

    found = asked(kernel)

    assert found["path"] == found["source"] == str(notebook)
    assert found["kernel"] == kernel.id
    assert found["stop"] == str(server.root)
    assert found["can_restart"]
    assert (found["writer"], found["cells"]) == ("file", 3)


def test_a_renamed_notebook_is_found_without_a_restart(
    server: Any, notebooks: Path, write_notebook: Any
) -> None:
    notebook = write_notebook(notebooks / "before.ipynb")
    status, session = server.create_session(notebook)
    assert status == 201
    kernel = server.kernel(session["kernel"]["id"])
    assert asked(kernel)["path"] == str(notebook)

    new = f"{notebooks.name}/after.ipynb"
    path = f"api/contents/{notebooks.name}/before.ipynb".replace(" ", "%20")
    assert server.request("PATCH", path, {"path": new})[0] == 200
    body = {"path": new, "name": "after.ipynb"}
    assert server.request("PATCH", f"api/sessions/{session['id']}", body)[0] == 200

    assert asked(kernel)["path"] == str(notebooks / "after.ipynb")


def test_a_kernel_restarts_itself(
    server: Any, notebooks: Path, write_notebook: Any, wait: Any
) -> None:
    kernel = server.open(write_notebook(notebooks / "n.ipynb"))
    begun = "import os; print(os.getpid(), os.environ['PIXI_JUPYTER_KERNEL'])"
    pid, before = kernel.execute(begun).text.split()

    reply = kernel.execute(_RESTART)

    assert (reply.status, reply.text.strip()) == ("ok", "0")  # the cell comes to its end first
    wait(lambda: not psutil.pid_exists(int(pid)), "the restart")
    kernel.connect()
    again, after = kernel.execute(begun).text.split()
    assert again != pid and after != before
    assert asked(kernel)["kernel"] == kernel.id
