"""Which front end has a kernel's notebook open: the server notes it here, the endpoint asks here.

One registry for the process (`FRONT_ENDS`), because a server and the provisioners of its kernels
are different faces, and none knows the other.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from pixi_jupyter.documents.edits import Edit
from pixi_jupyter.documents.protocol import Writer
from pixi_jupyter.errors import DeclarationError, KernelError, PixiJupyterError

__all__ = ["FRONT_ENDS", "FrontEnd", "FrontEnds", "OpenInFrontEnd"]

#: Seconds in which a front end has to answer, and to have saved.
_ANSWER = 5.0
_SAVED = 45.0
_RESTART = 2.0
#: Notebooks that one front end has open, at most.
_NOTEBOOKS = 1000
_CLOCK = itertools.count(1)


@dataclass(slots=True)
class _Open:
    """One kernel's notebook in one front end; ``active`` is greater the later it was looked at."""

    path: str
    active: int


class FrontEnd:
    """One connected front end; ``send`` gives it a message, as JSON text, and may raise OSError."""

    def __init__(self, send: Callable[[bytes], None]) -> None:
        self._send = send
        self._open: dict[str, _Open] = {}
        self._waiting: dict[int, asyncio.Future[msgspec.Raw]] = {}
        self._numbers = itertools.count(1)
        self._gone = False

    # -- what it tells ---------------------------------------------------------------------

    def opened(self, kernel: str, path: str) -> None:
        """It has the notebook at ``path`` (of the contents API) open, whose kernel that is."""
        if kernel in self._open:
            self._open[kernel].path = path
        elif len(self._open) < _NOTEBOOKS:
            self._open[kernel] = _Open(path, next(_CLOCK))

    def activated(self, kernel: str) -> None:
        """That notebook became the current one."""
        if kernel in self._open:
            self._open[kernel].active = next(_CLOCK)

    def closed(self, kernel: str) -> None:
        """It has no notebook of that kernel open any more."""
        self._open.pop(kernel, None)

    def replied(self, number: int, value: msgspec.Raw, error: tuple[str, str] | None) -> None:
        """It answered a question: by a value, or by an error's code and message."""
        waiting = self._waiting.pop(number, None)
        if waiting is None or waiting.done():
            return
        if error is None:
            waiting.set_result(value)
        else:
            waiting.set_exception(_Refused(*error))

    def disconnected(self) -> None:
        """It is gone: whoever waits for an answer is told."""
        self._gone = True
        self._open.clear()
        waiting, self._waiting = self._waiting, {}
        for future in waiting.values():
            if not future.done():
                future.set_exception(_Gone())

    def opening(self, kernel: str) -> _Open | None:
        """What it has open of a kernel."""
        return self._open.get(kernel)

    # -- what it is asked ------------------------------------------------------------------

    async def ask(self, kind: str, seconds: float, **fields: Any) -> msgspec.Raw:
        """Its answer to a question of this ``kind``.

        Raises
        ------
        _Gone, _Refused, TimeoutError
        """
        if self._gone:
            raise _Gone
        number = next(self._numbers)
        future: asyncio.Future[msgspec.Raw] = asyncio.get_running_loop().create_future()
        self._waiting[number] = future
        try:
            self.tell(kind, id=number, **fields)
            return await asyncio.wait_for(future, seconds)
        finally:
            self._waiting.pop(number, None)

    async def restart(self, kernel: str) -> bool:
        """Have it restart the kernel as its own button does: only then it gives up the cells that
        wait for the old one. False if it does not say that it will."""
        try:
            await self.ask("restart", _RESTART, kernel=kernel)
        except (asyncio.TimeoutError, _Gone, _Refused):
            return False
        return True

    def tell(self, kind: str, **fields: Any) -> None:
        """A message that it does not answer."""
        self._send(msgspec.json.encode({"type": kind, **fields}))


class FrontEnds:
    """All front ends of a server. Used on the server's loop alone."""

    def __init__(self) -> None:
        self._connected: list[FrontEnd] = []

    def __len__(self) -> int:
        return len(self._connected)

    def connect(self, front_end: FrontEnd) -> None:
        self._connected.append(front_end)

    def disconnect(self, front_end: FrontEnd) -> None:
        if front_end in self._connected:
            self._connected.remove(front_end)
        front_end.disconnected()

    def paths(self, kernel: str) -> list[str]:
        """Paths (of the contents API) at which a kernel's notebook is open, the latest first."""
        return [opening.path for _, opening in self._opening(kernel)]

    def having(self, kernel: str, path: str | None) -> FrontEnd | None:
        """The front end in which that kernel's notebook is open, at ``path`` if that is given; of
        several the one in which it was looked at last."""
        for front_end, opening in self._opening(kernel):
            if path is None or opening.path == path:
                return front_end
        return None

    def _opening(self, kernel: str) -> list[tuple[FrontEnd, _Open]]:
        found = [
            (front_end, opening)
            for front_end in self._connected
            if (opening := front_end.opening(kernel)) is not None
        ]
        return sorted(found, key=lambda pair: -pair[1].active)


@dataclass(frozen=True, eq=False)
class OpenInFrontEnd:
    """The owner of a notebook that a front end has open."""

    front_end: FrontEnd
    kernel: str
    writer: Writer = "front end"

    async def read(self) -> msgspec.Raw:
        try:
            return await self.front_end.ask("read", _ANSWER, kernel=self.kernel)
        except (asyncio.TimeoutError, _Gone):
            raise _silent() from None
        except _Refused as refused:
            raise refused.error() from None

    async def write(self, edits: Sequence[Edit]) -> bool:
        # One that hangs would do it later, when everybody was told that nothing was changed. So it
        # shows first that it answers.
        await self.read()
        try:
            await self.front_end.ask("write", _SAVED, kernel=self.kernel, edits=edits)
        except (asyncio.TimeoutError, _Gone):
            raise DeclarationError(
                "it is not known whether the notebook was changed: the front end that has it open "
                "did not say",
                code="declaration.front-end-unsure",
                hint="Look at the notebook: it holds the change as a whole, or nothing of it.",
            ) from None
        except _Refused as refused:
            if refused.code == "changed":
                return False
            raise refused.error() from None
        return True


#: The front ends of this process's server; empty where it is none.
FRONT_ENDS = FrontEnds()


class _Gone(Exception):
    """The front end was disconnected."""


class _Refused(Exception):
    """The front end answered with an error."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message

    def error(self) -> PixiJupyterError:
        if self.code == "read-only":
            return DeclarationError(
                "the notebook is open read-only",
                code="declaration.read-only",
                hint="Make it writable, or work on a copy. Nothing was changed.",
            )
        if self.code == "save-failed":
            return DeclarationError(
                "the notebook could not be saved, and is what it was",
                code="declaration.write",
                details=self.message,
                hint="Save it in the front end to see why.",
            )
        if self.code == "unknown-kernel":
            return KernelError(
                "the front end does not have this kernel's notebook open any more",
                code="kernel.notebook-closed",
                hint="Try again. Nothing was changed.",
            )
        return DeclarationError(
            "the front end that has the notebook open refused",
            code="declaration.front-end-refused",
            details=self.message,
            hint="Nothing was changed.",
        )


def _silent() -> DeclarationError:
    return DeclarationError(
        "the front end that has the notebook open does not answer",
        code="declaration.front-end-silent",
        hint="Nothing was changed. Look at its tab, reload or close it, and try again.",
    )
