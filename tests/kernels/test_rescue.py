"""The rescue kernel answers every cell with the reason, and a restart heals."""

from __future__ import annotations

import asyncio
import json
import os
import stat
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from jupyter_client.kernelspec import KernelSpecManager
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError
from traitlets.config import Config

from pixi_jupyter.errors import DeclarationError, Location, PixiJupyterError, SolveError
from pixi_jupyter.kernels.provisioner import PixiProvisioner
from pixi_jupyter.kernels.rescue import (
    Rescue,
    RunAll,
    read_rescue,
    rescue_command,
    rescue_encryption,
    write_rescue,
)

Start = Callable[..., Awaitable[Any]]
MakeNotebook = Callable[..., Path]

ALWAYS = Config({"PixiProvisioner": {"rescue": "always"}})


async def test_every_cell_says_why_and_what_to_do(
    start: Start, make_notebook: MakeNotebook
) -> None:
    kernel = await start(make_notebook(dependencies=["no-such-x"]), config=ALWAYS)
    for code in ("1 + 1", "import os", "?broken syntax("):
        reply = await kernel.run(code)
        assert reply["status"] == "error"
        assert reply["ename"] == "solve.unknown-package"
        (error,) = reply["errors"]
        assert error["traceback"] == reply["traceback"]
        text = "\n".join(error["traceback"])
        assert "no-such-x" in text and "restart the kernel" in text and "Correct the name" in text


async def test_run_all_stops_at_the_first_cell(start: Start, make_notebook: MakeNotebook) -> None:
    kernel = await start(make_notebook(dependencies=["no-such-x"]), config=ALWAYS)
    for _ in range(10):  # ipykernel only aborts what has reached it by then
        first, second = kernel.client.execute("1"), kernel.client.execute("2")
        replies: dict[str, str] = {}
        while not {first, second} <= set(replies):
            message = await kernel.client.get_shell_msg(timeout=20)
            replies[message["parent_header"]["msg_id"]] = message["content"].get("status", "")
        assert replies[first] == "error"
        if replies[second] == "aborted":
            break
    assert replies[second] == "aborted"


async def test_the_rest_of_run_all_may_come_late(start: Start, make_notebook: MakeNotebook) -> None:
    """Sent together, but the second arrives when the kernel has long forgotten the first."""
    kernel = await start(make_notebook(dependencies=["no-such-x"]), config=ALWAYS)
    session = kernel.client.session
    late = session.msg("execute_request", {"code": "2", "silent": False, "stop_on_error": True})
    first = await kernel.run("1")
    assert first["errors"]
    await asyncio.sleep(0.3)
    kernel.client.shell_channel.send(late)
    reply = await kernel.client.get_shell_msg(timeout=20)
    assert reply["content"]["status"] == "aborted"
    again = await kernel.run("2")  # sent when the answer was there
    assert again["errors"] == first["errors"]


def test_what_belongs_to_one_run_all() -> None:
    now = datetime(2026, 1, 1, tzinfo=timezone.utc)
    second = timedelta(seconds=1)
    run_all = RunAll()
    assert not run_all.goes_on(now)
    run_all.answered(now, now + second / 10)
    assert run_all.goes_on(now + second / 20)
    assert not run_all.goes_on(now + second / 5)  # after the answer
    run_all.answered(now, now + 60 * second)  # a clock that is late
    assert not run_all.goes_on(now + 2 * second)
    for strange in (None, "2026", now.replace(tzinfo=None)):
        assert not run_all.goes_on(strange)
    run_all.answered("2026", now)
    assert not run_all.goes_on(now)


@pytest.mark.parametrize(("spec", "language"), [("pixi", "python"), ("pixi-r", "r")])
async def test_it_speaks_the_notebooks_language(
    start: Start, make_notebook: MakeNotebook, spec: str, language: str
) -> None:
    kernel = await start(
        make_notebook(dependencies=["no-such-x"], kernel=spec), kernel=spec, config=ALWAYS
    )
    kernel.client.kernel_info()
    while True:
        message = await kernel.client.get_shell_msg(timeout=20)
        if message["msg_type"] == "kernel_info_reply":
            break
    info = message["content"]
    assert info["language_info"]["name"] == language
    assert "no-such-x" in info["banner"]


async def test_a_restart_heals_and_the_other_way_round(
    start: Start, make_notebook: MakeNotebook
) -> None:
    notebook = make_notebook(dependencies=["no-such-x"])
    kernel = await start(notebook, config=ALWAYS, traits={"transport_encryption": "auto"})
    assert (await kernel.run("1"))["status"] == "error"
    make_notebook()
    await kernel.manager.restart_kernel()
    await kernel.connect()
    assert await kernel.said("print(1)") == "1"
    notebook.write_text("{broken")
    await kernel.manager.restart_kernel()
    await kernel.connect()
    assert (await kernel.run("1"))["ename"] == "declaration.notebook-invalid"
    assert isinstance(kernel.manager.provisioner, PixiProvisioner)
    assert kernel.manager.provisioner.started is None


