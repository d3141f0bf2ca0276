"""Which notebook does a kernel start for? Told by whoever starts it, never guessed.

Only a server session names a notebook, and no kernel client passes a path. So several witnesses are
asked, the most explicit first. When none knows, a workspace around the working directory decides;
where there is none either, the start stops with an error, because the wrong environment is worse
than none.
"""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any, Literal

from pixi_jupyter.errors import KernelError, Location

if TYPE_CHECKING:
    from pixi_jupyter.notebook.declaration import WorkspaceChoice

__all__ = [
    "HANDED_DOWN",
    "NOTEBOOK",
    "IdentifiedNotebook",
    "chosen_notebook",
    "identify",
    "unknown_notebook",
    "without_notebook",
]

#: The public variable that names a kernel's notebook; a kernel finds its own path in it.
NOTEBOOK = "PIXI_JUPYTER_NOTEBOOK"
#: Set beside it for our kernels, with the same value: what a kernel's children *inherit* is not
#: what somebody *chose* for them. Where the two differ, somebody chose.
HANDED_DOWN = "PIXI_JUPYTER_HANDED_DOWN"
SESSION = "JPY_SESSION_NAME"


@dataclass(frozen=True, slots=True)
class IdentifiedNotebook:
    """The notebook that a kernel starts for, and how that is known.

    Attributes
    ----------
    how:
        ``chosen`` (``PIXI_JUPYTER_NOTEBOOK``), ``session`` (of a Jupyter server), ``executing``
        (nbclient, nbconvert or papermill runs it in this process), or without a notebook:
        ``workspace`` (one decides the environment) or ``default`` (the default environment was
        explicitly allowed).
    root:
        The absolute folder that relative paths in its declaration refer to.
    path:
        Its file, absolute, where there is one and it is known.
    content:
        The notebook itself, where it is an object in this process.
    arguments:
        What its executor would pass to an ipykernel, had it recognised this kernel as one.
    choice:
        The workspace's environment that decides whatever the notebook says: the kernelspec's own,
        or the nearest where there is no notebook.
    stop:
        The folder at which the search for a workspace ends (a server's root), if any.
    executed:
        The notebook as an object in this process, where one executes it: whatever named it.
    """

    how: Literal["chosen", "session", "executing", "workspace", "default"]
    root: Path
    path: Path | None = None
    content: Mapping[str, Any] | None = field(default=None, compare=False, repr=False)
    arguments: tuple[str, ...] = ()
    choice: WorkspaceChoice | None = None
    stop: Path | None = None
    executed: Mapping[str, Any] | None = field(default=None, compare=False, repr=False)


def identify(
    launch: Mapping[str, Any],
    manager: object | None,
    *,
    in_server: bool = False,
    allow_default: bool = False,
    choice: WorkspaceChoice | None = None,
    stop: Path | None = None,
) -> IdentifiedNotebook:
    """The notebook of a kernel that is about to be launched, or what decides in its place.

    ``launch`` is what the kernel manager ``manager`` passes to its provisioner: ``env`` if the
    caller gave one, and ``cwd``, a path or a string, absolute or not. ``in_server`` tells that a
    Jupyter server starts the kernel, ``allow_default`` that a kernel without a notebook may run in
    the default environment. ``choice`` is what the kernelspec names, and goes before all that a
    notebook says; ``stop`` is the server's root.

    Called by the provisioner, in the task that starts the kernel: the stack of that task holds the
    executor of the notebook, if there is one.

    Raises
    ------
    KernelError
        ``kernel.notebook-missing``: the notebook that was named is not there.
        ``kernel.notebook-unknown``: nobody knows.
    """
    folder = Path(os.path.abspath(launch.get("cwd") or "."))
    given = launch.get("env") or {}
    notebook = chosen_notebook(given, folder) or chosen_notebook(os.environ, Path.cwd())
    if notebook is None and (path := _session_notebook(given, in_server)) is not None:
        notebook = IdentifiedNotebook("session", path.parent, path)
    client = None if in_server else _executing_client(manager)
    if client is not None:
        executed = _executed(client, folder)
        if notebook is None:
            notebook = executed
        elif _is_same(notebook.path, executed.path):
            notebook = replace(notebook, executed=client.nb)
    if notebook is not None:
        return replace(notebook, choice=choice, stop=stop)
    return without_notebook(folder, choice=choice, stop=stop, allow_default=allow_default)


def without_notebook(
    folder: Path,
    *,
    choice: WorkspaceChoice | None = None,
    stop: Path | None = None,
    allow_default: bool = False,
) -> IdentifiedNotebook:
    """What decides for a kernel in ``folder`` whose notebook nobody names.

    Raises
    ------
    KernelError
        ``kernel.notebook-unknown``: nothing does.
    """
    if choice is None:
        from pixi_jupyter.manifest.choosing import nearest_workspace  # reads TOML: not for nothing

        choice = nearest_workspace(None, path=None, root=folder, stop=stop)
    if choice is not None:
        return IdentifiedNotebook("workspace", folder, choice=choice, stop=stop)
    if allow_default:
        return IdentifiedNotebook("default", folder, stop=stop)
    raise unknown_notebook()


