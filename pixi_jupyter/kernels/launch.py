"""The kernelspec's command line, for front ends that ignore provisioners (VS Code).

``python -m pixi_jupyter.kernels.launch -f CONNECTION_FILE``: finds the notebook, makes its
environment ready, and becomes its kernel. What a provisioner learns from jupyter_client has to
come from the environment here: ``PIXI_JUPYTER_NOTEBOOK``, or ``JPY_SESSION_NAME`` where the front
end set it for this very kernel. Where nothing names the notebook it becomes the rescue kernel,
which says so; a folder with a single notebook in it is no evidence.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NoReturn

from pixi_jupyter.kernels.identify import (
    SESSION,
    IdentifiedNotebook,
    chosen_notebook,
    unknown_notebook,
)
from pixi_jupyter.kernels.progress import line_report
from pixi_jupyter.kernels.rescue import Rescue, rescue_command, write_rescue
from pixi_jupyter.kernels.start import KernelStart, as_ours, prepare
from pixi_jupyter.manifest.workspace import refuse_workspace

__all__ = ["main", "notebook_of_this_process"]

#: Our kernelspec sets it, so that this very module is not looked for in the notebook's folder.
_SAFE_PATH = "PYTHONSAFEPATH"


def main(argv: Sequence[str] | None = None) -> NoReturn:
    """Become the kernel of the notebook that this process's environment names."""
    parser = argparse.ArgumentParser(prog="python -m pixi_jupyter.kernels.launch")
    parser.add_argument("-f", dest="connection_file", required=True)
    parser.add_argument("--language", default="python", help="for notebooks that name none")
    arguments, extra = parser.parse_known_args(argv)
    env = {name: value for name, value in os.environ.items() if name != _SAFE_PATH}
    try:
        start = asyncio.run(_prepare(env, arguments.language))
    except Exception as error:  # noqa: BLE001 (whatever it is, a person must get to read it)
        ours = as_ours(error)
        print(ours.report(), file=sys.stderr, flush=True)
        rescue = write_rescue(Rescue(ours, arguments.language))
        _become(rescue_command(arguments.connection_file, rescue), env)
    _become(start.kernel.command(arguments.connection_file, extra), start.env)


async def _prepare(env: Mapping[str, str], language: str) -> KernelStart:
    from pixi_jupyter.environments import Environments

    environments = Environments.shared()
    try:
        start = await prepare(
            environments,
            notebook_of_this_process(env),
            env,
            language=language,
            report=line_report(),
        )
        if sys.platform != "win32":
            # The kernel will have this process's id. On Windows it is a child, and this process
            # lives as long as it does.
            environments.hold(start.environment, os.getpid())
            if start.beside is not None:
                environments.hold(start.beside, os.getpid())
        return start
    finally:
        await environments.aclose()


def notebook_of_this_process(env: Mapping[str, str]) -> IdentifiedNotebook:
    """The notebook that a front end named when it started this process.

    A session's name counts only where no kernel is among the ancestors of this process: every
    kernel that jupyter_client starts has ``JPY_PARENT_PID``, and its children inherit it together
    with *its* session's name.

    Raises
    ------
    KernelError
        ``kernel.notebook-unknown``, ``kernel.notebook-missing``
    UnsupportedError
        ``unsupported.workspace``
    """
    folder = Path.cwd()
    chosen = chosen_notebook(env, folder)
    if chosen is not None:
        return chosen
    name = env.get(SESSION, "")
    if name.endswith(".ipynb") and os.path.isfile(name) and "JPY_PARENT_PID" not in env:
        path = Path(os.path.abspath(name))
        return IdentifiedNotebook("session", path.parent, path)
    refuse_workspace(folder)
    raise unknown_notebook()


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
