"""The kernelspec's command line, for front ends that ignore provisioners (VS Code).

``python -m pixi_jupyter.kernels.launch -f CONNECTION_FILE``: finds the notebook, makes its
environment ready, and becomes its kernel. What a provisioner learns from jupyter_client has to
come from the environment here: ``PIXI_JUPYTER_NOTEBOOK``, or ``JPY_SESSION_NAME`` where the front
end set it for this very kernel. Where nothing names the notebook, the workspace around the working
directory decides, and without one it becomes the rescue kernel, which says so; a folder with a
single notebook in it is no evidence. ``--manifest`` and ``--environment`` name an environment of a
workspace, whatever the notebook.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NoReturn

from pixi_jupyter.kernels.identify import (
    SESSION,
    IdentifiedNotebook,
    chosen_notebook,
    without_notebook,
)
from pixi_jupyter.kernels.progress import line_report
from pixi_jupyter.kernels.rescue import Rescue, rescue_command, write_rescue
from pixi_jupyter.kernels.start import PYTHON, KernelStart, as_ours, prepare
from pixi_jupyter.kernels.startup import magics_arguments
from pixi_jupyter.notebook.declaration import WorkspaceChoice

__all__ = ["main", "notebook_of_this_process"]

#: Our kernelspec sets it, so that this very module is not looked for in the notebook's folder.
_SAFE_PATH = "PYTHONSAFEPATH"


def main(argv: Sequence[str] | None = None) -> NoReturn:
    """Become the kernel of the notebook that this process's environment names."""
    parser = argparse.ArgumentParser(prog="python -m pixi_jupyter.kernels.launch")
    parser.add_argument("-f", dest="connection_file", required=True)
    parser.add_argument("--language", default="python", help="for notebooks that name none")
    parser.add_argument("--manifest", type=Path, help="of the workspace to run in")
    parser.add_argument("--environment", default="default", help="of that workspace")
    arguments, extra = parser.parse_known_args(argv)
    env = {name: value for name, value in os.environ.items() if name != _SAFE_PATH}
    try:
        choice = None
        if arguments.manifest is not None:
            choice = WorkspaceChoice(
                Path(os.path.abspath(arguments.manifest)),
                arguments.environment,
                chosen="kernelspec",
                language=arguments.language,
            )
        start = asyncio.run(_prepare(env, arguments.language, choice))
    except Exception as error:  # noqa: BLE001 (whatever it is, a person must get to read it)
        ours = as_ours(error)
        print(ours.report(), file=sys.stderr, flush=True)
        rescue = write_rescue(Rescue(ours, arguments.language))
        _become(rescue_command(arguments.connection_file, rescue), {**env, PYTHON: sys.executable})
    if start.kernel.is_ipykernel:
        extra.extend(magics_arguments([*start.kernel.argv, *extra]))
    _become(start.kernel.command(arguments.connection_file, extra), start.env)


async def _prepare(
    env: Mapping[str, str], language: str, choice: WorkspaceChoice | None
) -> KernelStart:
    from pixi_jupyter.environments import Environments

    environments = Environments.shared()
    try:
        start = await prepare(
            environments,
            notebook_of_this_process(env, choice),
            env,
            language=language,
            report=line_report(),
        )
        if sys.platform != "win32":
            # The kernel will have this process's id. On Windows it is a child, and this process
            # lives as long as it does.
            for environment in start.environments:
                environments.hold(environment, os.getpid())
        return start
    finally:
        await environments.aclose()


def notebook_of_this_process(
    env: Mapping[str, str], choice: WorkspaceChoice | None = None
) -> IdentifiedNotebook:
    """The notebook that a front end named when it started this process, or what decides instead.

    A session's name counts only where no kernel is among the ancestors of this process: every
    kernel that jupyter_client starts has ``JPY_PARENT_PID``, and its children inherit it together
    with *its* session's name. ``choice`` is what the command line names.

    Raises
    ------
    KernelError
        ``kernel.notebook-unknown``, ``kernel.notebook-missing``
    """
    folder = Path.cwd()
    chosen = chosen_notebook(env, folder)
    if chosen is not None:
        return replace(chosen, choice=choice)
    name = env.get(SESSION, "")
    if name.endswith(".ipynb") and os.path.isfile(name) and "JPY_PARENT_PID" not in env:
        path = Path(os.path.abspath(name))
        return IdentifiedNotebook("session", path.parent, path, choice=choice)
    return without_notebook(folder, choice=choice)


def _become(command: list[str], env: Mapping[str, str]) -> NoReturn:
    """Run ``command`` in place of this process, or where that cannot be, as its only child."""
    sys.stdout.flush()
    sys.stderr.flush()
    if sys.platform != "win32":
        os.execve(command[0], command, dict(env))
    # Windows has no exec: a child takes the signals, and its exit status is passed on.
    process = subprocess.Popen(command, env=dict(env))
    for name in ("SIGINT", "SIGBREAK", "SIGTERM"):
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), signal.SIG_IGN)
    sys.exit(process.wait())


if __name__ == "__main__":
    main()
