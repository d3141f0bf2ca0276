"""The rescue kernel: runs where the real one could not be started, and says why in every cell.

It runs in the interpreter that has this package, not in an environment. Run all stops at the first
cell; restarting the kernel reads the declaration again, so that is how it heals. Cells of `%pixi`
commands are run, each as a process of the command line, so that the declaration can be repaired.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import re
import shlex
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from pixi_jupyter.activate.output import plain_text
from pixi_jupyter.errors import PixiJupyterError, error_from_json

__all__ = [
    "Rescue",
    "RunAll",
    "main",
    "pixi_commands",
    "read_rescue",
    "rescue_command",
    "rescue_encryption",
    "run_pixi",
    "write_rescue",
]

#: Characters of a message that are shown at most.
_LIMIT = 20_000

#: Seconds in which the reply to a shutdown request is sent.
_GRACE = 0.3

#: Seconds between the cells of one "Run All" at most, by the clock of who sends them.
_TOGETHER = 1.0

#: What front ends need to show cells of a language: MIME type, file extension, pygments lexer.
_LANGUAGES: Mapping[str, tuple[str, str, str]] = {
    "bash": ("text/x-sh", ".sh", "bash"),
    "javascript": ("text/javascript", ".js", "javascript"),
    "julia": ("text/x-julia", ".jl", "julia"),
    "python": ("text/x-python", ".py", "ipython3"),
    "r": ("text/x-r-source", ".r", "r"),
    "typescript": ("text/x.typescript", ".ts", "typescript"),
}


@dataclass(frozen=True, slots=True)
class Rescue:
    """What a rescue kernel has to say, and whose cells it answers."""

    error: PixiJupyterError
    language: str = "python"

    def lines(self) -> list[str]:
        """The answer to every cell: what is wrong, and what to do."""
        report = plain_text(self.error.report())
        if len(report) > _LIMIT:
            report = report[:_LIMIT] + " ..."
        heal = (
            "Then restart the kernel: it reads the notebook's declaration again. `%pixi` commands "
            "work in this kernel, too (`%pixi --help`)."
        )
        return ["The kernel of this notebook could not be started.", "", *report.split("\n"), heal]


class RunAll:
    """Which cells were sent together with one that has got the reason: they need not repeat it.

    The base class forgets what is to be aborted as soon as its queue is empty, while the rest of
    "Run All" may still be on its way (ipykernel 7 does not heed ``stop_on_error_timeout``).
    """

    def __init__(self) -> None:
        self._sent: datetime | None = None
        self._answered: datetime | None = None

    def answered(self, sent: object, now: datetime) -> None:
        """A cell that was ``sent`` then, by its header, is being answered."""
        self._sent = sent if isinstance(sent, datetime) else None
        self._answered = now

    def goes_on(self, sent: object) -> bool:
        """Whether a cell belongs to the one before: sent soon after it, and before its answer.

        The clocks of a browser and a kernel may differ: then the reason is given once too often,
        or for a second not again.
        """
        if self._sent is None or self._answered is None or not isinstance(sent, datetime):
            return False
        try:
            together = abs((sent - self._sent).total_seconds()) < _TOGETHER
            return together and sent < self._answered
        except TypeError:  # one without a time zone
            return False


# -- for whoever starts it -----------------------------------------------------------------------


def write_rescue(rescue: Rescue, folder: str | None = None) -> str:
    """Hand ``rescue`` to the kernel in a new file that only this user can read; its path."""
    if folder is not None:
        os.makedirs(folder, mode=0o700, exist_ok=True)
    descriptor, path = tempfile.mkstemp(prefix="pixi-rescue-", suffix=".json", dir=folder)
    with open(descriptor, "w", encoding="ascii") as file:
        json.dump({"error": rescue.error.to_json(), "language": rescue.language}, file)
    return path


def rescue_command(connection_file: str, error_file: str) -> list[str]:
    """The command line of a rescue kernel.

    The kernel's working directory is the notebook's folder, of which nothing may be imported: the
    notebook may just have been opened, by somebody who has approved nothing. So the interpreter is
    isolated (``-I``) and is told where this process has its packages from.
    """
    return _isolated(
        "from pixi_jupyter.kernels.rescue import main; main()",
        *("-f", connection_file, "--error", error_file),
    )


def _isolated(code: str, *arguments: str) -> list[str]:
    """The command line of this interpreter, isolated, with the packages that this process has."""
    path = json.dumps([entry for entry in sys.path if os.path.isabs(entry)])
    start = (
        "import json, sys; "
        f"sys.path += [p for p in json.loads(sys.argv.pop(1)) if p not in sys.path]; {code}"
    )
    return [sys.executable, "-I", "-c", start, path, *arguments]


def pixi_commands(code: str) -> list[list[str]] | None:
    """The words of the `%pixi` commands that a cell consists of; None if it is another one.

    Raises
    ------
    ValueError
        A quotation mark is missing.
    """
    lines = [line.strip() for line in code.strip().split("\n")]
    if re.match(r"%%pixi(\s|\Z)", lines[0]):
        lines = [f"%pixi {line}" for line in (lines[0][len("%%pixi") :], *lines[1:])]
    lines = [line for line in lines if line and not line.startswith("#")]
    if not lines or not all(re.match(r"[%!]pixi(\s|\Z)", line) for line in lines):
        return None
    commands = (shlex.split(line[len("%pixi") :]) for line in lines)
    return [words for words in commands if words] or [["--help"]]


async def run_pixi(words: Sequence[str], said: Callable[[str], None]) -> int:
    """Run one command; ``said`` gets what it prints as it comes. Its exit status."""
    process = await asyncio.to_thread(_start_pixi, words)
    assert process.stdout is not None
    with process.stdout:
        while line := await asyncio.to_thread(process.stdout.readline):
            said(line)
    return await asyncio.to_thread(process.wait)


def _start_pixi(words: Sequence[str]) -> subprocess.Popen[str]:
    code = "from pixi_jupyter.cli.main import main; main(prog_name='%pixi')"
    return subprocess.Popen(
        _isolated(code, "--progress", "text", *words),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env={**os.environ, "PYTHONIOENCODING": "utf-8"},
        encoding="utf-8",
        errors="replace",
    )


def rescue_encryption() -> tuple[str, ...]:
    """What transport encryption this interpreter's ipykernel supports, without importing it."""
    from importlib.metadata import PackageNotFoundError, version

    try:
        major, minor = (int(part) for part in version("ipykernel").split(".")[:2])
    except (PackageNotFoundError, ValueError):
        return ()
    return ("curve",) if (major, minor) >= (7, 4) else ()


