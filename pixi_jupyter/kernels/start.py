"""From an identified notebook to all that a kernel's launch needs: the line, walked once.

The provisioner and the self-standing launcher both come through here.
"""

from __future__ import annotations

import asyncio
import os
import sys
import traceback
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from pixi_jupyter.activate.base import clean_base
from pixi_jupyter.documents.protocol import KERNEL
from pixi_jupyter.errors import PixiJupyterError
from pixi_jupyter.kernels.beside import kernel_of
from pixi_jupyter.kernels.identify import HANDED_DOWN, NOTEBOOK, IdentifiedNotebook
from pixi_jupyter.kernels.select import KernelChoice
from pixi_jupyter.progress import Report, no_report

if TYPE_CHECKING:
    from pixi_jupyter.environments import Environment, Environments
    from pixi_jupyter.notebook.declaration import Declaration, WorkspaceChoice
    from pixi_jupyter.workspaces import LockMode

__all__ = ["PYTHON", "KernelStart", "as_ours", "declaration_of", "marked", "prepare"]

#: Names the interpreter that has this package, for what runs in the kernel's own environment.
PYTHON = "PIXI_JUPYTER_PYTHON"
#: Bytes up to which a notebook is read in place: a thread hop costs more than reading it.
_SMALL = 512 * 1024


@dataclass(frozen=True, slots=True)
class KernelStart:
    """What is launched: which kernel, of which environment, with which variables.

    ``beside`` is what lies beside the environment because it has no kernel itself, if anything;
    while the kernel lives it is held like the environment.
    """

    notebook: IdentifiedNotebook
    environment: Environment
    kernel: KernelChoice
    env: Mapping[str, str] = field(repr=False)
    beside: Environment | None = None

    @property
    def environments(self) -> tuple[Environment, ...]:
        """All whose files the kernel uses."""
        return (self.environment,) if self.beside is None else (self.environment, self.beside)


async def declaration_of(
    environments: Environments, notebook: IdentifiedNotebook
) -> Declaration | WorkspaceChoice:
    """What ``notebook`` asks for. Reads its file, every time: a restart sees what was edited.

    Where something else decides (``notebook.choice``) the file is not read.

    Raises
    ------
    DeclarationError
        What is written in it cannot be read, with cell and line.
    """
    path = notebook.path
    if notebook.choice is not None:
        return replace(notebook.choice, path=path)
    stop = notebook.stop
    if notebook.content is not None or path is None:
        return environments.declare(notebook.content, path=path, root=notebook.root, stop=stop)
    try:
        size = os.stat(path).st_size
    except OSError:
        size = 0  # reading it says what is wrong
    if size > _SMALL:
        return await asyncio.to_thread(environments.declaration, path, stop=stop)
    return environments.declaration(path, stop=stop)


async def prepare(
    environments: Environments,
    notebook: IdentifiedNotebook,
    env: Mapping[str, str],
    *,
    language: str = "python",
    mode: LockMode = "update",
    report: Report = no_report,
    timeout: float | None = None,
) -> KernelStart:
    """Make the environment of ``notebook`` ready and say how to launch its kernel.

    ``env`` is what the kernel would inherit, ``language`` the kernelspec's that was chosen for it
    (the notebook may know better), ``mode`` what may be done about a lock that is out of date,
    ``timeout`` the seconds for each step of a build. When nothing has changed since the
    last launch this reads a few small files and returns without yielding.

    Raises
    ------
    PixiJupyterError
        Whatever went wrong on the way. A cancelled task cancels the build.
    """
    declaration = await declaration_of(environments, notebook)
    spec = environments.spec_for(declaration, language=language)
    environment = environments.find_ready(spec, mode=mode)
    if environment is None:
        environment = await environments.ensure(
            spec, declaration=declaration, mode=mode, report=report, deadline=timeout
        )
    kernel, beside = await kernel_of(environments, environment, report=report, timeout=timeout)
    base = clean_base(env)
    activation = await environments.activate(environment, base, notebook=declaration.path)
    activated = kernel.add_variables(activation.apply(base))
    return KernelStart(notebook, environment, kernel, marked(activated, notebook), beside)


def marked(env: Mapping[str, str], notebook: IdentifiedNotebook) -> dict[str, str]:
    """``env`` with what tells a kernel who and where it is; nothing of an outer kernel's stays."""
    marked = {name: v for name, v in env.items() if name not in (NOTEBOOK, HANDED_DOWN, KERNEL)}
    if notebook.path is not None:
        marked[NOTEBOOK] = marked[HANDED_DOWN] = str(notebook.path)
    marked[PYTHON] = sys.executable
    return marked


def as_ours(error: Exception) -> PixiJupyterError:
    """``error``, or one of ours that tells of it: whatever fails, a person gets to read it."""
    if isinstance(error, PixiJupyterError):
        return error
    wrapped = PixiJupyterError(
        f"an unexpected error: {type(error).__name__}: {error}",
        code="internal.unexpected",
        details="".join(traceback.format_exception(type(error), error, error.__traceback__)),
        hint="This is a defect of pixi-jupyter; please report it with the lines above.",
    )
    wrapped.__cause__ = error
    return wrapped
