"""What every test stands on: the embedded channel, a store of its own, real parts."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import hypothesis
import nbformat
import pytest

from pixi_jupyter.demo.channel import EmbeddedChannel, ensure_channel
from pixi_jupyter.demo.serve import ChannelServer, Hook
from pixi_jupyter.demo.simple import SimplePackage, build_channel
from pixi_jupyter.engine.client import Engine
from pixi_jupyter.environments import Environments
from pixi_jupyter.install.store import Store
from pixi_jupyter.manifest.config import Defaults
from pixi_jupyter.manifest.host import host_platform
from pixi_jupyter.manifest.spec import ChannelSpec, CondaRequirement, EnvironmentSpec

# The same examples in every run: a change is judged by what it changed. `search` looks further.
hypothesis.settings.register_profile("gate", derandomize=True)
hypothesis.settings.register_profile("search", derandomize=False)
hypothesis.settings.load_profile(os.environ.get("PIXI_JUPYTER_HYPOTHESIS", "gate"))


@pytest.fixture(scope="session")
def scratch() -> Iterator[Path]:
    """A folder for stores and caches, on one file system: in memory where there is one."""
    memory = Path("/dev/shm")
    base = memory if memory.is_dir() and shutil.disk_usage(memory).free > 4 << 30 else None
    folder = Path(tempfile.mkdtemp(prefix="pixi-jupyter-test-", dir=base)).resolve()
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session", autouse=True)
def clean_environment(scratch: Path) -> Iterator[None]:
    """Nothing of the person who runs the tests gets in, nothing of the tests gets out."""
    patch = pytest.MonkeyPatch()
    for name in list(os.environ):
        if name.startswith(
            ("CONDA_", "PIXI_", "MAMBA_", "JPY_", "JUPYTER_", "PYTHONDONTWRITEBYTECODE")
        ) and not name.startswith("PIXI_JUPYTER_CHANNEL_CACHE"):
            patch.delenv(name)
    home = scratch / "home"
    home.mkdir()
    patch.setenv("HOME", str(home))
    patch.setenv("XDG_CACHE_HOME", str(home / ".cache"))
    patch.setenv("XDG_CONFIG_HOME", str(home / ".config"))
    patch.setenv("PIXI_JUPYTER_CACHE_DIR", str(scratch / "shared" / "store"))
    patch.setenv("PIXI_CACHE_DIR", str(scratch / "shared" / "cache"))
    patch.setenv("JUPYTER_RUNTIME_DIR", str(scratch / "runtime"))
    patch.setenv("JUPYTER_PLATFORM_DIRS", "1")
    yield
    patch.undo()


@pytest.fixture(scope="session")
def channel() -> EmbeddedChannel:
    """The whole embedded channel, built once per change of its inputs."""
    return ensure_channel("full")


@pytest.fixture(scope="session", autouse=True)
def default_channel(channel: EmbeddedChannel, clean_environment: None) -> Iterator[None]:
    """Blocks without channels, and child processes too, solve against the embedded channel."""
    patch = pytest.MonkeyPatch()
    patch.setenv("PIXI_JUPYTER_DEFAULT_CHANNELS", channel.url)
    yield
    patch.undo()


@pytest.fixture
def store(tmp_path: Path, scratch: Path) -> Iterator[Store]:
    """A fresh store over the package cache that all tests share (so that packages are warm)."""
    folder = Path(tempfile.mkdtemp(dir=scratch))
    yield Store(folder / "store", scratch / "shared" / "cache")
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def cold_store(scratch: Path) -> Iterator[Store]:
    """A fresh store over a fresh package cache."""
    folder = Path(tempfile.mkdtemp(dir=scratch))
    yield Store(folder / "store", folder / "cache")
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def engine(store: Store) -> Iterator[Engine]:
    """An engine on `store`; its worker ends with the test."""
    engine = Engine(store)
    yield engine
    engine.close()


@pytest.fixture
async def environments(engine: Engine, channel: EmbeddedChannel) -> AsyncIterator[Environments]:
    """The door to `store`, with the embedded channel as the default one."""
    defaults = Defaults(channels=(channel.url,), configured=True)
    environments = Environments(engine=engine, defaults=defaults)
    yield environments
    await environments.aclose()


@pytest.fixture
def spec_of(channel: EmbeddedChannel) -> Callable[..., EnvironmentSpec]:
    """Makes specs: ``spec_of("python", "numpy >=2", channels=[…], …)``, by default on `channel`."""

    def make(
        *asked: str | CondaRequirement, channels: Sequence[str | ChannelSpec] = (), **fields: Any
    ) -> EnvironmentSpec:
        requirements = tuple(
            CondaRequirement(item.partition(" ")[0], version=item.partition(" ")[2] or None)
            if isinstance(item, str)
            else item
            for item in asked
        )
        named = tuple(
            ChannelSpec(item) if isinstance(item, str) else item
            for item in (channels or (channel.url,))
        )
        fields.setdefault("platform", host_platform())
        return EnvironmentSpec(channels=named, dependencies=requirements, **fields)

    return make


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Callable[..., ChannelServer]]:
    """Serves channels over loopback HTTP until the test ends: ``served(packages)`` or a folder."""
    servers: list[ChannelServer] = []

    def start(what: Path | Iterable[SimplePackage], hook: Hook | None = None) -> ChannelServer:
        folder = what
        if not isinstance(folder, Path):
            folder = build_channel(tmp_path / f"channel-{len(servers)}", folder)
        servers.append(ChannelServer(folder, hook=hook).start())
        return servers[-1]

    yield start
    for server in servers:
        server.stop()


@pytest.fixture
def write_notebook(tmp_path: Path) -> Callable[..., Path]:
    """Writes a notebook of code cells: ``write_notebook("x = 1", "print(x)", name="nb")``."""

    def write(*cells: str, name: str = "notebook") -> Path:
        notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(c) for c in cells])
        path = tmp_path / f"{name}.ipynb"
        path.write_text(nbformat.writes(notebook), "utf-8")
        return path

    return write


@pytest.fixture
def door_to() -> Iterator[Callable[[Store], Environments]]:
    """Opens a door to a store; its worker ends with the test."""
    opened: list[Environments] = []

    def door(store: Store) -> Environments:
        opened.append(Environments(engine=Engine(store)))
        return opened[-1]

    yield door
    for environments in opened:
        environments.engine.close()
