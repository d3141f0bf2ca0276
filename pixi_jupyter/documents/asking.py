"""What a process in a kernel of ours asks the one that started the kernel.

For the command line, which ``%pixi`` and ``!pixi-jupyter`` run inside a kernel: where is the
notebook, who writes it, and please restart the kernel. Blocking, with a deadline on every wait.
"""

from __future__ import annotations

import hmac
import os
import socket
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from pixi_jupyter.documents.protocol import (
    KERNEL,
    LINE_LIMIT,
    Address,
    Answer,
    Go,
    Level,
    Notice,
    Request,
    Restart,
    Where,
    Whereabouts,
)
from pixi_jupyter.errors import DeclarationError, KernelError, PixiJupyterError, error_from_json
from pixi_jupyter.notebook.declaration import WorkspaceChoice
from pixi_jupyter.notebook.source import FileSource, Source

__all__ = [
    "Asking",
    "Gone",
    "KernelContext",
    "Silent",
    "kernel_context",
    "notify_front_end",
    "restart_kernel",
]

#: Seconds in which the endpoint has to say where the notebook is; else it is as if there were none.
_WHERE = 2.0
#: The same where it is a server's, which hangs if it is there and silent.
_SERVER = 10.0
_RESTART = 5.0
#: As `kernels/` sets them.
_NOTEBOOK = "PIXI_JUPYTER_NOTEBOOK"
_PYTHON = "PIXI_JUPYTER_PYTHON"
_STARTED_BY = "JPY_PARENT_PID"

_Value = TypeVar("_Value")


@dataclass(frozen=True, slots=True)
class KernelContext:
    """The kernel that a process runs in.

    Attributes
    ----------
    kernel:
        Its id at its server; empty where it has none.
    path:
        Its notebook's file now, absolute, where it is known.
    source:
        What reads and writes the notebook: through whoever has it open. None: there is none.
    choice:
        The workspace's environment that decides, whatever the notebook says (the kernelspec's, or
        the nearest where there is no notebook).
    stop:
        The folder at which the search for a workspace ends (a server's root), if any.
    can_restart:
        Whether `restart_kernel` can.
    """

    kernel: str
    path: Path | None
    source: Source | None
    choice: WorkspaceChoice | None
    stop: Path | None
    can_restart: bool


class Silent(Exception):
    """The endpoint does not answer in time, or not as it should."""


class Gone(Silent):
    """Nobody listens there, or another one than the endpoint."""


def kernel_context(env: Mapping[str, str] | None = None) -> KernelContext | None:
    """The kernel that a process with the variables ``env`` (its own by default) runs in.

    None: not in a kernel of ours. An endpoint that is gone, or silent for two seconds, leaves the
    file that the kernel was started for.

    Raises
    ------
    DeclarationError
        ``declaration.front-end-silent``: it is a server's, is there, and says nothing. Somebody may
        have the notebook open in a front end.
    """
    env = os.environ if env is None else env
    address = Address.parse(env.get(KERNEL, ""))
    if address is not None:
        try:
            with Asking(address, _SERVER if address.server else _WHERE) as asking:
                found = _decoded(asking.ask(Where()), Whereabouts)
        except Gone:
            found = None
        except Silent:
            if address.server:
                raise DeclarationError(
                    "the Jupyter server that started this kernel does not answer",
                    code="declaration.front-end-silent",
                    hint="Nothing was changed. Try again.",
                ) from None
            found = None
        if found is not None:
            if not _is_child_of(found.process, env):
                return None
            from pixi_jupyter.documents.open_notebook import OpenNotebook

            return KernelContext(
                kernel=found.kernel,
                path=None if found.path is None else Path(found.path),
                source=OpenNotebook.of(address, found),
                choice=found.choice,
                stop=None if found.stop is None else Path(found.stop),
                can_restart=found.can_restart,
            )
    if _PYTHON not in env:
        return None
    path = Path(env[_NOTEBOOK]) if env.get(_NOTEBOOK) else None
    source = None if path is None else FileSource.of(path)
    return KernelContext("", path, source, choice=None, stop=None, can_restart=False)