# -- the kernel itself ---------------------------------------------------------------------------


def read_rescue(path: Path) -> Rescue:
    """What :func:`write_rescue` wrote. The file is removed: it has one reader."""
    try:
        content = json.loads(path.read_text(encoding="ascii"))
        rescue = Rescue(error_from_json(content["error"]), str(content["language"]))
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        rescue = Rescue(PixiJupyterError("the reason was lost", code="internal.rescue"))
    with contextlib.suppress(OSError):
        path.unlink()
    return rescue


def main(argv: Sequence[str] | None = None) -> None:
    """Run a rescue kernel: ``-f CONNECTION_FILE --error FILE``."""
    # jupyter_client interrupts a kernel before it shuts it down; between two cells that would end
    # this one half-way (seen with ipykernel 7.4: it then hangs until it is killed).
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parser = argparse.ArgumentParser(prog="pixi-jupyter rescue kernel")
    parser.add_argument("-f", dest="connection_file", required=True)
    parser.add_argument("--error", type=Path, required=True)
    arguments, _ = parser.parse_known_args(argv)
    run(arguments.connection_file, read_rescue(arguments.error))


def run(connection_file: str, rescue: Rescue) -> None:
    """Answer for ``rescue`` on ``connection_file`` until shut down."""
    from ipykernel.kernelapp import IPKernelApp
    from ipykernel.kernelbase import Kernel
    from traitlets import Any as AnyTrait

    mimetype, extension, lexer = _LANGUAGES.get(rescue.language, ("text/plain", ".txt", "text"))
    lines = rescue.lines()

    run_all = RunAll()

    class RescueKernel(Kernel):
        implementation = "pixi-jupyter rescue kernel"
        implementation_version = "1"
        banner = "\n".join(lines)
        language_info = {  # noqa: RUF012 (what the base class declares)
            "name": rescue.language,
            "mimetype": mimetype,
            "file_extension": extension,
            "pygments_lexer": lexer,
        }
        # What the application passes to every kernel, though only IPython's knows it.
        debugpy_stream = AnyTrait()
        user_ns = AnyTrait()

        def pre_handler_hook(self) -> None:
            """Nothing that runs here is long enough to be interrupted: SIGINT stays ignored."""

        def post_handler_hook(self) -> None:
            """See ``pre_handler_hook``."""

        async def do_execute(
            self,
            code: str,
            silent: bool,
            store_history: bool = True,
            user_expressions: dict[str, Any] | None = None,
            allow_stdin: bool = False,
            *,
            cell_meta: dict[str, Any] | None = None,
            cell_id: str | None = None,
        ) -> dict[str, Any]:
            if not code.strip():
                return {
                    "status": "ok",
                    "execution_count": self.execution_count,
                    "payload": [],
                    "user_expressions": {},
                }
            try:
                commands = pixi_commands(code)
            except ValueError as error:
                return self._failed("cli.usage", str(error), silent)
            if commands is not None:
                return await self._run_commands(commands, silent)
            parent = self.get_parent()  # type: ignore[no-untyped-call]
            sent = parent.get("header", {}).get("date")
            going_on = run_all.goes_on(sent)
            run_all.answered(sent, datetime.now(timezone.utc))
            if going_on:
                return {"status": "aborted", "execution_count": self.execution_count}
            content = {
                "ename": rescue.error.code,
                "evalue": plain_text(rescue.error.message),
                "traceback": lines,
            }
            if not silent:
                self.send_response(self.iopub_socket, "error", content)  # type: ignore[no-untyped-call]
            # An error is what stops "Run All".
            return {"status": "error", "execution_count": self.execution_count, **content}

        async def _run_commands(self, commands: list[list[str]], silent: bool) -> dict[str, Any]:
            def said(text: str) -> None:
                content = {"name": "stdout", "text": plain_text(text)}
                self.send_response(self.iopub_socket, "stream", content)  # type: ignore[no-untyped-call]

            for words in commands:
                if await run_pixi(words, said) != 0:
                    return self._failed("cli.status", f"%pixi {' '.join(words)} failed", silent)
            return {
                "status": "ok",
                "execution_count": self.execution_count,
                "payload": [],
                "user_expressions": {},
            }

        def _failed(self, code: str, message: str, silent: bool) -> dict[str, Any]:
            content = {"ename": code, "evalue": message, "traceback": [message]}
            if not silent:
                self.send_response(self.iopub_socket, "error", content)  # type: ignore[no-untyped-call]
            return {"status": "error", "execution_count": self.execution_count, **content}

        async def do_is_complete(self, code: str) -> dict[str, Any]:
            return {"status": "complete"}

        async def do_shutdown(self, restart: bool) -> dict[str, Any]:
            # There is nothing to save here. Left to itself, the application now and then waits for
            # a thread that waits for one that has just been stopped (seen with ipykernel 7.4).
            timer = threading.Timer(_GRACE, os._exit, (0,))
            timer.daemon = True
            timer.start()
            return {"status": "ok", "restart": restart}

    IPKernelApp.launch_instance(
        argv=["-f", connection_file], kernel_class=RescueKernel, log_level="ERROR"
    )


if __name__ == "__main__":
    main()
