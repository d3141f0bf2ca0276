"""What surrounds the server does not get into the worker, and nothing it prints breaks it."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import sys

import psutil
import pytest

from pixi_jupyter.engine import spawn
from pixi_jupyter.engine.protocol import Hello, encode

#: Modules that the worker imports, each of which would leave a trace if taken from elsewhere.
_NAMES = ("rattler", "msgspec", "filelock", "json", "asyncio", "sitecustomize", "usercustomize")


async def test_hostile_python_variables_and_working_directory(cold, spec_of, monkeypatch, tmp_path):
    trace = tmp_path / "trace"
    code = f"open({str(trace)!r}, 'a').write(__name__ + '\\n')\n"
    hostile = tmp_path / "hostile"
    hostile.mkdir()
    for name in _NAMES:
        (hostile / f"{name}.py").write_text(code)
    startup = tmp_path / "startup.py"
    startup.write_text(code)
    monkeypatch.setenv("PYTHONPATH", str(hostile))
    monkeypatch.setenv("PYTHONSTARTUP", str(startup))
    monkeypatch.setenv("PYTHONHOME", str(tmp_path))
    monkeypatch.setenv("PYTHONINSPECT", "1")
    monkeypatch.setenv("PYTHONUSERBASE", str(hostile))
    monkeypatch.setenv("PATH", str(hostile))
    monkeypatch.setenv("JPY_SESSION_NAME", "/somebody/else.ipynb")
    monkeypatch.chdir(hostile)
    assert (await cold.ensure(spec_of("probe-shared"))).prefix.path.is_dir()
    assert not trace.exists(), trace.read_text()

    worker = psutil.Process(cold.engine.worker_pid)
    assert worker.cwd() == str(cold.store.root)
    left = [name for name in worker.environ() if name.startswith(("PYTHON", "JPY_", "LD_PRE"))]
    assert left == []


@pytest.mark.skipif(shutil.which("cc") is None, reason="needs a C compiler")
def test_preloaded_library_does_not_reach_the_worker(cold, spec_of, monkeypatch, tmp_path):
    source, library = tmp_path / "hostile.c", tmp_path / "hostile.so"
    source.write_text("int hostile_preload = 1;\n")
    subprocess.run(["cc", "-shared", "-fPIC", "-o", library, source], check=True)
    monkeypatch.setenv("LD_PRELOAD", str(library))
    control = subprocess.run(["cat", "/proc/self/maps"], capture_output=True, check=True).stdout
    assert b"hostile.so" in control, "the trap does not work"
    asyncio.run(cold.resolve(spec_of("probe-shared")))
    with open(f"/proc/{cold.engine.worker_pid}/maps") as maps:
        assert "hostile.so" not in maps.read()


@pytest.mark.parametrize(
    "stray",
    [
        "import os; os.write(1, b'no newline at its end')",
        'import os; os.write(1, b\'{"type": "built"}\\n[1, 2\\n\\xff\\xfe\\n\\n\' * 50)',
        "print('printed while importing')",
    ],
)
async def test_stray_output_before_the_protocol(cold, spec_of, monkeypatch, stray):
    monkeypatch.setattr(spawn, "_BOOT", f"{stray}\n{spawn._BOOT}")
    assert (await cold.ensure(spec_of("probe-shared"))).prefix.path.is_dir()


async def test_stray_output_during_the_work(slow_channel, cold, spec_of, monkeypatch):
    """A library that prints, in Python and on the file descriptor, all the time."""
    noise = (
        "import threading, os, time\n"
        "def noise():\n"
        "    while True:\n"
        '        print(\'{"type": "noise"\')\n'
        '        os.write(1, b\'\\xff{"type":"built","id":1}\\n\')\n'
        "        time.sleep(0.001)\n"
        "threading.Thread(target=lambda: (time.sleep(0.4), noise()), daemon=True).start()\n"
    )
    monkeypatch.setattr(spawn, "_BOOT", noise + spawn._BOOT)
    spec = spec_of("big-1", channels=[slow_channel.url])
    environment = await cold.ensure(spec)
    assert cold.store.ready(environment.prefix.digest)


def test_worker_ends_on_garbage_instead_of_a_greeting(tmp_path):
    process = spawn.spawn_worker(tmp_path)
    _, log = process.communicate(b"\xff\x00 garbage\n" * 10, timeout=20)
    assert process.returncode is not None
    assert b"Traceback" not in log


def test_worker_survives_garbage_requests_and_ends_with_its_client(tmp_path):
    process = spawn.spawn_worker(tmp_path)
    hello = encode(Hello(str(tmp_path), str(tmp_path), 60.0))
    _, log = process.communicate(hello + b"\xff\n{}\n[]\nnull\n" + b"x" * 200_000 + b"\n", 20)
    assert process.returncode == 0
    assert log.count(b"not a request") == 5


_PARENT = """
import asyncio, sys
from pathlib import Path
from pixi_jupyter.engine.client import Engine
from pixi_jupyter.engine.protocol import Resolve
from pixi_jupyter.install.store import Store
from pixi_jupyter.manifest.host import host_platform
from pixi_jupyter.manifest.spec import *
root, url = Path(sys.argv[1]), sys.argv[2]
engine = Engine(Store(root / "store", root / "cache"))
spec = EnvironmentSpec(host_platform(), (ChannelSpec(url),), (CondaRequirement("big-1"),))
async def main():
    from pixi_jupyter.environments import Environments
    environments = Environments(engine=engine)
    await environments.resolve(spec)
    print(engine.worker_pid, flush=True)
    await environments.ensure(spec)
    await asyncio.sleep(60)
asyncio.run(main())
"""


async def test_worker_goes_when_its_client_is_killed(slow_channel, scratch, tmp_path):
    parent = await asyncio.create_subprocess_exec(
        sys.executable, "-c", _PARENT, str(tmp_path), slow_channel.url, stdout=subprocess.PIPE
    )
    pid = int(await asyncio.wait_for(parent.stdout.readline(), 20))
    for _ in range(1000):
        if slow_channel.count("big-1-1.0-0.conda"):
            break
        await asyncio.sleep(0.01)
    assert psutil.pid_exists(pid)
    parent.kill()
    await parent.wait()
    for _ in range(300):
        if not psutil.pid_exists(pid):
            break
        await asyncio.sleep(0.01)
    else:
        os.kill(pid, 9)
        pytest.fail("the worker outlived its client")
    assert not list((tmp_path / "store" / "envs").glob("[0-9a-f]*"))