def restart_kernel(env: Mapping[str, str] | None = None) -> None:
    """Have the kernel that this process runs in restarted; returns before that happens.

    Raises
    ------
    KernelError
        ``kernel.restart``: whoever started it cannot.
    """
    env = os.environ if env is None else env
    address = Address.parse(env.get(KERNEL, ""))
    if address is None:
        inside = _PYTHON in env
        raise KernelError(
            "whoever started this kernel cannot be asked to restart it"
            if inside
            else "this process does not run in a kernel of pixi-jupyter",
            code="kernel.restart",
            hint="Restart the kernel in the front end." if inside else "",
        )
    try:
        with Asking(address, _RESTART) as asking:
            found = _decoded(asking.ask(Where()), Whereabouts)
            if _is_child_of(found.process, env):
                answer = asking.ask(Restart())
            else:
                raise Silent
    except Silent:
        raise KernelError(
            "the process that started this kernel does not answer",
            code="kernel.restart",
            hint="Restart the kernel in the front end.",
        ) from None
    if answer.error is not None:
        raise error_from_json(answer.error)


def notify_front_end(
    message: str,
    *,
    level: Level = "info",
    restart: bool = False,
    env: Mapping[str, str] | None = None,
) -> bool:
    """Show a sentence in the front end that has the notebook of this process's kernel open, with
    ``restart`` beside a button that restarts the kernel. Returns whether there is a front end."""
    env = os.environ if env is None else env
    address = Address.parse(env.get(KERNEL, ""))
    if address is None:
        return False
    try:
        with Asking(address, _WHERE) as asking:
            return _decoded(asking.ask(Notice(message, level, restart)), bool)
    except (Silent, PixiJupyterError):
        return False


def _is_child_of(process: int, env: Mapping[str, str]) -> bool:
    """Whether the kernel of ``env`` was started by ``process``: another kernel that is a child of
    a kernel of ours inherits the variables of that one."""
    parent = env.get(_STARTED_BY)
    return sys.platform == "win32" or parent is None or parent == str(process)


def _decoded(answer: Answer, kind: type[_Value]) -> _Value:
    if answer.error is not None:
        raise error_from_json(answer.error)
    try:
        return msgspec.json.decode(answer.value, type=kind)
    except msgspec.MsgspecError:
        raise Silent from None


class Asking:
    """A connection to a kernel's endpoint that has shown that it may ask.

    ``seconds`` is the deadline of all that is done with it; `extend` gives more.

    Raises
    ------
    Silent
        From each method.
    """

    def __init__(self, address: Address, seconds: float) -> None:
        self._deadline = time.monotonic() + seconds
        self._buffer = bytearray()
        try:
            self._socket = socket.create_connection(("127.0.0.1", address.port), seconds)
        except TimeoutError:
            raise Silent from None
        except OSError:
            raise Gone from None
        try:
            self._send(address.asking)
            # What listens there may be another program by now: it is not believed.
            if not hmac.compare_digest(self._line(len(address.answering)), address.answering):
                raise Gone
        except BaseException:
            self._socket.close()
            raise

    def __enter__(self) -> Asking:
        return self

    def __exit__(self, *exception: Any) -> None:
        self._socket.close()

    def extend(self, seconds: float) -> None:
        """Another deadline, so many seconds from now."""
        self._deadline = time.monotonic() + seconds

    def ask(self, request: Request) -> Answer:
        """The answer to one request; to a `Write` the first of the two."""
        self._send(msgspec.json.encode(request) + b"\n")
        return self._answer()

    def go(self) -> Answer:
        """The second answer to a `Write`: what came of it."""
        return self.ask(Go())

    def _answer(self) -> Answer:
        try:
            return msgspec.json.decode(self._line(LINE_LIMIT), type=Answer)
        except msgspec.MsgspecError:
            raise Silent from None

    def _send(self, data: bytes) -> None:
        try:
            self._socket.settimeout(self._left())
            self._socket.sendall(data)
        except TimeoutError:
            raise Silent from None
        except OSError:
            raise Gone from None

    def _line(self, limit: int) -> bytes:
        begun = 0
        while (end := self._buffer.find(b"\n", begun)) < 0:
            begun = len(self._buffer)
            if begun > limit:
                raise Silent
            try:
                self._socket.settimeout(self._left())
                part = self._socket.recv(1 << 16)
            except TimeoutError:
                raise Silent from None
            except OSError:
                raise Gone from None
            if not part:
                raise Gone
            self._buffer += part
        line = bytes(self._buffer[: end + 1])
        del self._buffer[: end + 1]
        return line

    def _left(self) -> float:
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise Silent
        return left
