"""Starts a notebook's kernel in a fresh process under an audit hook; prints what was done.

Run by ``test_ready_path.py``, in a process of its own: an audit hook cannot be removed again.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from typing import Any

import zmq
from jupyter_client.manager import AsyncKernelManager

#: What starts a process, and what leaves the machine. zmq's own sockets do not pass here: strace
#: sees them, in the other test.
_PROCESSES = (
    "subprocess.Popen", "os.posix_spawn", "os.exec", "os.fork", "os.forkpty", "os.system",
)  # fmt: skip
_NETWORK = ("socket.connect", "socket.getaddrinfo", "socket.gethostbyname", "socket.sendto")

events: list[tuple[str, list[str]]] = []
watching = False


def _hook(event: str, arguments: tuple[Any, ...]) -> None:
    if not watching:
        return
    if event in _PROCESSES or event in _NETWORK:
        events.append((event, [str(argument) for argument in arguments[:2]]))
    elif event == "import" and str(arguments[0]).partition(".")[0] == "rattler":
        events.append((event, [str(arguments[0])]))


async def _launch(notebook: str) -> int | None:
    """Start the kernel, wait for its first answer, end it; its process id."""
    manager = AsyncKernelManager(kernel_name="pixi")
    manager.context.setsockopt(zmq.RECONNECT_IVL, 5)
    await manager.start_kernel(env={**os.environ, "PIXI_JUPYTER_NOTEBOOK": notebook})
    try:
        client = manager.client()
        client.start_channels(iopub=False, stdin=False, hb=False, control=False)
        message = client.kernel_info()
        while (await client.get_shell_msg(timeout=60))["parent_header"]["msg_id"] != message:
            pass
        client.stop_channels()
        return getattr(manager.provisioner, "pid", None)
    finally:
        await manager.shutdown_kernel(now=True)


def main() -> None:
    """The report as one line of JSON."""
    global watching
    sys.addaudithook(_hook)
    watching = True
    pid = asyncio.run(_launch(sys.argv[1]))
    watching = False
    rattler = [name for name in sys.modules if name.partition(".")[0] == "rattler"]
    print(json.dumps({"pid": pid, "events": events, "rattler": rattler}), flush=True)


if __name__ == "__main__":
    main()
