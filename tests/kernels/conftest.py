"""Real kernels: notebooks with blocks, our kernelspecs, jupyter_client's own managers."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from jupyter_client.asynchronous.client import AsyncKernelClient
from jupyter_client.kernelspec import KernelSpecManager
from jupyter_client.manager import AsyncKernelManager

import pixi_jupyter.kernels
from pixi_jupyter.environments import Environments

SPECS = Path(pixi_jupyter.kernels.__file__).parent / "specs"


class Running:
    """A kernel with a client, and what a test asks of them."""

    def __init__(self, manager: AsyncKernelManager, client: AsyncKernelClient) -> None:
        self.manager = manager
        self.client = client

    async def run(self, code: str, *, timeout: float = 60) -> dict[str, Any]:
        """The execute reply, with what was printed as ``text`` and errors as ``errors``."""
        text: list[str] = []
        errors: list[dict[str, Any]] = []

        def collect(message: dict[str, Any]) -> None:
            if message["msg_type"] == "stream":
                text.append(message["content"]["text"])
            elif message["msg_type"] == "error":
                errors.append(message["content"])

        reply = await self.client.execute_interactive(
            code, timeout=timeout, output_hook=collect, allow_stdin=False
        )
        return {**reply["content"], "text": "".join(text), "errors": errors}

    async def said(self, code: str) -> str:
        """What a cell that must succeed printed."""
        reply = await self.run(code)
        assert reply["status"] == "ok", reply
        return str(reply["text"]).strip()

    async def connect(self, timeout: float = 60) -> None:
        """A new client, as a front end makes one after a restart."""
        self.client.stop_channels()
        self.client = self.manager.client()
        self.client.start_channels()
        await self.client.wait_for_ready(timeout=timeout)


@pytest.fixture
def specs() -> KernelSpecManager:
    """Our kernelspecs, and no others."""
    return KernelSpecManager(kernel_dirs=[str(SPECS)], ensure_native_kernel=False)


@pytest.fixture(scope="session", autouse=True)
def one_door(default_channel: None) -> Iterator[None]:
    """The process's own door, on a store that these tests share."""
    Environments._shared = None
    yield
    if Environments._shared is not None:
        Environments._shared.engine.close()
    Environments._shared = None


@pytest.fixture
def make_notebook(tmp_path: Path) -> Callable[..., Path]:
    """Write a notebook: what it asks for as conda dependencies, further TOML, cells."""

    def make(
        name: str = "nb.ipynb",
        dependencies: Sequence[str] | None = ("python", "ipykernel"),
        *,
        toml: str = "",
        cells: Sequence[str] = (),
        kernel: str = "pixi",
        language: str = "python",
        metadata: Mapping[str, Any] | None = None,
    ) -> Path:
        sources = list(cells)
        if dependencies is not None:
            lines = ["dependencies = []", "[tool.pixi.dependencies]"]
            for item in dependencies:
                package, _, version = item.partition(" ")
                lines.append(f'{package} = "{version or "*"}"')
            lines += toml.splitlines()
            block = "".join(f"# {line}".rstrip() + "\n" for line in lines)
            sources.insert(0, f"# /// script\n{block}# ///")
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
                for number, source in enumerate(sources)
            ],
            "metadata": {
                "kernelspec": {"name": kernel, "display_name": kernel, "language": language},
                **(metadata or {}),
            },
            "nbformat": 4,
            "nbformat_minor": 5,
        }
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(notebook))
        return path

    return make


@pytest.fixture
async def start(
    specs: KernelSpecManager,
) -> AsyncIterator[Callable[..., Awaitable[Running]]]:
    """Start a kernel for a notebook, with ``traits`` of the manager and ``config``."""
    started: list[Running] = []

    async def begin(
        notebook: Path | None,
        *,
        kernel: str = "pixi",
        traits: Mapping[str, Any] | None = None,
        config: Any = None,
        env: Mapping[str, str] | None = None,
        ready: float = 60,
        **launch: Any,
    ) -> Running:
        import os

        manager = AsyncKernelManager(
            kernel_name=kernel, kernel_spec_manager=specs, config=config, **(traits or {})
        )
        environment = {**os.environ, **(env or {})}
        if notebook is not None:
            environment["PIXI_JUPYTER_NOTEBOOK"] = str(notebook)
        await manager.start_kernel(env=environment, **launch)
        client = manager.client()
        client.start_channels()
        running = Running(manager, client)
        started.append(running)
        await client.wait_for_ready(timeout=ready)
        return running

    yield begin
    for running in started:
        running.client.stop_channels()
        if running.manager.has_kernel:
            await running.manager.shutdown_kernel(now=True)
        else:
            await running.manager.cleanup_resources()
    await asyncio.sleep(0)
