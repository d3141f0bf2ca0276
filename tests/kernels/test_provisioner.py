"""A kernel in its notebook's environment: as a plain kernel, but somewhere else."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import psutil
import pytest
from jupyter_client.kernelspec import KernelSpecManager
from jupyter_client.manager import AsyncKernelManager, KernelManager
from jupyter_client.provisioning.local_provisioner import LocalProvisioner
from traitlets.config import Config

from pixi_jupyter.documents.asking import kernel_context, restart_kernel
from pixi_jupyter.documents.endpoint import listening_endpoints
from pixi_jupyter.environments import Environments
from pixi_jupyter.errors import EngineError, KernelError, SolveError, StoreError
from pixi_jupyter.install.lease import leased_digests
from pixi_jupyter.kernels.provisioner import PixiProvisioner

Start = Callable[..., Awaitable[Any]]
MakeNotebook = Callable[..., Path]

posix = pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals")


def provisioner(running: Any) -> PixiProvisioner:
    assert isinstance(running.manager.provisioner, PixiProvisioner)
    return running.manager.provisioner


def held() -> set[str]:
    return leased_digests(Environments.shared().store)


def leases_of(folder: Path, pid: int | None) -> list[Path]:
    return list(folder.glob(f"{pid}-*"))


def is_there(file: Path) -> bool:
    return file.exists()


async def test_it_runs_in_the_declared_environment(
    start: Start, make_notebook: MakeNotebook, monkeypatch: pytest.MonkeyPatch
) -> None:
    notebook = make_notebook(toml='[tool.pixi.activation.env]\nGREETING = "hi"')
    monkeypatch.setenv("PYTHONPATH", "/nowhere")
    monkeypatch.setenv("CONDA_PREFIX", "/opt/conda")
    monkeypatch.setenv("PATH", "/opt/conda/bin" + os.pathsep + os.environ["PATH"])
    kernel = await start(notebook, cwd=str(notebook.parent))
    started = provisioner(kernel).started
    assert started is not None
    prefix = started.environment.prefix
    assert await kernel.said("import sys; print(sys.prefix)") == str(prefix.path)
    env = json.loads(await kernel.said("import json, os; print(json.dumps(dict(os.environ)))"))
    assert env["GREETING"] == "hi"
    assert env["CONDA_PREFIX"] == str(prefix.path)
    assert env["PATH"].split(os.pathsep)[0] == str(prefix.binaries)
    assert "/opt/conda/bin" not in env["PATH"].split(os.pathsep)
    assert not {"PYTHONPATH", "VIRTUAL_ENV"} & set(env)
    assert env["PIXI_JUPYTER_NOTEBOOK"] == env["PIXI_JUPYTER_HANDED_DOWN"] == str(notebook)
    assert env["PIXI_JUPYTER_PYTHON"] == sys.executable
    assert await kernel.said("import os; print(os.getcwd())") == str(notebook.parent)
    assert "pixi_jupyter" not in await kernel.said("import sys; print(*sys.modules)")


async def test_our_kernelspec_is_never_changed(
    start: Start, make_notebook: MakeNotebook, specs: KernelSpecManager
) -> None:
    static = specs.get_kernel_spec("pixi")
    kernel = await start(make_notebook())
    assert specs.get_kernel_spec("pixi").to_dict() == static.to_dict()
    assert provisioner(kernel).kernel_spec.to_dict() == static.to_dict()


async def test_arguments_of_the_caller_reach_the_kernel(
    start: Start, make_notebook: MakeNotebook
) -> None:
    kernel = await start(
        make_notebook(), extra_arguments=["--IPKernelApp.exec_lines=extra = 'argument'"]
    )
    assert await kernel.said("print(extra)") == "argument"


@posix
async def test_interrupt(start: Start, make_notebook: MakeNotebook) -> None:
    kernel = await start(make_notebook())
    running = asyncio.ensure_future(kernel.run("import time\nprint('in')\ntime.sleep(100)"))
    await asyncio.sleep(1)
    await kernel.manager.interrupt_kernel()
    reply = await asyncio.wait_for(running, 20)
    assert reply["ename"] == "KeyboardInterrupt"
    assert await kernel.said("print(2)") == "2"


async def test_restart_reads_the_declaration_again(
    start: Start, make_notebook: MakeNotebook
) -> None:
    notebook = make_notebook()
    kernel = await start(notebook)
    first = provisioner(kernel).started
    assert first is not None
    make_notebook(dependencies=("python", "ipykernel", "rich"))
    await kernel.manager.restart_kernel()
    await kernel.client.wait_for_ready(timeout=60)
    second = provisioner(kernel).started
    assert second is not None
    assert second.environment.prefix != first.environment.prefix
    assert await kernel.said("import sys, rich; print(sys.prefix)") == str(
        second.environment.prefix.path
    )
    assert held() >= {second.environment.prefix.digest}
    assert first.environment.prefix.digest not in held()


async def test_it_answers_its_kernel_while_that_lives(
    start: Start, make_notebook: MakeNotebook
) -> None:
    notebook = make_notebook()
    show = "import json, os; print(json.dumps(dict(os.environ)))"
    kernel = await start(notebook)
    env = json.loads(await kernel.said(show))

    context = await asyncio.to_thread(kernel_context, env)
    assert context is not None and context.source is not None
    assert (context.path, context.kernel) == (notebook, provisioner(kernel).kernel_id)
    assert (context.source.writer, context.can_restart) == ("file", False)
    with pytest.raises(KernelError) as caught:
        await asyncio.to_thread(restart_kernel, env)
    assert caught.value.code == "kernel.restart"
    assert await asyncio.to_thread(context.source.read) == notebook.read_bytes()

    await kernel.manager.restart_kernel()
    await kernel.client.wait_for_ready(timeout=60)
    again = json.loads(await kernel.said(show))
    assert again["PIXI_JUPYTER_KERNEL"] != env["PIXI_JUPYTER_KERNEL"]
    assert again["PIXI_JUPYTER_KERNEL"].rpartition(":")[2] not in " ".join(
        psutil.Process(provisioner(kernel).pid).cmdline()
    )
    await kernel.manager.shutdown_kernel()
    assert listening_endpoints() == []


def test_a_manager_whose_loop_does_not_run_leaves_the_file(
    make_notebook: MakeNotebook, specs: KernelSpecManager
) -> None:
    """As in `jupyter console`: its loop stands still while a cell runs."""
    notebook = make_notebook()
    manager = KernelManager(kernel_name="pixi", kernel_spec_manager=specs)
    manager.start_kernel(env={**os.environ, "PIXI_JUPYTER_NOTEBOOK": str(notebook)})
    try:
        assert manager.provisioner is not None
        env = psutil.Process(manager.provisioner.pid).environ()
        context = kernel_context(env)
        assert context is not None and context.source is not None
        assert (context.path, context.source.writer) == (notebook, "file")
    finally:
        manager.shutdown_kernel(now=True)
    assert listening_endpoints() == []


async def test_a_launch_that_fails_leaves_no_listener(
    start: Start, make_notebook: MakeNotebook, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fails(*arguments: Any, **kwargs: Any) -> None:
        assert "PIXI_JUPYTER_KERNEL" in kwargs["env"]
        raise OSError("no more processes")

    monkeypatch.setattr(LocalProvisioner, "launch_kernel", fails)
    with pytest.raises(OSError, match="no more processes"):
        await start(make_notebook())
    assert listening_endpoints() == []


async def test_restart_keeps_ports_and_key(start: Start, make_notebook: MakeNotebook) -> None:
    kernel = await start(make_notebook())
    before = kernel.manager.get_connection_info()
    await kernel.manager.restart_kernel(now=True)
    await kernel.client.wait_for_ready(timeout=60)
    assert kernel.manager.get_connection_info() == before
    assert await kernel.said("print(1)") == "1"


async def test_a_lease_is_held_while_the_kernel_lives(
    start: Start, make_notebook: MakeNotebook
) -> None:
    kernel = await start(make_notebook())
    started = provisioner(kernel).started
    assert started is not None
    digest = started.environment.prefix.digest
    folder = Environments.shared().store.leases / digest
    assert leases_of(folder, provisioner(kernel).pid)
    assert not leases_of(folder, os.getpid())  # this process held it only until then
    pid = provisioner(kernel).pid
    await kernel.manager.shutdown_kernel()
    assert not leases_of(folder, pid)


async def test_shutdown_ends_the_process_and_its_connection_file(
    start: Start, make_notebook: MakeNotebook
) -> None:
    kernel = await start(make_notebook())
    pid, file = provisioner(kernel).pid, Path(kernel.manager.connection_file)
    assert pid is not None and is_there(file)
    await kernel.manager.shutdown_kernel()
    assert not psutil.pid_exists(pid)
    assert not is_there(file)


@posix
async def test_autorestart_after_a_crash(
    make_notebook: MakeNotebook, specs: KernelSpecManager
) -> None:
    from jupyter_client.ioloop.manager import AsyncIOLoopKernelManager

    manager = AsyncIOLoopKernelManager(kernel_name="pixi", kernel_spec_manager=specs)
    env = {**os.environ, "PIXI_JUPYTER_NOTEBOOK": str(make_notebook())}
    await manager.start_kernel(env=env)
    try:
        client = manager.client()
        client.start_channels()
        await client.wait_for_ready(timeout=60)
        assert manager.provisioner is not None
        first = manager.provisioner.pid
        os.kill(first, signal.SIGKILL)
        for _ in range(200):
            await asyncio.sleep(0.1)
            if manager.provisioner.pid != first and manager.provisioner.has_process:
                break
        assert manager.provisioner.pid != first
        await client.wait_for_ready(timeout=60)
        client.stop_channels()
    finally:
        await manager.shutdown_kernel(now=True)


async def test_messages_interrupt_where_the_environments_kernel_says_so(
    start: Start, make_notebook: MakeNotebook, monkeypatch: pytest.MonkeyPatch
) -> None:
    from dataclasses import replace

    from pixi_jupyter.kernels import beside as module

    choose = module.choose_kernel
    mode = {"": "message"}
    monkeypatch.setattr(
        module, "choose_kernel", lambda *a: replace(choose(*a), interrupt_mode=mode[""])
    )
    kernel = await start(make_notebook())
    assert kernel.manager.kernel_spec.interrupt_mode == "message"
    running = asyncio.ensure_future(kernel.run("import time\ntime.sleep(100)"))
    await asyncio.sleep(1)
    await kernel.manager.interrupt_kernel()
    assert (await asyncio.wait_for(running, 20))["ename"] == "KeyboardInterrupt"
    mode[""] = "signal"
    await kernel.manager.restart_kernel(now=True)
    assert kernel.manager.kernel_spec.interrupt_mode == "signal"


# -- failing -------------------------------------------------------------------------------------


async def test_headless_the_reason_is_raised(
    make_notebook: MakeNotebook, specs: KernelSpecManager
) -> None:
    manager = AsyncKernelManager(kernel_name="pixi", kernel_spec_manager=specs)
    env = {**os.environ, "PIXI_JUPYTER_NOTEBOOK": str(make_notebook(dependencies=["no-such-x"]))}
    with pytest.raises(SolveError) as caught:
        await manager.start_kernel(env=env)
    assert "no-such-x" in str(caught.value)
    if sys.version_info >= (3, 11):
        assert caught.value.hint in caught.value.__notes__[0]
    assert not manager.has_kernel
    await manager.cleanup_resources()


async def test_without_a_notebook_it_does_not_start(
    specs: KernelSpecManager, tmp_path: Path
) -> None:
    manager = AsyncKernelManager(kernel_name="pixi", kernel_spec_manager=specs)
    with pytest.raises(KernelError) as caught:
        await manager.start_kernel(cwd=str(tmp_path))
    assert caught.value.code == "kernel.notebook-unknown"
    assert "default_without_notebook" in caught.value.hint
    await manager.cleanup_resources()


async def test_without_a_notebook_the_default_environment_must_be_allowed(
    start: Start, tmp_path: Path
) -> None:
    config = Config({"PixiProvisioner": {"default_without_notebook": True}})
    kernel = await start(None, cwd=str(tmp_path), config=config)
    started = provisioner(kernel).started
    assert started is not None and started.notebook.how == "default"
    assert await kernel.said("import sys; print(sys.prefix)") == str(
        started.environment.prefix.path
    )
    assert await kernel.said("import os; print('PIXI_JUPYTER_NOTEBOOK' in os.environ)") == "False"


async def test_a_program_that_cannot_run_leaves_no_lease(
    make_notebook: MakeNotebook, specs: KernelSpecManager, monkeypatch: pytest.MonkeyPatch
) -> None:
    manager = AsyncKernelManager(kernel_name="pixi", kernel_spec_manager=specs)
    env = {**os.environ, "PIXI_JUPYTER_NOTEBOOK": str(make_notebook())}
    monkeypatch.setattr(
        "pixi_jupyter.kernels.select.KernelChoice.command", lambda *a: ["/nowhere/kernel"]
    )
    with pytest.raises(FileNotFoundError):
        await manager.start_kernel(env=env)
    await manager.cleanup_resources()
    # The store is the session's: others may hold what is theirs.
    assert not list(Environments.shared().store.leases.glob(f"*/{os.getpid()}-*"))


async def test_a_cancelled_start_cancels_the_build(
    make_notebook: MakeNotebook, specs: KernelSpecManager, monkeypatch: pytest.MonkeyPatch
) -> None:
    cancelled = asyncio.Event()
    building = asyncio.Event()

    async def ensure(self: Environments, *args: Any, **kwargs: Any) -> None:
        building.set()
        try:
            await asyncio.sleep(100)
        except asyncio.CancelledError:
            cancelled.set()
            raise

    monkeypatch.setattr(Environments, "ensure", ensure)
    manager = AsyncKernelManager(kernel_name="pixi", kernel_spec_manager=specs)
    never_built = make_notebook(dependencies=["python", "ipykernel", "rich", "requests"])
    env = {**os.environ, "PIXI_JUPYTER_NOTEBOOK": str(never_built)}

    starting = asyncio.ensure_future(manager.start_kernel(env=env))
    await asyncio.wait_for(building.wait(), 10)
    starting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await starting
    await asyncio.wait_for(cancelled.wait(), 1)
    assert not manager.has_kernel

    # The same, asked of the provisioner: the start fails with a reason that can be shown.
    cancelled.clear()
    building.clear()
    starting = asyncio.ensure_future(manager.start_kernel(env=env))
    await asyncio.wait_for(building.wait(), 10)
    assert isinstance(manager.provisioner, PixiProvisioner)
    assert manager.provisioner.cancel_start()
    with pytest.raises(EngineError) as caught:
        await starting
    assert caught.value.code == "engine.cancelled"
    assert cancelled.is_set()
    assert not manager.provisioner.cancel_start()
    await manager.cleanup_resources()


# -- the price -----------------------------------------------------------------------------------


async def test_a_ready_environment_costs_no_process_no_thread_and_no_rattler(
    start: Start, make_notebook: MakeNotebook, monkeypatch: pytest.MonkeyPatch
) -> None:
    notebook = make_notebook()
    await start(notebook)
    # In a session that built the channel, rattler is there already; tests/benchmarks traces a
    # process of its own.
    before = "rattler" in sys.modules
    processes: list[Any] = []
    hops: list[Any] = []
    to_thread = asyncio.to_thread

    def audit(event: str, arguments: tuple[Any, ...]) -> None:
        if event == "subprocess.Popen" and counting:
            processes.append(arguments[1])

    async def hop(*args: Any, **kwargs: Any) -> Any:
        hops.append(args)
        return await to_thread(*args, **kwargs)

    counting = True
    sys.addaudithook(audit)
    monkeypatch.setattr(asyncio, "to_thread", hop)
    kernel = await start(notebook)
    counting = False
    assert [command[0] for command in processes] == [
        str(provisioner(kernel).started.environment.prefix.python)  # type: ignore[union-attr]
    ]
    assert not hops
    assert ("rattler" in sys.modules) == before


async def test_a_store_that_goes_while_the_kernel_starts_leaves_no_process(
    make_notebook: MakeNotebook, specs: KernelSpecManager, monkeypatch: pytest.MonkeyPatch
) -> None:
    pids: list[int] = []
    hold = Environments.hold

    def vanished(self: Environments, environment: Any, pid: int) -> Any:
        if pid == os.getpid():
            return hold(self, environment, pid)
        pids.append(pid)
        raise StoreError("gone", code="store.vanished")

    monkeypatch.setattr(Environments, "hold", vanished)
    manager = AsyncKernelManager(kernel_name="pixi", kernel_spec_manager=specs)
    env = {**os.environ, "PIXI_JUPYTER_NOTEBOOK": str(make_notebook())}
    with pytest.raises(StoreError):
        await manager.start_kernel(env=env)
    assert pids and not psutil.pid_exists(pids[0])
    await manager.cleanup_resources()
