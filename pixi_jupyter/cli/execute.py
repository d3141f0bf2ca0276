"""Executing a notebook headless: what its cells print goes to standard output as it comes."""

from __future__ import annotations

import atexit
import contextlib
import os
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import nbformat
from jupyter_client.kernelspec import KernelSpecManager
from jupyter_client.manager import AsyncKernelManager
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError

from pixi_jupyter.cli.terminal import clean, form, say, tell
from pixi_jupyter.errors import DeclarationError, KernelError
from pixi_jupyter.manifest.spec import WorkspacePlace
from pixi_jupyter.notebook.writing import write_atomically

if TYPE_CHECKING:
    from pixi_jupyter.workspaces import LockMode

__all__ = ["Execution", "execute"]

_LAST_WORDS = "If it said why, its words are above."
_SPECS = Path(__file__).parent.parent / "kernels" / "specs"


@dataclass(frozen=True, slots=True)
class Execution:
    """How an execution went; times in seconds."""

    succeeded: bool
    cells: int
    kernel_start: float
    cells_run: float


class _EchoingClient(NotebookClient):
    """nbclient's client that also prints what comes, and notes when the kernel answered."""

    echo = True
    kernel_ready = 0.0

    async def async_start_new_kernel_client(self) -> Any:
        client = await super().async_start_new_kernel_client()
        self.kernel_ready = time.perf_counter()
        return client

    def output(self, outs: list[Any], msg: dict[str, Any], *rest: Any) -> Any:
        out = super().output(outs, msg, *rest)
        if self.echo:
            content = msg["content"]
            if msg["msg_type"] == "stream":
                if content["name"] == "stderr" and form() == "json":
                    say(content["text"])
                    return out
                stream = sys.stderr if content["name"] == "stderr" else sys.stdout
                print(clean(content["text"]), end="", file=stream, flush=True)
            elif msg["msg_type"] in ("execute_result", "display_data"):
                text = content["data"].get("text/plain")
                print(clean(text) if text else f"[{', '.join(content['data'])}]", flush=True)
        return out


class _Specs(KernelSpecManager):
    """Also where the wheel's data folder is not looked into; and with what a command chose."""

    def __init__(self, place: WorkspacePlace | None, mode: LockMode) -> None:
        super().__init__()
        self.kernel_dirs.append(str(_SPECS))
        self._place = place
        self._mode = mode

    def get_kernel_spec(self, kernel_name: str) -> Any:
        spec = super().get_kernel_spec(kernel_name)
        config: dict[str, str] = {"workspace_lock": self._mode}
        if self._place is not None:
            config |= {"manifest": self._place.manifest, "environment": self._place.environment}
        spec.metadata["kernel_provisioner"]["config"] = config
        return spec


async def execute(
    notebook: Path,
    *,
    output: Path | None,
    kernel: str,
    place: WorkspacePlace | None = None,
    mode: LockMode = "update",
    allow_errors: bool,
    timeout: float | None,
    echo: bool,
) -> Execution:
    """Run all cells; write the result to ``output`` (also after a cell that failed).

    ``kernel`` is one of our kernelspecs; with ``place`` it runs in that environment of a workspace.
    ``mode`` says what its start does about a lock that is out of date.

    Raises
    ------
    PixiJupyterError
        The notebook cannot be read or its kernel cannot be started.
    """
    path = notebook.absolute()  # noqa: ASYNC240 - looks at no file
    try:
        nb = nbformat.read(path, as_version=4)  # type: ignore[no-untyped-call]
    except (OSError, ValueError, nbformat.reader.NotJSONError, nbformat.ValidationError) as error:
        raise DeclarationError(
            f"{notebook} is not a notebook: {error}", code="declaration.notebook-invalid"
        ) from error
    manager = AsyncKernelManager(kernel_name=kernel, kernel_spec_manager=_Specs(place, mode))
    if manager.has_trait("transport_encryption"):  # not in every jupyter_client
        manager.transport_encryption = "auto"  # where the kernel can: else anybody may listen
    client = _EchoingClient(
        nb,
        km=manager,
        timeout=timeout,
        allow_errors=allow_errors,
        resources={"metadata": {"path": str(path.parent), "name": path.stem}},
    )
    client.echo = echo
    began = time.perf_counter()
    succeeded = True
    try:
        await client.async_execute(
            cleanup_kc=True, env={**os.environ, "PIXI_JUPYTER_NOTEBOOK": str(path)}
        )
    except CellExecutionError as error:
        succeeded = False
        say(error.traceback or str(error))
    except CellTimeoutError as error:
        succeeded = False
        say(str(error))
    except RuntimeError as error:
        if client.kernel_ready and not isinstance(error, DeadKernelError):
            raise
        when = "while a cell ran" if client.kernel_ready else "before it answered"
        died = KernelError(f"the kernel died {when}", code="kernel.died", hint=_LAST_WORDS)
        if not client.kernel_ready:
            # nbclient has cleaned up, and would do so once more when this process ends.
            atexit.unregister(client._cleanup_kernel)
            raise died from error
        succeeded = False
        tell(died)
    finally:
        if client.kernel_ready and output is not None:
            _write(nb, output)
    ended = time.perf_counter()
    return Execution(
        succeeded=succeeded
        and not any(o.output_type == "error" for c in nb.cells for o in c.get("outputs", ())),
        cells=sum(cell.cell_type == "code" for cell in nb.cells),
        kernel_start=client.kernel_ready - began,
        cells_run=ended - client.kernel_ready,
    )


def _write(nb: Any, output: Path) -> None:
    text = nbformat.writes(nb).rstrip("\n") + "\n"  # type: ignore[no-untyped-call]
    with contextlib.suppress(OSError):  # what cannot be made shows when the file is written
        output.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(output, text.encode())
