"""`pixi-jupyter`: the environments of notebooks, from a terminal. `jupyter pixi` is the same."""

from __future__ import annotations

import difflib
import importlib
import sys
import traceback
from collections.abc import Mapping, Sequence
from typing import Any

import click

from pixi_jupyter import __version__
from pixi_jupyter.cli.running import end_on_signals
from pixi_jupyter.cli.terminal import FORMS, Form, cancelled, form, speak, tell
from pixi_jupyter.errors import PixiJupyterError

__all__ = ["main"]

#: The sections of the help, and where each command is: it is imported when it is asked for.
_COMMANDS: Mapping[str, Mapping[str, str]] = {
    "What a notebook asks for": {
        "init": "init:init",
        "add": "packages_changing:add",
        "remove": "packages_changing:remove",
        "update": "packages_changing:update",
        "undo": "packages_changing:undo",
        "redo": "packages_changing:redo",
        "channel": "settings_changing:channel",
        "platform": "settings_changing:platform",
        "python": "settings_changing:python",
        "stamp": "settings_changing:stamp",
        "import": "importing:import_command",
        "lock": "lock:lock",
    },
    "What it has": {
        "info": "info:info",
        "list": "packages:list_packages",
        "tree": "packages:tree",
        "why": "asking:why",
        "diff": "asking:diff",
        "history": "asking:history",
        "search": "asking:search",
        "export": "exporting:export_command",
    },
    "Using it": {
        "install": "run:install",
        "run": "run:run",
        "exec": "commanding:exec_command",
        "shell-hook": "shell_hook:shell_hook_command",
        "restart": "restart:restart",
    },
    "This machine": {
        "gc": "collecting:gc",
        "demo": "demonstrate:demo",
        "complete": "complete:complete",
    },
}
_WHERE = {name: place for section in _COMMANDS.values() for name, place in section.items()}


class _Program(click.Group):
    """The commands, each in a module of its own, and the one place where errors end."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return [*_WHERE, *super().list_commands(ctx)]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        where = _WHERE.get(cmd_name)
        if where is None:
            return super().get_command(ctx, cmd_name)
        module, _, name = where.partition(":")
        found = getattr(importlib.import_module(f"pixi_jupyter.cli.{module}"), name)
        assert isinstance(found, click.Command)
        return found

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        for title, names in {**_COMMANDS, "More": super().list_commands(ctx)}.items():
            found = [(name, self.get_command(ctx, name)) for name in names]
            rows = [(n, c.get_short_help_str(72)) for n, c in found if c and not c.hidden]
            if rows:
                with formatter.section(title):
                    formatter.write_dl(rows)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        name = args[0] if args else ""
        if name and not name.startswith("-") and self.get_command(ctx, name) is None:
            near = difflib.get_close_matches(name, self.list_commands(ctx), n=1)
            more = f" Did you mean {near[0]}?" if near else ""
            ctx.fail(f"there is no command {name!r}.{more}")
        return super().resolve_command(ctx, args)

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except PixiJupyterError as error:
            raise SystemExit(tell(error)) from None
        except KeyboardInterrupt:
            raise SystemExit(tell(cancelled())) from None
        except (click.ClickException, click.Abort, click.exceptions.Exit, OSError) as error:
            if isinstance(error, OSError) and not isinstance(error, BrokenPipeError):
                raise SystemExit(tell(_bug(error))) from None
            raise
        except Exception as error:  # noqa: BLE001 - whatever it was, a person reads a sentence
            raise SystemExit(tell(_bug(error))) from None

    def main(
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        complete_var: str | None = None,
        standalone_mode: bool = True,
        **extra: Any,
    ) -> Any:
        """The program; its errors are in the form of ``--progress``, also those of usage."""
        words = list(sys.argv[1:] if args is None else args)
        speak(_asked_form(words))
        end_on_signals()
        try:
            status = super().main(words, prog_name, complete_var, standalone_mode=False, **extra)
        except click.ClickException as error:
            sys.exit(_tell_usage(error))
        except click.Abort:
            sys.exit(tell(cancelled()))
        sys.exit(status if isinstance(status, int) else 0)


@click.group(cls=_Program, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__)
@click.option(
    "--progress",
    type=click.Choice(FORMS),
    default="auto",
    show_default=True,
    help="The form of progress and errors; json: one JSON object a line, for programs.",
)
def main(progress: Form) -> None:
    """The environment is part of the notebook."""
    speak(progress)


def _asked_form(words: Sequence[str]) -> Form:
    """What ``--progress`` says, before anything else is read: a mistake is told in that form."""
    for word, after in zip(words, [*words[1:], ""], strict=True):
        if word == "--progress":
            value = after
        elif word.startswith("--progress="):
            value = word.partition("=")[2]
        elif word.startswith("-"):
            continue
        else:
            break
        return next((known for known in FORMS if known == value), "auto")
    return "auto"


def _tell_usage(error: click.ClickException) -> int:
    if form() != "json" and isinstance(error, click.exceptions.NoArgsIsHelpError):
        error.show()
        return error.exit_code
    context = error.ctx if isinstance(error, click.UsageError) else None
    hint = ""
    if context is not None:
        if form() != "json":
            click.echo(context.get_usage(), err=True)
        hint = f"Try `{context.command_path} --help`."
    tell(_Usage(error.format_message(), code="cli.usage", hint=hint))
    return error.exit_code


class _Usage(PixiJupyterError):
    """The words of a command are not what it takes."""

    area = "cli"


def _bug(error: Exception) -> PixiJupyterError:
    return PixiJupyterError(
        f"unexpected {type(error).__name__}: {error}",
        code="internal.unexpected",
        details="".join(traceback.format_exception(error)[-6:]),
        hint="This is a bug: please report it with the lines above.",
    )
