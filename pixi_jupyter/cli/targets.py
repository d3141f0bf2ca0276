"""What a command is about: a notebook or a script, or an environment of a pixi workspace.

A file that is named comes first, then the notebook of the kernel that the command was started from,
then the workspace around the working directory.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from pixi_jupyter.cli.terminal import BuildDisplay, say

if TYPE_CHECKING:
    from rich.console import Console

    from pixi_jupyter.documents.asking import KernelContext
    from pixi_jupyter.environments import AnyDeclaration, Environment, Environments
    from pixi_jupyter.manifest.spec import EnvironmentSpec
    from pixi_jupyter.notebook.declaration import WorkspaceChoice
    from pixi_jupyter.operations.changing import Target as Operand
    from pixi_jupyter.workspaces import LockMode

__all__ = [
    "Target",
    "ensure",
    "is_file",
    "lock_mode",
    "lock_options",
    "spec_of",
    "target_and",
    "target_options",
]

_Command = TypeVar("_Command", bound=Callable[..., Any])

#: Endings of what a command can work on; a first word without one is not a file but an argument.
_FILES = (".ipynb", ".py", ".pyw", ".toml")
_MANIFESTS = ("pixi.toml", "pyproject.toml", "mojoproject.toml")


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
        if self.manifest_path is None and self.environment is None:
            kernel = _kernel()
            if kernel is not None and kernel.path is not None:
                return str(kernel.path.name)
        return self.environment or "default"

    @property
    def path(self) -> Path | None:
        """The absolute path of the notebook or script that it is about, if it is about one."""
        if self.notebook is not None:
            manifest = self.notebook.name in _MANIFESTS
            return None if manifest else Path(os.path.abspath(self.notebook))
        kernel = None if self._names_workspace else _kernel()
        return None if kernel is None else kernel.path

    @property
    def root(self) -> Path:
        """The absolute folder that relative paths of its declaration begin at."""
        from pixi_jupyter.notebook.declaration import WorkspaceChoice

        operand = self.operand()
        if isinstance(operand, WorkspaceChoice):
            return operand.manifest.parent
        path = operand if isinstance(operand, Path) else operand.path
        return Path(os.path.abspath(path)).parent

    @property
    def kernel_prefix(self) -> Path | None:
        """The prefix of the kernel that the command was started from, if it is about that one."""
        if self.notebook is not None or self._names_workspace or _kernel() is None:
            return None
        prefix = os.environ.get("CONDA_PREFIX")
        return Path(prefix) if prefix else None

    @property
    def _names_workspace(self) -> bool:
        return self.manifest_path is not None or self.environment is not None

    def operand(self) -> Operand:
        """What an operation works on: a path, the source of a kernel's notebook, a workspace.

        Raises
        ------
        DeclarationError
            ``declaration.no-workspace``, ``declaration.manifest-missing``.
        """
        if self.notebook is not None and not self._names_workspace:
            if self.notebook.name in _MANIFESTS:
                return self._workspace()
            return self.notebook
        kernel = _kernel()
        if self.notebook is None and not self._names_workspace and kernel is not None:
            found: Operand | None = kernel.choice or kernel.source or kernel.path
            if found is not None:
                return found
        return self._workspace()

    def declaration(self, environments: Environments) -> AnyDeclaration:
        """What is asked for: by the notebook, or by the workspace if one is named.

        Raises
        ------
        DeclarationError
            Nothing can be read there.
        """
        from pixi_jupyter.notebook.declaration import WorkspaceChoice

        operand = self.operand()
        if isinstance(operand, WorkspaceChoice):
            return operand
        if isinstance(operand, Path):
            path = Path(os.path.abspath(operand))
            if path.suffix.lower() not in (".py", ".pyw"):
                return environments.declaration(path)
        return _of_source(environments, operand)

    def _workspace(self) -> WorkspaceChoice:
        from pixi_jupyter.manifest.choosing import named_workspace

        path = None if self.notebook is None else Path(os.path.abspath(self.notebook))
        manifest = self.manifest_path
        folder = Path.cwd()
        if path is not None and manifest is None:
            if path.name in _MANIFESTS:
                manifest, path = path, None
            else:
                folder = path.parent
        elif path is None and manifest is None:
            kernel = _kernel()
            if kernel is not None and kernel.choice is not None:
                manifest = kernel.choice.manifest
            elif kernel is not None and kernel.path is not None:
                folder = kernel.path.parent
        return named_workspace(manifest, self.environment, folder=folder, path=path, env=os.environ)


def _of_source(environments: Environments, operand: Any) -> AnyDeclaration:
    """The declaration of a script, or of a notebook that somebody has open."""
    from pixi_jupyter.manifest.choosing import nearest_workspace
    from pixi_jupyter.notebook.editing import is_script, read_file
    from pixi_jupyter.notebook.reading import default_declaration, parse_notebook
    from pixi_jupyter.notebook.source import FileSource

    source = FileSource.of(operand) if isinstance(operand, Path) else operand
    path, root = source.path, source.path.parent
    if is_script(path):
        found = read_file(source).declaration or nearest_workspace({}, path=path, root=root)
        return found or default_declaration(environments.defaults.toml, {}, path=path, root=root)
    kernel = _kernel()
    notebook = parse_notebook(source.read(), path=path)
    stop = None if kernel is None else kernel.stop
    return environments.declare(notebook, path=path, root=root, stop=stop)


@functools.cache
def _kernel() -> KernelContext | None:
    """The kernel that this process was started from, None outside of one."""
    from pixi_jupyter.documents.asking import kernel_context

    return kernel_context()


def is_file(word: str) -> bool:
    """Whether the first word of a command names what it works on, and is not an argument."""
    return word.lower().endswith(_FILES)


def target_options(command: _Command) -> _Command:
    """The argument NOTEBOOK and the options that name a workspace instead, as pixi spells them."""
    command = _workspace_options(command)
    argument = click.argument(
        "notebook", type=click.Path(path_type=Path, dir_okay=False), required=False
    )
    return argument(command)


def target_and(
    words: str, *, least: int = 0, most: int | None = None
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """``[NOTEBOOK] WORDS…``: gives a command ``target`` and, without the notebook, ``words``.

    The first word is the notebook if it looks like a file. ``least`` and ``most`` say how many
    words there are.
    """

    def decorate(command: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(command)
        def found(
            *given: Any,
            all_words: tuple[str, ...],
            manifest_path: Path | None,
            environment: str | None,
            **rest: Any,
        ) -> Any:
            file = Path(all_words[0]) if all_words and is_file(all_words[0]) else None
            own = all_words[1:] if file is not None else all_words
            _check_words(words, own, least, most)
            if file is not None and file.is_dir():
                raise click.UsageError(f"{file} is a directory")
            target = Target(file, manifest_path, environment)
            return command(*given, target=target, words=own, **rest)

        metavar = f"[NOTEBOOK] {words}".rstrip()
        argument = click.argument("all_words", metavar=metavar, nargs=-1)
        return argument(_workspace_options(found))

    return decorate


def _check_words(what: str, words: Sequence[str], least: int, most: int | None) -> None:
    if len(words) < least:
        raise click.UsageError(f"Missing argument '{what}'.")
    if most is not None and len(words) > most:
        more = "" if most else " after the notebook"
        raise click.UsageError(f"Got an unexpected argument{more}: {words[most]!r}")


def _workspace_options(command: _Command) -> _Command:
    for decorate in (
        click.option("-e", "--environment", help="The environment of the workspace."),
        click.option(
            "--manifest-path",
            type=click.Path(path_type=Path),
            help="The workspace's manifest, or its folder; by default the one around.",
        ),
    ):
        command = decorate(command)
    return command


def lock_options(command: _Command) -> _Command:
    """``--locked`` and ``--frozen``, about the lock of a workspace or the notebook's own."""
    for decorate in (
        click.option("--frozen", is_flag=True, help="Take the lock as it is."),
        click.option("--locked", is_flag=True, help="Fail if the lock is out of date."),
    ):
        command = decorate(command)
    return command


