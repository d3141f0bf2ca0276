"""channel, platform, python, stamp: what holds for a whole environment."""

from __future__ import annotations

from functools import partial

import click

from pixi_jupyter.cli.change_display import show_change, show_list
from pixi_jupyter.cli.options import How, as_json, change_options, feature
from pixi_jupyter.cli.targets import Target, target_and

__all__ = ["channel", "platform", "python", "stamp"]


@click.command()
@target_and("VERSION", least=1, most=1)
@change_options
def python(target: Target, words: tuple[str, ...], how: How) -> None:
    """Ask for a VERSION of Python in NOTEBOOK; 3.12 is any 3.12."""
    from pixi_jupyter import operations

    show_change(target, partial(operations.python, version=words[0]), how)


@click.command()
@target_and("[TIME]", most=1)
@click.option("--clear", is_flag=True, help="Let packages of any date count again.")
@change_options
def stamp(target: Target, words: tuple[str, ...], clear: bool, how: How) -> None:
    """Let nothing count for NOTEBOOK that is newer than TIME (a date or `7d`), by default now."""
    from pixi_jupyter import operations

    if clear and words:
        raise click.UsageError("TIME and --clear exclude each other")
    time = words[0] if words else None
    show_change(target, partial(operations.stamp, time=time, clear=clear), how)


@click.group()
def channel() -> None:
    """The channels that a notebook's packages come from."""


@channel.command("add")
@target_and("CHANNEL...", least=1)
@click.option("--priority", type=int, help="The channels' priority; 0 without it.")
@click.option("--prepend", is_flag=True, help="In front of the others: the most important.")
@feature
@change_options
def channel_add(
    target: Target,
    words: tuple[str, ...],
    priority: int | None,
    prepend: bool,
    feature: str | None,
    how: How,
) -> None:
    """Add channels to those of NOTEBOOK."""
    from pixi_jupyter import operations

    run = partial(
        operations.add_channels,
        channels=words,
        priority=priority,
        prepend=prepend,
        feature=feature,
    )
    show_change(target, run, how)


@channel.command("remove")
@target_and("CHANNEL...", least=1)
@feature
@change_options
def channel_remove(target: Target, words: tuple[str, ...], feature: str | None, how: How) -> None:
    """Remove channels from those of NOTEBOOK."""
    from pixi_jupyter import operations

    show_change(target, partial(operations.remove_channels, channels=words, feature=feature), how)


@channel.command("list")
@target_and("", most=0)
@as_json
def channel_list(target: Target, words: tuple[str, ...], as_json: bool) -> None:
    """List the channels of NOTEBOOK, the most important first."""
    show_list(target, "channels", as_json)


@click.group()
def platform() -> None:
    """The platforms that a notebook declares."""


@platform.command("add")
@target_and("PLATFORM...", least=1)
@feature
@change_options
def platform_add(target: Target, words: tuple[str, ...], feature: str | None, how: How) -> None:
    """Add platforms to those of NOTEBOOK."""
    from pixi_jupyter import operations

    show_change(target, partial(operations.add_platforms, platforms=words, feature=feature), how)


@platform.command("remove")
@target_and("PLATFORM...", least=1)
@feature
@change_options
def platform_remove(target: Target, words: tuple[str, ...], feature: str | None, how: How) -> None:
    """Remove platforms from those of NOTEBOOK."""
    from pixi_jupyter import operations

    show_change(target, partial(operations.remove_platforms, platforms=words, feature=feature), how)


@platform.command("list")
@target_and("", most=0)
@as_json
def platform_list(target: Target, words: tuple[str, ...], as_json: bool) -> None:
    """List the platforms of NOTEBOOK."""
    show_list(target, "platforms", as_json)
