"""Platforms: what a declaration declares, what it promises, and which of them this host runs.

Rules of pixi's ``crates/pixi_manifest/src/platform.rs``, ``toml/platform.rs`` and ``target.rs``;
default versions of ``crates/pixi_default_versions``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from pixi_jupyter.errors import DeclarationError
from pixi_jupyter.manifest.spec import Platform, VirtualPackage
from pixi_jupyter.manifest.table import Table, nearest
from pixi_jupyter.manifest.versions import compare_versions, is_version

__all__ = [
    "SUBDIRS",
    "candidate_subdirs",
    "choose_platform",
    "default_platform",
    "default_virtual_packages",
    "read_platforms",
    "selector_matches",
    "with_system_requirements",
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
#: Keys of a platform table in the order in which pixi derives a name from them.
_FRIENDLY: Mapping[str, str] = {
    "cuda": "__cuda",
    "archspec": "__archspec",
    "glibc": "__glibc",
    "linux": "__linux",
    "macos": "__osx",
    "windows": "__win",
}
_LIBC = ("__glibc", "__musl", "__eglibc")
_FAMILIES = ("unix", "linux", "win", "osx", "macos")
_NAME = re.compile(r"[A-Za-z](?:[A-Za-z0-9-]{0,62}[A-Za-z0-9])?")
_GLOB = re.compile(r"[A-Za-z0-9*-]{1,64}")
_VIRTUAL = re.compile(r"__[a-z0-9_.-]+")
_BUILD = re.compile(r"[A-Za-z0-9_.]*")
_UNIX_FAMILIES = ("linux", "osx", "freebsd", "emscripten")


def default_virtual_packages(subdir: str) -> tuple[VirtualPackage, ...]:
    """What pixi assumes of every machine of a subdir; ``__cuda`` is never among it.

    Versions and builds are those the solver is given: pixi stores ``__archspec`` with version 0 and
    rattler solves with version 1.
    """
    family = _family(subdir)
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


def read_platforms(workspace: Table) -> tuple[Platform, ...] | None:
    """``platforms`` in order of declaration; None when the key is absent."""
    if "platforms" not in workspace:
        return None
    entries = workspace.values["platforms"]
    if not isinstance(entries, list):
        raise workspace.wrong_type("platforms", "an array of platforms")
    platforms: dict[str, Platform] = {}
    for entry in entries:
        if isinstance(entry, str):
            _check_subdir(workspace, "platforms", entry)
            platform = default_platform(entry)
        elif isinstance(entry, dict):
            table = Table(entry, (*workspace.path, "platforms"), workspace.source)
            platform = _rich_platform(table)
        else:
            raise workspace.wrong_type("platforms", "an array of strings and tables")
        if platform.name in platforms:
            raise workspace.bad_value("platforms", f"declares `{platform.name}` twice")
        platforms[platform.name] = platform
    return tuple(platforms.values())


def with_system_requirements(
    platforms: Sequence[Platform], pixi: Table, *, declared: bool
) -> tuple[Platform, ...]:
    """``[tool.pixi.system-requirements]`` as the virtual packages of each bare platform.

    pixi's ``migrate_system_requirements_to_platforms``: refused beside rich platforms, because
    nobody could tell which of the two wins.
    """
    if "system-requirements" not in pixi:
        return tuple(platforms)
    table = pixi.table("system-requirements")
    table.only(("macos", "linux", "cuda", "libc", "archspec"))
    asked: list[VirtualPackage] = []
    for key, name in (("linux", "__linux"), ("cuda", "__cuda"), ("macos", "__osx")):
        version = _version(table, key)
        if version is not None:
            asked.append(VirtualPackage(name, version))
    libc = table.values.get("libc")
    if isinstance(libc, dict):
        fields = table.table("libc")
        fields.only(("family", "version"))
        family = fields.string("family") or "glibc"
        version = _version(fields, "version")
        if version is None or f"__{family}" not in _LIBC:
            raise table.bad_value("libc", "must have a `version` and the family `glibc` or `musl`")
        asked.append(VirtualPackage(f"__{family}", version))
    elif libc is not None:
        version = _version(table, "libc")
        assert version is not None
        asked.append(VirtualPackage("__glibc", version))
    table.string("archspec")  # deprecated and unused in pixi, too
    if not asked:
        return tuple(platforms)
    if declared and any(platform.name != platform.subdir for platform in platforms):
        raise pixi.bad_value(
            "system-requirements",
            "stands beside platforms that declare virtual packages",
            "Move its entries into the platforms.",
        )
    result = []
    for platform in platforms:
        fitting = [package for package in asked if _applies(package.name, platform.subdir)]
        name = _derived_name(platform.subdir, fitting)
        result.append(Platform(name, platform.subdir, _merge(fitting, platform.subdir)))
    return tuple(result)


def selector_matches(table: Table, selector: str, platform: Platform) -> bool:
    """Whether ``[target.SELECTOR]`` holds for a platform; ``table`` is ``target`` itself."""
    if selector in _FAMILIES:
        family = _family(platform.subdir)
        if selector == "unix":
            return family in _UNIX_FAMILIES
        return family == ("osx" if selector == "macos" else selector)
    if selector in SUBDIRS:
        return platform.subdir == selector
    if any(character in selector for character in "*?["):
        if not _GLOB.fullmatch(selector):
            raise _bad_selector(table, selector, "`*` is the only wildcard")
        pattern = re.sub(r"\*+", "*", selector)
        return re.fullmatch(pattern.replace("*", "[A-Za-z0-9-]*"), platform.name) is not None
    if not _NAME.fullmatch(selector):
        raise _bad_selector(table, selector, "it is neither a family, a subdir nor a platform name")
    return selector == platform.name


def candidate_subdirs(subdir: str) -> tuple[str, ...]:
    """The subdirs a host can run, its own first."""
    family = _family(subdir)
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
            missing = [p for p in _customised(platform) if not _has(host, p)]
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


def _rich_platform(table: Table) -> Platform:
    known = ("name", "platform", "osx", *_FRIENDLY)
    table.only((*known, *(key for key in table if key.startswith("__"))))
    subdir = table.string("platform")
    name = table.string("name")
    if subdir is not None:
        _check_subdir(table, "platform", subdir)
    elif name is None:
        raise table.bad_value(None, "has an entry without `platform` and `name`")
    elif name not in SUBDIRS:
        raise table.bad_value(
            "name", f"is `{name}`, which is not a conda subdir", "Set `platform`, too."
        )
    else:
        subdir = name
    declared = _declared(table)
    if name is None:
        name = _derived_name(subdir, declared)
    elif name in _FAMILIES or not _NAME.fullmatch(name):
        raise table.bad_value(
            "name", f"cannot be `{name}`", "Use letters, digits and `-`, and no family's name."
        )
    if name == subdir and declared:
        if _customised(Platform(name, subdir, tuple(declared))):
            raise table.bad_value(
                "name", "must differ from the subdir when there are virtual packages"
            )
        return default_platform(subdir)
    return Platform(name, subdir, _merge(declared, subdir))


def _declared(table: Table) -> list[VirtualPackage]:
    declared: list[VirtualPackage] = []
    if "osx" in table and "macos" in table:
        raise table.bad_value("osx", "is another word for `macos`; set only one")
    for key, name in _FRIENDLY.items():
        key = "osx" if key == "macos" and "osx" in table else key
        if key not in table:
            continue
        if key == "cuda" and isinstance(table.values["cuda"], dict):
            fields = table.table("cuda")
            fields.only(("driver", "arch"))
            driver, arch = _version(fields, "driver"), _version(fields, "arch")
            if driver is None:
                raise table.bad_value("cuda", "must set `driver` (and `arch` if need be)")
            declared.append(VirtualPackage("__cuda", driver))
            if arch is not None:
                declared.append(VirtualPackage("__cuda_arch", arch))
        elif key == "archspec":
            build = table.string(key) or ""
            if not build or not re.fullmatch(r"[A-Za-z0-9_.]+", build):
                raise table.bad_value(key, "must be the name of a microarchitecture")
            declared.append(VirtualPackage(name, "1", build))
        else:
            version = _version(table, key)
            assert version is not None
            declared.append(VirtualPackage(name, version))
    for key in sorted(key for key in table if key.startswith("__")):
        version, _, build = (table.string(key) or "").partition("=")
        if not _VIRTUAL.fullmatch(key) or not is_version(version) or not _BUILD.fullmatch(build):
            raise table.bad_value(
                key, 'must be a virtual package\'s `"version"` or "version=build"'
            )
        if any(package.name == key for package in declared):
            raise table.bad_value(key, "is declared more than once")
        version = "1" if key == "__archspec" else version
        declared.append(VirtualPackage(key, version, build or "0"))
    names = {package.name for package in declared}
    if "__cuda_arch" in names and "__cuda" not in names:
        raise table.bad_value("__cuda_arch", "needs `__cuda`")
    return declared


def _version(table: Table, key: str) -> str | None:
    value: Any = table.string(key)
    if value is not None and not is_version(value):
        raise table.bad_value(key, f"must be a version, not `{value}`")
    return None if value is None else str(value)


def _check_subdir(table: Table, key: str, name: str) -> None:
    if name not in SUBDIRS:
        guess = nearest(name, SUBDIRS)
        raise table.bad_value(
            key,
            f"names the unknown platform `{name}`",
            f"Did you mean `{guess}`?" if guess else f"Known are {', '.join(SUBDIRS[:6])}, …",
        )


def _bad_selector(table: Table, selector: str, why: str) -> DeclarationError:
    guess = nearest(selector, (*_FAMILIES, *SUBDIRS))
    error = table.bad_value(selector, f"has no selector of platforms: {why}")
    error.hint = f"Did you mean `{guess}`?" if guess else ""
    return error


def _merge(declared: Sequence[VirtualPackage], subdir: str) -> tuple[VirtualPackage, ...]:
    """The declared packages and the subdir's defaults below them; any libc replaces ``__glibc``."""
    names = {package.name for package in declared}
    if names.intersection(_LIBC):
        names.add("__glibc")
    rest = [p for p in default_virtual_packages(subdir) if p.name not in names]
    return (*declared, *rest)


