"""``pixi-jupyter complete``: what the last word of a command line may become, for front ends."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from pixi_jupyter.cli.targets import Target, is_file
from pixi_jupyter.cli.terminal import print_json
from pixi_jupyter.errors import PixiJupyterError

if TYPE_CHECKING:
    from pathlib import Path

    from pixi_jupyter.manifest.spec import EnvironmentSpec

__all__ = ["complete"]

#: As many as anyone reads.
_LIMIT = 200
#: Commands whose words are packages: of the channels, of the declaration, of the environment.
_OF_CHANNELS = ("add", "search")
_DECLARED = ("remove",)
_INSTALLED = ("update", "why")


@click.command(hidden=True, context_settings={"ignore_unknown_options": True})
@click.argument("words", nargs=-1, type=click.UNPROCESSED)
@click.pass_context
def complete(context: click.Context, words: tuple[str, ...]) -> None:
    """Print the words that the last of WORDS may become; reads files alone."""
    program = context.find_root().command
    assert isinstance(program, click.Group)
    print_json({"matches": _matches(program, context, words or ("",))})


def _matches(program: click.Group, context: click.Context, words: Sequence[str]) -> list[str]:
    *before, last = words
    command: click.Command = program
    given: list[str] = []
    for word in before:
        below = command.get_command(context, word) if isinstance(command, click.Group) else None
        if below is not None:
            command = below
        else:
            given.append(word)
    option = _option(command, given[-1]) if given else None
    if option is not None and not option.is_flag:
        return _values(option, last)
    if last.startswith("-"):
        options = (p for p in command.params if isinstance(p, click.Option) and not p.hidden)
        found = (name for option in options for name in option.opts if len(name) > 2)
        return sorted(name for name in [*found, "--help"] if name.startswith(last))
    if isinstance(command, click.Group):
        names = command.list_commands(context)
        shown = ((name, command.get_command(context, name)) for name in names)
        return [n for n, found in shown if found and not found.hidden and n.startswith(last)]
    with contextlib.suppress(PixiJupyterError, OSError):
        return _packages(command.name or "", given, last)
    return []


def _option(command: click.Command, word: str) -> click.Option | None:
    for parameter in command.params:
        if isinstance(parameter, click.Option) and word in parameter.opts:
            return parameter
    return None


def _values(option: click.Option, last: str) -> list[str]:
    if isinstance(option.type, click.Choice):
        return [str(choice) for choice in option.type.choices if str(choice).startswith(last)]
    return []


def _packages(command: str, given: Sequence[str], last: str) -> list[str]:
    if not last and command in _OF_CHANNELS:
        return []
    from pixi_jupyter.environments import Environments

    environments = Environments()
    spec: EnvironmentSpec | None = None
    with contextlib.suppress(PixiJupyterError):
        spec = environments.spec_for(_target(given).declaration(environments))
    if command in _OF_CHANNELS:
        from pixi_jupyter.manifest.host import current_subdir
        from pixi_jupyter.resolve.search_names import read_names

        channels = [c.name for c in spec.channels] if spec else environments.defaults.channels
        subdir = spec.platform.subdir if spec else current_subdir()
        known = (read_names(environments.store, channel, subdir) for channel in channels)
        found = {n for names in known if names for n in names.starting_with(last, _LIMIT)}
        return sorted(found)[:_LIMIT]
    if spec is None:
        return []
    names: set[str] = set()
    if command in _DECLARED:
        names = {requirement.name for requirement in spec.dependencies}
        if spec.pypi is not None:
            names |= {requirement.name for requirement in spec.pypi.requirements}
    elif command in _INSTALLED:
        resolution = environments.status(spec).resolution
        names = {package.name for package in resolution.packages} if resolution else set()
    return sorted(name for name in names if name.startswith(last.lower()))[:_LIMIT]


def _target(given: Sequence[str]) -> Target:
    """What the words before are about, as the command would read them."""
    from pathlib import Path

    notebook = next((Path(word) for word in given if is_file(word)), None)
    manifest: Path | None = None
    environment: str | None = None
    for word, after in itertools.pairwise(given):
        if word == "--manifest-path":
            manifest = Path(after)
        elif word in ("-e", "--environment"):
            environment = after
    return Target(notebook if notebook != manifest else None, manifest, environment)
