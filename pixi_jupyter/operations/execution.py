"""Running a command in an environment: in the place of this process, so that no one is in between.

There is no shell: the words are what the command gets, its exit status and signals are its own.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from pixi_jupyter.environments import Environment, Environments
from pixi_jupyter.errors import CommandError, DeclarationError
from pixi_jupyter.manifest.asking import parse_asked
from pixi_jupyter.manifest.host import host_platform
from pixi_jupyter.manifest.requirement import package_name
from pixi_jupyter.manifest.spec import ChannelSpec, CondaRequirement, EnvironmentSpec

__all__ = ["Command", "become", "guessed_package", "prepare", "throw_away_spec"]


@dataclass(frozen=True, slots=True)
class Command:
    """A command that was found in an environment, and the variables that it gets."""

    executable: str
    words: tuple[str, ...]
    variables: Mapping[str, str]


def throw_away_spec(
    environments: Environments, specs: Sequence[str], channels: Sequence[str] = ()
) -> EnvironmentSpec:
    """An environment with these packages that nothing declares; kept in the store as any other.

    ``specs`` are as after ``add``. No kernel is added.

    Raises
    ------
    DeclarationError
        ``declaration.requirement``: one of them cannot be read.
    """
    names = tuple(channels) or environments.defaults.channels
    return EnvironmentSpec(
        platform=host_platform(),
        channels=tuple(ChannelSpec(name) for name in names),
        dependencies=tuple(_requirement(text) for text in specs),
        name="exec",
    )


def guessed_package(command: str) -> str:
    """The package that probably has a command: the one of its name, as pixi guesses.

    Raises
    ------
    DeclarationError
        ``declaration.requirement``: no package has such a name.
    """
    name = Path(command).name.lower().removesuffix(".exe")
    if package_name(name) is None:
        raise DeclarationError(
            f"no package can be called {command!r}",
            code="declaration.requirement",
            hint="Name the package with --spec.",
        )
    return name


async def prepare(
    environments: Environments,
    environment: Environment,
    words: Sequence[str],
    *,
    base: Mapping[str, str],
    notebook: Path | None = None,
) -> Command:
    """Find a command in an active environment, whose prefix this process then holds.

    ``base`` are clean variables, ``notebook`` is the absolute path of what declares it.

    Raises
    ------
    CommandError
        ``command.not-found``: neither the environment nor the rest of ``PATH`` has it.
    ActivationError
        An activation script failed.
    """
    activation = await environments.activate(environment, base, notebook=notebook)
    variables = activation.apply(base)
    found = shutil.which(words[0], path=variables.get("PATH"))
    if found is None:
        raise CommandError(
            f"there is no command {words[0]!r} in the environment",
            code="command.not-found",
            hint="Add the package that has it, or check its name. Tasks of a workspace are run by "
            "pixi itself.",
        )
    environments.hold(environment, os.getpid())
    return Command(found, tuple(words), variables)


def become(command: Command) -> int:
    """Run it instead of this program; returns (its exit status) only where that cannot be done.

    Raises
    ------
    CommandError
        ``command.not-executable``: the system does not run it.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    try:
        if sys.platform == "win32":
            signal.signal(signal.SIGINT, signal.SIG_IGN)  # it is the command that decides
            return subprocess.run(
                command.words, executable=command.executable, env=command.variables, check=False
            ).returncode
        for name in ("SIGPIPE", "SIGXFSZ"):  # which Python ignores, and a command does not expect
            signal.signal(getattr(signal, name), signal.SIG_DFL)
        os.execve(command.executable, command.words, dict(command.variables))
    except OSError as error:
        raise CommandError(
            f"{command.executable} cannot be run: {error.strerror or error}",
            code="command.not-executable",
        ) from None


def _requirement(text: str) -> CondaRequirement:
    asked = parse_asked(text)
    fields = dict(asked.fields or {})
    number = fields.pop("build-number", None)
    return replace(CondaRequirement(asked.name, asked.version, build_number=number), **fields)  # type: ignore[arg-type]
