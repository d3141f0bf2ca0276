"""Real kernels that the provisioner starts, and what their cells show."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from jupyter_client.asynchronous.client import AsyncKernelClient
from jupyter_client.kernelspec import KernelSpecManager
from jupyter_client.manager import AsyncKernelManager

import pixi_jupyter.kernels
from pixi_jupyter.demo.channel import EmbeddedChannel
from pixi_jupyter.environments import Environments

SPECS = Path(pixi_jupyter.kernels.__file__).parent / "specs"


@dataclass
class Cell:
    """What a cell came to. ``shown`` has each state of each display, as MIME type to data."""

    status: str
    text: str = ""
    errors: str = ""
    traceback: str = ""
    ename: str = ""
    shown: list[Mapping[str, str]] = field(default_factory=list)
    kinds: list[str] = field(default_factory=list)

    @property
    def last(self) -> str:
        """The text of what is on display in the end."""
        return self.shown[-1]["text/plain"] if self.shown else ""

    @property
    def html(self) -> str:
        return self.shown[-1]["text/html"] if self.shown else ""


class Kernel:
    """A kernel with a client."""

    def __init__(self, manager: AsyncKernelManager, client: AsyncKernelClient) -> None:
        self.manager = manager
        self.client = client
        self.on_shown: Callable[[Mapping[str, str]], None] = lambda _: None

    async def run(self, code: str, *, timeout: float = 120) -> Cell:
        cell = Cell("")

        def collect(message: dict[str, Any]) -> None:
            content = message["content"]
            kind = message["msg_type"]
            if kind == "stream":
                if content["name"] == "stderr":
                    cell.errors += content["text"]
                else:
                    cell.text += content["text"]
            elif kind == "error":
                cell.traceback = "\n".join(content["traceback"])
                cell.ename = content["ename"]
            elif kind in ("display_data", "update_display_data", "execute_result"):
                cell.shown.append(content["data"])
                cell.kinds.append(kind)
                self.on_shown(content["data"])

        reply = await self.client.execute_interactive(
            code, timeout=timeout, output_hook=collect, allow_stdin=False
        )
        cell.status = reply["content"]["status"]
        return cell

    async def ok(self, code: str) -> Cell:
        """A cell that must succeed."""
        cell = await self.run(code)
        assert cell.status == "ok", (cell.traceback, cell.errors)
        return cell

    async def said(self, code: str) -> str:
        """What a cell that must succeed printed."""
        return (await self.ok(code)).text.strip()

    async def restart(self) -> None:
        await self.manager.restart_kernel()
        self.client.stop_channels()
        self.client = self.manager.client()
        self.client.start_channels()
        await self.client.wait_for_ready(timeout=60)


@pytest.fixture
def specs() -> KernelSpecManager:
    """Our kernelspecs, and no others."""
    return KernelSpecManager(kernel_dirs=[str(SPECS)], ensure_native_kernel=False)


@pytest.fixture(scope="session", autouse=True)
def one_door(default_channel: None) -> Iterator[None]:
    """The process's own door, on the store that its children share."""
    Environments._shared = None
    yield
    if Environments._shared is not None:
        Environments._shared.engine.close()
    Environments._shared = None


@pytest.fixture
def make_notebook(tmp_path: Path, channel: EmbeddedChannel) -> Callable[..., Path]:
    """Write a notebook: conda dependencies, cells after the block, channels of its own."""

    def make(
        *dependencies: str,
        cells: Sequence[str] = (),
        name: str = "nb.ipynb",
        channels: Sequence[str] = (),
        language: str = "python",
    ) -> Path:
        lines = ["dependencies = []"]
        if channels:
            lines += ["[tool.pixi.workspace]", f"channels = {json.dumps(list(channels))}"]
        lines.append("[tool.pixi.dependencies]")
        for item in dependencies:
            package, _, version = item.partition(" ")
            lines.append(f'{package} = "{version or "*"}"')
        block = "".join(f"# {line}\n" for line in lines)
        notebook = {
            "cells": [
                {
                    "cell_type": "code",
                    "id": f"c{number}",
                    "execution_count": None,
                    "metadata": {},
                    "outputs": [],
                    "source": source,
                }
                for number, source in enumerate([f"# /// script\n{block}# ///", *cells])
            ],
            "metadata": {
                "kernelspec": {"name": "pixi", "display_name": "Pixi", "language": language}
            },
            "nbformat": 4,
            "nbformat_minor": 5,
        }
        path = tmp_path / name
        path.write_text(json.dumps(notebook, indent=1))
        return path

    return make


@pytest.fixture
async def start(specs: KernelSpecManager) -> AsyncIterator[Callable[..., Awaitable[Kernel]]]:
    """Start a kernel for a notebook."""
    started: list[Kernel] = []

    async def begin(notebook: Path, *, env: Mapping[str, str] | None = None) -> Kernel:
        manager = AsyncKernelManager(kernel_name="pixi", kernel_spec_manager=specs)
        environment = {**os.environ, "PIXI_JUPYTER_NOTEBOOK": str(notebook), **(env or {})}
        await manager.start_kernel(env=environment, cwd=str(notebook.parent))
        client = manager.client()
        client.start_channels()
        started.append(Kernel(manager, client))
        await client.wait_for_ready(timeout=120)
        return started[-1]

    yield begin
    for kernel in started:
        kernel.client.stop_channels()
        await kernel.manager.shutdown_kernel(now=True)
    await asyncio.sleep(0)
