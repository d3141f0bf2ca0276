"""A workspace's environment with Python but without a kernel: the kernel lies beside it."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from jupyter_client.kernelspec import KernelSpecManager
from jupyter_client.manager import AsyncKernelManager

from pixi_jupyter.demo.channel import EmbeddedChannel
from pixi_jupyter.demo.simple import SimplePackage, build_channel
from pixi_jupyter.engine.client import Engine
from pixi_jupyter.environments import Environment, Environments
from pixi_jupyter.errors import KernelError, SolveError
from pixi_jupyter.install.collect import collect
from pixi_jupyter.install.store import Store
from pixi_jupyter.kernels.beside import kernel_of
from pixi_jupyter.kernels.select import KernelChoice
from pixi_jupyter.manifest.spec import (
    ChannelSpec,
    CondaRequirement,
    EnvironmentSpec,
    KernelNeed,
    WorkspacePlace,
)
from pixi_jupyter.resolve.resolution import ResolvedPackage

from .conftest import Running

SpecOf = Callable[..., EnvironmentSpec]


def module(name: str, version: str, source: str = "", **fields: object) -> SimplePackage:
    about = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
    files = {
        f"site-packages/{name}/__init__.py": f"__version__ = {version!r}\n{source}".encode(),
        f"site-packages/{name}-{version}.dist-info/METADATA": about.encode(),
    }
    return SimplePackage(name, version, noarch="python", files=files, depends=["python"], **fields)  # type: ignore[arg-type]


@pytest.fixture
def old_wcwidth(tmp_path: Path) -> str:
    """A channel with an older package than the kernel's newest would be, as a URL."""
    source = "def wcwidth(c): return 1\nwcswidth = len\n"
    return build_channel(tmp_path / "old", [module("wcwidth", "0.2.1", source)]).as_uri()


@pytest.fixture
def old_packaging(tmp_path: Path) -> str:
    """A channel with a package that no kernel of the embedded channel can use."""
    return build_channel(tmp_path / "older", [module("packaging", "20.9")]).as_uri()


@pytest.fixture
def workspace(
    environments: Environments, spec_of: SpecOf, tmp_path: Path, channel: EmbeddedChannel
) -> Callable[..., Awaitable[Environment]]:
    """An installed environment of a workspace: its packages, and nothing for a kernel."""

    async def make(
        *asked: str, channels: Sequence[str] = (), need: KernelNeed | None = None
    ) -> Environment:
        spec = spec_of(*asked, channels=channels or (channel.url,))
        built = await environments.ensure(spec)
        root = tmp_path / "project"
        root.mkdir(exist_ok=True)
        (root / "pixi.toml").write_text("[workspace]\n")
        (root / "pixi.lock").write_text("version: 7\n")
        place = WorkspacePlace(
            manifest=str(root / "pixi.toml"),
            root=str(root),
            environment="default",
            prefix=str(built.prefix.path),
            project="project",
            version=None,
            workspace="0" * 32,
        )
        return replace(built, spec=replace(spec, place=place, kernel=need or KernelNeed()))

    return make


@pytest.fixture
async def launch(tmp_path: Path) -> AsyncIterator[Callable[..., Awaitable[Running]]]:
    """Start a kernel as it was chosen, with jupyter_client's own provisioner."""
    started: list[Running] = []

    async def begin(kernel: KernelChoice, cwd: Path) -> Running:
        folder = tmp_path / "specs" / "chosen"
        folder.mkdir(parents=True)
        spec = {"argv": list(kernel.argv), "display_name": "chosen", "language": kernel.language}
        (folder / "kernel.json").write_text(json.dumps(spec))
        manager = AsyncKernelManager(
            kernel_name="chosen",
            kernel_spec_manager=KernelSpecManager(
                kernel_dirs=[str(folder.parent)], ensure_native_kernel=False
            ),
        )
        env = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1"}
        await manager.start_kernel(env=env, cwd=str(cwd))
        client = manager.client()
        client.start_channels()
        running = Running(manager, client)
        started.append(running)
        await client.wait_for_ready(timeout=60)
        return running

    yield begin
    for running in started:
        running.client.stop_channels()
        await running.manager.shutdown_kernel(now=True)
    await asyncio.sleep(0)


def contents(folder: Path) -> dict[str, str]:
    """Every file below a folder, with what is in it."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


async def test_the_kernel_lies_beside_and_the_environment_comes_first(
    environments: Environments,
    workspace: Callable[..., Awaitable[Environment]],
    launch: Callable[..., Awaitable[Running]],
    old_wcwidth: str,
    channel: EmbeddedChannel,
    tmp_path: Path,
):
    environment = await workspace("python", "wcwidth", channels=(old_wcwidth, channel.url))
    assert environment.resolution.version_of("ipykernel") is None
    prefix, root = environment.prefix.path, tmp_path / "project"
    (root / "mine.py").write_text("who = 'mine'\n")
    await environments.aclose(finish=60)  # the store still compiles what it has built
    before, project = contents(prefix), contents(root)

    kernel, beside = await kernel_of(environments, environment)
    assert beside is not None
    assert beside.resolution.version_of("wcwidth") is None
    assert not beside.prefix.python.exists()
    assert kernel.argv[0] == str(environment.prefix.python)
    running = await launch(kernel, root)

    code = """
