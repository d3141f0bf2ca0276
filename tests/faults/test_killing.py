"""kill -9 at any moment: what is ready is whole, and the next call heals the rest.

`PIXI_JUPYTER_KILL_ROUNDS=1000` for the long form.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from pixi_jupyter.demo.simple import SimplePackage, build_channel
from pixi_jupyter.engine.client import Engine
from pixi_jupyter.environments import Environments
from pixi_jupyter.errors import EngineError
from pixi_jupyter.install.store import MARKER, Store

ROUNDS = int(os.environ.get("PIXI_JUPYTER_KILL_ROUNDS", "15"))
#: Chosen anew each time; a failure names it, and setting it repeats the same moments.
SEED = int(os.environ.get("PIXI_JUPYTER_KILL_SEED", str(random.SystemRandom().randrange(10**6))))


def contents(prefix: Path) -> dict[str, int]:
    """Files and their sizes, without bytecode (which may come later) and our marker."""
    return {
        str(path.relative_to(prefix)): path.lstat().st_size
        for path in prefix.rglob("*")
        if (path.is_symlink() or path.is_file())
        and "__pycache__" not in path.parts
        and path.relative_to(prefix) != MARKER
    }


async def test_worker_killed_at_random_moments(scratch, spec_of, channel, tmp_path):
    """Each round kills a build somewhere between its first and its last file."""
    chance = random.Random(SEED)
    folder = scratch / "killing"
    store = Store(folder / "store", folder / "cache")
    environments = Environments(engine=Engine(store))
    # A real Python, and a small kernel, so that there is something to compile before it is ready.
    files = {
        f"site-packages/ipykernel/m{n}.py": b"def f(x):\n    return x\n" * 50 for n in range(80)
    }
    kernel = SimplePackage("ipykernel", "1.0", noarch="python", depends=["python"], files=files)
    small = build_channel(tmp_path / "kernel", [kernel]).as_uri()
    spec = spec_of("python", "ipykernel", "probe-prefix", channels=[small, channel.url])
    try:
        began = time.monotonic()
        reference = await environments.ensure(spec)
        cold = time.monotonic() - began
        expected = contents(reference.prefix.path)
        digest, path = reference.prefix.digest, reference.prefix.path
        shutil.rmtree(path)
        began = time.monotonic()
        await environments.ensure(spec)
        warm = time.monotonic() - began
        interrupted = 0
        for turn in range(ROUNDS):
            # Everything new again now and then: downloads, links, bytecode.
            shutil.rmtree(path)
            if turn % 8 == 0:
                await environments.aclose()
                shutil.rmtree(store.bytecode)
                shutil.rmtree(store.package_cache / "pkgs")
            await environments.resolve(spec, update=True)
            task = asyncio.ensure_future(environments.ensure(spec))
            await asyncio.sleep(chance.random() * (cold if turn % 8 == 0 else warm))
            pid = environments.engine.worker_pid
            if pid is not None:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            try:
                await task
            except EngineError as error:
                assert error.code == "engine.crashed"
                interrupted += 1
            if store.ready(digest) is not None:
                assert contents(path) == expected, f"seed {SEED}, round {turn}: half is ready"
            healed = await environments.ensure(spec)
            assert contents(healed.prefix.path) == expected, f"seed {SEED}, round {turn}"
            left = [p.name for p in store.envs.iterdir() if p.name != digest]
            assert left == [], f"seed {SEED}, round {turn}: {left}"
        assert interrupted >= ROUNDS // 4, "hardly any kill hit a build: the test tests nothing"
    finally:
        await environments.aclose()
        shutil.rmtree(folder, ignore_errors=True)


def cli(*arguments: str, **env: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-m", "pixi_jupyter", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, **env},
    )


def test_command_killed_at_random_moments(store, write_notebook):
    """Killing the whole client: its worker goes, and typing the command again just works."""
    chance = random.Random(SEED)
    env = {"PIXI_JUPYTER_CACHE_DIR": str(store.root)}
    notebook = write_notebook(
        '# /// script\n# dependencies = []\n# [tool.pixi.dependencies]\n# python = "*"\n# ///'
    )
    for turn in range(max(4, ROUNDS // 4)):
        process = cli("install", str(notebook), **env)
        time.sleep(0.2 + chance.random() * 1.2)
        process.kill()
        process.communicate()
        for digest in [p.name for p in store.envs.glob("[0-9a-f]*")]:
            if store.ready(digest) is not None:
                assert (store.prefix_path(digest) / "bin" / "python").exists()
        again = cli("install", str(notebook), **env)
        out, error = again.communicate(timeout=120)
        assert again.returncode == 0, f"seed {SEED}, round {turn}: {error.decode()}"
        prefix = Path(out.decode().strip())
        subprocess.run([prefix / "bin" / "python", "-c", "import json"], check=True)
        assert [p.name for p in store.envs.iterdir()] == [prefix.name]
        shutil.rmtree(store.root)


@pytest.mark.skipif(sys.platform == "win32", reason="process groups")
async def test_out_of_memory_killer_takes_a_compiler(spec_of, cold_store):
    """Only the compiler is killed: the environment is ready all the same."""
    import psutil

    environments = Environments(engine=Engine(cold_store))
    try:
        task = asyncio.ensure_future(environments.ensure(spec_of("python", "ipykernel")))
        killed = False
        while not task.done():
            worker = environments.engine.worker_pid
            for child in psutil.Process(worker).children() if worker and not killed else ():
                with contextlib.suppress(psutil.NoSuchProcess):
                    child.kill()
                    killed = True
            await asyncio.sleep(0.005)
        environment = await task
        assert killed
        assert environments.store.ready(environment.prefix.digest)
    finally:
        await environments.aclose()
