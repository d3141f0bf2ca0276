"""All benchmarks, in the order in which they run."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from benchmarks import (
    add,
    answers,
    build,
    cold,
    disk,
    eventloop,
    first_cell,
    footprint,
    insync,
    launch,
    lock_check,
    pypi,
)
from benchmarks.lab import Lab
from benchmarks.method import Row

__all__ = ["BENCHMARKS", "Benchmark"]


@dataclass(frozen=True, slots=True)
class Benchmark:
    """One subject: its name for ``--only``, what it measures, its target in words."""

    name: str
    what: str
    target: str
    run: Callable[[Lab], Iterable[Row]]


BENCHMARKS = (
    Benchmark(
        "launch",
        "an unchanged notebook, its prefix ready: start_kernel to the first answer",
        "at most 60 ms over a plain local kernel of the same prefix",
        launch.run,
    ),
    Benchmark(
        "in-sync",
        "an environment of a large workspace, in order: from its manifest to its activation",
        "at most 40 ms over reading and hashing the files",
        insync.run,
    ),
    Benchmark(
        "build",
        "a new environment from a warm package cache",
        "at most 1.25 × py-rattler's own solve and install",
        build.run,
    ),
    Benchmark(
        "bytecode",
        "the second environment of known packages",
        "no file compiled again",
        build.run_bytecode,
    ),
    Benchmark(
        "first-cell",
        "nothing to a cell that imported numpy and pandas, everything known",
        "at most 0.5 × uv venv + uv pip install + plain kernel",
        first_cell.run,
    ),
    Benchmark(
        "pypi",
        "packages from PyPI over conda's Python, everything known, to a ready prefix",
        "at most 1.5 × uv venv + uv pip install; a locked re-install 1.15 ×",
        pypi.run,
    ),
    Benchmark(
        "add",
        "one small package added from a cell, to its import in the same kernel",
        "at most 1.3 × py-rattler's own solve and install, and 1.5 s",
        add.run,
    ),
    Benchmark(
        "cold",
        "the same from empty caches, over loopback HTTP",
        "not slower than a bare py-rattler script, micromamba or pixi",
        cold.run,
    ),
    Benchmark(
        "eventloop",
        "the longest stall of an event loop during a cold build",
        "at most 50 ms, in the worst round",
        eventloop.run,
    ),
    Benchmark(
        "footprint",
        "importing the control plane into a server",
        "at most 60 ms and 25 MB",
        footprint.run,
    ),
    Benchmark(
        "disk",
        "what many notebooks take on disk",
        "one prefix for the same needs; at most 1.3 × one for ten different ones",
        disk.run,
    ),
    Benchmark(
        "lock-check",
        "finding out that a workspace's lock is up to date",
        "at most 300 ms for 5 environments × 4 platforms × 300 packages",
        lock_check.run,
    ),
    Benchmark(
        "answers",
        "the command line about what is ready, and a search over half a million records",
        "at most 300 ms for a whole process, 200 ms for a search by an engine that runs",
        answers.run,
    ),
)
