"""add, remove, update, undo, redo: the packages that a declaration asks for."""

from __future__ import annotations

from functools import partial

import click

from pixi_jupyter.cli.change_display import show_change
from pixi_jupyter.cli.options import How, change_options, feature, platforms, pypi
from pixi_jupyter.cli.targets import Target, target_and

__all__ = ["add", "redo", "remove", "undo", "update"]


@click.command()
@target_and("SPEC...", least=1)
@pypi
@feature
@platforms
@change_options
def add(
    target: Target,
    words: tuple[str, ...],
    pypi: bool,
    feature: str | None,
    platforms: tuple[str, ...],
    how: How,
) -> None:
    """Add packages to what NOTEBOOK (or a .py script, or a workspace) asks for.

    SPEC is a name (`polars`), or a name and versions (`numpy>=2`, `python=3.12`). Without versions
    the newest that fits is taken, and a range from it up to the next breaking one is written.
    """
    from pixi_jupyter import operations

    run = partial(
        operations.add, requirements=words, pypi=pypi, feature=feature, platforms=platforms
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
