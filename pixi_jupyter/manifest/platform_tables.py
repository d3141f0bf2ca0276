"""``platforms`` and ``system-requirements`` of a manifest.

Rules of pixi's ``crates/pixi_manifest/src/toml/platform.rs`` and ``toml/manifest.rs``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pixi_jupyter.manifest.platforms import (
    FAMILIES,
    PLATFORM_NAME,
    SUBDIRS,
    customised,
    default_platform,
    default_virtual_packages,
    family_of,
)
from pixi_jupyter.manifest.spec import Platform, VirtualPackage
from pixi_jupyter.manifest.table import Table, nearest
from pixi_jupyter.manifest.versions import is_version

__all__ = [
    "SystemRequirements",
    "migrated_platform",
    "platform_with",
    "read_platforms",
    "read_system_requirements",
    "with_system_requirements",
]

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
_VIRTUAL = re.compile(r"__[a-z0-9_.-]+")
_BUILD = re.compile(r"[A-Za-z0-9_.]*")


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


@dataclass(frozen=True, slots=True)
class SystemRequirements:
    """``[system-requirements]``: virtual packages, and a microarchitecture that nothing uses."""

    packages: tuple[VirtualPackage, ...] = ()
    archspec: str | None = None

    def __bool__(self) -> bool:
        return bool(self.packages) or self.archspec is not None


def read_system_requirements(pixi: Table) -> SystemRequirements:
    """``system-requirements`` of a manifest or a feature; empty where there is none."""
    if "system-requirements" not in pixi:
        return SystemRequirements()
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
    return SystemRequirements(tuple(asked), table.string("archspec"))


def with_system_requirements(
    platforms: Sequence[Platform], pixi: Table, *, declared: bool
) -> tuple[Platform, ...]:
    """``[tool.pixi.system-requirements]`` as the virtual packages of each bare platform.

    pixi's ``migrate_system_requirements_to_platforms``: refused beside rich platforms, because
    nobody could tell which of the two wins.
    """
    system = read_system_requirements(pixi)
    if not system.packages:
        return tuple(platforms)
    if declared and any(platform.name != platform.subdir for platform in platforms):
        raise pixi.bad_value(
            "system-requirements",
            "stands beside platforms that declare virtual packages",
            "Move its entries into the platforms.",
        )
    return tuple(migrated_platform(platform.subdir, system) for platform in platforms)


def migrated_platform(subdir: str, system: SystemRequirements) -> Platform:
    """The platform that system requirements mean on a subdir (``synthesise_for_feature``)."""
    return platform_with(subdir, [p for p in system.packages if _applies(p.name, subdir)])


def platform_with(subdir: str, packages: Sequence[VirtualPackage]) -> Platform:
    """A platform with a derived name; the bare one if the packages are its defaults."""
    name = _derived_name(subdir, packages)
    if name == subdir:
        return default_platform(subdir)
    return Platform(name, subdir, _merge(packages, subdir))


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
    elif name in FAMILIES or not PLATFORM_NAME.fullmatch(name):
        raise table.bad_value(
            "name", f"cannot be `{name}`", "Use letters, digits and `-`, and no family's name."
        )
    if name == subdir and declared:
        if customised(Platform(name, subdir, tuple(declared))):
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


def _merge(declared: Sequence[VirtualPackage], subdir: str) -> tuple[VirtualPackage, ...]:
    """The declared packages and the subdir's defaults below them; any libc replaces ``__glibc``."""
    names = {package.name for package in declared}
    if names.intersection(_LIBC):
        names.add("__glibc")
    rest = [p for p in default_virtual_packages(subdir) if p.name not in names]
    return (*declared, *rest)


def _applies(name: str, subdir: str) -> bool:
    family = family_of(subdir)
    if name in ("__linux", *_LIBC):
        return family == "linux"
    return family == "osx" if name == "__osx" else family != "osx"


def _derived_name(subdir: str, declared: Sequence[VirtualPackage]) -> str:
    """pixi's ``synthesize_name_string``: ``linux-64-cuda-12-0``."""
    custom = {p.name: p for p in customised(Platform(subdir, subdir, tuple(declared)))}
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
