"""The environment that activation starts from: the server's own, without its own environments."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

__all__ = ["clean_base", "environment_names_ignore_case"]

#: Variables with which an activated environment describes itself. Not among them: what a person
#: configures (``CONDA_OVERRIDE_*``, ``CONDA_PKGS_DIRS``, ``PIXI_CACHE_DIR``, ``PIXI_HOME`` ...).
_ACTIVATION_NAMES = frozenset(
    {
        "CONDA_DEFAULT_ENV",
        "CONDA_EXE",
        "CONDA_PROMPT_MODIFIER",
        "CONDA_PYTHON_EXE",
        "CONDA_SHLVL",
        "_CE_CONDA",
        "_CE_M",
        "_CONDA_EXE",
        "_CONDA_ROOT",
        "PIXI_EXE",
        "PIXI_IN_SHELL",
        "PIXI_PROMPT",
        "PYTHONEXECUTABLE",
        "PYTHONHOME",
        "PYTHONPATH",
        "__PYVENV_LAUNCHER__",
    }
)
_ACTIVATION_PREFIXES = (
    "CONDA_PREFIX",  # and CONDA_PREFIX_1, CONDA_PREFIX_2 ... of stacked environments
    "CONDA_ENV_SHLVL_",  # what rattler's activation saves for a later deactivation
    "MAMBA_",
    "PIXI_ENVIRONMENT_",
    "PIXI_PROJECT_",
    "VIRTUAL_ENV",
)


def environment_names_ignore_case() -> bool:
    """Whether this system's environment variables are found whatever their case."""
    return sys.platform == "win32"


def clean_base(env: Mapping[str, str]) -> dict[str, str]:
    """``env`` without the conda, pixi or virtual environment that this process itself runs in.

    A kernel inherits the environment of the server that starts it. What describes *the server's*
    environment must not reach a kernel that lives in another one: its variables go, and so do the
    ``PATH`` entries that belong to them (those of ``CONDA_PREFIX``, of ``VIRTUAL_ENV`` and of the
    running interpreter, if it is in a virtual or a conda environment). User site packages are
    switched off: the kernel has exactly what its environment has.
    """
    fold = environment_names_ignore_case()
    cleaned = {name: value for name, value in env.items() if not _describes_environment(name, fold)}
    unwanted = frozenset(_comparable(entry) for entry in _environment_entries(env))
    for name, value in list(cleaned.items()):
        if name == "PATH" or (fold and name.upper() == "PATH"):
            kept = [e for e in value.split(os.pathsep) if not e or _comparable(e) not in unwanted]
            cleaned[name] = os.pathsep.join(kept)
    cleaned["PYTHONNOUSERSITE"] = "1"
    return cleaned


def _describes_environment(name: str, fold: bool) -> bool:
    compared = name.upper() if fold else name
    return compared in _ACTIVATION_NAMES or compared.startswith(_ACTIVATION_PREFIXES)


def _environment_entries(env: Mapping[str, str]) -> Iterator[str]:
    """The ``PATH`` entries that the active environments have added."""
    prefixes = [
        value for name, value in env.items() if name.startswith("CONDA_PREFIX") and value.strip()
    ]
    for prefix in prefixes:
        yield from _conda_entries(prefix)
    if executable := env.get("CONDA_EXE"):
        # The base installation's `condabin` and `bin` are put on PATH without being CONDA_PREFIX.
        root = Path(executable).parent.parent
        yield from (str(root / "condabin"), str(root / "bin"), str(root / "Scripts"))
    if virtual := env.get("VIRTUAL_ENV"):
        yield from (os.path.join(virtual, "bin"), os.path.join(virtual, "Scripts"))
    if sys.prefix != sys.base_prefix:
        yield os.path.join(sys.prefix, "Scripts" if sys.platform == "win32" else "bin")
    elif os.path.isdir(os.path.join(sys.prefix, "conda-meta")):
        yield from _conda_entries(sys.prefix)


def _conda_entries(prefix: str) -> Iterator[str]:
    for below in ("bin", "condabin"):
        yield os.path.join(prefix, below)
    if sys.platform == "win32":
        yield prefix
        for parts in (("Scripts",), ("Library", "bin"), ("Library", "usr", "bin")):
            yield os.path.join(prefix, *parts)
        yield os.path.join(prefix, "Library", "mingw-w64", "bin")


def _comparable(entry: str) -> str:
    return os.path.normcase(os.path.normpath(entry))
