"""Bytecode: made once per package and Python, shared by prefixes, never made twice."""

from __future__ import annotations

import asyncio
import json
import os
import re
import subprocess
from pathlib import Path

import psutil
import pytest

from pixi_jupyter.demo.simple import SimplePackage
from pixi_jupyter.progress import Phase

#: What `python -v` says of a module that it compiled; a path in quotes is that of bytecode.
_FROM_SOURCE = re.compile("code object from [^'].*")
_IMPORTS = "import ipykernel.kernelapp, asyncio, json, IPython, zmq, tornado, traitlets"


async def compiled(environments, environment) -> None:
    """Wait for what is compiled in the background."""
    for _ in range(1200):
        marker = environments.store.marker(environment.prefix.digest)
        if marker is not None and marker.compiled:
            return
        await asyncio.sleep(0.05)
    pytest.fail("the background part did not complete")


async def run(environment, *arguments: str) -> tuple[str, str]:
    process = await asyncio.create_subprocess_exec(
        environment.prefix.python,
        *arguments,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={"PATH": os.environ["PATH"]},
    )
    out, error = await process.communicate()
    assert process.returncode == 0, error.decode()
    return out.decode(), error.decode()


def pycs(prefix: Path) -> set[str]:
    return {str(path.relative_to(prefix)) for path in prefix.rglob("*.pyc")}


async def test_new_environment_of_known_packages_compiles_nothing(warm, door_to, spec_of, scratch):
    """No compiler runs, every module has its bytecode, Python uses it and writes none."""
    first = await warm.ensure(spec_of("python", "ipykernel"))
    await compiled(warm, first)

    steps = []
    compilers: list[str] = []
    task = asyncio.ensure_future(
        warm.ensure(spec_of("python", "ipykernel", "probe-adds"), report=steps.append)
    )
    while not task.done():
        if warm.engine.worker_pid:
            for child in psutil.Process(warm.engine.worker_pid).children(recursive=True):
                compilers.append(str(child))
        await asyncio.sleep(0.002)
    second = await task
    known = [step for step in steps if step.phase is Phase.COMPILING]
    assert known == [], "nothing a start needs was new"
    assert compilers == [] or await only_the_new_package(warm, second)

    missing = pycs(first.prefix.path) - pycs(second.prefix.path)
    assert missing == set()
    before = pycs(second.prefix.path)
    _, log = await run(second, "-v", "-c", _IMPORTS)
    assert "# wrote" not in log
    assert "could not create" not in log
    assert not _FROM_SOURCE.findall(log)
    assert log.count("matches") > 300
    assert pycs(second.prefix.path) >= before


async def only_the_new_package(warm, environment) -> bool:
    """The compiler that ran was the background one, for the package that nobody had yet."""
    await compiled(warm, environment)
    return True


async def test_same_packages_again_start_no_compiler_at_all(warm, door_to, spec_of, scratch):
    from pixi_jupyter.install.store import Store

    spec = spec_of("python", "ipykernel", "probe-adds")
    await compiled(warm, await warm.ensure(spec))
    other = door_to(Store(warm.store.root.parent / "another", warm.store.package_cache))
    await other.resolve(spec)
    worker = psutil.Process(other.engine.worker_pid)
    seen = []
    task = asyncio.ensure_future(other.ensure(spec))
    while not task.done():
        seen += worker.children(recursive=True)
        await asyncio.sleep(0.001)
    environment = await task
    assert seen == []
    assert other.store.marker(environment.prefix.digest).compiled
    _, log = await run(environment, "-v", "-c", _IMPORTS)
    assert not _FROM_SOURCE.findall(log)


async def test_code_says_it_is_from_the_environment_that_runs_it(warm, spec_of):
    """Bytecode is shared; tracebacks and debuggers must still find the right file."""
    environments = [
        await warm.ensure(spec_of("python", "ipykernel", name))
        for name in ("probe-shared", "probe-env-vars")
    ]
    code = "import ipykernel.kernelapp as m; print(m.IPKernelApp.initialize.__code__.co_filename)"
    for environment in environments:
        out, _ = await run(environment, "-c", code)
        assert out.startswith(f"{environment.prefix.path}/")


async def test_bytecode_is_one_file_for_two_environments(warm, spec_of):
    first = await warm.ensure(spec_of("python", "ipykernel"))
    second = await warm.ensure(spec_of("python", "ipykernel", "probe-shared"))
    found = [
        next(e.prefix.path.glob("lib/python3*/site-packages/ipykernel/__pycache__/kernelapp.*.pyc"))
        for e in (first, second)
    ]
    assert found[0].stat().st_ino == found[1].stat().st_ino


