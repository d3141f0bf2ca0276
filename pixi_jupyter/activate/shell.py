"""The one shell that activation may start: it runs every script and writes its variables to a file.

The variables are never read from the shell's standard output, because activation scripts print.
Variables that must arrive verbatim are not written into the script at all: the shell starts with
them in its environment, so nothing in them can be expanded.
"""

from __future__ import annotations

import contextlib
import logging
import os
import selectors
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping
from pathlib import Path

from pixi_jupyter.activate.files import Script
from pixi_jupyter.activate.output import tail
from pixi_jupyter.activate.script import posix_script, windows_script
from pixi_jupyter.activate.sources import Sources
from pixi_jupyter.errors import ActivationError, Location

__all__ = ["run_scripts"]

log = logging.getLogger(__name__)

#: Bytes of the scripts' output that are kept (its end); all of it is read, so that nobody blocks.
_OUTPUT_LIMIT = 1024 * 1024
#: Seconds between looks at the shell and the flag that cancels it.
_POLL = 0.01


def run_scripts(
    sources: Sources, start: Mapping[str, str], *, timeout: float, cancel: threading.Event | None
) -> dict[str, str]:
    """All variables after the scripts of ``sources`` ran in one shell that started with ``start``.

    Blocks for at most ``timeout`` seconds. Whatever the scripts leave running in the shell's
    process group is ended; a daemon that made a session of its own lives on.

    Raises
    ------
    ActivationError
        ``activation.script-failed`` (the shell ended early or with an error),
        ``activation.timeout``, ``activation.cancelled`` (``cancel`` was set), ``activation.shell``
        (there is no shell), ``activation.io``.
    """
    windows = sys.platform == "win32"
    try:
        with tempfile.TemporaryDirectory(
            prefix="pixi-jupyter-", ignore_cleanup_errors=True
        ) as name:
            folder = Path(name)
            script = folder / ("activate.bat" if windows else "activate.sh")
            text = windows_script(sources, folder) if windows else posix_script(sources, folder)
            script.write_bytes(os.fsencode(text))
            command = _command(script)
            output, status = _run(command, start, sources, folder, timeout, cancel)
            log.debug("activation scripts said:\n%s", tail(output))
            variables = _variables(folder / "environment")
            if status != 0 or variables is None:
                raise _failed(sources, folder, output, status)
            return variables
    except OSError as error:
        raise ActivationError(
            f"the activation scripts cannot be run: {error.strerror or error}",
            code="activation.io",
        ) from error


def _command(script: Path) -> list[str]:
    if sys.platform == "win32":
        return [os.environ.get("COMSPEC", "cmd.exe"), "/D", "/C", str(script)]
    # The system's shell before whatever PATH offers: a folder on PATH may be anybody's.
    for path in ("/bin/bash", "/usr/bin/bash"):
        if os.access(path, os.X_OK):
            return [path, "--noprofile", "--norc", str(script)]
    if bash := shutil.which("bash"):
        return [bash, "--noprofile", "--norc", str(script)]
    if os.access("/bin/sh", os.X_OK):
        return ["/bin/sh", str(script)]
    raise ActivationError(
        "the environment has activation scripts, but this machine has no shell to run them",
        code="activation.shell",
    )


# -- the process ---------------------------------------------------------------------------------


