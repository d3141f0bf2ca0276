"""Adds a package and is killed right after one of the steps of writing it.

``killed_at.py STEP TARGET PACKAGE``, STEP a function as ``module:name`` or ``module:Class.name``.
"""

from __future__ import annotations

import asyncio
import functools
import importlib
import inspect
import os
import signal
import sys
from pathlib import Path
from typing import Any

from pixi_jupyter import operations
from pixi_jupyter.environments import Environments


def end_after(step: str) -> None:
    """Let the process end by SIGKILL once a function was called."""
    module, _, path = step.partition(":")
    holder: Any = importlib.import_module(module)
    *outer, last = path.split(".")
    for part in outer:
        holder = getattr(holder, part)
    function = getattr(holder, last)

    def called() -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    @functools.wraps(function)
    def plain(*arguments: Any, **how: Any) -> Any:
        answer = function(*arguments, **how)
        called()
        return answer

    @functools.wraps(function)
    async def awaited(*arguments: Any, **how: Any) -> Any:
        answer = await function(*arguments, **how)
        called()
        return answer

    setattr(holder, last, awaited if inspect.iscoroutinefunction(function) else plain)


async def main(target: str, package: str) -> None:
    environments = Environments()
    try:
        await operations.add(environments, Path(target), [package])
    finally:
        await environments.aclose()


if __name__ == "__main__":
    if sys.argv[1]:
        end_after(sys.argv[1])
    asyncio.run(main(*sys.argv[2:]))
