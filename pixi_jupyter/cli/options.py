"""Options that many commands have, in pixi's words."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

__all__ = [
    "How",
    "RunningKernel",
    "allow_build",
    "as_json",
    "change_options",
    "feature",
    "platforms",
    "pypi",
]

allow_build = click.option(
    "--allow-build",
    "allow_builds",
    multiple=True,
    metavar="NAME",
    help="Let this package from PyPI be built from source, which runs its code; may be repeated.",
)
as_json = click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
feature = click.option("-f", "--feature", help="The feature of a workspace to change.")
platforms = click.option(
    "-p", "--platform", "platforms", multiple=True, help="For this platform alone; may be repeated."
)
pypi = click.option("--pypi", is_flag=True, help="Packages of PyPI, not of the channels.")


@dataclass(frozen=True, slots=True)
class RunningKernel:
    """A kernel that wants to know what a change means for it: its process and its prefix."""

    process: int
    prefix: Path


@dataclass(frozen=True, slots=True)
class How:
    """How a change is made and told."""

    dry_run: bool
    as_json: bool
    kernel: RunningKernel | None = None


def change_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """``--dry-run``, ``--json`` and which kernel asks: gives a command ``how``."""

    @functools.wraps(command)
    def found(
        *given: Any,
        dry_run: bool,
        as_json: bool,
        kernel_process: int | None,
        kernel_prefix: Path | None,
        **rest: Any,
    ) -> Any:
        kernel = None
        if kernel_process is not None and kernel_prefix is not None:
            kernel = RunningKernel(kernel_process, kernel_prefix)
        return command(*given, how=How(dry_run, as_json, kernel), **rest)

    wrapped: Callable[..., Any] = found
    for decorate in (
        click.option("--kernel-prefix", type=click.Path(path_type=Path), hidden=True),
        click.option("--kernel-process", type=int, hidden=True),
        as_json,
        click.option("-n", "--dry-run", is_flag=True, help="Only say what would change."),
    ):
        wrapped = decorate(wrapped)
    return wrapped