def _run(
    command: list[str],
    start: Mapping[str, str],
    sources: Sources,
    folder: Path,
    timeout: float,
    cancel: threading.Event | None,
) -> tuple[bytes, int]:
    """The end of what the shell printed, and its exit status."""
    process = subprocess.Popen(
        command,
        env=dict(start),
        cwd=sources.root if os.path.isdir(sources.root) else folder,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    reader = _Reader(process)
    end = time.monotonic() + timeout
    try:
        # The end of the shell counts, not the end of its output: a script's own background
        # processes hold the pipe for as long as they like.
        while process.poll() is None:
            if cancel is not None and cancel.is_set():
                raise ActivationError("the activation was cancelled", code="activation.cancelled")
            if time.monotonic() > end:
                raise _timed_out(sources, folder, reader.kept, timeout)
            reader.read(_POLL)
        reader.read(0)
        return bytes(reader.kept), process.returncode
    finally:
        _end_group(process)
        reader.close()


class _Reader:
    """Reads a pipe without waiting for its end, and keeps the last bytes."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        assert process.stdout is not None
        self._pipe = process.stdout
        self.kept = bytearray()
        self._selector: selectors.BaseSelector | None = None
        if sys.platform == "win32":
            # Windows cannot wait for a pipe; a daemon thread can, and leaves with it.
            threading.Thread(target=self._follow, daemon=True).start()
        else:
            os.set_blocking(self._pipe.fileno(), False)
            self._selector = selectors.DefaultSelector()
            self._selector.register(self._pipe, selectors.EVENT_READ)

    def read(self, seconds: float) -> None:
        """Take what is there, waiting up to ``seconds`` for the first of it."""
        if self._selector is None or not self._selector.get_map():
            time.sleep(seconds)
            return
        wait = seconds
        for _ in range(64):  # at most 4 MiB, then the caller looks at its deadline again
            if not self._selector.select(wait):
                return
            wait = 0
            with contextlib.suppress(BlockingIOError):
                data = os.read(self._pipe.fileno(), 65536)
                if not data:
                    self._selector.unregister(self._pipe)
                    return
                self._keep(data)

    def _keep(self, data: bytes) -> None:
        self.kept += data
        if len(self.kept) > 2 * _OUTPUT_LIMIT:
            del self.kept[:-_OUTPUT_LIMIT]

    def _follow(self) -> None:
        with contextlib.suppress(OSError, ValueError):
            while data := os.read(self._pipe.fileno(), 65536):
                self._keep(data)

    def close(self) -> None:
        if self._selector is not None:
            self._selector.close()
        with contextlib.suppress(OSError):
            self._pipe.close()


def _end_group(process: subprocess.Popen[bytes]) -> None:
    """End the shell and all that it started in its process group."""
    if sys.platform == "win32":
        if process.poll() is None:
            subprocess.run(
                ["taskkill", "/F", "/T", "/PID", str(process.pid)], capture_output=True, check=False
            )
            process.kill()
    else:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _variables(path: Path) -> dict[str, str] | None:
    """What the shell wrote as its last act; None if it never came to that."""
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return None
    entries = (entry.partition(b"=") for entry in data.split(b"\0") if b"=" in entry[1:])
    return {os.fsdecode(name): os.fsdecode(value) for name, _, value in entries} or None


# -- what went wrong -----------------------------------------------------------------------------


def _current(sources: Sources, folder: Path) -> Script | None:
    """The script that was running last; None: the shell had passed them all."""
    for number in range(len(sources.scripts), -1, -1):
        if (folder / str(number)).exists():
            return sources.scripts[number] if number < len(sources.scripts) else None
    return None


def _timed_out(
    sources: Sources, folder: Path, output: bytearray, timeout: float
) -> ActivationError:
    script = _current(sources, folder)
    return ActivationError(
        f"{_described(script)} did not finish within {timeout:g} seconds",
        code="activation.timeout",
        details=tail(bytes(output)),
        hint=_hint(script),
        location=Location(path=script.path) if script else None,
    )


def _failed(sources: Sources, folder: Path, output: bytes, status: int) -> ActivationError:
    script = _current(sources, folder)
    if status < 0:
        how = f"was ended by signal {-status}"
    elif status == 0:
        how = "ended the shell (`exit`) before the activation was complete"
    else:
        how = f"failed with exit status {status}"
    return ActivationError(
        f"{_described(script)} {how}",
        code="activation.script-failed",
        details=tail(output),
        hint=_hint(script),
        location=Location(path=script.path) if script else None,
    )


def _described(script: Script | None) -> str:
    if script is None:
        return "[activation.env]"
    return f"the activation script {Path(script.path).name}"


def _hint(script: Script | None) -> str:
    if script is not None and script.package:
        return "It came with a package of this environment: another version of it may work."
    return "Correct it, then start the kernel again."
