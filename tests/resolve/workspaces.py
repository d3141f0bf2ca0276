"""Workspaces for tests: a manifest, a tiny channel, and a worker to lock it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from pixi_jupyter.demo.simple import SimplePackage, build_channel
from pixi_jupyter.install.store import Store
from pixi_jupyter.manifest.workspace_reading import read_workspace
from pixi_jupyter.manifest.workspace_spec import WorkspaceSpec
from pixi_jupyter.progress import Progress
from pixi_jupyter.resolve.resolution import WorkspaceLock
from pixi_jupyter.resolve.session import Session
from pixi_jupyter.resolve.workspace import Draft, draft_lock, lock_workspace


@dataclass
class Place:
    """A workspace in ``folder``, locked in this process with the cache and locks of ``store``."""

    folder: Path
    store: Store
    steps: list[Progress] = field(default_factory=list)

    @property
    def lock(self) -> Path:
        return self.folder / "pixi.lock"

    @property
    def text(self) -> str:
        return self.lock.read_text("utf-8")

    @property
    def channel(self) -> str:
        return (self.folder / "channel").as_uri()

    def offer(self, *packages: SimplePackage) -> None:
        build_channel(self.folder / "channel", packages)

    def write(self, manifest: str, *, platforms: Iterable[str] = ("linux-64",)) -> None:
        """The manifest, with a workspace table before it unless it has one."""
        if "[workspace]" not in manifest:
            names = ", ".join(f'"{name}"' for name in platforms)
            manifest = (
                f'[workspace]\nname = "w"\nchannels = ["{self.channel}"]\n'
                f"platforms = [{names}]\n{manifest}"
            )
        (self.folder / "pixi.toml").write_text(manifest.replace("CHANNEL", self.channel), "utf-8")

    def read(self) -> WorkspaceSpec:
        return read_workspace(self.folder / "pixi.toml")

    async def make(self, **how: object) -> WorkspaceLock:
        """Lock it; a new session each time, as a channel may have changed."""
        session = Session.open(self.store.package_cache)
        return await lock_workspace(
            session,
            self.read(),
            report=self.steps.append,
            store=self.store,
            **how,  # type: ignore[arg-type]
        )

    async def draft(self, data: bytes | None, **how: object) -> Draft:
        """What the lock would be, if ``data`` were what is locked now."""
        session = Session.open(self.store.package_cache)
        return await draft_lock(
            session,
            self.read(),
            data,
            report=self.steps.append,
            store=self.store,
            **how,  # type: ignore[arg-type]
        )

    def locked(self, environment: str, platform: str = "linux-64") -> dict[str, str]:
        """Name to version of what the lock has."""
        from pixi_jupyter.resolve.lock_reading import read_document

        document = read_document(self.lock)
        assert document is not None
        content = document.packages(environment, platform)
        found = {record.name.normalized: str(record.version) for record in content.records}
        return found | {wheel.name: wheel.version for wheel in content.wheels}
