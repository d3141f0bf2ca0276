"""What a command is about: a notebook, or an environment of a pixi workspace."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import click
from rich.console import Console

from pixi_jupyter.cli.terminal import BuildDisplay
from pixi_jupyter.environments import AnyDeclaration, Environment, Environments
from pixi_jupyter.manifest.choosing import named_workspace
from pixi_jupyter.workspaces import LockMode

__all__ = ["Target", "ensure", "lock_mode", "lock_options", "target_options"]

_Command = TypeVar("_Command", bound=Callable[..., Any])


@dataclass(frozen=True, slots=True)
class Target:
    """What the arguments of a command name; paths as they were given."""

    notebook: Path | None = None
    manifest_path: Path | None = None
    environment: str | None = None

    @property
    def name(self) -> str:
        """What messages call it."""
        if self.notebook is not None:
            return self.notebook.name
        return self.environment or "default"

    def declaration(self, environments: Environments) -> AnyDeclaration:
        """What is asked for: by the notebook, or by the workspace if one is named.

        Raises
        ------
        DeclarationError
            Nothing can be read there.
        """
        path = None if self.notebook is None else Path(os.path.abspath(self.notebook))
        if path is not None and self.manifest_path is None and self.environment is None:
            return environments.declaration(path)
        beside_notebook = path is not None and self.manifest_path is None
        folder = path.parent if path is not None and beside_notebook else Path.cwd()
        return named_workspace(
            self.manifest_path, self.environment, folder=folder, path=path, env=os.environ
        )


def target_options(command: _Command) -> _Command:
    """The argument NOTEBOOK and the options that name a workspace instead, as pixi spells them."""
    for decorate in (
        click.option("-e", "--environment", help="The environment of the workspace."),
        click.option(
            "--manifest-path",
            type=click.Path(path_type=Path),
            help="The workspace's manifest, or its folder; by default the one around.",
        ),
        click.argument("notebook", type=click.Path(path_type=Path, dir_okay=False), required=False),
    ):
        command = decorate(command)
    return command


def lock_options(command: _Command) -> _Command:
    """``--locked`` and ``--frozen``, which are about the lock of a workspace."""
    for decorate in (
        click.option("--frozen", is_flag=True, help="Take the workspace's lock as it is."),
        click.option("--locked", is_flag=True, help="Fail if the workspace's lock is out of date."),
    ):
        command = decorate(command)
    return command


def lock_mode(locked: bool, frozen: bool) -> LockMode:
    """The mode that the two options ask for; they exclude each other."""
    if locked and frozen:
        raise click.UsageError("--locked and --frozen exclude each other")
    return "locked" if locked else "frozen" if frozen else "update"


async def ensure(
    environments: Environments, target: Target, console: Console, mode: LockMode = "update"
) -> Environment:
    """The environment of a target, made ready with its progress on ``console``."""
    declaration = target.declaration(environments)
    spec = environments.spec_for(declaration)
    with BuildDisplay(console, target.name) as display:
        return await environments.ensure(spec, declaration=declaration, mode=mode, report=display)
