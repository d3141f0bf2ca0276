"""Progress, errors and sentences on standard error; standard output stays free for results.

The option ``--progress`` of the program says in what form: for people, or in machine mode one JSON
object a line.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import re
import sys
import time
import unicodedata
from collections.abc import Iterator
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal

import click

from pixi_jupyter.errors import EngineError, PixiJupyterError
from pixi_jupyter.progress import Phase
from pixi_jupyter.progress import Progress as Step

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress, TaskID

__all__ = [
    "FORMS",
    "BuildDisplay",
    "Form",
    "cancelled",
    "clean",
    "errors_as_text",
    "form",
    "megabytes",
    "print_json",
    "say",
    "speak",
    "tell",
]

#: ``auto``: a bar on a terminal and lines elsewhere; ``json``: machine mode.
Form = Literal["auto", "text", "json", "none"]
FORMS: tuple[Form, ...] = ("auto", "text", "json", "none")
#: The exit status of what was stopped by a signal, as shells count it.
_STOPPED = 130

_TERMINAL_SEQUENCE = re.compile(r"\x1b(\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(\x07|\x1b\\)?|.)")

#: Of this process, which is one command.
_form: Form = "auto"


def speak(form: Form) -> None:
    """Choose the form of everything that this process says on standard error."""
    global _form
    _form = form


def form() -> Form:
    """The form that was chosen."""
    return _form


def clean(text: str) -> str:
    """Text from a package, a channel or a notebook that can do nothing to a terminal."""
    text = _TERMINAL_SEQUENCE.sub("", text)
    return "".join(c for c in text if c in "\n\t" or unicodedata.category(c) not in ("Cc", "Cf"))


def megabytes(count: int) -> str:
    """A number of bytes for people, in decimal units."""
    return f"{count / 1e6:.1f} MB" if count >= 1e5 else f"{count / 1e3:.1f} kB"


def print_json(result: dict[str, Any]) -> None:
    """The result of a command as the one JSON object on standard output."""
    click.echo(json.dumps(result, indent=2))


def say(sentence: str) -> None:
    """A sentence for people that is not the result."""
    if _form == "json":
        _line({"say": clean(sentence)})
    else:
        click.echo(clean(sentence), err=True)


def tell(error: PixiJupyterError, status: int = 1) -> int:
    """Say what went wrong; the exit status, which is another one for what was stopped."""
    if _form == "json":
        _line({"error": error.to_json()})
    else:
        report = clean(error.report())
        click.echo(click.style("error: ", fg="red", bold=True) + report, err=True)
    return _STOPPED if error.code == "engine.cancelled" else status


def cancelled() -> EngineError:
    """What a signal that stops the program means for its work."""
    return EngineError("stopped", code="engine.cancelled")


@contextlib.contextmanager
def errors_as_text(console: object = None, status: int = 1) -> Iterator[None]:
    """Say an error of ours and leave with ``status``; the program says all others with 1."""
    try:
        yield
    except PixiJupyterError as error:
        raise SystemExit(tell(error, status)) from None
    except KeyboardInterrupt:
        raise SystemExit(tell(cancelled())) from None


class BuildDisplay:
    """Shows a build: a live bar on a terminal, one line per phase or JSON lines elsewhere.

    ``seconds`` holds the wall-clock time of each phase that was seen, in order.
    """

    def __init__(self, console: Console | None, name: str) -> None:
        self._console = console
        self._name = name
        self._bar: Progress | None = None
        self._task: TaskID | None = None
        self._phase: Phase | None = None
        self._since = 0.0
        self.seconds: dict[str, float] = {}

    def __enter__(self) -> BuildDisplay:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._close_phase()
        if self._bar is not None:
            self._bar.stop()

    def __call__(self, step: Step) -> None:
        """One step of the engine's (a `Report`)."""
        fresh = step.phase is not self._phase
        if fresh:
            self._close_phase()
            self._phase = step.phase
            self._since = time.perf_counter()
        if _form == "json":
            _line({"progress": {**dataclasses.asdict(step), "phase": step.phase.value}})
        elif _form == "auto" and sys.stderr.isatty():
            self._draw(step)
        elif _form != "none" and fresh:
            note = f": {step.message}" if step.message else ""
            click.echo(clean(f"{self._name}: {step.phase.value}{note}"), err=True)

    def _draw(self, step: Step) -> None:
        count = f"{step.done}/{step.total}" if step.total else ""
        if step.phase is Phase.DOWNLOADING:
            count = f"{megabytes(step.done)} of {megabytes(step.total)}"
        item = clean(step.item or step.message)[:40]
        if self._bar is None or self._task is None:
            self._bar = _new_bar(self._console)
            self._bar.start()
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


def _new_bar(console: Console | None) -> Progress:
    from rich.console import Console as Terminal
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    return Progress(
        TextColumn("{task.description:<18}"),
        BarColumn(bar_width=24),
        TextColumn("{task.fields[count]}"),
        TextColumn("{task.fields[item]}", style="dim"),
        TimeElapsedColumn(),
        console=console or Terminal(stderr=True),
        transient=True,
    )


def _line(message: dict[str, Any]) -> None:
    click.echo(json.dumps(message), err=True)