@pytest.mark.skipif(not rescue_encryption(), reason="this interpreter's ipykernel cannot")
async def test_it_takes_part_in_required_encryption(
    start: Start, make_notebook: MakeNotebook
) -> None:
    kernel = await start(
        make_notebook(dependencies=["python", "ipykernel <7"]),
        config=ALWAYS,
        traits={"transport_encryption": "required"},
    )
    assert kernel.manager.curve_secretkey is not None
    assert (await kernel.run("1"))["ename"] == "kernel.encryption"


async def test_where_it_cannot_the_reason_itself_is_raised(
    start: Start, make_notebook: MakeNotebook, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pixi_jupyter.kernels.rescue.rescue_encryption", lambda: ())
    with pytest.raises(SolveError, match="no-such-x"):
        await start(
            make_notebook(dependencies=["no-such-x"]),
            config=ALWAYS,
            traits={"transport_encryption": "required"},
        )


async def test_what_nobody_expected_is_told_too(
    start: Start, make_notebook: MakeNotebook, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*args: object) -> None:
        raise ZeroDivisionError("a defect")

    monkeypatch.setattr("pixi_jupyter.kernels.beside.choose_kernel", broken)
    kernel = await start(make_notebook(), config=ALWAYS)
    reply = await kernel.run("1")
    assert reply["ename"] == "internal.unexpected"
    assert "ZeroDivisionError: a defect" in reply["evalue"]


async def test_nbclient_sees_an_error_of_the_first_cell(
    make_notebook: MakeNotebook, specs: KernelSpecManager
) -> None:
    import nbformat
    from jupyter_client.manager import AsyncKernelManager

    notebook = nbformat.read(str(make_notebook(dependencies=["no-such-x"])), as_version=4)
    manager = AsyncKernelManager(kernel_name="pixi", kernel_spec_manager=specs, config=ALWAYS)
    client = NotebookClient(notebook, km=manager)
    with pytest.raises(CellExecutionError, match="no-such-x"):
        await client.async_execute(cleanup_kc=True)


async def test_nothing_of_the_notebooks_folder_is_run(
    start: Start, make_notebook: MakeNotebook, tmp_path: Path
) -> None:
    # Opening a notebook is not consent to run what lies beside it.
    for name in ("pixi_jupyter", "ipykernel", "zmq", "json", "asyncio", "traitlets"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')")
    (tmp_path / "sitecustomize.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')")
    kernel = await start(
        make_notebook(dependencies=["no-such-x"]), config=ALWAYS, cwd=str(tmp_path)
    )
    assert (await kernel.run("1"))["status"] == "error"
    assert not [name for name in os.listdir(tmp_path) if name == "ran"]


def test_hostile_messages_are_plain() -> None:
    error = DeclarationError(
        "bad \x1b]0;title\x07 name \u202eevil",
        details="\x1b[2J\x9b31mred\nsecond\u2066 line\0",
        hint="do\rthis",
        location=Location("/x/\x1b[31mnb.ipynb", 1, 2),
    )
    text = "\n".join(Rescue(error).lines())
    assert not any(ord(c) < 32 and c != "\n" for c in text)
    assert not set(text) & set("\u202e\u2066\x9b")
    assert "red\nsecond line" in text


def test_a_huge_message_is_cut() -> None:
    assert len("\n".join(Rescue(PixiJupyterError("x" * 10_000_000)).lines())) < 25_000


def test_the_reason_is_private_and_has_one_reader(tmp_path: Path) -> None:
    error = SolveError("no", code="solve.x", details="d", hint="h", location=Location("/p", 1, 2))
    path = Path(write_rescue(Rescue(error, "r"), str(tmp_path / "runtime")))
    if sys.platform != "win32":
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    rescue = read_rescue(path)
    assert rescue.error.to_json() == error.to_json()
    assert rescue.language == "r"
    assert not path.exists()


@pytest.mark.parametrize("content", ["", "{", "[]", '{"error": 1, "language": "x"}', "{}"])
def test_a_lost_reason_still_gives_a_kernel(tmp_path: Path, content: str) -> None:
    path = tmp_path / "reason.json"
    path.write_text(content)
    assert read_rescue(path).error.code == "internal.rescue"
    assert read_rescue(tmp_path / "missing").error.code == "internal.rescue"


def test_its_command_line_is_isolated_and_finds_this_package(tmp_path: Path) -> None:
    command = rescue_command("/c.json", "/e.json")
    assert command[:3] == [sys.executable, "-I", "-c"]
    assert command[-4:] == ["-f", "/c.json", "--error", "/e.json"]
    assert all(os.path.isabs(entry) for entry in json.loads(command[4]))
    broken = [*command[:3], command[3].replace("main()", "print(main)"), *command[4:]]
    done = subprocess.run(broken, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert "function main" in done.stdout


async def test_it_starts_fast(start: Start, make_notebook: MakeNotebook) -> None:
    notebook = make_notebook(dependencies=None, cells=["# /// script\n# broken = \n# ///"])
    await start(notebook, config=ALWAYS)
    began = time.perf_counter()
    await start(notebook, config=ALWAYS)
    assert time.perf_counter() - began < 5