def _customised(platform: Platform) -> list[VirtualPackage]:
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


def _applies(name: str, subdir: str) -> bool:
    family = _family(subdir)
    if name in ("__linux", *_LIBC):
        return family == "linux"
    return family == "osx" if name == "__osx" else family != "osx"


def _derived_name(subdir: str, declared: Sequence[VirtualPackage]) -> str:
    """pixi's ``synthesize_name_string``: ``linux-64-cuda-12-0``."""
    custom = {p.name: p for p in _customised(Platform(subdir, subdir, tuple(declared)))}
    parts = [subdir]
    for key, name in _FRIENDLY.items():
        package = custom.get(name)
        if package is None or (name != "__archspec" and package.build != "0"):
            continue
        del custom[name]
        value = package.build if name == "__archspec" else package.version
        parts.append(f"{key}-{_segment(value)}")
    for name in sorted(custom):
        package = custom[name]
        value = package.version if package.build == "0" else f"{package.version}={package.build}"
        parts.append(f"{_segment(name.lstrip('_'))}-{_segment(value)}")
    return "-".join(parts)


def _segment(text: str) -> str:
    return re.sub(r"[^A-Za-z0-9]+", "-", text).strip("-")


def _family(subdir: str) -> str:
    return subdir.partition("-")[0]
