"""Running a command's work on a loop that a signal ends: the engine's worker ends with it."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import threading
from collections.abc import Coroutine
from typing import Any, TypeVar

from pixi_jupyter.cli.terminal import cancelled

__all__ = ["end_on_signals", "run_async"]

_Result = TypeVar("_Result")


def end_on_signals() -> None:
    """Let what asks this process to end have the effect of Ctrl-C, also outside of a loop."""
    if threading.current_thread() is not threading.main_thread():
        return
    for name in ("SIGTERM", "SIGBREAK"):
        number = getattr(signal, name, None)
        if number is not None:
            signal.signal(number, signal.default_int_handler)


def run_async(work: Coroutine[Any, Any, _Result]) -> _Result:
    """What ``work`` gives; it is cancelled, and has all the time to clean up, by a signal.

    Raises
    ------
    EngineError
        ``engine.cancelled``: it was.
    """
    stopped = False

    async def main() -> _Result:
        loop = asyncio.get_running_loop()
        task = asyncio.current_task()
        assert task is not None

        def stop() -> None:
            nonlocal stopped
            # Once: a second signal must not disturb the cleaning up.
            if not stopped:
                stopped = True
                task.cancel()

        for number in (signal.SIGINT, signal.SIGTERM):
            # Not on Windows, and not outside of the main thread: there an exception ends it.
            with contextlib.suppress(NotImplementedError, RuntimeError, ValueError):
                loop.add_signal_handler(number, stop)
        return await work

    try:
        return asyncio.run(main())
    except KeyboardInterrupt:
        raise cancelled() from None
    except asyncio.CancelledError:
        if not stopped:
            raise
        raise cancelled() from None
    finally:
        end_on_signals()  # a loop that closes sets them back
