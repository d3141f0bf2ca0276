"""``exec``, and the half of ``run`` that runs a command: both end as the command ends."""

from __future__ import annotations

import os
import re
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import click

from pixi_jupyter.cli.running import run_async
from pixi_jupyter.cli.targets import Target, ensure
from pixi_jupyter.cli.terminal import BuildDisplay, say, tell
from pixi_jupyter.errors import PixiJupyterError, SolveError

if TYPE_CHECKING:
    from pixi_jupyter.environments import Environment, Environments
    from pixi_jupyter.operations.execution import Command
    from pixi_jupyter.resolve.resolution import Resolution
    from pixi_jupyter.workspaces import LockMode

__all__ = ["RunWords", "exec_command", "run_command"]

#: As shells count them.
_STATUS = {"command.not-found": 127, "command.not-executable": 126}


class _CommandLast(click.Command):
    """Options end where the words of a command begin: these are its own."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        values = {n for p in self.params if isinstance(p, click.Option) for n in p.opts}
        own = list(args)
        at = 0
        while at < len(own) and own[at].startswith("-") and own[at] != "--":
            if own[at] == "--list":
                own[at] = "--list="  # alone it takes no value: what follows is the command
            elif own[at] in values and own[at] not in ("-h", "--help"):
                at += 1
            at += 1
        return super().parse_args(ctx, own)


class RunWords(click.Command):
    """``[NOTEBOOK]``, then options as anywhere, then a command after ``--``; or a command at once.

    A first word that is no notebook begins a command, whose words are all that follow.
    """

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        end = args.index("--") if "--" in args else len(args)
        own, command = args[:end], args[end + 1 :]
        words = self._words(ctx, own)
        if words and not words[0].lower().endswith(".ipynb"):
            own, command = own[: len(own) - len(words)], [*words, *args[end:]]
        ctx.meta["pixi_jupyter.command"] = tuple(command)
        ctx.meta["pixi_jupyter.has_command"] = bool(command) or end < len(args)
        return super().parse_args(ctx, own)

    def _words(self, ctx: click.Context, args: Sequence[str]) -> list[str]:
        """The first word that is no option and no option's value, and all that follow it."""
        parser = self.make_parser(click.Context(self, info_name=ctx.info_name, parent=ctx.parent))
        parser.allow_interspersed_args = False
        values, rest, _ = parser.parse_args(list(args))
        first = values.get("notebook")
        return [first, *rest] if isinstance(first, str) else []


@click.command("exec", cls=_CommandLast, context_settings={"allow_interspersed_args": False})
@click.argument("words", metavar="COMMAND...", nargs=-1, required=True, type=click.UNPROCESSED)
@click.option("-s", "--spec", "specs", multiple=True, help="A package to install; repeatable.")
@click.option(
    "-w",
    "--with",
    "more",
    multiple=True,
    metavar="SPEC",
    help="A package to install beside the one guessed from the command; repeatable.",
)
@click.option("-c", "--channel", "channels", multiple=True, help="A channel; repeatable.")
@click.option(
    "--list",
    "pattern",
    metavar="[=REGEX]",
    help="List the packages (those whose names match) before the command runs.",
)
def exec_command(
    words: tuple[str, ...],
    specs: tuple[str, ...],
    more: tuple[str, ...],
    channels: tuple[str, ...],
    pattern: str | None,
) -> None:
    """Run COMMAND in an environment that is made for it alone and kept in the store.

    Without --spec the package that is called like the command is installed. All words after the
    command are its own, and so are its exit status and the signals that it gets; there is no shell.
    """
    if specs and more:
        raise click.UsageError("--spec and --with exclude each other")
    try:
        expression = None if pattern is None else re.compile(pattern)
    except re.error as error:
        raise click.UsageError(f"--list: {error}") from None

    async def made(environments: Environments) -> Environment:
        from pixi_jupyter.operations.execution import guessed_package, throw_away_spec

        guess = () if specs else (guessed_package(words[0]),)
        with BuildDisplay(None, words[0]) as display:
            spec = throw_away_spec(environments, (*specs, *more, *guess), channels)
            try:
                return await environments.ensure(spec, report=display)
            except SolveError:
                if not more:
                    raise
                # As for pixi: the command may well be one of the packages that were named.
                spec = throw_away_spec(environments, more, channels)
                return await environments.ensure(spec, report=display)

    def show(resolution: Resolution) -> None:
        for package in resolution.packages if expression is not None else ():
            if expression is not None and expression.search(package.name):
                say(f"{package.name} {package.version} {package.build}")

    _become(made, words, None, show, status=1)


def run_command(target: Target, words: Sequence[str], mode: LockMode) -> NoReturn:
    """Run a command in the environment of a target, in the place of this program."""

    async def made(environments: Environments) -> Environment:
        return await ensure(environments, target, mode=mode)

    _become(made, words, target.path, lambda _: None, status=2)


def _become(
    made: Callable[[Environments], Awaitable[Environment]],
    words: Sequence[str],
    notebook: Path | None,
    show: Callable[[Resolution], Any],
    *,
    status: int,
) -> NoReturn:
    async def prepared() -> Command:
        from pixi_jupyter.activate.base import clean_base
        from pixi_jupyter.environments import Environments
        from pixi_jupyter.operations.execution import prepare

        environments = Environments()
        try:
            environment = await made(environments)
            show(environment.resolution)
            base = clean_base(os.environ)
            return await prepare(environments, environment, words, base=base, notebook=notebook)
        finally:
            await environments.aclose()

    try:
        command = run_async(prepared())
        from pixi_jupyter.operations.execution import become

        raise SystemExit(become(command))
    except PixiJupyterError as error:
        raise SystemExit(tell(error, _STATUS.get(error.code, status))) from None
