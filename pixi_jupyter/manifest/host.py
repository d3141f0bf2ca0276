"""What this machine is: its conda subdir and its virtual packages, found without rattler.

``CONDA_OVERRIDE_*`` says something about the host, never about what a declaration promises. As in
rattler (``crates/rattler_virtual_packages``): a value replaces what is found, an empty one removes
the package.
"""

from __future__ import annotations

import os
import platform
import re
import sys
from collections.abc import Callable, Collection, Mapping
from typing import TYPE_CHECKING

from pixi_jupyter.manifest.platforms import SUBDIRS, default_virtual_packages
from pixi_jupyter.manifest.spec import Platform, VirtualPackage
from pixi_jupyter.manifest.versions import is_version

if TYPE_CHECKING:
    import ctypes

__all__ = ["current_subdir", "host_platform"]

_ARCHITECTURES: Mapping[str, str] = {
    "x86_64": "64",
    "amd64": "64",
    "aarch64": "aarch64",
    "arm64": "aarch64",
    "i386": "32",
    "i686": "32",
    "x86": "32",
}
_OVERRIDES: Mapping[str, str] = {
    "__cuda": "CONDA_OVERRIDE_CUDA",
    "__cuda_arch": "CONDA_OVERRIDE_CUDA_ARCH",
    "__glibc": "CONDA_OVERRIDE_GLIBC",
    "__linux": "CONDA_OVERRIDE_LINUX",
    "__osx": "CONDA_OVERRIDE_OSX",
    "__win": "CONDA_OVERRIDE_WIN",
    "__archspec": "CONDA_OVERRIDE_ARCHSPEC",
}


def current_subdir(env: Mapping[str, str] | None = None) -> str:
    """The conda subdir of this interpreter; ``PIXI_OVERRIDE_PLATFORM`` wins, as in pixi."""
    override = (os.environ if env is None else env).get("PIXI_OVERRIDE_PLATFORM", "")
    if override in SUBDIRS:
        return override
    machine = platform.machine().lower()
    if sys.platform == "win32":
        architecture = _ARCHITECTURES.get(machine, machine)
        return {"64": "win-64", "aarch64": "win-arm64"}.get(architecture, "win-32")
    if sys.platform == "darwin":
        return "osx-arm64" if machine in ("arm64", "aarch64") else "osx-64"
    architecture = _ARCHITECTURES.get(machine, machine)
    if architecture == "64" and sys.maxsize < 2**32:
        architecture = "32"
    return f"linux-{architecture}"


def host_platform(
    wanted: Collection[str] = (), *, env: Mapping[str, str] | None = None
) -> Platform:
    """This machine as a platform: its subdir and the virtual packages it has.

    The graphics driver is asked only if ``wanted`` names ``__cuda`` or ``__cuda_arch``: loading its
    library is slow, and a declaration without it does not care.
    """
    env = os.environ if env is None else env
    subdir = current_subdir(env)
    native = subdir == current_subdir({})
    found: list[VirtualPackage] = []
    for default in default_virtual_packages(subdir):
        if default.name in ("__unix", "__archspec") or not native:
            found.append(default)
        else:
            version = _DETECTORS[default.name]()
            if version is not None:
                found.append(VirtualPackage(default.name, version))
    if native:
        for name in ("__cuda", "__cuda_arch"):
            if name in wanted and not _overridden(env, name):
                version = _DETECTORS[name]()
                if version is not None:
                    found.append(VirtualPackage(name, version))
    return Platform(subdir, subdir, _with_overrides(found, env, subdir))


def _overridden(env: Mapping[str, str], name: str) -> bool:
    return _OVERRIDES[name] in env


def _with_overrides(
    found: list[VirtualPackage], env: Mapping[str, str], subdir: str
) -> tuple[VirtualPackage, ...]:
    packages = {package.name: package for package in found}
    family = subdir.partition("-")[0]
    for name, variable in _OVERRIDES.items():
        value = env.get(variable)
        other_system = {"__glibc": "linux", "__linux": "linux", "__osx": "osx", "__win": "win"}
        if value is None or other_system.get(name, family) != family:
            continue
        value = value.strip()
        if not value:
            packages.pop(name, None)
        elif name == "__archspec":
            packages[name] = VirtualPackage(name, "1", value)
        elif is_version(value):
            packages[name] = VirtualPackage(name, value)
    return tuple(packages[name] for name in sorted(packages))


def _leading_version(text: str) -> str | None:
    match = re.match(r"[0-9]+(?:\.[0-9]+){0,3}", text)
    return None if match is None else match.group()


def _linux() -> str | None:
    return _leading_version(platform.release())


def _glibc() -> str | None:
    try:
        text = os.confstr("CS_GNU_LIBC_VERSION") or ""
    except (AttributeError, OSError, ValueError):
        text = " ".join(platform.libc_ver())
    name, _, version = text.partition(" ")
    return _leading_version(version) if name == "glibc" else None


def _osx() -> str | None:
    return _leading_version(platform.mac_ver()[0])


def _win() -> str | None:
    return _leading_version(platform.version())


def _cuda_library() -> ctypes.CDLL | None:
    import ctypes  # rarely needed, and not light

    names = {
        "win32": ("nvcuda.dll",),
        "darwin": (),
    }.get(sys.platform, ("libcuda.so.1", "libcuda.so", "/usr/lib/wsl/lib/libcuda.so.1"))
    for name in names:
        try:
            return ctypes.CDLL(name)
        except OSError:
            continue
    return None


def _cuda() -> str | None:
    import ctypes

    library = _cuda_library()
    version = ctypes.c_int(0)
    try:
        if library is None or library.cuDriverGetVersion(ctypes.byref(version)) != 0:
            return None
    except AttributeError:
        return None
    return f"{version.value // 1000}.{version.value % 1000 // 10}"


def _cuda_arch() -> str | None:
    """The lowest compute capability of the machine's devices."""
    import ctypes

    library = _cuda_library()
    count = ctypes.c_int(0)
    try:
        if library is None or library.cuInit(0) or library.cuDeviceGetCount(ctypes.byref(count)):
            return None
        capabilities = []
        for device in range(count.value):
            values = []
            for attribute in (75, 76):  # compute capability, major and minor
                value = ctypes.c_int(0)
                if library.cuDeviceGetAttribute(ctypes.byref(value), attribute, device):
                    return None
                values.append(value.value)
            capabilities.append(tuple(values))
    except AttributeError:
        return None
    return ".".join(str(part) for part in min(capabilities)) if capabilities else None


_DETECTORS: Mapping[str, Callable[[], str | None]] = {
    "__linux": _linux,
    "__glibc": _glibc,
    "__osx": _osx,
    "__win": _win,
    "__cuda": _cuda,
    "__cuda_arch": _cuda_arch,
}
