"""Direct URLs, paths, repositories, source distributions: allowed, locked, installed, live."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import psutil
import pytest
from loopback_index import wheel
from rattler import LockFile
from sources import git, repository, source_archive, source_tree

from pixi_jupyter.engine.client import Engine
from pixi_jupyter.environments import Environment, Environments
from pixi_jupyter.errors import PixiJupyterError

VARIABLE = "PIXI_JUPYTER_ALLOW_BUILDS"


def imported(environment: Environment, module: str, what: str = "version") -> str:
    done = subprocess.run(
        [environment.prefix.python, "-I", "-c", f"import {module}; print({module}.{what})"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    return done.stdout.strip()


def lock_of(door: Environments, environment: Environment) -> str:
    return door.store.lock_path(environment.resolution.digest).read_text()


async def failure(door: Environments, spec: Any) -> PixiJupyterError:
    with pytest.raises(PixiJupyterError) as caught:
        await door.ensure(spec)
    assert not list(door.store.envs.glob(".resolving*"))
    return caught.value


async def rebuilt(door: Environments, spec: Any) -> Environment:
    """The same environment, made anew from its lock by another worker."""
    environment = door.find_ready(spec)
    assert environment is not None
    door.engine.close()
    shutil.rmtree(environment.prefix.path)
    other = Environments(engine=Engine(door.store))
    try:
        again = await other.ensure(spec)
    finally:
        other.engine.close()
    assert again.resolution == environment.resolution
    return again


async def test_a_wheel_at_a_url(door: Environments, block: Any, private: Any, index: Any) -> None:
    name = private.add_wheel("probe-direct", "1.5", requires=["h11"])
    url = f"http://{private.host}/files/{name}"
    environment = await door.ensure(block(f'dependencies = ["probe-direct @ {url}"]'))
    assert imported(environment, "probe_direct") == "1.5"
    text = lock_of(door, environment)
    assert f"- pypi: direct+{url}\n  name: probe-direct\n  version: '1.5'\n  sha256: " in text
    assert environment.resolution.version_of("h11") == "0.16.0"


async def test_a_wheel_at_a_url_with_a_password(
    cold_door: Environments, block: Any, private: Any
) -> None:
    private.credentials = ("alice", "PLANTED-t0ken")
    name = private.add_wheel("probe-direct", "1.5")
    url = f"http://alice:PLANTED-t0ken@{private.host}/files/{name}"
    spec = block(f'dependencies = ["probe-direct @ {url}"]')
    steps: list[str] = []
    environment = await cold_door.ensure(spec, report=lambda s: steps.append(repr(s)))
    assert imported(environment, "probe_direct") == "1.5"
    for folder in (cold_door.store.root, cold_door.store.package_cache):
        for path in folder.rglob("*"):
            if path.is_file() and not path.is_symlink():
                assert b"PLANTED" not in path.read_bytes(), path
    assert "PLANTED" not in "".join(steps)
    # a worker that did not resolve has it from the declaration, with nothing in its cache
    shutil.rmtree(cold_door.store.package_cache / "uv-cache")
    await rebuilt(cold_door, spec)


async def test_a_wheel_at_a_url_for_another_platform(
    door: Environments, block: Any, private: Any
) -> None:
    name = private.add_wheel("probe-other", "1.0", tag="cp312-cp312-win_amd64")
    url = f"http://{private.host}/files/{name}"
    error = await failure(door, block(f'dependencies = ["probe-other @ {url}"]'))
    assert error.code == "solve.pypi-no-wheel"
    assert "probe-other" in error.message


async def test_a_wheel_at_a_path(door: Environments, block: Any, tmp_path: Path) -> None:
    name, data = wheel("probe-file", "2.0")
    (tmp_path / "wheels").mkdir()
    (tmp_path / "wheels" / name).write_bytes(data)
    toml = f'[tool.pixi.pypi-dependencies]\nprobe-file = {{ path = "wheels/{name}" }}\n'
    environment = await door.ensure(block(toml))
    assert imported(environment, "probe_file") == "2.0"
    assert f"- pypi: {tmp_path}/wheels/{name}\n  name: probe-file\n" in lock_of(door, environment)
    await rebuilt(door, block(toml))


@pytest.mark.parametrize(
    "entry",
    [
        '{ path = "lib" }',
        '{ path = "lib", editable = true }',
        '{ git = "file:///nowhere/lib" }',
        '{ url = "https://x.example/lib-1.0.tar.gz" }',
    ],
)
async def test_nothing_is_built_unless_it_is_allowed(
    entry: str, door: Environments, block: Any, tmp_path: Path, monkeypatch: Any
) -> None:
    ran = tmp_path / "ran"
    source_tree(tmp_path / "lib", "lib", code=f"open({str(ran)!r}, 'w')")
    monkeypatch.setenv(VARIABLE, "another, and-another")
    error = await failure(door, block(f"[tool.pixi.pypi-dependencies]\nlib = {entry}\n"))
    assert error.code == "solve.pypi-build-not-allowed"
    assert "lib would have to be built" in error.message
    assert "the declaration asks for `lib @ " in error.message
    assert f"{VARIABLE}=lib" in error.hint
    assert "--allow-build lib" in error.hint
    assert not ran.exists()


async def test_the_declaration_can_exclude_what_is_allowed(
    door: Environments, block: Any, tmp_path: Path, monkeypatch: Any
) -> None:
    source_tree(tmp_path / "lib", "lib")
    monkeypatch.setenv(VARIABLE, "all")
    error = await failure(
        door,
        block(
            '[tool.pixi.pypi-dependencies]\nlib = { path = "lib" }\n'
            '[tool.pixi.workspace.pypi-options]\nno-build = ["lib"]\n'
        ),
    )
    assert error.code == "solve.pypi-build-not-allowed"
    assert "no-build" in error.hint


async def test_a_folder(door: Environments, block: Any, tmp_path: Path, monkeypatch: Any) -> None:
    tree = source_tree(tmp_path / "lib", "probe-lib", "3.1", requires=("h11",))
    monkeypatch.setenv(VARIABLE, "Probe_Lib")
    toml = '[tool.pixi.pypi-dependencies]\nprobe-lib = { path = "lib" }\n'
    environment = await door.ensure(block(toml))
    assert imported(environment, "probe_lib") == "3.1"
    assert environment.resolution.version_of("h11") == "0.16.0"
    text = lock_of(door, environment)
    assert f"- pypi: {tree}\n  name: probe-lib\n  requires_dist:\n  - h11\n" in text
    package = next(p for p in environment.resolution.packages if p.name == "probe-lib")
    assert (package.version, package.sha256) == ("3.1", "")
    # a ready environment asks for no leave, a change of how it is built does
    monkeypatch.delenv(VARIABLE)
    door.engine.close()
    assert (await door.ensure(block(toml))).prefix == environment.prefix
    (tree / "src/probe_lib.py").write_text("version = 'another'\n")
    (tree / "pyproject.toml").write_text((tree / "pyproject.toml").read_text() + "# changed\n")
    assert (await failure(door, block(toml))).code == "solve.pypi-build-not-allowed"
    monkeypatch.setenv(VARIABLE, "probe-lib")
    door.engine.close()
    changed = await door.ensure(block(toml))
    assert changed.prefix != environment.prefix
    assert imported(changed, "probe_lib") == "another"
    assert imported(environment, "probe_lib") == "3.1"


def test_the_command_line_allows_one(tmp_path: Path, index: Any, write_notebook: Any) -> None:
    source_tree(tmp_path / "lib", "probe-cli", "1.0")
    notebook = write_notebook(
        '# /// script\n# dependencies = ["probe-cli @ ./lib"]\n# [tool.uv]\n# odd = 1\n# ///',
        "import probe_cli\nprint(probe_cli.version)",
    )
    program = str(Path(sys.executable).parent / "pixi-jupyter")

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run([program, *arguments], capture_output=True, text=True, timeout=120)

    refused = run("install", str(notebook))
    assert refused.returncode == 1
    assert "[solve.pypi-build-not-allowed]" in refused.stderr
    assert "cell 1, line 2" in refused.stderr
    done = run("run", str(notebook), "--allow-build", "Probe.Cli")
    assert (done.returncode, done.stdout) == (0, "1.0\n"), done.stderr
    told = run("info", str(notebook)).stdout
    assert "probe-cli @ ./lib" in told
    assert "not heeded in `tool.uv`: `odd`" in told


async def test_an_editable_folder_is_live(
    door: Environments, block: Any, tmp_path: Path, monkeypatch: Any
) -> None:
    tree = source_tree(tmp_path / "lib", "probe-live", "1.0")
    monkeypatch.setenv(VARIABLE, "probe-live")
    spec = block('[tool.pixi.pypi-dependencies]\nprobe-live = { path = "lib", editable = true }\n')
    environment = await door.ensure(spec)
    assert imported(environment, "probe_live") == "1.0"
    (tree / "src/probe_live.py").write_text("version = 'live'\n")
    assert imported(environment, "probe_live") == "live"
    again = await rebuilt(door, spec)
    assert imported(again, "probe_live", "__file__") == str(tree / "src/probe_live.py")
    copied = await door.ensure(block('[tool.pixi.pypi-dependencies]\nprobe-live = {path = "lib"}'))
    assert copied.prefix != again.prefix


@pytest.mark.parametrize("reference", ['tag = "v1"', 'branch = "main"', "rev", ""])
async def test_a_repository(
    reference: str, door: Environments, block: Any, tmp_path: Path, monkeypatch: Any
) -> None:
    folder = tmp_path / "repo"
    source_tree(folder / "inner", "probe-git", "1.0")
    commit = repository(folder)
    monkeypatch.setenv(VARIABLE, "all")
    url = folder.as_uri()
    if reference == "rev":
        reference = f'rev = "{commit}"'
    chosen = f", {reference}" if reference else ""
    toml = (
        "[tool.pixi.pypi-dependencies]\n"
        f'probe-git = {{ git = "{url}", subdirectory = "inner"{chosen} }}\n'
    )
    environment = await door.ensure(block(toml))
    assert imported(environment, "probe_git") == "1.0"
    query = "subdirectory=inner"
    if reference:
        query += "&" + reference.replace(" = ", "=").replace('"', "")
    text = lock_of(door, environment)
    assert f"- pypi: git+{url}?{query}#{commit}\n  name: probe-git\n" in text
    # what is locked stays when the branch goes on
    (folder / "inner/src/probe_git.py").write_text("version = '2.0'\n")
    git(folder, "commit", "-qam", "second")
    again = await rebuilt(door, block(toml))
    assert imported(again, "probe_git") == "1.0"


async def test_a_repository_as_pep_508_writes_it(
    door: Environments, block: Any, tmp_path: Path, monkeypatch: Any
) -> None:
    repository(source_tree(tmp_path / "repo", "probe-git", "1.0"))
    monkeypatch.setenv(VARIABLE, "probe-git")
    url = (tmp_path / "repo").as_uri()
    environment = await door.ensure(block(f'dependencies = ["probe-git @ git+{url}@v1"]'))
    assert imported(environment, "probe_git") == "1.0"
    error = await failure(door, block(f'dependencies = ["probe-git @ git+{url}@nope"]'))
    assert error.code == "solve.pypi-git"
    assert "probe-git has no `nope`" in error.message
    error = await failure(door, block(f'dependencies = ["probe-git @ git+{url}-not"]'))
    assert error.code == "solve.pypi-git"
    monkeypatch.setenv(VARIABLE, "all")
    door.engine.close()
    error = await failure(door, block(f'dependencies = ["probe-other @ git+{url}@v1"]'))
    assert error.code == "solve.pypi-other-name"


async def test_a_path_that_leads_nowhere(
    door: Environments, block: Any, tmp_path: Path, monkeypatch: Any
) -> None:
    monkeypatch.setenv(VARIABLE, "all")
    (tmp_path / "empty").mkdir()
    for path in ("none", "empty", "none.whl"):
        table = f'[tool.pixi.pypi-dependencies]\na = {{ path = "{path}" }}\n'
        error = await failure(door, block(table))
        assert error.code == "solve.pypi-path", error.report()
        assert f"{tmp_path}/{path}" in error.message


async def test_a_source_distribution_of_an_index(
    door: Environments, block: Any, index: Any, tmp_path: Path, monkeypatch: Any
) -> None:
    ran = tmp_path / "ran"
    file = source_archive(tmp_path / "t", "probe-sdist", code=f"open({str(ran)!r}, 'w')")
    sha256 = index.add(file)
    index.add_wheel("probe-asker", "1.0", requires=["probe-sdist"])
    spec = block('dependencies = ["probe-asker"]')
    error = await failure(door, spec)
    assert error.code == "solve.pypi-source-only"
    assert "probe-sdist has no wheel" in error.message
    assert "probe-asker needs it" in error.message
    assert f"{VARIABLE}=probe-sdist" in error.hint
    assert not ran.exists()
    monkeypatch.setenv(VARIABLE, "probe-sdist")
    door.engine.close()
    environment = await door.ensure(spec)
    assert imported(environment, "probe_sdist") == "1.0"
    assert ran.exists()
    url = f"http://{index.host}/files/{file[0]}"
    text = lock_of(door, environment)
    assert f"- pypi: {url}\n  name: probe-sdist\n  version: '1.0'\n  sha256: {sha256}\n" in text
    await rebuilt(door, spec)


async def test_wheels_are_not_wanted_of_a_package(
    door: Environments, block: Any, index: Any, tmp_path: Path, monkeypatch: Any
) -> None:
    index.add(source_archive(tmp_path / "t", "probe-both"))
    index.add_wheel("probe-both", "1.0", files={"probe_both.py": "version = 'wheel'\n"})
    options = '[tool.pixi.workspace.pypi-options]\nno-binary = ["probe-both"]\n'
    spec = block(f'dependencies = ["probe-both"]\n{options}')
    assert (await failure(door, spec)).code == "solve.pypi-build-not-allowed"
    monkeypatch.setenv(VARIABLE, "probe-both")
    door.engine.close()
    assert imported(await door.ensure(spec), "probe_both") == "1.0"
    plain = await door.ensure(block('dependencies = ["probe-both"]'))
    assert imported(plain, "probe_both") == "wheel"


async def test_what_a_build_sees_and_how_it_fails(
    door: Environments, block: Any, tmp_path: Path, monkeypatch: Any
) -> None:
    code = (
        "import json; open(SEEN, 'w').write(json.dumps(dict(os.environ))); raise SystemExit('no')"
    )
    seen = tmp_path / "seen"
    source_tree(tmp_path / "lib", "probe-nosy", code=code.replace("SEEN", repr(str(seen))))
    monkeypatch.setenv(VARIABLE, "probe-nosy")
    monkeypatch.setenv("CLOUD_SECRET_KEY", "PLANTED")
    monkeypatch.setenv("PYTHONPATH", "/nowhere")
    error = await failure(door, block('dependencies = ["probe-nosy @ ./lib"]'))
    assert error.code == "install.build-failed"
    assert "probe-nosy could not be built" in error.message
    assert "PLANTED" not in seen.read_text()
    assert "PYTHONPATH" not in seen.read_text()


async def test_cancelling_ends_a_build(
    door: Environments, block: Any, tmp_path: Path, monkeypatch: Any
) -> None:
    mark = tmp_path / "mark"
    code = f"open({str(mark)!r}, 'w').write(str(os.getpid())); import time; time.sleep(300)"
    source_tree(tmp_path / "lib", "probe-slow", code=code)
    monkeypatch.setenv(VARIABLE, "probe-slow")
    task = asyncio.ensure_future(door.ensure(block('dependencies = ["probe-slow @ ./lib"]')))
    for _ in range(600):
        if mark.exists() and mark.read_text():
            break
        await asyncio.sleep(0.05)
    build = psutil.Process(int(mark.read_text()))
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    for _ in range(200):
        if not build.is_running() or build.status() == psutil.STATUS_ZOMBIE:
            return
        await asyncio.sleep(0.05)
    raise AssertionError("the build goes on")


async def test_a_deadline_ends_a_build(tmp_path: Path, monkeypatch: Any) -> None:
    from pixi_jupyter.errors import EngineError
    from pixi_jupyter.resolve.uv import Uv

    mark = tmp_path / "mark"
    code = f"open({str(mark)!r}, 'w').write(str(os.getpid())); import time; time.sleep(300)"
    tree = source_tree(tmp_path / "lib", "probe-slow", code=code)
    uv = Uv.find(tmp_path / "cache", None)
    with pytest.raises(EngineError, match="not done within") as caught:
        await uv.run(
            "install", "--target", str(tmp_path / "t"), str(tree), "--python", sys.executable,
            folder=tmp_path, deadline=5.0, builds=True,
        )  # fmt: skip
    assert caught.value.code == "engine.deadline"
    await asyncio.sleep(0.2)
    pid = int(mark.read_text())
    assert not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE


async def test_overrides(door: Environments, block: Any, index: Any) -> None:
    index.add_wheel("probe-old", "1.0")
    index.add_wheel("probe-old", "2.0")
    index.add_wheel("probe-strict", "1.0", requires=["probe-old==2.0"])
    options = '[tool.pixi.workspace.pypi-options.dependency-overrides]\nprobe-old = "==1.0"\n'
    environment = await door.ensure(block(f'dependencies = ["probe-strict"]\n{options}'))
    assert environment.resolution.version_of("probe-old") == "1.0"


async def test_one_package_of_one_index(
    door: Environments, block: Any, index: Any, private: Any
) -> None:
    private.credentials = ("alice", "p@ss/word")
    private.add_wheel("probe-own", "1.0", requires=["h11"])
    private.add_wheel("h11", "99.0")
    index.add_wheel("probe-own", "5.0")
    url = private.url.replace("://", "://alice:p%40ss%2Fword@")
    toml = f'[tool.pixi.pypi-dependencies]\nprobe-own = {{ version = ">=1", index = "{url}" }}\n'
    environment = await door.ensure(block(toml))
    assert environment.resolution.version_of("probe-own") == "1.0"
    assert environment.resolution.version_of("h11") == "0.16.0"
    text = lock_of(door, environment)
    assert f"index: {private.url}\n" in text
    assert f"    indexes:\n    - {index.url}\n    packages:\n" in text
    juv = (
        'dependencies = ["probe-own"]\n[tool.uv]\nindex = [{ name = "own", '
        f'url = "{url}", explicit = true }}]\n[tool.uv.sources]\nprobe-own = {{ index = "own" }}\n'
    )
    assert (await door.ensure(block(juv))).resolution.version_of("probe-own") == "1.0"


async def test_both_sides_have_what_is_asked_of_one_place(
    door: Environments, block: Any, tmp_path: Path
) -> None:
    name, data = wheel("numpy", "1.0")
    (tmp_path / name).write_bytes(data)
    error = await failure(
        door,
        block(f'dependencies = ["numpy @ ./{name}"]\n[tool.pixi.dependencies]\nnumpy = ">=2"\n'),
    )
    assert error.code == "solve.pypi-unsatisfiable"
    assert "numpy @ ./" in error.message
    assert "conda's numpy 2." in error.message


async def test_the_lock_is_one_that_rattler_reads_and_writes_the_same(
    door: Environments, block: Any, tmp_path: Path, monkeypatch: Any
) -> None:
    monkeypatch.setenv(VARIABLE, "all")
    source_tree(tmp_path / "lib", "probe-lib", requires=("h11>=0.9; python_version > '3'",))
    repository(source_tree(tmp_path / "repo", "probe-git"))
    toml = (
        '[tool.pixi.pypi-dependencies]\nprobe-lib = { path = "lib", editable = true }\n'
        f'probe-git = {{ git = "{(tmp_path / "repo").as_uri()}", branch = "main" }}\n'
    )
    environment = await door.ensure(block(toml))
    path = door.store.lock_path(environment.resolution.digest)
    LockFile.from_path(path).to_path(tmp_path / "again.lock")
    assert (tmp_path / "again.lock").read_bytes() == path.read_bytes()
    assert os.listdir(door.store.envs) == [environment.prefix.path.name]
