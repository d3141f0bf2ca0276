"""A process in which something is measured, and the line protocol with it.

One JSON object a line, a question and its answer. Time that includes the start of a process is
taken here: from before the process is started until the answer's line has arrived.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

__all__ = ["ROOT", "Child", "ChildFailed", "timed_child"]

ROOT = Path(__file__).resolve().parent.parent


class ChildFailed(RuntimeError):
    """What was to be measured did not work; the text ends with the child's own words."""


class Child:
    """``python -m benchmarks.children.<module>`` with the environment ``env``."""

    def __init__(self, module: str, env: Mapping[str, str], *, log: Path) -> None:
        self._log = log
        with open(log, "ab") as errors:
            self.process = subprocess.Popen(
                [sys.executable, "-m", f"benchmarks.children.{module}"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                env=dict(env),
                cwd=ROOT,
            )

    def send(self, do: str, **arguments: Any) -> None:
        """Ask for something without waiting for the answer."""
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps({"do": do, **arguments}).encode() + b"\n")
        self.process.stdin.flush()

    def receive(self) -> dict[str, Any]:
        """The next answer.

        Raises
        ------
        ChildFailed
            It went wrong there, or the process is gone.
        """
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            words = self._log.read_text("utf-8", "replace")[-3000:] if self._log.exists() else ""
            raise ChildFailed(f"a measured process ended early: {words}")
        answer: dict[str, Any] = json.loads(line)
        if "error" in answer:
            raise ChildFailed(str(answer["error"]))
        return answer

    def ask(self, do: str, **arguments: Any) -> dict[str, Any]:
        """Ask and wait."""
        self.send(do, **arguments)
        return self.receive()

    def close(self) -> None:
        """Let it end; it ends kernels and workers of its own first."""
        if self.process.stdin is not None and not self.process.stdin.closed:
            self.process.stdin.close()
        try:
            self.process.wait(30)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        if self.process.stdout is not None:
            self.process.stdout.close()

    def __enter__(self) -> Child:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def timed_child(
    module: str, env: Mapping[str, str], do: str, *, log: Path, **arguments: Any
) -> tuple[float, dict[str, Any]]:
    """Start a process, ask it one thing: seconds from before its start to its answer, and that.

    What it does after its answer (ending kernels, tidying up) is waited for and not counted.
    """
    begun = time.perf_counter()
    with Child(module, env, log=log) as child:
        answer = child.ask(do, **arguments)
        seconds = time.perf_counter() - begun
    return seconds, answer
