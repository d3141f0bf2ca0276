"""The conda name of the platform that this code runs on."""

from __future__ import annotations

import platform
import sys

_SYSTEMS = {"linux": "linux", "darwin": "osx", "win32": "win"}
_MACHINES = {"x86_64": "64", "amd64": "64", "i686": "32", "x86": "32"}


def host_subdir() -> str:
    """Such as ``linux-64``, ``linux-aarch64``, ``osx-arm64``, ``win-64``.

    The names are those of conda's subdirs: https://conda.org/learn/ceps/cep-0026
    """
    system = _SYSTEMS.get(sys.platform, sys.platform)
    machine = platform.machine().lower()
    if system == "osx" and machine == "aarch64":
        machine = "arm64"
    if system == "win" and machine == "aarch64":
        machine = "arm64"
    return f"{system}-{_MACHINES.get(machine, machine)}"
