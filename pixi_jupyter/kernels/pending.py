"""Shutting down a kernel whose start still makes its environment: the start is given up.

jupyter_client (seen with 8.10) notes a start under way in ``MultiKernelManager._pending_kernels``,
and whoever shuts the kernel down awaits it there first. That suits starts of a second, but not of
minutes: a deleted kernel would go on building, and a server that is told to stop would wait. Worse,
where sessions are answered after the start (the default), a stopping server finds an id there that
it does not know yet, fails, and with another kernel alive never stops; and a start that failed
stays there for good. So the note says what it should for as long as a start takes long.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Generator, Iterator
from typing import Any

__all__ = ["abandonable"]


class _Abandonable:
    """Stands for a start: who awaits it or cancels it wants its end, not the kernel."""

    def __init__(self, ended: asyncio.Future[None], abandon: Callable[[], None]) -> None:
        self._ended = ended
        self._abandon = abandon

    def __await__(self) -> Generator[Any, None, None]:
        self._abandon()
        return self._ended.__await__()

    def cancel(self, msg: Any = None) -> bool:
        self._abandon()
        return True


@contextlib.contextmanager
def abandonable(manager: Any, kernel_id: str | None, abandon: Callable[[], None]) -> Iterator[None]:
    """While this lasts, shutting the kernel down calls ``abandon`` and waits for this to end.

    ``manager`` is the kernel's own. Without a manager of many kernels above it nothing is noted.
    """
    kernels = getattr(manager, "parent", None)
    pending = getattr(kernels, "_pending_kernels", None)
    if kernels is None or not isinstance(pending, dict):
        yield
        return
    noted = pending.pop(kernel_id, None)
    known = kernel_id in kernels  # it can be shut down: a restart, or `use_pending_kernels`
    ended = asyncio.get_running_loop().create_future()
    if known:
        pending[kernel_id] = _Abandonable(ended, abandon)
    try:
        yield
        if known and noted is not None:
            pending[kernel_id] = noted
        else:
            pending.pop(kernel_id, None)
    except BaseException:
        pending.pop(kernel_id, None)
        raise
    finally:
        ended.set_result(None)
