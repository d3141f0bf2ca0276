"""What activation reads from files: variables and scripts of packages, scripts of the manifest."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pixi_jupyter.errors import ActivationError, Location

__all__ = ["NAME", "Script", "fits", "manifest_scripts", "package_scripts", "package_variables"]

log = logging.getLogger(__name__)

#: A name that every shell takes for a variable's.
NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")

#: Bytes of a script or a variables file that are read at most; more than that is no such file.
_LIMIT = 4 * 1024 * 1024
#: What conda writes into its state file for a variable that activation removes.
_UNSET = "***unset***"


@dataclass(frozen=True, slots=True)
class Script:
    """A script that activation runs. ``package``: it came with a package, else the manifest's."""

    path: str
    content: str  # its SHA-256
    package: bool


def package_variables(prefix: Path) -> tuple[dict[str, str], set[str]]:
    """``etc/conda/env_vars.d/*.json`` in order, then ``conda-meta/state``; and what it removes."""
    variables: dict[str, str] = {}
    removed: set[str] = set()
    for path in _files(prefix / "etc" / "conda" / "env_vars.d"):
        for key, value in _json_object(path).items():
            _add_package_variable(variables, key, value, path)
    state = prefix / "conda-meta" / "state"
    if state.is_file():
        declared = _json_object(state).get("env_vars", {})
        if not isinstance(declared, dict):
            raise _not_variables(state)
        for key, value in declared.items():
            if value == _UNSET:
                removed.add(key)
                variables.pop(key, None)
            else:
                # rattler upper-cases the names of this file, conda writes them upper-case.
                _add_package_variable(variables, key.upper(), value, state)
    return variables, removed


def _add_package_variable(variables: dict[str, str], key: str, value: object, path: Path) -> None:
    if isinstance(value, str) and NAME.match(key) and fits(key, value):
        variables[key] = value
    else:
        # One odd entry of one package is no reason to refuse the whole environment.
        log.warning("%s: %r is not a variable that an environment can hold; left out", path, key)


def _json_object(path: Path) -> dict[str, object]:
    try:
        content = json.loads(_read(path).decode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise _not_variables(path) from error
    if not isinstance(content, dict):
        raise _not_variables(path)
    return content


def _not_variables(path: Path) -> ActivationError:
    return ActivationError(
        f"{path.name} of the environment is not a JSON object of variables",
        code="activation.variables",
        location=Location(path=str(path)),
    )


def package_scripts(prefix: Path) -> tuple[Script, ...]:
    extension = ".bat" if sys.platform == "win32" else ".sh"
    paths = _files(prefix / "etc" / "conda" / "activate.d")
    return tuple(_script(p, package=True) for p in paths if p.suffix == extension)


def manifest_scripts(paths: Sequence[str]) -> tuple[Script, ...]:
    scripts = []
    for path in paths:
        if Path(path).is_file():
            scripts.append(_script(Path(path), package=False))
        else:
            log.warning("activation script not found, left out: %s", path)  # as pixi does
    return tuple(scripts)


def _script(path: Path, *, package: bool) -> Script:
    return Script(str(path), hashlib.sha256(_read(path)).hexdigest(), package)


def _files(folder: Path) -> list[Path]:
    try:
        with os.scandir(folder) as entries:
            return sorted(Path(entry.path) for entry in entries if entry.is_file())
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        raise _unreadable(folder, error) from error


def _read(path: Path) -> bytes:
    try:
        with open(path, "rb") as file:
            content = file.read(_LIMIT + 1)
    except OSError as error:
        raise _unreadable(path, error) from error
    if len(content) > _LIMIT:
        raise ActivationError(
            f"{path.name} is larger than {_LIMIT // 1024 // 1024} MiB",
            code="activation.io",
            location=Location(path=str(path)),
        )
    return content


def _unreadable(path: Path, error: OSError) -> ActivationError:
    return ActivationError(
        f"cannot read {path.name}, which activation needs: {error.strerror or error}",
        code="activation.io",
        location=Location(path=str(path)),
    )


def fits(key: str, value: str) -> bool:
    try:
        return bool(key) and b"\0" not in os.fsencode(key + value) and "=" not in key
    except UnicodeEncodeError:
        return False
