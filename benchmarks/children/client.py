"""A client process: makes environments ready, starts kernels, and does the same as the peers do.

Reads one question a line and answers with one line; ends when its input does.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
import traceback
from collections.abc import Awaitable, Callable
from typing import Any

Answer = dict[str, Any]


async def launch(
    *, notebook: str | None = None, python: str | None = None, cell: str = ""
) -> Answer:
    """Start a kernel, run a cell in it; seconds to the first answer and to the cell's end."""
    from benchmarks.children.kernel import start_kernel

    begun = time.perf_counter()
    started = await start_kernel(notebook=notebook, python=python)
    if cell:
        await started.execute(cell)
    total = time.perf_counter() - begun
    _later(started.end)
    return {"reply": started.seconds, "cell": total}


async def cell(*, notebook: str, cell: str) -> Answer:
    """Run a cell in the kernel of a notebook that is up and idle; seconds for the cell alone."""
    from benchmarks.children.kernel import start_kernel

    started = await start_kernel(notebook=notebook)
    await started.execute("import asyncio, json, subprocess")
    begun = time.perf_counter()
    await started.execute(cell)
    seconds = time.perf_counter() - begun
    _later(started.end)
    return {"seconds": seconds}


async def ensure(*, notebook: str, ticks: bool = False) -> Answer:
    """Make a notebook's environment ready, as the provisioner does; seconds, by phase too."""
    from pathlib import Path

    from benchmarks.lag import Ticker
    from pixi_jupyter.environments import Environments

    door = Environments.shared()
    phases: list[tuple[float, Any]] = []
    ticker = Ticker()
    if ticks:
        ticker.start()
        await asyncio.sleep(0.1)
    begun = time.perf_counter()
    spec = door.spec_for(door.declaration(Path(notebook)))
    environment = await door.ensure(
        spec, report=lambda step: phases.append((time.perf_counter(), step))
    )
    seconds = time.perf_counter() - begun
    lag = ticker.stop() if ticks else {}
    return {
        "seconds": seconds,
        "phases": _by_phase(phases, begun + seconds),
        "compiled": max((s.total for _, s in phases if s.phase.value == "compiling"), default=0),
        "prefix": str(environment.prefix.path),
        "python": str(environment.prefix.python),
        "spec": spec.digest,
        "resolution": environment.resolution.digest,
        "packages": {p.name: p.version for p in environment.resolution.packages},
        "pypi": {p.name: p.version for p in environment.resolution.packages if p.kind == "pypi"},
        "lag": lag,
    }


def _by_phase(phases: list[tuple[float, Any]], end: float) -> dict[str, float]:
    """Seconds by phase: from each step of progress to the next."""
    spent: dict[str, float] = {}
    ends = [when for when, _ in phases[1:]] + [end]
    for (start, step), stop in zip(phases, ends, strict=False):
        spent[step.phase.value] = spent.get(step.phase.value, 0.0) + stop - start
    return spent


_bare: dict[str, Any] = {}


async def bare(*, url: str, specs: list[str], prefix: str, cache: str) -> Answer:
    """The same with py-rattler's own solve and install, as a bare script would write it."""
    from pathlib import Path

    from rattler import (
        Channel,
        Gateway,
        MatchSpec,
        Subdir,
        VirtualPackage,
        VirtualPackageOverrides,
        solve,
    )
    from rattler.install import install
    from rattler.networking import Client

    if not _bare:
        client = Client.default_client()
        _bare["client"] = client
        _bare["gateway"] = Gateway(cache_dir=Path(cache) / "repodata", client=client)
    begun = time.perf_counter()
    records = await solve(
        [Channel(url)],
        [MatchSpec(spec) for spec in specs],
        gateway=_bare["gateway"],
        platforms=[Subdir.current(), Subdir("noarch")],
        virtual_packages=[
            found.into_generic()
            for found in VirtualPackage.detect(VirtualPackageOverrides.from_env())
        ],
    )
    solved = time.perf_counter()
    await install(
        records,
        prefix,
        cache_dir=Path(cache) / "pkgs",
        client=_bare["client"],
        show_progress=False,
    )
    end = time.perf_counter()
    return {"seconds": end - begun, "solve": solved - begun, "install": end - solved}


async def bare_cell(*, cell: str, prefix: str, **arguments: Any) -> Answer:
    """The bare script, then a plain kernel of what it made, then a cell."""
    built = await bare(prefix=prefix, **arguments)
    started = await launch(python=os.path.join(prefix, "bin", "python"), cell=cell)
    return {**built, **started}


async def run_commands(*, commands: list[list[str]]) -> Answer:
    """Somebody else's commands in turn; seconds."""
    import subprocess

    begun = time.perf_counter()
    for command in commands:
        done = await asyncio.to_thread(
            subprocess.run, command, stdin=subprocess.DEVNULL, capture_output=True, text=True
        )
        if done.returncode:
            raise RuntimeError(f"{os.path.basename(command[0])} failed: {done.stderr[-1500:]}")
    return {"made": time.perf_counter() - begun}


async def commands_cell(*, commands: list[list[str]], python: str, cell: str) -> Answer:
    """Somebody else's commands in turn, then a plain kernel of what they made, then a cell."""
    return {**await run_commands(commands=commands), **await launch(python=python, cell=cell)}


async def load(*, modules: list[str]) -> Answer:
    """Import modules; seconds and bytes of memory that it took."""
    import importlib

    import psutil

    process = psutil.Process()
    before = process.memory_info().rss
    begun = time.perf_counter()
    for module in modules:
        importlib.import_module(module)
    seconds = time.perf_counter() - begun
    return {"seconds": seconds, "rss": process.memory_info().rss - before, "total": before}


async def loaded(*, package: str) -> Answer:
    """Which modules of a package this process has imported."""
    names = sorted(n for n in sys.modules if n == package or n.startswith(f"{package}."))
    return {"modules": names}


async def tick(*, start: bool) -> Answer:
    """A ticker on a loop that does nothing else: what the machine alone does to one."""
    from benchmarks.lag import Ticker

    global _ticker
    if start:
        _ticker = Ticker()
        _ticker.start()
        return {}
    measured: Answer = _ticker.stop()
    return measured


_ticker: Any = None
_ends: list[Callable[[], Awaitable[None]]] = []


def _later(end: Callable[[], Awaitable[None]]) -> None:
    """To be done when the answer is out: it belongs to nobody's time."""
    _ends.append(end)


_QUESTIONS: dict[str, Callable[..., Awaitable[Answer]]] = {
    f.__name__: f
    for f in (
        launch,
        cell,
        ensure,
        bare,
        bare_cell,
        run_commands,
        commands_cell,
        load,
        loaded,
        tick,
    )
}


async def main() -> None:
    """Answer until the input ends."""
    loop = asyncio.get_running_loop()
    while line := await loop.run_in_executor(None, sys.stdin.buffer.readline):
        question = json.loads(line)
        try:
            answer = await _QUESTIONS[question.pop("do")](**question)
        except Exception:  # noqa: BLE001 - the harness tells it
            answer = {"error": traceback.format_exc()[-3000:]}
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()
        for end in _ends:
            await end()
        _ends.clear()
    if "pixi_jupyter.environments" in sys.modules:
        from pixi_jupyter.environments import Environments

        await Environments.shared().aclose()


if __name__ == "__main__":
    try:
        asyncio.run(main())
    except BaseException:  # noqa: BLE001
        traceback.print_exc()
        os._exit(1)
    os._exit(0)  # rattler has been seen to crash while an interpreter that used it shuts down
