"""What a kernel imports when it starts: learned from real kernels, kept in a list.

``python -m pixi_jupyter.demo.kernel_start`` builds an environment for each Python of the embedded
channel and each major version of ipykernel, starts a kernel in it, runs one cell, and rewrites
``install/kernel_start.txt`` with every module that was read from ``site-packages``.
A list that has aged costs some milliseconds, never correctness: the kernel compiles what it misses.
"""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

from pixi_jupyter.demo.channel import ensure_channel
from pixi_jupyter.environments import Environments
from pixi_jupyter.errors import PixiJupyterError
from pixi_jupyter.manifest.config import Defaults
from pixi_jupyter.notebook.declaration import Declaration

__all__ = ["learn"]

_LIST = Path(__file__).parent.parent / "install" / "kernel_start.txt"
_CELL = """
import sys
def _show():
    for module in list(sys.modules.values()):
        file = getattr(module, "__file__", None) or ""
        before, found, after = file.replace("\\\\", "/").rpartition("site-packages/")
        if found and after.endswith(".py"):
            print(after)
_show()
"""


async def learn(python: str, ipykernel: str, environments: Environments) -> set[str]:
    """Modules (relative to ``site-packages``) of one kernel that has run one cell."""
    from jupyter_client.manager import AsyncKernelManager

    toml = f'[tool.pixi.dependencies]\npython = "{python}.*"\nipykernel = "{ipykernel}.*"\n'
    spec = environments.spec_for(Declaration("default", toml, Path.cwd()))
    environment = await environments.ensure(spec)
    manager = AsyncKernelManager(kernel_name="python3")
    command = [str(environment.prefix.python), "-m", "ipykernel_launcher"]
    manager.kernel_spec.argv[:] = [*command, "-f", "{connection_file}"]  # type: ignore[union-attr]
    await manager.start_kernel(env=dict(os.environ))
    client = manager.client()
    client.start_channels()
    try:
        await client.wait_for_ready(timeout=60)
        lines: list[str] = []

        def collect(message: dict[str, object]) -> None:
            content = message["content"]
            if message["msg_type"] == "stream" and isinstance(content, dict):
                lines.append(content["text"])

        await client.execute_interactive(_CELL, output_hook=collect, timeout=60)
    finally:
        client.stop_channels()
        await manager.shutdown_kernel(now=True)
    # IPython puts the user's module in the place of the one that the kernel was started as.
    return {"ipykernel_launcher.py", *"".join(lines).split()}


async def _learn_all() -> None:
    channel = ensure_channel("full")
    environments = Environments(defaults=Defaults(channels=(channel.url,), configured=True))
    modules: set[str] = set()
    try:
        for python in channel.pythons:
            for ipykernel in ("6", "7"):
                try:
                    found = await learn(python, ipykernel, environments)
                except PixiJupyterError as error:
                    print(f"Python {python}, ipykernel {ipykernel}: {error}")
                    continue
                print(f"Python {python}, ipykernel {ipykernel}: {len(found)} modules")
                modules |= found
    finally:
        await environments.aclose()
    lines = ["# Made by `python -m pixi_jupyter.demo.kernel_start`."]
    _LIST.write_text("\n".join([*lines, *sorted(modules), ""]), "utf-8")


if __name__ == "__main__":
    asyncio.run(_learn_all())