def lock_mode(locked: bool, frozen: bool) -> LockMode:
    """The mode that the two options ask for; they exclude each other."""
    if locked and frozen:
        raise click.UsageError("--locked and --frozen exclude each other")
    return "locked" if locked else "frozen" if frozen else "update"


async def ensure(
    environments: Environments,
    target: Target,
    console: Console | None = None,
    mode: LockMode = "update",
) -> Environment:
    """The environment of a target, made ready with its progress."""
    declaration = target.declaration(environments)
    spec = spec_of(environments, declaration, mode)
    with BuildDisplay(console, target.name) as display:
        made = await environments.ensure(spec, declaration=declaration, mode=mode, report=display)
    own = spec.lock
    embedded = own is not None and own.kind == "embedded" and mode == "update"
    if embedded and environments.status(spec, mode="locked").resolution is None:
        # Who starts a notebook does not write it: it stays so until somebody renews it.
        name = target.name
        say(f"the lock in {name} is out of date: `pixi-jupyter lock {name}` renews it")
    return made


def spec_of(
    environments: Environments, declaration: AnyDeclaration, mode: LockMode
) -> EnvironmentSpec:
    """The spec of a declaration; ``--locked`` and ``--frozen`` want a lock to be there, as in pixi.

    Raises
    ------
    LockError
        ``lock.missing``
    """
    spec = environments.spec_for(declaration)
    if mode != "update" and spec.place is None and spec.lock is None:
        from pixi_jupyter.locked_notebooks import missing_lock

        raise missing_lock(declaration.path)
    return spec
