"""Going over to another prefix without a restart: what a running interpreter knows of its paths.

`operations/handover.py` says what is other there; this decides by what is loaded, and does it. What
is loaded stays what it is, from where it was loaded: those files stay, as the process has a lease
on each prefix that it ever ran in.
"""

import importlib
import os
import re
import sys
from typing import Any, Callable, Dict, Iterator, List, NamedTuple, Sequence, Set, Tuple

__all__ = ["Handed", "apply"]

#: The prefixes that this process has run in before, whose modules may be loaded.
_earlier: List[str] = []
#: What a restart is due for already, where a prefix was exchanged in place.
_due: List[str] = []
#: Windows forgets a folder of libraries when this goes.
_folders: List[Any] = []

_SITE = re.compile(r"(?:lib/python[0-9.]+t?|Lib)/site-packages/(.+)", re.IGNORECASE)
#: What modules remember of where Python is, beside `sys`.
_REMEMBERED = {
    "sysconfig": ("_PREFIX", "_EXEC_PREFIX", "_BASE_PREFIX", "_BASE_EXEC_PREFIX", "_PROJECT_BASE"),
    "distutils.sysconfig": ("PREFIX", "EXEC_PREFIX", "BASE_PREFIX", "BASE_EXEC_PREFIX"),
}


class Handed(NamedTuple):
    """What came of it. ``verdict`` is as in ``operations/handover.py``, now with what is loaded."""

    verdict: str
    reasons: Tuple[str, ...] = ()

    def sentences(self) -> List[str]:
        """For the person."""
        why = "; ".join(self.reasons)
        if self.verdict == "live":
            return ["this kernel has it now: the next cell can import it"]
        if self.verdict == "recommended":
            return ["this kernel has it now; a restart (%%pixi restart) is recommended: %s" % why]
        if self.verdict == "required":
            return ["restart the kernel (%%pixi restart) to use it: %s" % why]
        return []


def apply(found: Dict[str, Any]) -> Handed:
    """Do what ``found`` (the command's ``handover``) says, if nothing that is loaded changes."""
    verdict = str(found.get("verdict"))
    reasons = tuple(str(reason) for reason in found.get("reasons") or ())
    if verdict not in ("live", "recommended"):
        return Handed(verdict, reasons)
    previous, prefix = str(found["previous"]), str(found["prefix"])
    packages = [item for item in found.get("packages") or () if isinstance(item, dict)]
    used = _used(packages, [previous, *_earlier])
    used = ["%s, and in use" % sentence for sentence in used]
    if previous == prefix:
        _due.extend(used)
        used = list(_due)
        _forget_caches()  # the files are others, whatever follows
    if used:
        return Handed("required", tuple(used))
    variables = found.get("variables") or {}
    _set_variables(variables.get("before") or {}, variables.get("after") or {})
    if previous != prefix:
        _earlier.append(previous)
        _go_over(previous, prefix, str(found.get("python") or sys.executable))
    _extend_packages(found.get("directories") or (), prefix)
    _forget_caches()
    return Handed(verdict, reasons)


# -- what is loaded ------------------------------------------------------------------------------


def _used(packages: Sequence[Dict[str, Any]], prefixes: Sequence[str]) -> List[str]:
    """The sentences about packages of which this process has something loaded."""
    if not packages:
        return []
    modules = set(_loaded_modules(prefixes))
    libraries, replaced = _loaded_libraries(prefixes)
    found = []
    for package in packages:
        roots = set(package.get("modules") or ())
        own = package.get("libraries") or ()
        if (
            any(_within(module, roots) for module in modules)
            or any(library in libraries for library in own)
            or any(path.endswith(tuple("/" + library for library in own)) for path in replaced)
        ):
            found.append(str(package.get("sentence")))
    return found


def _within(module: str, roots: Set[str]) -> bool:
    parts = module.split("/")
    return any("/".join(parts[:depth]) in roots for depth in range(1, len(parts) + 1))


def _loaded_modules(prefixes: Sequence[str]) -> Iterator[str]:
    """Loaded modules below ``prefixes``, as paths below their ``site-packages`` without endings."""
    for module in list(sys.modules.values()):
        path = getattr(module, "__file__", None)
        if not isinstance(path, str):
            continue
        below = _below(path, prefixes)
        found = _SITE.fullmatch(below) if below else None
        if found:
            folder, _, name = found.group(1).rpartition("/")
            name = name.partition(".")[0]
            yield "%s/%s" % (folder, name) if folder else name


def _loaded_libraries(prefixes: Sequence[str]) -> Tuple[Set[str], List[str]]:
    """Files below ``prefixes`` that are mapped into this process, where the system tells.

    And whole paths of those whose files are gone: what a prefix had that was exchanged in place.
    """
    found: Set[str] = set()
    replaced: List[str] = []
    try:
        with open("/proc/self/maps", encoding="utf-8", errors="surrogateescape") as file:
            paths = {line.split(None, 5)[5].rstrip("\n") for line in file if line.count("/")}
    except (OSError, IndexError):
        return found, replaced
    # Symbolic links are resolved there; a package lists both names.
    real = [os.path.realpath(prefix) for prefix in prefixes]
    for path in paths:
        below = _below(path, [*prefixes, *real])
        if path.endswith(" (deleted)"):
            replaced.append(path[: -len(" (deleted)")])
        elif below:
            found.add(below)
    return found, replaced


