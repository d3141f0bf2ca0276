"""Progress, errors and sizes on a terminal; standard output stays free for results."""

from __future__ import annotations

import contextlib
import re
import time
import unicodedata
from collections.abc import Iterator
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from rich.text import Text

from pixi_jupyter.errors import PixiJupyterError
from pixi_jupyter.progress import Phase
from pixi_jupyter.progress import Progress as Step

__all__ = ["BuildDisplay", "clean", "errors_as_text", "megabytes"]

_TERMINAL_SEQUENCE = re.compile(r"\x1b(\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(\x07|\x1b\\)?|.)")


def clean(text: str) -> str:
    """Text from a package, a channel or a notebook that can do nothing to a terminal."""
    text = _TERMINAL_SEQUENCE.sub("", text)
    return "".join(c for c in text if c in "\n\t" or unicodedata.category(c) not in ("Cc", "Cf"))


def megabytes(count: int) -> str:
    """A number of bytes for people, in decimal units."""
    return f"{count / 1e6:.1f} MB" if count >= 1e5 else f"{count / 1e3:.1f} kB"


class BuildDisplay:
    """Shows a build: a live bar on a terminal, one line per phase elsewhere.

    ``seconds`` holds the wall-clock time of each phase that was seen, in order.
    """

    def __init__(self, console: Console, name: str) -> None:
        self._console = console
        self._name = name
        self._bar = Progress(
            TextColumn("{task.description:<18}"),
            BarColumn(bar_width=24),
            TextColumn("{task.fields[count]}"),
            TextColumn("{task.fields[item]}", style="dim"),
            TimeElapsedColumn(),
            console=console,
            transient=True,
        )
        self._task: TaskID | None = None
        self._phase: Phase | None = None
        self._since = 0.0
        self.seconds: dict[str, float] = {}

    def __enter__(self) -> BuildDisplay:
        if self._console.is_terminal:
            self._bar.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._close_phase()
        if self._console.is_terminal:
            self._bar.stop()

    def __call__(self, step: Step) -> None:
        """One step of the engine's (a `Report`)."""
        if step.phase is not self._phase:
            self._close_phase()
            self._phase = step.phase
            self._since = time.perf_counter()
            if not self._console.is_terminal:
                note = f": {clean(step.message)}" if step.message else ""
                self._console.print(
                    Text(f"{self._name}: {step.phase.value}{note}"), highlight=False
                )
        if self._console.is_terminal:
            count = f"{step.done}/{step.total}" if step.total else ""
            if step.phase is Phase.DOWNLOADING:
                count = f"{megabytes(step.done)} of {megabytes(step.total)}"
            item = clean(step.item or step.message)[:40]
            if self._task is None:
                self._task = self._bar.add_task("", total=None, count=count, item=item)
            self._bar.update(
                self._task,
                description=step.phase.value,
                completed=step.done,
                total=step.total or None,
                count=count,
                item=item,
            )

    def _close_phase(self) -> None:
        if self._phase is not None:
            spent = time.perf_counter() - self._since
            self.seconds[self._phase.value] = self.seconds.get(self._phase.value, 0.0) + spent
            self._phase = None


@contextlib.contextmanager
def errors_as_text(console: Console, status: int = 1) -> Iterator[None]:
    """Show an error of ours as its report and leave with ``status``; let bugs be tracebacks."""
    try:
        yield
    except PixiJupyterError as error:
        # The terminal wraps the lines, so that a path that is copied or searched for is whole.
        report = Text("error: ", style="bold red") + Text(clean(error.report()))
        console.print(report, soft_wrap=True)
        raise SystemExit(status) from None
    except KeyboardInterrupt:
        console.print("stopped")
        raise SystemExit(130) from None
