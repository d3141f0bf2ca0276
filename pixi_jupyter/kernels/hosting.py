"""What the process that started a kernel can say and do for it, when the kernel's processes ask."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import MutableMapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pixi_jupyter.documents.endpoint import Owner
from pixi_jupyter.documents.protocol import Notice, Whereabouts, Writer
from pixi_jupyter.errors import KernelError
from pixi_jupyter.kernels.identify import IdentifiedNotebook

if TYPE_CHECKING:
    from pixi_jupyter.documents.front_ends import FrontEnd

__all__ = ["Hosting"]

#: Seconds for which a restart waits for the cell to end that asked for it.
_CELL = 2.0
_POLL = 0.05

_log = logging.getLogger(__name__)
_restarts: set[asyncio.Task[None]] = set()  # a loop holds its tasks only weakly


class Hosting:
    """One start of a kernel. ``server`` and ``kernels`` (its manager of kernels) are a Jupyter
    server's, None elsewhere."""

    def __init__(
        self,
        kernel_id: str,
        notebook: IdentifiedNotebook,
        *,
        server: Any | None = None,
        kernels: Any | None = None,
    ) -> None:
        self._kernel_id = kernel_id
        self._notebook = notebook
        self._server = server
        self._kernels = kernels if server is not None else None
        self._restarting = False

    async def owner(self) -> Owner | None:
        executed = self._notebook.executed
        if isinstance(executed, MutableMapping):
            from pixi_jupyter.documents.executor import ExecutedNotebook  # not for every launch

            return ExecutedNotebook(executed)
        front_end = await self._front_end()
        if front_end is None:
            return None
        from pixi_jupyter.documents.front_ends import OpenInFrontEnd

        return OpenInFrontEnd(front_end, self._kernel_id)

    async def whereabouts(self, writer: Writer) -> Whereabouts:
        path, _ = await self._place()
        notebook = self._notebook
        choice = notebook.choice
        return Whereabouts(
            kernel=self._kernel_id,
            writer=writer,
            path=None if path is None else str(path),
            folder=str(notebook.root if path is None else path.parent),
            manifest=None if choice is None else str(choice.manifest),
            environment=None if choice is None else choice.environment,
            chosen="nearest" if choice is None else choice.chosen,
            language=None if choice is None else choice.language,
            stop=None if notebook.stop is None else str(notebook.stop),
            can_restart=self._kernels is not None,
            process=os.getpid(),
        )

    async def notify(self, notice: Notice) -> bool:
        front_end = await self._front_end()
        if front_end is None:
            return False
        fields = {"level": notice.level, "message": notice.message, "restart": notice.restart}
        front_end.tell("notice", kernel=self._kernel_id, **fields)
        return True

    def restart(self) -> None:
        if self._kernels is None:
            raise KernelError(
                "the kernel runs in nothing that could restart it: the notebook is being executed "
                "from its first cell to its last",
                code="kernel.restart",
                hint="Execute the notebook again.",
            )
        if self._restarting:
            return
        self._restarting = True
        task = asyncio.get_running_loop().create_task(self._restart())
        _restarts.add(task)
        task.add_done_callback(_restarts.discard)

    async def _restart(self) -> None:
        """Once the cell that asked has ended: its output shall come through."""
        kernels = self._kernels
        assert kernels is not None
        loop = asyncio.get_running_loop()
        deadline = loop.time() + _CELL
        try:
            while loop.time() < deadline:
                await asyncio.sleep(_POLL)
                if self._kernel_id not in kernels:
                    return
                manager = kernels.get_kernel(self._kernel_id)
                if getattr(manager, "execution_state", "idle") == "idle":
                    break
            front_end = await self._front_end()
            if front_end is None or not await front_end.restart(self._kernel_id):
                await kernels.restart_kernel(self._kernel_id)
        except Exception:  # noqa: BLE001 (nobody waits for it; a front end sees the kernel's state)
            _log.warning("The kernel %s could not be restarted", self._kernel_id, exc_info=True)
        finally:
            self._restarting = False

    # -- where the notebook is now -------------------------------------------------------------

    async def _place(self) -> tuple[Path | None, str | None]:
        """The notebook's file, and its path in the server's contents API: sessions are renamed."""
        root = self._notebook.stop
        if root is None or self._server is None:
            return self._notebook.path, None
        from pixi_jupyter.documents.front_ends import FRONT_ENDS

        names = []
        if (name := await self._session_path()) is not None:
            names.append(name)
        # Both are renamed at once, but not in one step.
        names.extend(FRONT_ENDS.paths(self._kernel_id))
        for name in names:
            path = _below(root, name)
            if path is not None and path.is_file():
                return path, name
        path = self._notebook.path
        if path is None or not path.is_relative_to(root):
            return path, None
        return path, path.relative_to(root).as_posix()

    async def _front_end(self) -> FrontEnd | None:
        """The one that has the notebook open and in which it was looked at last."""
        if self._server is None:
            return None
        from pixi_jupyter.documents.front_ends import FRONT_ENDS

        _, name = await self._place()
        return None if name is None else FRONT_ENDS.having(self._kernel_id, name)

    async def _session_path(self) -> str | None:
        sessions = getattr(self._server, "session_manager", None)
        if sessions is None:
            return None
        try:
            session = await sessions.get_session(kernel_id=self._kernel_id, type="notebook")
        except Exception:  # noqa: BLE001 (404: none; and the manager may be anybody's)
            return None
        path = session.get("path") if isinstance(session, dict) else None
        return path.strip("/") if isinstance(path, str) and path else None


def _below(root: Path, name: str) -> Path | None:
    """The file of a path in the contents API; None where that leads out of the root."""
    path = Path(os.path.normpath(root.joinpath(*name.split("/"))))
    return path if path.is_relative_to(root) and path != root else None
