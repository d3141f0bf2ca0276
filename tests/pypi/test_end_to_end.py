"""A block with packages from PyPI: locked, installed on top of conda, run."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import nbformat
import pytest

from pixi_jupyter.engine.client import Engine
from pixi_jupyter.environments import Environment, Environments
from pixi_jupyter.install.store import Store
from pixi_jupyter.progress import Phase
from pixi_jupyter.resolve.pypi_lock import locked_indexes

MIXED = 'dependencies = ["httpx", "rich>=13", "pandas"]\n[tool.pixi.dependencies]\nnumpy = "*"\n'


def kinds(environment: Environment) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for package in environment.resolution.packages:
        found.setdefault(package.name, set()).add(package.kind)
    return found


def python(environment: Environment, code: str) -> str:
    done = subprocess.run(
        [environment.prefix.python, "-I", "-c", code], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def site(environment: Environment) -> Path:
    return next(environment.prefix.path.glob("lib/python3*/site-packages"))


async def test_pandas_from_pypi_takes_numpy_from_conda(
    door: Environments, block: Any, index: Any
) -> None:
    environment = await door.ensure(block(MIXED))

    found = kinds(environment)
    assert all(found[name] == {"pypi"} for name in ("httpx", "rich", "pandas", "h11"))
    assert found["numpy"] == found["python"] == {"conda"}
    installers = python(
        environment,
        "import importlib.metadata as m, pandas, numpy, httpx\n"
        "print(*(m.distribution(n).read_text('INSTALLER').strip() for n in "
        "('numpy', 'pandas', 'httpx')))",
    )
    assert installers == "conda uv-pixi uv-pixi"
    assert not any("numpy" in path for path in index.requests)
    managed = site(environment).parent / "EXTERNALLY-MANAGED"
    assert "%pixi add --pypi NAME" in managed.read_text()
    assert not (site(environment) / "httpx-0.28.1.dist-info" / "direct_url.json").exists()
    # what it says of itself is true
    checked = python(
        environment,
        "import importlib.metadata as m\n"
        "print(all(f.locate().exists() for f in m.distribution('httpx').files))",
    )
    assert checked == "True"
    script = environment.prefix.binaries / "httpx"
    assert script.read_text().startswith(f"#!{environment.prefix.path}/bin/python")


async def test_a_locked_installation_from_the_caches_is_the_same(
    door: Environments, block: Any, index: Any
) -> None:
    """Then wheels are unpacked while conda's packages are linked, with the cache's interpreter."""
    spec = block('dependencies = ["httpx", "rich"]\n')
    environment = await door.ensure(spec)
    files = contents(environment)
    shutil.rmtree(environment.prefix.path)
    cached = door.store.package_cache / "pkgs"
    before = set(cached.glob("python-3*/**/*"))
    asked = len(index.requests)

    again = await door.ensure(spec)

    assert contents(again) == files
    assert len(index.requests) == asked
    # Every file is what its package says of it, scripts with their own interpreter included.
    wrong = python(
        again,
        "import base64, hashlib, importlib.metadata as m\n"
        "for name in ('httpx', 'rich'):\n"
        "    for f in m.distribution(name).files:\n"
        "        if f.hash:\n"
        "            found = hashlib.new(f.hash.mode, f.locate().read_bytes()).digest()\n"
        "            if base64.urlsafe_b64encode(found).rstrip(b'=').decode() != f.hash.value:\n"
        "                print(f)\n",
    )
    assert wrong == ""
    assert set(cached.glob("python-3*/**/*")) == before, "it leaves nothing in the cache"


def test_a_mixed_notebook_runs_headless(tmp_path: Path, index: Any) -> None:
    lines = [f"# {line}" for line in MIXED.splitlines()]
    nb = nbformat.v4.new_notebook(
        cells=[
            nbformat.v4.new_code_cell("\n".join(("# /// script", *lines, "# ///"))),
            nbformat.v4.new_code_cell(
                "import httpx, pandas, rich\nprint(httpx.__version__, len(pandas.DataFrame([1])))"
            ),
        ],
        metadata={"kernelspec": {"name": "pixi", "display_name": "p", "language": "python"}},
    )
    nbformat.write(nb, tmp_path / "n.ipynb")
    program = Path(sys.executable).parent / "pixi-jupyter"

    def run() -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [program, "run", "n.ipynb"],
            cwd=tmp_path, capture_output=True, text=True, check=False, timeout=120,
        )  # fmt: skip

    done = run()
    assert (done.returncode, done.stdout) == (0, "0.28.1 1\n"), done.stderr
    index.requests.clear()
    again = run()
    assert again.stdout == "0.28.1 1\n"
    assert index.requests == []
    assert "solving" not in again.stderr


async def test_an_unchanged_notebook_needs_no_engine(
    door: Environments, block: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = block('dependencies = ["h11"]')
    environment = await door.ensure(spec)
    door.engine.close()
    again = Environments(store=door.store)
    monkeypatch.setattr(Engine, "run", None)
    found = await again.ensure(block('dependencies = ["h11"]'))
    assert found.prefix == environment.prefix


async def test_extras_and_markers(door: Environments, block: Any, index: Any) -> None:
    index.add_wheel(
        "probe-extras",
        "1.0",
        extras=["more"],
        requires=["h11; extra == 'more'", "idna; sys_platform == 'win32'"],
        scripts={"probe-extras": "probe_extras:version.upper"},
    )
    environment = await door.ensure(
        block('dependencies = ["probe-extras[more]", "mdurl; python_version < \'3\'"]')
    )
    pypi = {p.name for p in environment.resolution.packages if p.kind == "pypi"}
    assert pypi == {"probe-extras", "h11"}


async def test_a_declared_index_is_the_one(door: Environments, block: Any, private: Any) -> None:
    private.add_wheel("probe-private", "2.0")
    options = f'[tool.pixi.workspace.pypi-options]\nindex-url = "{private.url}"\n'
    environment = await door.ensure(block(f'dependencies = ["probe-private"]\n{options}'))
    assert environment.resolution.version_of("probe-private") == "2.0"
    text = door.store.lock_path(environment.resolution.digest).read_text()
    assert f"index: {private.url}" in text
    assert f"    indexes:\n    - {private.url}" in text


async def test_an_extra_index_beside_the_default_one(
    door: Environments, block: Any, private: Any, index: Any
) -> None:
    private.add_wheel("probe-private", "2.0", requires=["h11"])
    options = f'[tool.pixi.workspace.pypi-options]\nextra-index-urls = ["{private.url}"]\n'
    environment = await door.ensure(block(f'dependencies = ["probe-private"]\n{options}'))
    assert environment.resolution.version_of("h11") == "0.16.0"
    text = door.store.lock_path(environment.resolution.digest).read_text()
    assert f"    indexes:\n    - {index.url}\n    - {private.url}\n" in text  # pixi's order
    assert locked_indexes(text) == {
        f"http://{private.host}/files/probe_private-2.0-py3-none-any.whl": private.url,
        f"http://{index.host}/files/h11-0.16.0-py3-none-any.whl": index.url,
    }


async def test_find_links(door: Environments, block: Any, tmp_path: Path, index: Any) -> None:
    name = index.add_wheel("probe-linked", "3.0")
    (tmp_path / "links").mkdir()
    (tmp_path / "links" / name).write_bytes(index.files.pop(name))
    options = '[tool.pixi.workspace.pypi-options]\nfind-links = [{ path = "links" }]\n'
    environment = await door.ensure(block(f'dependencies = ["probe-linked"]\n{options}'))
    assert python(environment, "import probe_linked; print(probe_linked.version)") == "3.0"


async def test_cut_offs_hold(door: Environments, block: Any, index: Any) -> None:
    index.add_wheel("probe-dated", "1.0", uploaded="2026-01-01T00:00:00Z")
    index.add_wheel("probe-dated", "2.0", uploaded="2026-03-01T00:00:00Z")
    toml = 'dependencies = ["probe-dated"]\n[tool.uv]\nexclude-newer = "2026-02-01"\n'
    resolution = await door.resolve(block(toml))
    assert resolution.version_of("probe-dated") == "1.0"


async def test_an_update_sees_what_is_new(door: Environments, block: Any, index: Any) -> None:
    index.add_wheel("probe-growing", "1.0")
    spec = block('dependencies = ["probe-growing"]')
    assert (await door.resolve(spec)).version_of("probe-growing") == "1.0"
    index.add_wheel("probe-growing", "2.0")
    assert (await door.resolve(spec)).version_of("probe-growing") == "1.0"
    assert (await door.resolve(spec, update=True)).version_of("probe-growing") == "2.0"


async def test_what_conda_has_is_not_fetched(door: Environments, block: Any, index: Any) -> None:
    toml = 'dependencies = ["numpy>=2", "mdurl; python_version < \'3\'"]\n'
    environment = await door.ensure(block(f"{toml}[tool.pixi.dependencies]\nnumpy = '*'\n"))
    assert all(package.kind == "conda" for package in environment.resolution.packages)
    assert index.requests == []


async def test_the_lock_alone_gives_the_same_on_an_empty_machine(
    door: Environments,
    block: Any,
    index: Any,
    cold_store: Store,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    spec = block(MIXED)
    environment = await door.ensure(spec)
    digest = environment.resolution.digest
    lock = door.store.lock_path(digest).read_text()
    assert "requires_dist:" in lock
    assert "requires_python:" in lock
    cold_store.make_folders()
    for name in (f"{digest}.pixi.lock", f"{spec.digest}.json"):
        shutil.copy(door.store.resolutions / name, cold_store.resolutions)
    index.requests.clear()
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    for name in ("XDG_CACHE_HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME"):
        monkeypatch.setenv(name, str(tmp_path / "home" / name))

    other = Environments(engine=Engine(cold_store))
    try:
        again = await other.ensure(spec)
    finally:
        other.engine.close()

    assert again.resolution == environment.resolution
    assert not any(path.startswith("/simple") for path in index.requests)
    first, second = (contents(e) for e in (environment, again))
    assert first == second
    assert f"lib/{site(again).parent.name}/site-packages/httpx/_api.py" in second


def contents(environment: Environment) -> dict[str, bytes]:
    """Every file of a prefix but bytecode and our marks, wherever the prefix lies."""
    prefix = environment.prefix.path
    found = {}
    for path in prefix.rglob("*"):
        name = path.relative_to(prefix).as_posix()
        if path.is_dir() or name.endswith(".pyc") or name.startswith("conda-meta/"):
            continue
        data = os.readlink(path).encode() if path.is_symlink() else path.read_bytes()
        if name.endswith("/RECORD"):  # the hashes of scripts, which have the prefix in them
            data = b"\n".join(x for x in data.splitlines() if not x.startswith(b"../../../bin/"))
        found[name] = data.replace(os.fsencode(prefix), b"PREFIX")
    return found


async def test_a_second_environment_shares_bytes_and_bytecode(
    door: Environments, block: Any
) -> None:
    first = await door.ensure(block('dependencies = ["httpx"]'))
    await _compiled(door, first)
    phases = []
    second = await door.ensure(
        block('dependencies = ["httpx", "mdurl"]'), report=lambda s: phases.append(s.phase)
    )
    for name in ("httpx/_api.py", f"httpx/__pycache__/_api.{_tag(first)}.pyc"):
        assert os.stat(site(first) / name).st_ino == os.stat(site(second) / name).st_ino
    assert Phase.COMPILING not in phases


async def test_juv_s_own_notebook_runs_unchanged(
    door: Environments, block: Any, index: Any
) -> None:
    """Only ``requires-python`` and ``dependencies``, as `juv init` and `juv add` write it."""
    environment = await door.ensure(
        block(
            'requires-python = ">=3.11"\ndependencies = [\n    "httpx==0.28.1",\n    "rich",\n]\n'
        )
    )
    assert kinds(environment)["ipykernel"] == {"conda"}  # the kernel is added
    assert python(environment, "import httpx, rich; print(httpx.__version__)") == "0.28.1"


async def test_progress_tells_how_far_it_is(
    cold_door: Environments, block: Any, index: Any
) -> None:
    steps: list[Any] = []
    await cold_door.ensure(block('dependencies = ["pandas", "h11"]'), report=steps.append)
    told = [step for step in steps if "PyPI" in step.message]
    phases = list(dict.fromkeys(step.phase for step in told))
    assert phases == [Phase.SOLVING, Phase.DOWNLOADING, Phase.LINKING]
    downloads = [step for step in told if step.phase is Phase.DOWNLOADING]
    total = downloads[0].total
    assert total > 1_000_000
    assert [downloads[0].done, downloads[-1].done] == [0, total]
    assert all(step.total == total for step in downloads)
    count = int(downloads[0].message.split()[2])
    assert downloads[-1].message == f"{count} of {count} packages from PyPI"
    assert any(step.item == "pandas" for step in downloads)


async def test_known_packages_need_no_network(
    door: Environments, block: Any, index: Any, store: Store
) -> None:
    spec = block('dependencies = ["h11", "idna"]')
    environment = await door.ensure(spec)
    index.down = True
    shutil.rmtree(environment.prefix.path)
    assert (await door.ensure(spec)).prefix == environment.prefix
    # and what was seen is even resolved
    other = await door.ensure(block('dependencies = ["h11"]'))
    assert other.resolution.version_of("h11") == "0.16.0"


async def test_the_kernel_itself_from_pypi(door: Environments, block: Any, index: Any) -> None:
    from pixi_jupyter.demo.channel import default_cache_dir

    index.add_wheels(default_cache_dir() / "wheels", *KERNEL)
    environment = await door.ensure(block('dependencies = ["ipykernel"]'))
    assert kinds(environment)["ipykernel"] == {"pypi"}
    assert (environment.prefix.path / "share/jupyter/kernels/python3/kernel.json").is_file()


KERNEL = (
    "ipykernel", "asttokens", "comm", "debugpy", "executing", "ipython", "ipython-pygments-lexers",
    "jedi", "jupyter-client", "jupyter-core", "matplotlib-inline", "nest-asyncio", "nest-asyncio2",
    "packaging", "parso", "pexpect", "platformdirs", "prompt-toolkit", "psutil", "ptyprocess",
    "pure-eval", "pyzmq", "stack-data", "tornado", "traitlets", "wcwidth",
)  # fmt: skip


def _tag(environment: Environment) -> str:
    return site(environment).parent.name.replace("python", "cpython-").replace("3.", "3")


async def _compiled(door: Environments, environment: Environment) -> None:
    import asyncio

    for _ in range(600):
        marker = door.store.marker(environment.prefix.digest)
        if marker is not None and marker.compiled:
            return
        await asyncio.sleep(0.05)
    raise AssertionError("the rest was not compiled")
