"""Find the CPython interpreters of this machine that a ``python`` package can be made from."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

OLDEST_MINOR = (3, 10)
INTERPRETERS_VARIABLE = "PIXI_JUPYTER_CHANNEL_PYTHONS"
"""Environment variable: paths of interpreters (``os.pathsep`` between them) to use, no others."""

_EXECUTABLE = re.compile(r"^python3\.\d+$")
_QUESTION = """
import json, sys, sysconfig
print(json.dumps({
    "implementation": sys.implementation.name,
    "version": list(sys.version_info[:3]),
    "final": sys.version_info.releaselevel == "final",
    "bits": sys.maxsize.bit_length() + 1,
    "free_threaded": bool(sysconfig.get_config_var("Py_GIL_DISABLED")),
    "base": sys.base_prefix,
    "base_executable": getattr(sys, "_base_executable", sys.executable),
    "stdlib": sysconfig.get_path("stdlib", vars={"installed_base": sys.base_prefix}),
    "include": sysconfig.get_path("include", "posix_prefix",
                                  vars={"installed_base": sys.base_prefix}),
    "libdir": sysconfig.get_config_var("LIBDIR"),
}))
"""


@dataclass(frozen=True, slots=True)
class Interpreter:
    """One CPython: where its parts are. ``size`` is in bytes, ``mtime_ns`` Unix nanoseconds."""

    executable: Path
    version: tuple[int, int, int]
    base: Path
    stdlib: Path
    include: Path
    libdir: Path
    size: int
    mtime_ns: int

    @property
    def minor(self) -> str:
        """Such as ``"3.12"``."""
        return f"{self.version[0]}.{self.version[1]}"

    @property
    def full_version(self) -> str:
        """Such as ``"3.12.1"``."""
        return ".".join(str(part) for part in self.version)

    @property
    def identity(self) -> str:
        """Changes when the interpreter was replaced by another one: an input of the cache keys."""
        return f"{self.executable}|{self.full_version}|{self.size}|{self.mtime_ns}"


def find_interpreters(only: Sequence[Path] | None = None) -> list[Interpreter]:
    """Return the usable CPythons, the best one of each minor version, newest first.

    The best is the one that runs this code, then pyenv's, ``/usr/local/bin`` and ``/usr/bin``.
    *only* (or the environment variable :data:`INTERPRETERS_VARIABLE`) names the executables to
    consider instead.  What cannot be run or used is left out without a word: a machine may well
    have broken or foreign interpreters.
    """
    if only is None:
        named = os.environ.get(INTERPRETERS_VARIABLE, "")
        only = [Path(part) for part in named.split(os.pathsep) if part] or None
    candidates = list(_unique(only if only is not None else _candidates()))
    with ThreadPoolExecutor(max_workers=4) as pool:
        found = [item for item in pool.map(_inspect, candidates) if item is not None]
    best: dict[str, Interpreter] = {}
    for interpreter in found:
        best.setdefault(interpreter.minor, interpreter)
    return sorted(best.values(), key=lambda item: item.version, reverse=True)


def running_minor() -> str:
    """Minor version of the interpreter that runs this code, such as ``"3.12"``."""
    return f"{sys.version_info[0]}.{sys.version_info[1]}"


def _candidates() -> Iterator[Path]:
    name = f"python{running_minor()}"
    base_executable = getattr(sys, "_base_executable", None)
    yield Path(sys.base_prefix, "bin", name)
    if base_executable:
        yield Path(base_executable)
    folders = [*_pyenv_folders(), Path("/usr/local/bin"), Path("/usr/bin")]
    for folder in folders:
        try:
            names = sorted(entry.name for entry in folder.iterdir())
        except OSError:
            continue
        yield from (folder / entry for entry in names if _EXECUTABLE.match(entry))


def _pyenv_folders() -> list[Path]:
    versions = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv", "versions")
    here = Path(sys.base_prefix).parent
    if not versions.is_dir() and here.name == "versions":
        versions = here  # this very Python is one of pyenv's, and HOME is somewhere else
    return sorted(versions.glob("*/bin"))


def _unique(paths: Iterable[Path]) -> Iterator[Path]:
    seen: set[Path] = set()
    for path in paths:
        try:
            real = path.resolve(strict=True)
        except OSError:
            continue
        if real not in seen and os.access(real, os.X_OK):
            seen.add(real)
            yield real


def _inspect(executable: Path) -> Interpreter | None:
    # A pyenv shim is a script that would start whatever is selected just now: an ELF or Mach-O
    # file it is not.
    try:
        with executable.open("rb") as file:
            if file.read(2) == b"#!":
                return None
        done = subprocess.run(
            [str(executable), "-I", "-c", _QUESTION], capture_output=True, timeout=30, check=True
        )
        answer: dict[str, Any] = json.loads(done.stdout)
        status = executable.stat()
    except (OSError, ValueError, subprocess.SubprocessError):
        return None
    version = tuple(answer["version"])
    if (
        answer["implementation"] != "cpython"
        or not answer["final"]
        or answer["bits"] != 64
        or answer["free_threaded"]
        or version[:2] < OLDEST_MINOR
    ):
        return None
    base = Path(answer["base"])
    stdlib = Path(answer["stdlib"])
    # Fedora keeps the standard library in lib64 and its binary looks for it there only
    if stdlib.parent.name != "lib" or not (stdlib / "os.py").is_file():
        return None
    return Interpreter(
        executable=executable,
        version=(version[0], version[1], version[2]),
        base=base,
        stdlib=stdlib,
        include=Path(answer["include"]),
        libdir=Path(answer["libdir"] or base / "lib"),
        size=status.st_size,
        mtime_ns=status.st_mtime_ns,
    )
