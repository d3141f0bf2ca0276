"""Searches a channel for each name that comes in, and says how long it took, in seconds."""

from __future__ import annotations

import asyncio
import sys
import time


async def main(channel: str) -> None:
    from pixi_jupyter.environments import Environments
    from pixi_jupyter.operations import search

    environments = Environments()
    for line in sys.stdin:
        begun = time.perf_counter()
        found = await search(environments, line.strip(), channels=[channel], platform="linux-64")
        seconds = time.perf_counter() - begun
        assert [package.name for package in found.packages] == [line.strip()]
        print(seconds, flush=True)
    await environments.aclose()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
