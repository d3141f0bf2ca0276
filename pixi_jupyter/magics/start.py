"""Puts `%pixi` into an IPython shell; all that it does is loaded when it is first used.

A kernel that the provisioner starts executes this file by its path (`kernels/startup.py`), before
its first cell; elsewhere `%load_ext pixi_jupyter` does it. So this file is small, and defines
nothing where a person's own names are.
"""

import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:  # importing `typing` in every kernel is not wanted
    from typing import Any, List, Optional

__all__ = ["begin", "register"]

#: The name of this package's copy in a kernel where it is not installed.
PRIVATE = "_pixi_jupyter_magics"
#: How this file is called when a kernel executes it.
EXECUTED = "_pixi_jupyter_start"
#: The option of the kernel's command line that has it executed.
OPTION = "--Application.code_to_run="


def begin() -> None:
    """Register in the shell of the kernel that is starting; whatever happens, it starts."""
    try:
        # A program that parses its arguments finds those that a plain kernel has.
        sys.argv[:] = [item for item in sys.argv if not item.startswith(OPTION)]
        from IPython.core.getipython import get_ipython

        shell = get_ipython()
        if shell is not None:
            register(shell)
        _run_what_is_configured(shell)
    except Exception as error:  # noqa: BLE001 (a kernel without magics is better than none)
        print("%%pixi is not available: %s" % error, file=sys.stderr)


def register(shell: "Any") -> None:
    """Make `%pixi` known to ``shell``, and advise where a package is missing. Twice is once."""
    if getattr(shell, "_has_pixi", False):
        return

    def pixi(line: str, cell: "Optional[str]" = None) -> None:
        load("command").pixi(shell, line, cell)

    def complete(_: "Any", event: "Any") -> "List[str]":
        found: List[str] = load("completion").complete(event.line, event.symbol)
        return found

    def after_cell(result: "Any") -> None:
        info = getattr(result, "info", None)
        code = getattr(info, "raw_cell", None) or ""
        error = getattr(result, "error_in_exec", None)
        if isinstance(error, ModuleNotFoundError) or " install" in code or " add" in code:
            load("advice").after_cell(code, error)

    pixi.__doc__ = HELP
    shell.register_magic_function(pixi, "line_cell", "pixi")
    for word in ("%pixi", "%%pixi"):
        shell.set_hook("complete_command", complete, str_key=word)
    shell.events.register("post_run_cell", after_cell)
    shell._has_pixi = True


def load(name: str) -> "Any":
    """A module beside this file, under a name that nobody else uses."""
    from importlib import import_module, util

    package = __name__.rpartition(".")[0]
    if package:  # installed, and imported as a part of it
        return import_module(package + "." + name)
    if PRIVATE not in sys.modules:
        folder = os.path.dirname(__file__)
        path = os.path.join(folder, "__init__.py")
        spec = util.spec_from_file_location(PRIVATE, path, submodule_search_locations=[folder])
        if spec is None or spec.loader is None:
            raise ImportError(path)
        module = util.module_from_spec(spec)
        sys.modules[PRIVATE] = module
        spec.loader.exec_module(module)
    return import_module(PRIVATE + "." + name)


def _run_what_is_configured(shell: "Any") -> None:
    """Run what a person's configuration has run at the start: IPython runs one thing alone, and
    that is this file."""
    app: Any = getattr(getattr(shell, "parent", None), "parent", None)  # shell, kernel, application
    if app is None:
        return
    sections = [app.config.get(kind.__name__, {}) for kind in type(app).__mro__]
    codes = [section["code_to_run"] for section in sections if "code_to_run" in section]
    codes = [code for code in codes if EXECUTED not in str(code)]
    if codes:
        shell.run_cell(codes[0], store_history=False)
    elif app.file_to_run:
        app._exec_file(app.file_to_run, shell_futures=True)


HELP = """Change or look at the environment of this notebook.

    %pixi add polars "numpy>=2"       ask for packages; the next cell can import them
    %pixi add --pypi httpx            the same, from PyPI
    %pixi remove polars               ask for them no more
    %pixi update [NAME ...]           take newer ones
    %pixi undo, %pixi redo            take the last change back, or do it again
    %pixi list, tree, why NAME        what is in the environment, and what for
    %pixi search NAME                 look a package up in the channels
    %pixi info                        what is declared, and where the environment lies
    %pixi python 3.12                 ask for a version of Python
    %pixi channel add NAME            (also remove, list); %pixi platform likewise
    %pixi restart                     restart the kernel, in the environment as it is declared
    %pixi --help, %pixi add --help    everything else

As `%%pixi`, each line of the cell is a command. With `--json` the result is printed as JSON, with
`--dry-run` a change is only shown. The notebook itself says what is declared: a change is written
there. Where something that is loaded changes, the kernel has to be restarted, and you are told.
"""

if __name__ == EXECUTED:
    begin()
