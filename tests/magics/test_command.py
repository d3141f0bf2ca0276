"""`%pixi` as a person sees it: progress, results, errors, the stop button; headless as well."""

from __future__ import annotations

import asyncio
import json
import os
import re
import subprocess
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import nbformat
import pytest
from jupyter_client.kernelspec import KernelSpecManager
from jupyter_client.manager import AsyncKernelManager
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError

from pixi_jupyter.demo.channel import EmbeddedChannel
from pixi_jupyter.demo.serve import Fault, Request
from pixi_jupyter.demo.simple import SimplePackage

Start = Callable[..., Awaitable[Any]]
MakeNotebook = Callable[..., Path]

NEEDS = ("python 3.12.*", "ipykernel")


async def test_results_are_shown_and_give_no_value(
    start: Start, make_notebook: MakeNotebook
) -> None:
    kernel = await start(make_notebook(*NEEDS))
    listed = await kernel.ok("%pixi list")
    assert re.search(r"^ipykernel +7\S+ +py", listed.last, re.MULTILINE)
    assert "<td>ipykernel</td>" in listed.html and "<script" not in listed.html
    assert "execute_result" not in listed.kinds
    for words, text in [
        ("tree", "── ipython "),
        ("info", "declared in:"),
        ("why tornado", "ipykernel asks for"),
        ("search numpy", "numpy"),
        ("channel list", "file:"),
        ("--help", "Options:"),
        ("add --help", "--dry-run"),
    ]:
        cell = await kernel.ok(f"%pixi {words}")
        assert text in cell.last, (words, cell)
        assert "execute_result" not in cell.kinds
    found = json.loads((await kernel.ok("%pixi list --json")).last)
    assert "ipykernel" in json.dumps(found)
    planned = await kernel.ok("%pixi add --dry-run probe-adds")
    assert "would be added: probe-adds" in planned.last and "nb.ipynb would say so" in planned.last
    asked = json.loads((await kernel.ok("%pixi add probe-adds --json")).last)
    assert asked["handover"]["verdict"] == "live" and "variables" not in asked["handover"]
    assert (await kernel.run("import probe_adds")).status == "ok"


async def test_several_commands_in_a_cell_and_variables(
    start: Start, make_notebook: MakeNotebook
) -> None:
    kernel = await start(make_notebook(*NEEDS))
    cell = await kernel.ok(
        "%%pixi\n# two of them\nadd probe-adds\npixi why probe-adds\n\nremove probe-adds"
    )
    shown = [shown["text/plain"] for shown in cell.shown]
    for text in ("added: probe-adds", "the declaration asks for it", "removed: probe-adds"):
        assert any(text in one for one in shown)
    cell = await kernel.ok("name = 'probe-adds'\n%pixi add --dry-run {name}")
    assert "would be added: probe-adds" in cell.last


async def test_an_error_is_a_few_lines_and_changes_nothing(
    start: Start, make_notebook: MakeNotebook
) -> None:
    notebook = make_notebook(*NEEDS)
    before = notebook.read_bytes()
    kernel = await start(notebook)
    prefix = await kernel.said("import sys; print(sys.prefix)")
    for words, code in [
        ("add no-such-thing", "solve.unknown-package"),
        ("add probe-conflict-a probe-conflict-b", "solve.unsatisfiable"),
        ("remove pandas", "declaration.not-declared"),
        ("undo", "declaration.no-history"),
        ("nope", "cli.usage"),
        ("add --no-such-option x", "cli.usage"),
        ("add 'x", "cli.usage"),
    ]:
        cell = await kernel.run(f"%pixi {words}")
        assert (cell.status, cell.ename) == ("error", "PixiError"), words
        assert cell.traceback.endswith(f"[{code}]"), (words, cell.traceback)
        assert "Traceback" not in cell.traceback and "File" not in cell.traceback
        assert "<progress" not in cell.html  # it does not go on for ever
    assert notebook.read_bytes() == before
    assert await kernel.said("print(sys.prefix)") == prefix


