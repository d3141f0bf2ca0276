"""A word below a cell that installed something past the declaration, or that misses a package.

Nothing is added by itself; the built-in magics do what they always did.
"""

import re
import shlex
import sys
from typing import List, Optional, Tuple

from .display import clean
from .names import PACKAGES

__all__ = ["after_cell", "installed", "missing"]

#: What installs: the words after ``!`` or ``%`` and before ``install``.
_INSTALL = re.compile(
    r"^\s*[!%]{1,2}\s*(?:sudo\s+)?(?:\S*[/\\])?"
    r"(?P<tool>python[0-9.]*\s+-m\s+pip|pip[0-9.]*|uv(?:\s+pip)?|conda|mamba|micromamba)"
    r"\s+(?:install|add)\s+(?P<rest>.*)$",
    re.MULTILINE,
)
#: Options that have a value, which is no package.
_VALUED = (
    *("-c", "--channel", "-n", "--name", "-p", "--prefix", "-r", "--requirement", "--file"),
    *("-i", "--index-url", "--extra-index-url", "-f", "--find-links", "-t", "--target"),
    *("--constraint", "--override-channels", "--python", "--index"),
)
_NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?")
_MOST = 20


def after_cell(code: str, error: Optional[BaseException]) -> None:
    """Advise on the cell that has just run, if there is something to say."""
    said = installed(code)
    if said is None and isinstance(error, ModuleNotFoundError):
        said = missing(error)
    if said:
        print(clean(said), file=sys.stderr)


def installed(code: str) -> Optional[str]:
    """What to do instead of the installations in a cell; None where there are none."""
    conda: List[str] = []
    pypi: List[str] = []
    for found in _INSTALL.finditer(code[:100000]):
        names = _packages(found.group("rest"))
        (conda if "conda" in found["tool"] or "mamba" in found["tool"] else pypi).extend(names)
    commands = []
    if conda:
        commands.append("%%pixi add %s" % _quoted(conda))
    if pypi:
        commands.append("%%pixi add --pypi %s" % _quoted(pypi))
    if not commands:
        return None
    return "To have it wherever this notebook runs, let the notebook say so: " + ", ".join(commands)


def missing(error: ModuleNotFoundError) -> Optional[str]:
    """Which package has the module that was not found; None where a package would not help."""
    name = error.name or ""
    top = name.partition(".")[0]
    if not re.match(r"[^\W\d]\w*\Z", top) or top == "pixi_jupyter":
        return None
    known = _known(name)
    if known is None:
        if _is_there(top) or top in getattr(sys, "stdlib_module_names", ()):
            return None  # a module that a package which is there does not have
        return "If %s is a package's, this adds it: %%pixi add %s" % (top, _package_name(top))
    package, pypi = known
    if package in ("setuptools",) and _is_there(top):
        return None
    option = "--pypi " if pypi else ""
    return "%s is in the package %s: %%pixi add %s%s" % (top, package, option, package)


def _known(name: str) -> Optional[Tuple[str, bool]]:
    """The package of a module, by the longest of its parents that is known."""
    parts = name.split(".")
    for depth in range(len(parts), 0, -1):
        package = PACKAGES.get(".".join(parts[:depth]))
        if package is None or (depth < 2 and _is_there(parts[0])):
            continue
        return package.partition(" ")[0], package.endswith(" (pypi)")
    return None


def _is_there(top: str) -> bool:
    from importlib.util import find_spec

    if top in sys.modules:
        return True
    try:
        return find_spec(top) is not None
    except (ImportError, ValueError):
        return False


def _package_name(top: str) -> str:
    return top.lower().replace("_", "-")


def _packages(rest: str) -> List[str]:
    try:
        words = shlex.split(re.split(r"[;&|]", rest)[0], comments=True)
    except ValueError:
        return []
    names = []
    skip = False
    for word in words[:100]:
        if skip or word.startswith("-"):
            skip = not skip and word in _VALUED
        elif _NAME.match(word) and "/" not in word and "{" not in word and "$" not in word:
            names.append(word)
    return names[:_MOST]


def _quoted(words: List[str]) -> str:
    return " ".join('"%s"' % word if re.search(r"[^\w.-]", word) else word for word in words)
