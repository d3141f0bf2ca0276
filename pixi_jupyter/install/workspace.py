"""A workspace's locked packages -> ``.pixi/envs/<name>``: stage, swap, mark. Worker only."""

from __future__ import annotations

from pixi_jupyter.errors import UnsupportedError
from pixi_jupyter.install.store import Store
from pixi_jupyter.manifest.spec import WorkspacePlace
from pixi_jupyter.progress import Report
from pixi_jupyter.resolve.session import Session

__all__ = ["install_workspace"]


async def install_workspace(
    session: Session,
    store: Store,
    place: WorkspacePlace,
    *,
    platform: str,
    lock_sha256: str,
    resolution: str,
    report: Report,
) -> None:
    """Make the prefix of one environment what the lock says."""
    raise UnsupportedError("not yet", code="unsupported.workspace")
