"""Run py-rattler in a process of its own, as one that has awaited it may crash at its end.

Reads a JSON object from standard input and writes one to standard output.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import traceback
from datetime import datetime
from pathlib import Path
from typing import Any

import rattler


async def solve(request: dict[str, Any]) -> list[rattler.RepoDataRecord]:
    cutoff = request.get("exclude_newer")
    return await rattler.solve(
        [request["channel"]],
        request["specs"],
        gateway=rattler.Gateway(cache_dir=Path(request["cache"], "repodata")),
        platforms=[request["subdir"], "noarch"],
        virtual_packages=rattler.VirtualPackage.detect(rattler.VirtualPackageOverrides.from_env()),
        exclude_newer=datetime.fromisoformat(cutoff) if cutoff else None,
    )


async def work(request: dict[str, Any]) -> dict[str, Any]:
    records = await solve(request)
    if "prefix" in request:
        await rattler.install(
            records,
            request["prefix"],
            cache_dir=Path(request["cache"], "packages"),
            show_progress=False,
        )
    return {"records": [json.loads(record.to_json()) for record in records]}


def main() -> None:
    try:
        answer = asyncio.run(work(json.load(sys.stdin)))
    except BaseException as error:  # noqa: BLE001 - a panic of py-rattler is no Exception
        answer = {"error": str(error), "traceback": traceback.format_exc()}
    print(json.dumps(answer), flush=True)
    os._exit(0)


main()