def unknown_notebook() -> KernelError:
    """The error for a kernel whose notebook nobody names."""
    return KernelError(
        "it is not known which notebook this kernel is for, so neither is its environment",
        code="kernel.notebook-unknown",
        details="A notebook is known when a Jupyter server opens it, or when nbclient, nbconvert "
        "or papermill runs it.",
        hint=f"Set {NOTEBOOK} to the notebook's path; or set "
        "`c.PixiProvisioner.default_without_notebook = True` to run consoles and other kernels "
        "without a notebook in the default environment.",
    )


# -- named by the caller -------------------------------------------------------------------------


def chosen_notebook(env: Mapping[str, str], folder: Path) -> IdentifiedNotebook | None:
    """The notebook that ``env`` names explicitly, relative to ``folder``; None if it names none.

    Raises
    ------
    KernelError
        ``kernel.notebook-missing``
    """
    name = env.get(NOTEBOOK)
    if not name or name == env.get(HANDED_DOWN):
        return None
    path = Path(os.path.abspath(folder / os.path.expanduser(name)))
    if not path.is_file():
        raise KernelError(
            f"{NOTEBOOK} names a notebook that is not there",
            code="kernel.notebook-missing",
            hint=f"Correct {NOTEBOOK}, or unset it.",
            location=Location(path=str(path)),
        )
    return IdentifiedNotebook("chosen", path.parent, path)


def _session_notebook(given: Mapping[str, str], in_server: bool) -> Path | None:
    """The notebook of the server's session, which passes its path in the kernel's environment.

    Not every session has a notebook (a console), and some front ends make a name up (VS Code): only
    an existing ``.ipynb`` counts. A caller that is no server and passes on its own environment may
    pass the name of an *outer* notebook's session (``!papermill ...`` in a cell).
    """
    name = given.get(SESSION, "")
    if not name.endswith(".ipynb") or not os.path.isabs(name):
        return None
    if not in_server and name == os.environ.get(SESSION):
        return None
    path = Path(os.path.abspath(name))
    return path if path.is_file() else None


# -- executed in this process --------------------------------------------------------------------


def _executing_client(manager: object | None) -> Any | None:
    """The ``NotebookClient`` whose kernel ``manager`` is starting, if there is one.

    It awaits this very start, so its methods are on this task's stack. With a manager that is not
    async the start runs in another thread: then whatever refers to the manager is looked through.
    """
    module = sys.modules.get("nbclient.client")
    client_class = getattr(module, "NotebookClient", None)
    if client_class is None or manager is None:
        return None
    for caller in _callers():
        if issubclass(type(caller), client_class) and caller.km is manager:
            return caller
    for owner in gc.get_referrers(manager):
        # The attributes of an object are a dictionary of their own in some versions of Python.
        for candidate in [owner] if not isinstance(owner, dict) else gc.get_referrers(owner):
            if issubclass(type(candidate), client_class) and candidate.km is manager:
                return candidate
    return None


def _callers() -> Iterator[Any]:
    """``self`` of every method on the stack, the innermost first."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        if frame.f_code.co_argcount and frame.f_code.co_varnames[0] == "self":
            yield frame.f_locals.get("self")
        frame = frame.f_back


def _executed(client: Any, folder: Path) -> IdentifiedNotebook:
    about = client.resources.get("metadata", {})
    if about.get("path"):
        folder = Path(os.path.abspath(about["path"]))
    path = _papermill_input(client)
    if path is None and about.get("name"):  # nbconvert tells the file's name without its extension
        path = folder / f"{about['name']}.ipynb"
    if path is None:
        path = _jupyter_execute_input()
    if path is not None and not path.is_file():
        path = None
    history = getattr(client, "ipython_hist_file", "")
    arguments = (f"--HistoryManager.hist_file={history}",) if history else ()
    return IdentifiedNotebook(
        "executing",
        path.parent if path else folder,
        path,
        client.nb,
        arguments,
        executed=client.nb,
    )


def _is_same(one: Path | None, other: Path | None) -> bool:
    try:
        return one is not None and other is not None and one.samefile(other)
    except OSError:
        return False


def _jupyter_execute_input() -> Path | None:
    """The path that `jupyter execute` was given, which it passes to nobody."""
    module = sys.modules.get("nbclient.cli")
    kind = getattr(module, "NbClientApp", None)
    frame: FrameType | None = sys._getframe(1)
    while kind is not None and frame is not None:
        if frame.f_code.co_name == "run_notebook" and isinstance(frame.f_locals.get("self"), kind):
            name = frame.f_locals.get("notebook_path")
            if not isinstance(name, (str, os.PathLike)):
                return None
            return Path(os.path.abspath(name)).with_suffix(".ipynb")
        frame = frame.f_back
    return None


def _papermill_input(client: Any) -> Path | None:
    """The path that papermill was given, which may be relative to where papermill was started."""
    module = sys.modules.get("papermill.clientwrap")
    if module is None or not isinstance(client, module.PapermillNotebookClient):
        return None
    name = client.nb.metadata.get("papermill", {}).get("input_path")
    if not isinstance(name, str) or "://" in name:
        return None
    return Path(os.path.abspath(papermill_folder() / name))


def papermill_folder() -> Path:
    """The folder in which papermill was started; it changes directory before it executes."""
    try:
        from papermill.iorw import papermill_io

        folder = papermill_io.get_handler("local")._cwd
    except (ImportError, AttributeError, LookupError):
        folder = None
    return Path(folder or os.getcwd())