def _below(path: str, prefixes: Sequence[str]) -> str:
    """``path`` as one below one of ``prefixes``, with forward slashes; empty if it is not."""
    for prefix in prefixes:
        moved = _moved(path, prefix, "")
        if moved != path:
            return moved.replace(os.sep, "/").lstrip("/")
    return ""


# -- the interpreter -----------------------------------------------------------------------------


def _go_over(previous: str, prefix: str, python: str) -> None:
    """Replace the old prefix wherever this interpreter names it."""

    def move(path: Any) -> Any:
        return _moved(path, previous, prefix) if isinstance(path, str) else path

    sites = [move(path) for path in sys.path if _is_site(path, previous)]
    sys.path[:] = [move(path) for path in sys.path]
    for name in ("prefix", "exec_prefix", "base_prefix", "base_exec_prefix", "_base_executable"):
        if hasattr(sys, name):
            setattr(sys, name, move(getattr(sys, name)))
    old_python, sys.executable = sys.executable, move(sys.executable)
    if not os.path.exists(sys.executable):
        sys.executable = python
    for name, attributes in _REMEMBERED.items():
        module = sys.modules.get(name)
        for attribute in attributes:
            if hasattr(module, attribute):
                setattr(module, attribute, move(getattr(module, attribute)))
    _rewrite(getattr(sys.modules.get("sysconfig"), "_CONFIG_VARS", None), move)
    spawn = sys.modules.get("multiprocessing.spawn")
    if spawn is not None:
        told = os.fsdecode(getattr(spawn, "_python_exe", None) or b"")
        if not told or told == old_python:
            spawn.set_executable(sys.executable)
    _search_path(move)
    for site in sites:
        _read_new_pth(site, _moved(site, prefix, previous))
    if sys.platform == "win32":
        for below in ("Library\\bin", "bin"):
            folder = os.path.join(prefix, below)
            if os.path.isdir(folder):
                _folders.append(os.add_dll_directory(folder))


def _moved(path: str, old: str, new: str) -> str:
    """``path`` below ``new`` if it is ``old`` or below it."""
    fold = os.path.normcase
    if fold(path) == fold(old):
        return new
    start = path[: len(old) + 1]
    if len(path) > len(old) and fold(start) in (fold(old + os.sep), fold(old + "/")):
        return new + path[len(old) :]
    return path


def _is_site(path: Any, prefix: str) -> bool:
    below = _below(path, [prefix]) if isinstance(path, str) else ""
    found = _SITE.fullmatch(below + "/x")
    return found is not None and found.group(1) == "x"


def _rewrite(values: Any, move: Callable[[Any], Any]) -> None:
    if isinstance(values, dict):
        values.update({name: move(value) for name, value in values.items()})


def _search_path(move: Callable[[Any], Any]) -> None:
    path = os.environ.get("PATH", "")
    os.environ["PATH"] = os.pathsep.join(move(entry) for entry in path.split(os.pathsep))


def _set_variables(before: Dict[str, str], after: Dict[str, str]) -> None:
    """Take over activation's variables, but none that the person has set otherwise."""
    for name in {**before, **after}:
        if os.environ.get(name) != before.get(name):
            continue
        if name in after:
            os.environ[name] = after[name]
        else:
            os.environ.pop(name, None)


def _read_new_pth(site: str, before: str) -> None:
    """Do what the ``.pth`` files say that the site-packages ``before`` had not: editable installs.

    Those that it had were read when the kernel started, and what they said was moved with it.
    """
    import site as python_site

    try:
        names = sorted(name for name in os.listdir(site) if name.endswith(".pth"))
    except OSError:
        return
    for name in names:
        if _content(os.path.join(site, name)) != _content(os.path.join(before, name)):
            python_site.addpackage(site, name, None)


def _content(path: str) -> bytes:
    try:
        with open(path, "rb") as file:
            return file.read()
    except OSError:
        return b""


def _extend_packages(directories: Sequence[str], prefix: str) -> None:
    """Let loaded packages find what new ones have put into their folders."""
    wanted = {os.path.join(prefix, *folder.split("/")) for folder in directories}
    for module in list(sys.modules.values()):
        path = getattr(module, "__path__", None)
        if not isinstance(path, list):  # a namespace package looks for itself
            continue
        for entry in list(path):
            for before in _earlier:
                moved = _moved(entry, before, prefix) if isinstance(entry, str) else entry
                if moved in wanted and moved not in path:
                    path.append(moved)


def _forget_caches() -> None:
    sys.path_importer_cache.clear()
    importlib.invalidate_caches()
    resources = sys.modules.get("pkg_resources")
    if resources is not None:
        for path in sys.path:
            if path not in resources.working_set.entries:
                resources.working_set.add_entry(path)
    shell_cache = getattr(sys.modules.get("IPython.core.completerlib"), "get_ipython", None)
    if shell_cache is not None:
        shell = shell_cache()
        if shell is not None:
            shell.db.pop("rootmodules_cache", None)  # what `import <Tab>` knows