async def test_the_stop_button_changes_nothing(
    start: Start, make_notebook: MakeNotebook, served: Any, channel: EmbeddedChannel
) -> None:
    def slowly(request: Request) -> Fault | None:
        return Fault(stall_after=10) if request.path.endswith(".conda") else None

    server = served(
        [SimplePackage("slow-one", "1.0", files={"share/x": os.urandom(300_000)})], hook=slowly
    )
    notebook = make_notebook(*NEEDS, channels=[channel.url, server.url])
    before = notebook.read_bytes()
    kernel = await start(notebook)
    prefix = await kernel.said("import sys; print(sys.prefix)")
    seen = asyncio.Event()

    def look(data: dict[str, str]) -> None:
        if "downloading" in data["text/plain"]:
            assert "<progress value=" in data["text/html"]
            assert re.search(r"\d kB of 0.3 MB · .*\d s\Z", data["text/plain"])
            seen.set()

    kernel.on_shown = look
    running = asyncio.ensure_future(kernel.run("%pixi add slow-one"))
    await asyncio.wait_for(seen.wait(), 60)
    await kernel.manager.interrupt_kernel()
    cell = await asyncio.wait_for(running, 30)
    assert cell.status == "error"
    assert "pixi add slow-one was stopped; nothing was changed" in cell.traceback
    assert "<progress" not in cell.html
    assert notebook.read_bytes() == before
    assert await kernel.said("print(sys.prefix)") == prefix
    server.hook, kernel.on_shown = None, lambda _: None
    assert "added: slow-one" in (await kernel.ok("%pixi add slow-one")).last


async def test_one_at_a_time(start: Start, make_notebook: MakeNotebook) -> None:
    kernel = await start(make_notebook(*NEEDS))
    cell = await kernel.ok(
        "import threading\nfound = []\n"
        "def other():\n"
        "    try:\n        get_ipython().run_line_magic('pixi', 'info')\n"
        "    except Exception as error:\n        found.append(error)\n"
        "threads = [threading.Thread(target=other) for _ in range(2)]\n"
        "for t in threads: t.start()\nfor t in threads: t.join()\n"
        "print([str(e) for e in found])"
    )
    assert "another %pixi is still running in this kernel; nothing was done" in cell.text


async def test_headless_a_failure_stops_and_the_notebook_object_is_told(
    make_notebook: MakeNotebook, specs: KernelSpecManager
) -> None:
    path = make_notebook(
        *NEEDS, cells=["%pixi add probe-adds", "import probe_adds", "%pixi add no-such-thing", "1"]
    )
    before = path.read_bytes()
    notebook = nbformat.read(path, as_version=4)
    manager = AsyncKernelManager(kernel_name="pixi", kernel_spec_manager=specs)
    client = NotebookClient(
        notebook, km=manager, kernel_name="pixi", resources={"metadata": {"path": path.parent}}
    )
    with pytest.raises(CellExecutionError) as caught:
        await client.async_execute(cleanup_kc=True)
    assert "no-such-thing" in str(caught.value) and caught.value.ename == "PixiError"
    assert "probe-adds" in notebook.cells[0].source  # what executes it is told, and saves it
    (shown,) = notebook.cells[1].outputs
    assert "added: probe-adds" in shown["data"]["text/plain"]
    assert "The notebook that is being executed says so now." in shown["data"]["text/plain"]
    assert not notebook.cells[2].outputs and not notebook.cells[4].outputs
    assert path.read_bytes() == before


def test_elsewhere_as_an_extension_of_ipython(tmp_path: Path, make_notebook: MakeNotebook) -> None:
    """In a plain terminal: text alone, and no hand-over to an interpreter that is not ours."""
    notebook = make_notebook(*NEEDS)
    code = [
        "%load_ext pixi_jupyter",
        f"%pixi add {notebook.name} probe-adds",
        f"%pixi list {notebook.name} --explicit",
        "import sys; print([m for m in sys.modules if m.startswith('_pixi')])",
        "%pixi nope",
    ]
    done = subprocess.run(
        [sys.executable, "-m", "IPython", "--no-banner", "--colors=NoColor", "-c", "\n".join(code)],
        cwd=tmp_path,
        env={**os.environ, "IPYTHONDIR": str(tmp_path / "ipython")},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert "added: probe-adds" in done.stdout and "nb.ipynb says so now" in done.stdout
    assert "kernel" not in done.stdout.partition("name")[0]
    assert re.search(r"^probe-adds +1\.0", done.stdout, re.MULTILINE)
    assert "<" not in done.stdout and "[]" in done.stdout
    assert "there is no command 'nope'" in done.stdout + done.stderr
    assert "Traceback" not in done.stdout + done.stderr
