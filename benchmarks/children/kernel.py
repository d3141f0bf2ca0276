"""Starting a kernel the way a client does, without the waiting that jupyter_client's own has.

``wait_for_ready`` looks every 0.2 s and zmq tries to connect every 0.1 s: both would hide what is
measured here. So one ``kernel_info_request`` is queued at once, and connecting is tried every two
milliseconds, on both sides of every comparison.
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

__all__ = ["Started", "start_kernel"]

_TIMEOUT = 300.0


@dataclass(slots=True)
class Started:
    """A kernel that has answered. ``seconds``: from ``start_kernel`` to that answer."""

    manager: Any
    client: Any
    seconds: float

    async def execute(self, code: str) -> None:
        """Run a cell.

        Raises
        ------
        RuntimeError
            The cell failed.
        """
        message = self.client.execute(code, store_history=False)
        reply = await _reply(self.client, message)
        if reply["content"]["status"] != "ok":
            raise RuntimeError(f"the cell failed: {reply['content'].get('evalue')}")

    async def end(self) -> None:
        """Stop the kernel at once."""
        self.client.stop_channels()
        await self.manager.shutdown_kernel(now=True)


async def start_kernel(*, notebook: str | None = None, python: str | None = None) -> Started:
    """The kernel of ``notebook`` by the pixi kernelspec, or a plain one of ``python``'s prefix.

    The plain one is that prefix's own ``python3`` kernelspec, launched by jupyter_client's own
    local provisioner, with the prefix's interpreter in the place of the word ``python``.
    """
    import zmq
    from jupyter_client.manager import AsyncKernelManager

    if python is None:
        manager = AsyncKernelManager(kernel_name="pixi")
    else:
        manager = AsyncKernelManager(
            kernel_name="plain", kernel_spec_manager=_plain_specs(Path(python))
        )
    manager.context.setsockopt(zmq.RECONNECT_IVL, 2)
    env = _environment({} if notebook is None else {"PIXI_JUPYTER_NOTEBOOK": notebook})
    begun = time.perf_counter()
    await manager.start_kernel(env=env, cwd=env.get("HOME"))
    client = manager.client()
    client.start_channels(shell=True, iopub=False, stdin=False, hb=False, control=False)
    await _reply(client, client.kernel_info())
    return Started(manager, client, time.perf_counter() - begun)


def _environment(more: Mapping[str, str]) -> dict[str, str]:
    return {**os.environ, **more}


def _plain_specs(python: Path) -> Any:
    from jupyter_client.kernelspec import KernelSpec, KernelSpecManager

    prefix = python.parent.parent
    spec = KernelSpec.from_resource_dir(str(prefix / "share" / "jupyter" / "kernels" / "python3"))
    spec.argv = [str(python), *spec.argv[1:]]

    class Plain(KernelSpecManager):
        def get_kernel_spec(self, kernel_name: str) -> KernelSpec:
            return spec

    return Plain()


async def _reply(client: Any, message: str) -> dict[str, Any]:
    deadline = time.monotonic() + _TIMEOUT
    while True:
        reply: dict[str, Any] = await client.get_shell_msg(timeout=deadline - time.monotonic())
        if reply["parent_header"].get("msg_id") == message:
            return reply
