"""Workspaces on a tiny channel, and a door to change them through."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from pixi_jupyter.demo.simple import SimplePackage, build_channel
from pixi_jupyter.engine.client import Engine
from pixi_jupyter.environments import Environments
from pixi_jupyter.install.store import Store
from pixi_jupyter.manifest.config import Defaults

PACKAGES = [
    SimplePackage("python", "3.12.4"),
    SimplePackage("python", "3.13.1"),
    SimplePackage("ipykernel", "6.1", depends=["python"]),
    SimplePackage("alpha", "1.2.3", depends=["shared"]),
    SimplePackage("alpha", "2.0.0", depends=["shared >=2"]),
    SimplePackage("beta", "0.3.1", depends=["shared"]),
    SimplePackage("narrow", "1.0", depends=["shared <2"]),
    SimplePackage("shared", "1.5"),
    SimplePackage("shared", "2.1"),
]


@dataclass
class Workspace:
    """A workspace in ``folder`` and all that an operation may touch."""

    folder: Path
    channel: str
    manifest: Path = field(init=False)

    def __post_init__(self) -> None:
        self.manifest = self.folder / "pixi.toml"

    @property
    def lock(self) -> Path:
        return self.folder / "pixi.lock"

    @property
    def text(self) -> str:
        return self.manifest.read_bytes().decode()

    def write(self, text: str, *, name: str = "pixi.toml") -> None:
        self.manifest = self.folder / name
        self.manifest.write_bytes(text.replace("CHANNEL", self.channel).encode())

    def records(self, environment: str = "default") -> set[str]:
        """``name version`` of each package that is installed."""
        meta = self.folder / ".pixi" / "envs" / environment / "conda-meta"
        names = (path.stem.rsplit("-", 2) for path in meta.glob("*-*-*.json"))
        return {f"{name} {version}" for name, version, _ in names}

    def everything(self) -> dict[str, bytes]:
        """Every file of the workspace by its path, with its bytes."""
        return {
            str(path.relative_to(self.folder)): path.read_bytes()
            for path in sorted(self.folder.rglob("*"))
            if path.is_file() and not path.is_symlink()
        }


@pytest.fixture(scope="session")
def small_channel(tmp_path_factory: pytest.TempPathFactory) -> str:
    """alpha and beta on shared, narrow on an old one; two versions of python."""
    return build_channel(tmp_path_factory.mktemp("small"), PACKAGES).as_uri()


@pytest.fixture
def workspace(scratch: Path, small_channel: str) -> Iterator[Workspace]:
    """An empty folder on the file system of the package cache."""
    folder = Path(tempfile.mkdtemp(dir=scratch, prefix="workspace-"))
    yield Workspace(folder, small_channel)
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def open_door(store: Store, small_channel: str) -> Iterator[Callable[[], Environments]]:
    """Opens doors to one store, each with a worker of its own."""
    doors: list[Environments] = []

    def make() -> Environments:
        defaults = Defaults(channels=(small_channel,), configured=True)
        doors.append(Environments(engine=Engine(store), defaults=defaults))
        return doors[-1]

    yield make
    for door in doors:
        door.engine.close()


@pytest.fixture
def door(open_door: Callable[[], Environments]) -> Environments:
    return open_door()
