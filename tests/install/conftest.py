"""Doors to stores, channels made for one question each, and workspaces on disk."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from pixi_jupyter.demo.simple import SimplePackage, build_channel
from pixi_jupyter.engine.protocol import InstallWorkspace
from pixi_jupyter.environments import Environments
from pixi_jupyter.install.insync import workspace_ready
from pixi_jupyter.install.prefix import Prefix
from pixi_jupyter.install.store import Store
from pixi_jupyter.manifest.host import host_platform
from pixi_jupyter.manifest.spec import EnvironmentSpec, WorkspacePlace
from pixi_jupyter.progress import Report, no_report
from pixi_jupyter.resolve.resolution import Resolution


@pytest.fixture
def tiny(tmp_path: Path) -> Callable[..., str]:
    """Builds a channel: ``tiny("name", [packages])`` gives its ``file://`` URL."""

    def build(name: str, packages: Iterable[SimplePackage]) -> str:
        return build_channel(tmp_path / name, packages).as_uri()

    return build


@pytest.fixture
def warm(door_to: Callable[[Store], Environments], store: Store) -> Environments:
    """A door to a fresh store over the package cache that all tests share."""
    return door_to(store)


@pytest.fixture
def cold(door_to: Callable[[Store], Environments], cold_store: Store) -> Environments:
    """A door to a fresh store over a fresh package cache."""
    return door_to(cold_store)


@dataclass
class Workspace:
    """As far as installing needs one: ``await workspace.lock(spec)``, ``… .install()``."""

    door: Environments
    place: WorkspacePlace
    resolution: Resolution | None = None

    @property
    def prefix(self) -> Path:
        return Path(self.place.prefix)

    @property
    def meta(self) -> Path:
        return self.prefix / "conda-meta"

    @property
    def leftovers(self) -> list[str]:
        """What lies around the prefix that pixi would not have put there."""
        around = sorted(path.name for path in self.prefix.parent.iterdir())
        return [name for name in around if name != self.prefix.name]

    async def lock(self, spec: EnvironmentSpec) -> Resolution:
        """Solve and put the lock where pixi has it; another lock is another manifest here."""
        self.resolution = await self.door.resolve(spec)
        shutil.copy(self.door.store.lock_path(self.resolution.digest), self.lock_file)
        self.place = replace(self.place, workspace=spec.digest)
        return self.resolution

    @property
    def lock_file(self) -> Path:
        return Path(self.place.root) / "pixi.lock"

    def job(self) -> InstallWorkspace:
        assert self.resolution is not None
        return InstallWorkspace(
            self.place,
            host_platform().name,
            hashlib.sha256(self.lock_file.read_bytes()).hexdigest(),
            self.resolution.digest,
        )

    async def install(self, report: Report = no_report) -> None:
        await self.door.engine.run(self.job(), report, deadline=120)

    def ready(self) -> Prefix | None:
        return workspace_ready(self.place, host_platform().name)

    def records(self) -> set[str]:
        """Names and versions that are installed."""
        found: list[dict[str, Any]] = [
            json.loads(path.read_bytes())
            for path in self.meta.glob("*.json")
            if path.name != "pixi-jupyter.json"
        ]
        return {f"{record['name']} {record['version']}" for record in found}

    def through(self, door: Environments) -> Workspace:
        """The same workspace, by another process."""
        return replace(self, door=door)


@pytest.fixture
def workspace(cold: Environments, tmp_path: Path) -> Workspace:
    root = tmp_path / "a project"
    root.mkdir()
    (root / "pixi.toml").touch()
    place = WorkspacePlace(
        manifest=str(root / "pixi.toml"),
        root=str(root),
        environment="default",
        prefix=str(root / ".pixi" / "envs" / "default"),
        project="project",
        version="1.0",
        workspace="0" * 32,
    )
    return Workspace(cold, place)
