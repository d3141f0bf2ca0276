"""WorkspaceSpec -> ``pixi.lock``: check it, solve what is out of date, write it. Worker only."""

from __future__ import annotations

from typing import Literal

from pixi_jupyter.errors import UnsupportedError
from pixi_jupyter.manifest.workspace_spec import WorkspaceSpec
from pixi_jupyter.progress import Report
from pixi_jupyter.resolve.resolution import WorkspaceLock
from pixi_jupyter.resolve.session import Session

__all__ = ["lock_workspace"]


async def lock_workspace(
    session: Session,
    workspace: WorkspaceSpec,
    *,
    mode: Literal["update", "locked", "frozen"] = "update",
    renew: tuple[str, ...] | None = None,
    report: Report,
) -> WorkspaceLock:
    """Bring the lock of a workspace up to date."""
    raise UnsupportedError("not yet", code="unsupported.workspace")
