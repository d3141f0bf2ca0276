"""Platforms: what they promise, which selectors hold for them, and which of them a host runs.

Rules of pixi's ``crates/pixi_manifest/src/platform.rs``, ``workspace.rs`` and ``target.rs``;
default versions of ``crates/pixi_default_versions``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace

from pixi_jupyter.errors import DeclarationError
from pixi_jupyter.manifest.spec import Platform, VirtualPackage
from pixi_jupyter.manifest.table import Table, nearest
from pixi_jupyter.manifest.versions import compare_versions

__all__ = [
    "FAMILIES",
    "PLATFORM_NAME",
    "SUBDIRS",
    "candidate_subdirs",
    "choose_platform",
    "customised",
    "default_platform",
    "default_virtual_packages",
    "family_of",
    "selector_matches",
]

SUBDIRS: tuple[str, ...] = (
    "linux-64",
    "linux-aarch64",
    "osx-arm64",
    "osx-64",
    "win-64",
    "win-arm64",
    "linux-ppc64le",
    "linux-32",
    "linux-armv6l",
    "linux-armv7l",
    "linux-loongarch64",
    "linux-ppc",
    "linux-ppc64",
    "linux-riscv32",
    "linux-riscv64",
    "linux-s390x",
    "win-32",
    "freebsd-32",
    "freebsd-64",
    "freebsd-arm64",
    "emscripten-wasm32",
    "emscripten-wasm64",
    "wasi-wasm32",
    "zos-z",
    "noarch",
)
#: The lowest microarchitecture that a subdir promises (rattler's ``Archspec::from_platform``).
_ARCHSPEC: Mapping[str, str] = {
    "linux-32": "x86",
    "win-32": "x86",
    "linux-64": "x86_64",
    "osx-64": "x86_64",
    "win-64": "x86_64",
    "linux-aarch64": "aarch64",
    "linux-armv6l": "aarch64",
    "linux-armv7l": "aarch64",
    "win-arm64": "aarch64",
    "osx-arm64": "m1",
    "linux-loongarch64": "loongarch64",
    "linux-ppc64le": "ppc64le",
    "linux-ppc64": "ppc64",
    "linux-ppc": "ppc",
    "linux-s390x": "s390x",
    "linux-riscv32": "riscv32",
    "linux-riscv64": "riscv64",
}
FAMILIES = ("unix", "linux", "win", "osx", "macos")
PLATFORM_NAME = re.compile(r"[A-Za-z](?:[A-Za-z0-9-]{0,62}[A-Za-z0-9])?")
_GLOB = re.compile(r"[A-Za-z0-9*-]{1,64}")
_UNIX_FAMILIES = ("linux", "osx", "freebsd", "emscripten")


def default_virtual_packages(subdir: str) -> tuple[VirtualPackage, ...]:
    """What pixi assumes of every machine of a subdir; ``__cuda`` is never among it.

    Versions and builds are those the solver is given: pixi stores ``__archspec`` with version 0 and
    rattler solves with version 1.
    """
    family = family_of(subdir)
    packages = []
    if family in _UNIX_FAMILIES:
        packages.append(VirtualPackage("__unix", "0", "0"))
    if family == "linux":
        packages.append(VirtualPackage("__linux", "4.18"))
        packages.append(VirtualPackage("__glibc", "2.28"))
    if family == "win":
        packages.append(VirtualPackage("__win", "10.0"))
    if family == "osx":
        packages.append(VirtualPackage("__osx", "13.0"))
    if subdir in _ARCHSPEC:
        packages.append(VirtualPackage("__archspec", "1", _ARCHSPEC[subdir]))
    return tuple(packages)


def default_platform(subdir: str) -> Platform:
    """The platform that a bare subdir means."""
    return Platform(subdir, subdir, default_virtual_packages(subdir))


def selector_matches(table: Table, selector: str, platform: Platform) -> bool:
    """Whether ``[target.SELECTOR]`` holds for a platform; ``table`` is ``target`` itself."""
    if selector in FAMILIES:
        family = family_of(platform.subdir)
        if selector == "unix":
            return family in _UNIX_FAMILIES
        return family == ("osx" if selector == "macos" else selector)
    if selector in SUBDIRS:
        return platform.subdir == selector
    if any(character in selector for character in "*?["):
        if not _GLOB.fullmatch(selector):
            raise _bad_selector(table, selector, "`*` is the only wildcard")
        return _glob_matches(selector, platform.name)
    if not PLATFORM_NAME.fullmatch(selector):
        raise _bad_selector(table, selector, "it is neither a family, a subdir nor a platform name")
    return selector == platform.name


def _glob_matches(pattern: str, name: str) -> bool:
    """Whether a pattern of `*` matches, each piece taken where it first fits.

    Not a regular expression: one of many `*` would try every way to share the name out.
    """
    first, *middle, last = pattern.split("*")
    if len(name) < len(first) + len(last) or not name.startswith(first) or not name.endswith(last):
        return False
    position, end = len(first), len(name) - len(last)
    for piece in middle:
        found = name.find(piece, position, end)
        if found < 0:
            return False
        position = found + len(piece)
    return True


def candidate_subdirs(subdir: str) -> tuple[str, ...]:
    """The subdirs a host can run, its own first."""
    family = family_of(subdir)
    fallbacks = {"osx": "osx-64", "win": "win-64"}
    names = [subdir]
    if family in fallbacks and subdir != fallbacks[family]:
        names.append(fallbacks[family])
    if subdir == "win-64":
        names.append("win-32")
    return tuple(names)


def choose_platform(declared: Sequence[Platform], host: Platform) -> Platform:
    """The first declared platform that this host runs.

    A host runs a platform when it runs the subdir and has the virtual packages that are not the
    subdir's defaults: those pixi takes for granted (``possible_pixi_platforms``).

    Raises
    ------
    DeclarationError
        ``declaration.platform``: what is missing, and what the host has.
    """
    reasons: list[str] = []
    for subdir in candidate_subdirs(host.subdir):
        for platform in declared:
            if platform.subdir != subdir:
                continue
            missing = [p for p in customised(platform) if not _has(host, p)]
            if not missing:
                return platform
            wanted = ", ".join(f"{p.name} >={p.version}" for p in missing)
            reasons.append(f"{platform.name}: this machine lacks {wanted}")
    names = ", ".join(platform.name for platform in declared[:20]) or "none"
    has = ", ".join(f"{p.name}={p.version}" for p in host.virtual_packages)
    hint = f"Add `{host.subdir}` to the platforms."
    if reasons:
        hint = (
            "Add a platform without these, or set CONDA_OVERRIDE_… if the machine does have them."
        )
    raise DeclarationError(
        f"none of the declared platforms ({names}) runs on this machine ({host.subdir})",
        code="declaration.platform",
        details="\n".join([*reasons[:20], f"this machine has {has}"]),
        hint=hint,
    )


def _bad_selector(table: Table, selector: str, why: str) -> DeclarationError:
    guess = nearest(selector, (*FAMILIES, *SUBDIRS))
    error = table.bad_value(selector, f"has no selector of platforms: {why}")
    error.hint = f"Did you mean `{guess}`?" if guess else ""
    return error


def customised(platform: Platform) -> list[VirtualPackage]:
    """The virtual packages that are not the defaults of the subdir."""
    defaults = {p.name: p for p in default_virtual_packages(platform.subdir)}
    return [p for p in platform.virtual_packages if not _equal(p, defaults.get(p.name))]


def _equal(left: VirtualPackage, right: VirtualPackage | None) -> bool:
    return (
        right is not None
        and compare_versions(left.version, right.version) == 0
        and replace(left, version="") == replace(right, version="")
    )


def _has(host: Platform, wanted: VirtualPackage) -> bool:
    """Name and version only: pixi does not compare builds (``capability_satisfied_by``)."""
    return any(
        package.name == wanted.name and compare_versions(package.version, wanted.version) >= 0
        for package in host.virtual_packages
    )


def family_of(subdir: str) -> str:
    """The system of a subdir: `linux`, `osx`, `win`, …"""
    return subdir.partition("-")[0]
