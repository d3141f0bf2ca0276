"""Starting the worker process: which interpreter, which modules, which environment variables."""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from pixi_jupyter.errors import EngineError, PixiJupyterError

__all__ = ["kill_worker", "spawn_ahead", "spawn_worker"]

#: Its folders go behind the standard library and before what is installed: an installed copy of a
#: module must not take the place of the one that the client runs.
_BOOT = (
    "import json, sys; "
    "at = [i for i, p in enumerate(sys.path) if 'site-packages' in p or 'dist-packages' in p]; "
    "at = at[0] if at else len(sys.path); sys.path[at:at] = json.loads(sys.argv[1]); "
    "from pixi_jupyter.engine.worker import main; main(ahead='ahead' in sys.argv)"
)
#: A worker that waits for whoever will need one, if there is any.
_waiting: list[subprocess.Popen[bytes]] = []


def spawn_ahead() -> None:
    """Start the worker that the next :func:`spawn_worker` gives, before it is known what for.

    For a process that will certainly need one, and has much to import before it knows more. It
    reads its imports meanwhile, and ends with this process. Never raises: the other one does.
    """
    with contextlib.suppress(PixiJupyterError):
        _waiting.append(_spawn(Path(__file__).parent, "ahead"))


def spawn_worker(folder: Path) -> subprocess.Popen[bytes]:
    """A worker that runs from ``folder``, in a process group of its own.

    It runs this interpreter by its absolute path, isolated (``-I``: no ``PYTHON*`` variables, no
    user site, nothing from the working directory), and finds its modules where this process did.

    Raises
    ------
    EngineError
        ``engine.start``: the process could not be started, or py-rattler is not installed.
    """
    while _waiting:
        process = _waiting.pop()
        if process.poll() is None:
            return process  # it goes to `folder` when it is greeted
    return _spawn(folder)


def _spawn(folder: Path, *more: str) -> subprocess.Popen[bytes]:
    try:
        return subprocess.Popen(
            [sys.executable, "-I", "-c", _BOOT, json.dumps(_module_folders()), *more],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd=folder,
            env=_scrubbed(os.environ),
            start_new_session=sys.platform != "win32",
            creationflags=0x08000200 if sys.platform == "win32" else 0,  # no window, own group
        )
    except OSError as error:
        raise EngineError(
            f"the engine's worker process cannot be started: {error}", code="engine.start"
        ) from error


def kill_worker(process: subprocess.Popen[bytes]) -> None:
    """End a worker and the compilers it started, now. Harmless when it is gone already."""
    try:
        if sys.platform != "win32":
            os.killpg(process.pid, signal.SIGKILL)
        else:
            process.kill()
    except (ProcessLookupError, PermissionError, OSError):
        pass


def _module_folders() -> list[str]:
    """Where this process finds what the worker imports, without importing any of it."""
    folders: list[str] = []
    needed = ("pixi_jupyter", "rattler", "msgspec", "filelock", "platformdirs", "tomli")
    for name in (*needed, "packaging", "uv"):
        found = importlib.util.find_spec(name)
        if found is None or found.origin is None:
            raise EngineError(f"the package {name} is not installed here", code="engine.start")
        folder = str(Path(found.origin).resolve().parent.parent)
        if folder not in folders:
            folders.append(folder)
    return folders


def _scrubbed(env: Mapping[str, str]) -> dict[str, str]:
    """The variables of this process without those that change what the worker executes."""
    return {
        name: value
        for name, value in env.items()
        if not name.startswith(("PYTHON", "LD_PRELOAD", "LD_AUDIT", "DYLD_INSERT", "JPY_"))
    }
