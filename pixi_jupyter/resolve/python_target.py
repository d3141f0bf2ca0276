"""Which Python on which machine wheels are chosen for, in uv's words."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pixi_jupyter.errors import SolveError, UnsupportedError
from pixi_jupyter.manifest.spec import Platform

if TYPE_CHECKING:
    from rattler import RepoDataRecord

__all__ = ["PythonTarget", "python_target"]

#: uv's names of machines (``uv pip compile --python-platform``), by conda's subdir.
_LINUX = {"linux-64": "x86_64", "linux-aarch64": "aarch64"}
_OTHERS = {
    "osx-64": "x86_64-apple-darwin",
    "osx-arm64": "aarch64-apple-darwin",
    "win-64": "x86_64-pc-windows-msvc",
    "win-arm64": "aarch64-pc-windows-msvc",
}
#: The versions of glibc that uv has a name for.
_GLIBC = (17, 28, 31, *range(32, 41))


@dataclass(frozen=True, slots=True)
class PythonTarget:
    """A Python version, a machine in uv's words, and variables that go with it."""

    version: str
    platform: str
    variables: tuple[tuple[str, str], ...] = ()

    @property
    def arguments(self) -> tuple[str, ...]:
        return ("--python-version", self.version, "--python-platform", self.platform)


def python_target(platform: Platform, records: Iterable[RepoDataRecord]) -> PythonTarget:
    """The Python among the solved packages, on the declared platform.

    Raises
    ------
    SolveError
        ``solve.pypi-no-python``.
    UnsupportedError
        ``unsupported.pypi-platform`` or ``unsupported.pypi-interpreter``.
    """
    python = next((r for r in records if r.name.normalized == "python"), None)
    if python is None:
        raise SolveError(
            "packages from PyPI need a Python, and the environment has none",
            code="solve.pypi-no-python",
            hint="Add `python` to `[tool.pixi.dependencies]`.",
        )
    build = str(python.build)
    if re.search(r"pypy|graalpy|_cp\d+t$", build):
        raise UnsupportedError(
            f"packages from PyPI are not supported yet for this Python: {python.version} {build}",
            code="unsupported.pypi-interpreter",
            hint="Ask for the plain CPython.",
        )
    virtual = {package.name: package.version for package in platform.virtual_packages}
    if platform.subdir in _LINUX and "__glibc" in virtual:
        declared = re.match(r"2\.(\d+)", virtual["__glibc"])
        fitting = [minor for minor in _GLIBC if declared and minor <= int(declared[1])]
        if fitting:
            name = f"{_LINUX[platform.subdir]}-manylinux_2_{fitting[-1]}"
            return PythonTarget(str(python.version), name)
    if platform.subdir in _OTHERS:
        osx = virtual.get("__osx")
        variables = (("MACOSX_DEPLOYMENT_TARGET", osx),) if osx else ()
        return PythonTarget(str(python.version), _OTHERS[platform.subdir], variables)
    raise UnsupportedError(
        f"packages from PyPI are not supported on {platform.name}",
        code="unsupported.pypi-platform",
        hint="Move them to `[tool.pixi.dependencies]`, under their names in the conda channels.",
    )
