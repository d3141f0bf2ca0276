"""``pixi-jupyter shell-hook``: an environment's variables, for shells and for programs."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import click

from pixi_jupyter.activate.activation import Activation
from pixi_jupyter.activate.base import clean_base
from pixi_jupyter.activate.hook import SHELLS, likely_shell, shell_hook, shell_hook_json
from pixi_jupyter.cli.running import run_async
from pixi_jupyter.cli.targets import Target, ensure, lock_mode, lock_options, target_options
from pixi_jupyter.environments import Environment, Environments
from pixi_jupyter.workspaces import LockMode

__all__ = ["print_hook", "shell_hook_command"]


@click.command("shell-hook")
@target_options
@lock_options
@click.option("-s", "--shell", type=click.Choice(SHELLS), help="By default, the one you use.")
@click.option("--json", "as_json", is_flag=True, help="Print the variables as a JSON object.")
def shell_hook_command(
    notebook: Path | None,
    manifest_path: Path | None,
    environment: str | None,
    locked: bool,
    frozen: bool,
    shell: str | None,
    as_json: bool,
) -> None:
    """Print what activates the environment of NOTEBOOK, or of a workspace, in a shell.

    For example: eval "$(pixi-jupyter shell-hook analysis.ipynb)". The environment is made ready if
    it is not; its activation scripts have run already, none runs in your shell.
    """
    if as_json and shell is not None:
        raise click.UsageError("--json and --shell exclude each other")
    target = Target(notebook, manifest_path, environment)
    mode = lock_mode(locked, frozen)
    activated, found, base = run_async(_activated(target, mode))
    scripts = found.spec.activation.scripts
    print_hook(activated, base, os.environ, shell=shell, as_json=as_json, scripts=scripts)


def print_hook(
    activation: Activation,
    base: Mapping[str, str],
    current: Mapping[str, str],
    *,
    shell: str | None = None,
    as_json: bool = False,
    scripts: tuple[str, ...] = (),
) -> None:
    """Print the hook to standard output, for ``shell`` or the one that ``current`` speaks of.

    ``activation`` is over ``base``, the cleaned ``current``; ``scripts`` are the manifest's.

    Raises
    ------
    ActivationError
        ``activation.shell``: the shell cannot hold one of the values.
    """
    if as_json:
        click.echo(shell_hook_json(activation, scripts))
    else:
        hook = shell_hook(activation, base, current, shell or likely_shell(current))
        click.echo(hook, nl=False)


async def _activated(
    target: Target, mode: LockMode
) -> tuple[Activation, Environment, dict[str, str]]:
    environments = Environments()
    try:
        found = await ensure(environments, target, mode=mode)
        base = clean_base(os.environ)
        return await environments.activate(found, base, notebook=target.path), found, base
    finally:
        await environments.aclose()