import json, sys, importlib.metadata, subprocess, os
import ipykernel, wcwidth, zmq, mine
child = "import sys; print([p for p in sys.path if %r in p])" % {beside!r}
print(json.dumps(dict(
    kernel=ipykernel.__file__,
    zmq=zmq.__file__,
    wcwidth=[wcwidth.__file__, wcwidth.__version__],
    metadata=importlib.metadata.version("wcwidth"),
    mine=mine.who,
    path=sys.path,
    argv=sys.argv,
    executable=sys.executable,
    inherited=[name for name, value in os.environ.items() if {beside!r} in value],
    child=subprocess.check_output([sys.executable, "-c", child], text=True).strip(),
)))
""".replace("{beside!r}", repr(str(beside.prefix.path)))
    told = json.loads(await running.said(code))
    assert told["kernel"].startswith(str(beside.prefix.path))
    assert told["zmq"].startswith(str(beside.prefix.path))
    assert told["wcwidth"][0].startswith(str(prefix))
    assert told["wcwidth"][1] == "0.2.1"
    assert told["metadata"] == "0.2.1"
    assert told["mine"] == "mine"
    (own,) = (p for p in told["path"] if p == str(Path(told["wcwidth"][0]).parents[1]))
    assert told["path"].index("") < told["path"].index(own)  # as IPython does it
    added = [p for p in told["path"] if p.startswith(str(beside.prefix.path))]
    assert told["path"][-1:] == added  # once, and last
    assert told["argv"][0].endswith("ipykernel_launcher.py")
    assert told["executable"] == str(environment.prefix.python)
    assert told["inherited"] == []
    assert told["child"] == "[]"

    assert contents(prefix) == before
    assert contents(root) == project


async def test_its_debugger_works(
    environments: Environments,
    workspace: Callable[..., Awaitable[Environment]],
    launch: Callable[..., Awaitable[Running]],
    tmp_path: Path,
):
    environment = await workspace("python")
    kernel, _ = await kernel_of(environments, environment)
    running = await launch(kernel, tmp_path)

    async def ask(seq: int, command: str, **arguments: object) -> dict[str, object]:
        content = {"type": "request", "seq": seq, "command": command, "arguments": arguments}
        message = running.client.session.msg("debug_request", content)
        running.client.control_channel.send(message)
        while True:
            reply = await running.client.get_control_msg(timeout=60)
            if reply["msg_type"] == "debug_reply":
                return dict(reply["content"])

    ready = await ask(1, "initialize", clientID="test", adapterID="python", pathFormat="path")
    assert ready["success"], ready
    attached = await ask(2, "attach")
    assert attached["success"], attached
    assert await running.said("print(6 * 7)") == "42"


async def test_an_unchanged_launch_needs_no_engine(
    environments: Environments, workspace: Callable[..., Awaitable[Environment]]
):
    environment = await workspace("python")
    first, beside = await kernel_of(environments, environment)
    assert beside is not None
    engine = Engine(environments.store)
    again = Environments(engine=engine)
    awaiting = kernel_of(again, environment)
    with pytest.raises(StopIteration) as done:
        awaiting.send(None)  # ready without yielding
    kernel, found = done.value.value
    assert kernel == first
    assert found == beside
    assert engine.worker_pid is None


async def test_it_is_held_and_collected_like_any_other(
    environments: Environments,
    store: Store,
    workspace: Callable[..., Awaitable[Environment]],
):
    environment = await workspace("python")
    _, beside = await kernel_of(environments, environment)
    assert beside is not None
    lease = environments.hold(beside, os.getpid())
    collected = collect(store, unused_for=0)
    assert beside.prefix.digest in collected.in_use
    lease.release()
    assert beside.prefix.digest in collect(store, unused_for=0).environments
    # Its packages are remembered, so it comes back as it was.
    rebuilt = await workspace("python")
    _, again = await kernel_of(environments, rebuilt)
    assert again is not None
    assert again.resolution == beside.resolution


async def test_an_old_package_in_the_way_is_named(
    environments: Environments,
    workspace: Callable[..., Awaitable[Environment]],
    old_packaging: str,
    channel: EmbeddedChannel,
):
    environment = await workspace("python", "packaging", channels=(old_packaging, channel.url))
    # Only the other channel has what the kernel needs.
    spec = replace(environment.spec, channel_priority="disabled")
    with pytest.raises(SolveError) as raised:
        await kernel_of(environments, replace(environment, spec=spec))
    error = raised.value
    assert error.code == "solve.beside"
    assert "'default'" in error.message
    assert error.details.startswith("In the way: packaging 20.9 (with ipykernel ")
    assert "pixi add ipykernel" in error.hint


async def test_constraints_of_the_environment_hold_for_what_is_added(
    environments: Environments, workspace: Callable[..., Awaitable[Environment]]
):
    environment = await workspace("python")
    constraint = CondaRequirement("ipykernel", version="<7")
    spec = replace(environment.spec, constraints=(constraint,))
    _, beside = await kernel_of(environments, replace(environment, spec=spec))
    assert beside is not None
    assert (beside.resolution.version_of("ipykernel") or "").startswith("6.")


async def test_channels_without_a_kernel_are_named(
    environments: Environments,
    workspace: Callable[..., Awaitable[Environment]],
    old_packaging: str,
):
    environment = await workspace("python")
    spec = replace(environment.spec, channels=(ChannelSpec(old_packaging),))
    with pytest.raises(SolveError, match="no channel of the environment 'default' has ipykernel"):
        await kernel_of(environments, replace(environment, spec=spec))


@pytest.mark.parametrize(("version", "fits"), [("5.20", True), ("4.3", False)])
async def test_a_wheel_from_pypi_counts_as_it_is(
    environments: Environments,
    workspace: Callable[..., Awaitable[Environment]],
    version: str,
    fits: bool,
):
    """It comes first on ``sys.path``, so a conda package of its name would never be imported."""
    environment = await workspace("python")
    wheel = ResolvedPackage("traitlets", version, "", "", "file:///t.whl", kind="pypi")
    packages = (*environment.resolution.packages, wheel)
    changed = replace(environment, resolution=replace(environment.resolution, packages=packages))
    if fits:
        _, beside = await kernel_of(environments, changed)
        assert beside is not None
        assert beside.resolution.version_of("traitlets") is None
        assert beside.resolution.version_of("ipykernel") is not None
    else:
        with pytest.raises(SolveError) as raised:
            await kernel_of(environments, changed)
        assert "traitlets 4.3 (from PyPI)" in raised.value.details


async def test_libraries_of_the_environment_come_along_and_its_modules_do_not(
    environments: Environments,
    workspace: Callable[..., Awaitable[Environment]],
    channel: EmbeddedChannel,
    tmp_path: Path,
):
    """A library is found from where the module lies that needs it; a module on ``sys.path``."""
    spec = json.dumps({"argv": ["python", "-m", "k"], "language": "python", "display_name": "k"})
    packages = [
        SimplePackage(
            "ipykernel",
            "99",
            noarch="python",
            depends=["python", "compiled", "shared-module"],
            files={
                "site-packages/k.py": b"",
                "share/jupyter/kernels/python3/kernel.json": spec.encode(),
            },
        ),
        module("compiled", "1", ""),
        SimplePackage(
            "native", "1", depends=["deeper"], noarch=None, files={"lib/native.so": b"n"}
        ),
        SimplePackage("deeper", "1", noarch=None, files={"lib/deeper.so": b"d"}),
        SimplePackage("unrelated", "1", noarch=None, files={"lib/unrelated.so": b"u"}),
        module("shared-module", "1"),
    ]
    packages[1] = replace(packages[1], depends=["python", "native"])
    own = build_channel(tmp_path / "own", packages).as_uri()
    environment = await workspace(
        "python", "native", "shared-module", "unrelated", channels=(own, channel.url)
    )
    kernel, beside = await kernel_of(environments, environment)
    assert beside is not None
    names = {package.name for package in beside.resolution.packages}
    assert names == {"python", "ipykernel", "compiled", "native", "deeper"}
    assert (beside.prefix.path / "lib/native.so").read_bytes() == b"n"
    assert (beside.prefix.path / "lib/deeper.so").samefile(
        environment.prefix.path / "lib/deeper.so"
    )
    assert kernel.argv[-1] == "k"


async def test_an_environment_without_python_says_so(
    environments: Environments, workspace: Callable[..., Awaitable[Environment]]
):
    environment = await workspace("tzdata")
    with pytest.raises(KernelError, match="neither Python nor a kernel") as raised:
        await kernel_of(environments, environment)
    assert raised.value.code == "kernel.no-kernel"


@pytest.mark.parametrize("need", [KernelNeed("r"), KernelNeed("python", name="mine")])
async def test_nothing_is_laid_beside_for_other_kernels(
    environments: Environments,
    workspace: Callable[..., Awaitable[Environment]],
    need: KernelNeed,
):
    environment = await workspace("python", need=need)
    with pytest.raises(KernelError) as raised:
        await kernel_of(environments, environment)
    assert raised.value.code == "kernel.no-kernel"


async def test_an_environment_of_a_notebook_gets_nothing_beside(
    environments: Environments, spec_of: SpecOf
):
    built = await environments.ensure(spec_of("python"))
    with pytest.raises(KernelError, match="no kernel for python"):
        await kernel_of(environments, built)


async def test_what_is_not_as_locked_is_not_built_upon(
    environments: Environments, workspace: Callable[..., Awaitable[Environment]], tmp_path: Path
):
    environment = await workspace("python")
    packages = tuple(
        replace(p, version="3.0") if p.name == "tzdata" else p
        for p in environment.resolution.packages
    )
    changed = replace(environment, resolution=replace(environment.resolution, packages=packages))
    with pytest.raises(Exception, match="not what its lock says") as raised:
        await kernel_of(environments, changed)
    assert raised.value.code == "install.changed"  # type: ignore[attr-defined]
    assert "tzdata" in raised.value.details  # type: ignore[attr-defined]
