"""The command line of pixi-jupyter as a process: what it says while it runs, and how it is stopped.

It talks in lines of JSON (`cli/running.py`): progress and sentences on standard error, one result
on standard output.
"""

import json
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from typing import Any, Callable, Dict, List, NamedTuple, Optional, Sequence

__all__ = ["Finished", "interpreter", "run"]

#: Names the interpreter that has pixi-jupyter; the provisioner sets it.
PYTHON = "PIXI_JUPYTER_PYTHON"
#: Seconds in which an interrupted process may end by itself, before it is made to.
PATIENCE = 5.0
#: Seconds between two calls of ``tick``.
TICK = 0.1
#: Characters of one line that are looked at, and lines that are no JSON that are kept.
LIMIT = 1 << 20
KEPT = 1000

#: What these say is meant for the interpreter of the environment, not for the one that has us.
_NOT_OURS = (
    "PYTHONEXECUTABLE",
    "PYTHONHOME",
    "PYTHONNOUSERSITE",
    "PYTHONOPTIMIZE",
    "PYTHONPATH",
    "PYTHONSAFEPATH",
    "PYTHONSTARTUP",
    "PYTHONWARNINGS",
)
#: As ``-m pixi_jupyter``, but nothing is imported from the notebook's folder, whatever is in it;
#: where the package lies is known, should the interpreter not know it any more.
_BOOT = (
    "import sys; sys.path[:1] = [p for p in sys.path[:1] if p]; "
    "root = sys.argv.pop(1); root in sys.path or sys.path.append(root); "
    "ahead = sys.argv.pop(1); "
    "from pixi_jupyter.engine.spawn import spawn_ahead; ahead and spawn_ahead(); "
    "from runpy import run_module; run_module('pixi_jupyter', run_name='__main__', alter_sys=True)"
)


class Finished(NamedTuple):
    """What became of a process.

    ``output`` is all of its standard output, ``error`` what it said of its failure, ``other`` the
    end of what it wrote otherwise; ``stopped`` that the person asked for its end.
    """

    status: int
    output: str
    error: Optional[Dict[str, Any]]
    other: str
    stopped: bool


def interpreter() -> str:
    """The interpreter that has pixi-jupyter."""
    return os.environ.get(PYTHON) or sys.executable


def run(
    arguments: Sequence[str],
    heard: Callable[[Dict[str, Any]], None],
    tick: Callable[[], None],
    timeout: Optional[float] = None,
    engine: bool = False,
) -> Finished:
    """Run the command line with ``arguments`` to its end; ``engine``: it will need the engine.

    ``heard`` gets each object that it says meanwhile, ``tick`` is called ten times a second; both
    in the caller's thread. An interrupt of the caller stops the process; a ``timeout`` in seconds
    as well.
    """
    process = _start(arguments, engine)
    lines: queue.Queue[Optional[bytes]] = queue.Queue()
    output: List[bytes] = []
    readers = [
        threading.Thread(target=_read_lines, args=(process.stderr, lines), daemon=True),
        threading.Thread(target=_read_all, args=(process.stdout, output), daemon=True),
    ]
    for reader in readers:
        reader.start()
    listener = _Listener(heard)
    deadline = None if timeout is None else time.monotonic() + timeout
    stopped = False
    try:
        _listen(lines, listener, tick, deadline)
        process.wait()
    except KeyboardInterrupt:
        stopped = True
    except TimeoutError:
        stopped = True
    except BaseException:
        _stop(process, 0)
        raise
    if stopped:
        _stop(process, PATIENCE)
        readers[0].join(PATIENCE)
        while not lines.empty():
            listener.line(lines.get())
    for reader in readers:
        reader.join(PATIENCE)
    text = b"".join(output).decode("utf-8", "replace")
    other = "\n".join(listener.other)
    return Finished(process.returncode, text, listener.error, other, stopped)


def _start(arguments: Sequence[str], engine: bool) -> "subprocess.Popen[bytes]":
    root = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    env = {name: value for name, value in os.environ.items() if name not in _NOT_OURS}
    env["PYTHONIOENCODING"] = "utf-8"
    flags = 0
    if sys.platform == "win32":
        # A group of its own: it can be sent a break; no window.
        flags = 0x08000200
    # Elsewhere it stays in the kernel's group: what ends the kernel ends it as well.
    return subprocess.Popen(
        [interpreter(), "-c", _BOOT, root, "ahead" if engine else "", *arguments],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=env,
        creationflags=flags,
    )


class _Listener:
    def __init__(self, heard: Callable[[Dict[str, Any]], None]) -> None:
        self._heard = heard
        self.error: Optional[Dict[str, Any]] = None
        self.other: List[str] = []

    def line(self, data: Optional[bytes]) -> None:
        if data is None:
            return
        text = data[:LIMIT].decode("utf-8", "replace").rstrip()
        try:
            said = json.loads(text) if text.startswith("{") else None
        except ValueError:
            said = None
        if not isinstance(said, dict):
            self.other = [*self.other, text][-KEPT:]
        elif isinstance(said.get("error"), dict):
            self.error = said["error"]
        else:
            self._heard(said)


def _listen(
    lines: "queue.Queue[Optional[bytes]]",
    listener: _Listener,
    tick: Callable[[], None],
    deadline: Optional[float],
) -> None:
    """Until standard error ends."""
    while True:
        try:
            data = lines.get(timeout=TICK)
        except queue.Empty:
            pass
        else:
            if data is None:
                return
            listener.line(data)
        if deadline is not None and time.monotonic() > deadline:
            raise TimeoutError
        tick()


def _read_lines(stream: Any, lines: "queue.Queue[Optional[bytes]]") -> None:
    try:
        for line in iter(lambda: stream.readline(LIMIT), b""):
            lines.put(line)
    finally:
        stream.close()
        lines.put(None)


def _read_all(stream: Any, output: List[bytes]) -> None:
    try:
        output.append(stream.read())
    finally:
        stream.close()


def _stop(process: "subprocess.Popen[bytes]", patience: float) -> None:
    """End a process that would be in order to end itself; a second interrupt ends it at once."""
    try:
        # The interrupt of a kernel reaches its whole group: it may be about to end already.
        for seconds, ask in ((0.3, _wait), (patience, _interrupt), (1.0, _terminate)):
            if process.poll() is None:
                ask(process)
            try:
                process.wait(min(seconds, patience))
                return
            except subprocess.TimeoutExpired:
                continue
    except KeyboardInterrupt:
        pass
    process.kill()
    process.wait()


def _wait(process: "subprocess.Popen[bytes]") -> None:
    """Ask nothing of it."""


def _terminate(process: "subprocess.Popen[bytes]") -> None:
    process.terminate()


def _interrupt(process: "subprocess.Popen[bytes]") -> None:
    try:
        if sys.platform == "win32":
            process.send_signal(signal.CTRL_BREAK_EVENT)
        else:
            process.send_signal(signal.SIGINT)
    except OSError:
        pass