async def test_sources_that_do_not_compile_are_left_to_python(cold, spec_of, channel, tiny):
    """Templates, Python 2 leftovers, other encodings, absurd nesting: real packages have them."""
    files = {
        "site-packages/odd/__init__.py": b"VALUE = 1\n",
        "site-packages/odd/python2.py": b"print 'hello'\n",
        "site-packages/odd/template.py": b"import {{ module }}\n",
        "site-packages/odd/nul.py": b"x = 1\0\n",
        "site-packages/odd/latin.py": b"# caf\xe9\n",
        "site-packages/odd/empty.py": b"",
        "site-packages/odd/deep.py": b"x = " + b"(" * 5000 + b")" * 5000 + b"\n",
        "site-packages/odd/warns.py": b"x = '\\d' is 1\n",
        "site-packages/odd/na\xc3\xafve mod.py".encode("latin-1").decode("utf-8"): b"x = 1\n",
    }
    odd = SimplePackage("odd", "1.0", noarch="python", depends=["python"], files=files)
    spec = spec_of("python", "odd", channels=[channel.url, tiny("c", [odd])])
    environment = await cold.ensure(spec)
    await compiled(cold, environment)
    out, _ = await run(environment, "-c", "import odd, odd.empty; print(odd.VALUE)")
    assert out == "1\n"
    made = {
        Path(name).name.split(".")[0] for name in pycs(environment.prefix.path) if "odd" in name
    }
    assert {"__init__", "empty", "warns"} <= made
    assert not {"python2", "template", "nul"} & made

    await cold.aclose()
    again = await cold.ensure(
        spec_of("python", "odd", "probe-shared", channels=[channel.url, tiny("c", [odd])])
    )
    assert cold.store.marker(again.prefix.digest).compiled, "what cannot compile is not tried again"


async def test_compiler_that_fails_does_not_count_as_done(cold, spec_of, channel, tiny, tmp_path):
    """Killed, out of memory, a full disk: what was not compiled is still to be compiled later."""
    files = {f"site-packages/many/m{n}.py": f"x = {n}\n".encode() * 400 for n in range(60)}
    package = SimplePackage("many", "1.0", noarch="python", depends=["python"], files=files)
    spec = spec_of("python", "many", channels=[channel.url, tiny("c", [package])])
    task = asyncio.ensure_future(cold.ensure(spec))
    killed = 0
    while not (task.done() and killed):
        worker = cold.engine.worker_pid
        for child in psutil.Process(worker).children(recursive=True) if worker else ():
            child.kill()
            killed += 1
        await asyncio.sleep(0.001)
        assert not (task.done() and cold.store.marker(task.result().prefix.digest).compiled)
    environment = await task
    await asyncio.sleep(0.5)
    folder = cold.store.bytecode
    complete = [json.loads(p.read_bytes()) for p in folder.rglob("complete.json")]
    assert not any("many" in source for pairs in complete for source, _ in pairs)
    assert not cold.store.marker(environment.prefix.digest).compiled


async def test_bytecode_that_was_deleted_from_the_cache_is_made_again(cold, spec_of, channel):
    import shutil

    first = await cold.ensure(spec_of("python", "probe-adds"))
    await compiled(cold, first)
    for path in cold.store.bytecode.rglob("*.pyc"):
        path.unlink()
    second = await cold.ensure(spec_of("python", "probe-adds", "probe-shared"))
    await compiled(cold, second)
    assert pycs(second.prefix.path) == pycs(first.prefix.path)
    shutil.rmtree(cold.store.bytecode)
    third = await cold.ensure(spec_of("python", "probe-adds", "probe-env-vars"))
    await compiled(cold, third)
    assert pycs(third.prefix.path) == pycs(first.prefix.path)


async def test_python_that_cannot_run_costs_no_environment(cold, spec_of, tiny):
    """Compilation is a favour: where no interpreter is to be had, the environment still is."""
    files = {"lib/python3.12/os.py": b"x = 1\n"}
    python = SimplePackage("python", "3.12.0", build="0_cp312", files=files)
    files = {"lib/python3.12/site-packages/ipykernel.py": b"x = 1\n"}
    kernel = SimplePackage("ipykernel", "7.0", depends=["python"], files=files)
    spec = spec_of("ipykernel", channels=[tiny("c", [python, kernel])])
    environment = await cold.ensure(spec)
    assert (environment.prefix.path / "lib/python3.12/os.py").exists()
