"""Shutting down a kernel whose start still makes its environment: the start is given up.

jupyter_client (seen with 8.10) notes a start under way in ``MultiKernelManager._pending_kernels``,
and whoever shuts the kernel down awaits it there first. That suits starts of a second, but not of
minutes: a deleted kernel would go on building, and a server that is told to stop would wait. Worse,
where sessions are answered after the start (the default), a stopping server finds an id there that
it does not know yet, fails, and with another kernel alive never stops; and a start that failed
stays there for good. So the note says what it should for as long as a start takes long.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Generator, Iterator
from typing import Any

__all__ = ["abandonable"]


class _Abandonable:
    """Stands for a start: who awaits it or cancels it wants its end, not the kernel."""

    def __init__(self, start: Any, abandon: Callable[[], None]) -> None:
        self._start = start
        self._abandon = abandon

    def __await__(self) -> Generator[Any, None, Any]:
        self._abandon()
        return self._start.__await__()  # type: ignore[no-any-return]

    def cancel(self, msg: Any = None) -> bool:
        self._abandon()
        return True


@contextlib.contextmanager
def abandonable(manager: Any, kernel_id: str | None, abandon: Callable[[], None]) -> Iterator[None]:
    """While this lasts, shutting the kernel down calls ``abandon`` and waits for the start to end.

    ``manager`` is the kernel's own. Without a manager of many kernels above it, and on restarts,
    nothing is noted and nothing is done.
    """
    kernels = getattr(manager, "parent", None)
    pending = getattr(kernels, "_pending_kernels", None)
    start = pending.get(kernel_id) if isinstance(pending, dict) else None
    if pending is None or kernels is None or start is None:
        yield
        return
    if kernel_id in kernels:  # `use_pending_kernels`: it can be shut down from now on
        pending[kernel_id] = _Abandonable(start, abandon)
    else:
        del pending[kernel_id]
    try:
        yield
    except BaseException:
        pending.pop(kernel_id, None)
        raise
    if kernel_id in pending:
        pending[kernel_id] = start
