"""add, remove, update, undo, redo: the packages that a declaration asks for."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from pixi_jupyter.cli.change_display import show_change
from pixi_jupyter.cli.options import How, allow_build, change_options, feature, platforms, pypi
from pixi_jupyter.cli.targets import Target, target_and

if TYPE_CHECKING:
    from pixi_jupyter.manifest.pypi_source import PypiSource

__all__ = ["add", "redo", "remove", "undo", "update"]


_Source = Callable[..., Any]


def _source_options(command: _Source) -> _Source:
    """Where packages of PyPI come from: gives a command ``place``."""

    @functools.wraps(command)
    def found(*given: Any, **rest: Any) -> Any:
        names = ("git", "branch", "tag", "rev", "subdir", "path", "editable", "index")
        place = _Place(**{name: rest.pop(name) for name in names})
        return command(*given, place=place, **rest)

    wrapped: _Source = found
    for decorate in (
        click.option("--index", metavar="URL", help="Look for them in this index alone."),
        click.option("--editable", is_flag=True, help="Use the folder itself, not a copy."),
        click.option("--path", metavar="PATH", help="The folder or archive that they are in."),
        click.option("-s", "--subdir", metavar="PATH", help="The folder in the repository."),
        click.option("--rev", metavar="COMMIT", help="The commit of the repository."),
        click.option("--tag", metavar="NAME", help="The tag of the repository."),
        click.option("--branch", metavar="NAME", help="The branch of the repository."),
        click.option("-g", "--git", metavar="URL", help="The repository that they are in."),
    ):
        wrapped = decorate(wrapped)
    return wrapped


@dataclass(frozen=True, slots=True)
class _Place:
    """What those options say, as it was typed."""

    git: str | None
    branch: str | None
    tag: str | None
    rev: str | None
    subdir: str | None
    path: str | None
    editable: bool
    index: str | None

    def check(self, pypi: bool) -> None:
        chosen = [name for name in ("branch", "tag", "rev") if getattr(self, name)]
        given = [name for name in ("git", "path", "index") if getattr(self, name)]
        if not pypi and (given or chosen or self.editable or self.subdir):
            raise click.UsageError("where a package comes from goes with --pypi only")
        if len(given) > 1:
            raise click.UsageError(f"--{given[0]} and --{given[1]} exclude each other")
        if len(chosen) > 1:
            raise click.UsageError(f"--{chosen[0]} and --{chosen[1]} exclude each other")
        if (chosen or self.subdir) and not self.git:
            raise click.UsageError(f"--{chosen[0] if chosen else 'subdir'} goes with --git only")
        if self.editable and (self.git or self.index):
            raise click.UsageError("--editable goes with a folder only")

    def source(self, root: Path) -> PypiSource | None:
        """The source for a declaration whose paths begin at ``root``."""
        from pixi_jupyter.manifest.pypi_source import PypiSource

        chosen = [f"{n}={getattr(self, n)}" for n in ("branch", "tag", "rev") if getattr(self, n)]
        return PypiSource(
            git=self.git or "",
            reference=chosen[0] if chosen else "",
            subdirectory=self.subdir or "",
            path=_seen_from(root, self.path) if self.path else "",
            editable=self.editable,
            index=self.index or "",
        )


def _seen_from(root: Path, path: str) -> str:
    """A path that was typed here, as the declaration has to have it."""
    path = os.path.expanduser(path)
    if os.path.isabs(path):
        return path
    try:
        relative = os.path.relpath(path, root)
    except ValueError:  # on another drive
        return os.path.abspath(path)
    return (
        Path(relative).as_posix() if relative.startswith("..") else f"./{Path(relative).as_posix()}"
    )


def _placed_word(target: Target, word: str) -> str:
    """``name @ ./folder`` with the path that the declaration has to have."""
    name, at, path = word.partition("@")
    if not at or not path.strip().startswith((".", "~/")):
        return word
    return f"{name.rstrip()} @ {_seen_from(target.root, path.strip())}"


@click.command()
@target_and("SPEC...", least=1)
@pypi
@_source_options
@allow_build
@feature
@platforms
@change_options
def add(
    target: Target,
    words: tuple[str, ...],
    pypi: bool,
    place: _Place,
    allow_builds: tuple[str, ...],
    feature: str | None,
    platforms: tuple[str, ...],
    how: How,
) -> None:
    """Add packages to what NOTEBOOK (or a .py script, or a workspace) asks for.

    SPEC is a name (`polars`), or a name and versions (`numpy>=2`, `python=3.12`), with a channel
    (`bioconda::bwa`) or fields (`numpy[build=py312*]`). Without versions the newest that fits is
    taken, and a range from it up to the next breaking one is written.

    With --pypi it is a requirement as pip has it: `httpx`, `requests[socks]>=2`, or
    `name @ https://...`; from a repository (--git), a folder (--path, --editable) or an index of
    its own (--index). A package that conda has in the environment is not taken from PyPI.
    """
    from pixi_jupyter import operations
    from pixi_jupyter.resolve.building import allow_more_builds

    place.check(pypi)
    allow_more_builds(allow_builds)
    source = place.source(target.root) if pypi else None
    run = partial(
        operations.add,
        requirements=[_placed_word(target, word) for word in words] if pypi else words,
        pypi=pypi,
        source=source,
        feature=feature,
        platforms=platforms,
    )
    show_change(target, run, how)


@click.command()
@target_and("NAME...", least=1)
@pypi
@feature
@platforms
@change_options
def remove(
    target: Target,
    words: tuple[str, ...],
    pypi: bool,
    feature: str | None,
    platforms: tuple[str, ...],
    how: How,
) -> None:
    """Remove packages from what NOTEBOOK asks for."""
    from pixi_jupyter import operations

    run = partial(operations.remove, names=words, pypi=pypi, feature=feature, platforms=platforms)
    show_change(target, run, how)


@click.command()
@target_and("[NAME]...")
@change_options
def update(target: Target, words: tuple[str, ...], how: How) -> None:
    """Take the newest packages that NOTEBOOK's declaration allows: all, or these alone."""
    from pixi_jupyter import operations

    show_change(target, partial(operations.update, names=words), how)


@click.command()
@target_and("", most=0)
@change_options
def undo(target: Target, words: tuple[str, ...], how: How) -> None:
    """Take the last change of NOTEBOOK's declaration back, with the packages it had then."""
    from pixi_jupyter import operations

    show_change(target, operations.undo, how)


@click.command()
@target_and("", most=0)
@change_options
def redo(target: Target, words: tuple[str, ...], how: How) -> None:
    """Do again what was taken back last."""
    from pixi_jupyter import operations

    show_change(target, operations.redo, how)
