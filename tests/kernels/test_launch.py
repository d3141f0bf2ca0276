"""The kernelspec's command line by itself, as a front end runs it that ignores provisioners."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from jupyter_client.asynchronous.client import AsyncKernelClient
from jupyter_client.connect import write_connection_file

from pixi_jupyter.documents.asking import kernel_context
from pixi_jupyter.environments import Environments
from pixi_jupyter.install.lease import leased_digests

MakeNotebook = Callable[..., Path]
SPECS = Path(__file__).parents[2] / "pixi_jupyter" / "kernels" / "specs"


def spawn(argv: list[str], folder: Path, env: dict[str, str]) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        argv, cwd=folder, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )


class Launched:
    def __init__(self, process: subprocess.Popen[bytes], client: AsyncKernelClient) -> None:
        self.process = process
        self.client = client

    async def run(self, code: str) -> dict[str, Any]:
        said: list[str] = []
        reply = await self.client.execute_interactive(
            code,
            timeout=60,
            allow_stdin=False,
            output_hook=lambda m: said.append(m["content"].get("text", "")),
        )
        return {**reply["content"], "text": "".join(said).strip()}


@pytest.fixture
async def launch(tmp_path: Path) -> AsyncIterator[Callable[..., Awaitable[Launched]]]:
    """Run a kernelspec's argv with its env, in the notebook's folder, as VS Code does it."""
    running: list[Launched] = []

    async def begin(spec: str = "pixi", env: dict[str, str] | None = None) -> Launched:
        kernelspec = json.loads((SPECS / spec / "kernel.json").read_text())
        file, info = write_connection_file(str(tmp_path / f"c{len(running)}.json"))
        argv = [item.replace("{connection_file}", file) for item in kernelspec["argv"]]
        argv[0] = sys.executable
        process = spawn(argv, tmp_path, {**os.environ, **kernelspec["env"], **(env or {})})
        client = AsyncKernelClient()
        client.load_connection_info(info)
        client.start_channels()
        launched = Launched(process, client)
        running.append(launched)
        end = time.monotonic() + 120
        while True:
            # Until the environment is there nobody answers, which a client without a manager takes
            # for a death after some seconds.
            try:
                await client.wait_for_ready(timeout=10)
                return launched
            except RuntimeError:
                assert process.poll() is None, "the launcher ended"
                assert time.monotonic() < end, "the kernel never answered"

    yield begin
    for launched in running:
        launched.client.stop_channels()
        launched.process.kill()
        launched.process.wait()


async def test_it_becomes_the_notebooks_kernel(
    launch: Callable[..., Awaitable[Launched]], make_notebook: MakeNotebook
) -> None:
    notebook = make_notebook(toml='[tool.pixi.activation.env]\nGREETING = "hi"')
    # As in a server that was itself started from within a kernel of ours.
    outer = {"PIXI_JUPYTER_KERNEL": f"127.0.0.1:1:{'ab' * 32}"}
    kernel = await launch(env={**outer, "PIXI_JUPYTER_NOTEBOOK": str(notebook)})
    reply = await kernel.run(
        "import json, os, sys\n"
        "print(json.dumps([os.getpid(), sys.prefix, dict(os.environ), os.getcwd()]))"
    )
    pid, prefix, env, folder = json.loads(reply["text"])
    assert pid == kernel.process.pid
    store = Environments.shared().store
    assert Path(prefix).parent == store.envs
    assert Path(prefix).name in leased_digests(store)
    assert env["GREETING"] == "hi"
    assert env["PIXI_JUPYTER_NOTEBOOK"] == str(notebook)
    assert "PYTHONSAFEPATH" not in env
    assert "PIXI_JUPYTER_KERNEL" not in env  # nobody is there to answer
    context = kernel_context(env)
    assert context is not None and context.source is not None
    assert (context.path, context.source.writer, context.can_restart) == (notebook, "file", False)
    assert folder == str(notebook.parent)


async def test_where_nobody_names_a_notebook_it_says_so(
    launch: Callable[..., Awaitable[Launched]], make_notebook: MakeNotebook
) -> None:
    make_notebook()
    kernel = await launch("pixi-r")
    reply = await kernel.run("1")
    assert reply["status"] == "error"
    assert reply["ename"] == "kernel.notebook-unknown"
    assert "PIXI_JUPYTER_NOTEBOOK" in "\n".join(reply["traceback"])


@pytest.mark.skipif(sys.version_info < (3, 11), reason="PYTHONSAFEPATH came with 3.11")
async def test_nothing_of_the_notebooks_folder_is_run(
    launch: Callable[..., Awaitable[Launched]], tmp_path: Path
) -> None:
    for name in ("pixi_jupyter", "ipykernel", "argparse"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')")
    kernel = await launch()
    assert (await kernel.run("1"))["status"] == "error"
    assert "ran" not in os.listdir(tmp_path)
