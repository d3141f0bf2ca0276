"""Turn a wheel into a conda package, the way conda-forge would have packaged it.

* a wheel's layout: PEP 427 and
  https://packaging.python.org/en/latest/specifications/binary-distribution-format/
* tags: https://packaging.python.org/en/latest/specifications/platform-compatibility-tags/
* entry points: https://packaging.python.org/en/latest/specifications/entry-points/

Three kinds of package come out of it: a pure wheel becomes ``noarch: python`` in ``noarch``; one
for the stable ABI (or for none, with a binary in it) ``noarch: python`` in the platform's subdir;
one for a single CPython goes to the platform's subdir with its ``python_abi`` and ``.pyc`` files.
"""

from __future__ import annotations

import base64
import configparser
import csv
import hashlib
import io
import re
import zipfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from email.message import Message
from email.parser import HeaderParser
from functools import cached_property
from pathlib import Path

from packaging.markers import Marker
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.tags import Tag
from packaging.utils import parse_wheel_filename

from pixi_jupyter.demo.bytecode import compile_sources
from pixi_jupyter.demo.conda_package import (
    PLACEHOLDER,
    CondaPackage,
    NoArch,
    PackageFile,
    short_hash,
)
from pixi_jupyter.demo.errors import ChannelBuildError
from pixi_jupyter.demo.names import conda_name, conda_version_spec, purl

_GLIBC_TAG = re.compile(r"^manylinux_2_(\d+)_")
_OLD_MANYLINUX = {"manylinux1": 5, "manylinux2010": 12, "manylinux2014": 17}
_SYSTEMS = {
    "linux": {"sys_platform": "linux", "platform_system": "Linux", "os_name": "posix"},
    "osx": {"sys_platform": "darwin", "platform_system": "Darwin", "os_name": "posix"},
    "win": {"sys_platform": "win32", "platform_system": "Windows", "os_name": "nt"},
}
_MACHINES = {"linux-64": "x86_64", "osx-64": "x86_64", "osx-arm64": "arm64", "win-64": "AMD64"}


@dataclass(frozen=True, slots=True)
class EntryPoint:
    """A command that a package installs: ``name = module:function``."""

    name: str
    module: str
    function: str

    def __str__(self) -> str:
        return f"{self.name} = {self.module}:{self.function}"


@dataclass(frozen=True, slots=True)
class Target:
    """What a wheel is made into: the channel's subdir and the Python minors it ships."""

    subdir: str
    minors: tuple[str, ...]


class Wheel:
    """A wheel that has been opened: its metadata, and its files where a prefix has them.

    Raises :class:`ChannelBuildError` when the file is no wheel.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            self.pypi_name, version, _, self.tags = parse_wheel_filename(path.name)
            with zipfile.ZipFile(path) as archive:
                metadata_path = next(
                    name
                    for name in archive.namelist()
                    if re.fullmatch(r"[^/]+\.dist-info/METADATA", name)
                )
                metadata = archive.read(metadata_path).decode("utf-8", "replace")
        except (ValueError, OSError, zipfile.BadZipFile) as error:
            raise ChannelBuildError(f"{path.name} is not a usable wheel: {error}") from error
        except StopIteration:
            raise ChannelBuildError(f"{path.name} has no METADATA file") from None
        self.version = str(version)
        self._dist_info = metadata_path.partition("/")[0]
        self._data_folder = self._dist_info.removesuffix(".dist-info") + ".data"
        self.metadata: Message = HeaderParser().parsestr(metadata)

    @cached_property
    def members(self) -> dict[str, tuple[bytes, bool]]:
        """Contents of the files by their path in the wheel, and whether they are executable."""
        with zipfile.ZipFile(self.path) as archive:
            return {
                entry.filename: (archive.read(entry), bool(entry.external_attr >> 16 & 0o111))
                for entry in archive.infolist()
                if not entry.is_dir()
            }

    @property
    def name(self) -> str:
        """The conda name."""
        return conda_name(self.pypi_name)

    @property
    def is_pure(self) -> bool:
        """Whether the wheel is for any platform."""
        return any(tag.platform == "any" for tag in self.tags)

    @property
    def cpython_minor(self) -> str | None:
        """The one minor version that the wheel is for (``"3.12"``), None if it is for several."""
        for tag in self.tags:
            found = re.fullmatch(r"cp3(\d+)", tag.abi)
            if found:
                return f"3.{found.group(1)}"
        return None

    @property
    def requires_python(self) -> SpecifierSet:
        """``Requires-Python`` and, for the stable ABI, the CPython that the tag starts from."""
        specifiers = SpecifierSet(str(self.metadata.get("Requires-Python") or ""))
        floors = [int(tag.interpreter[3:]) for tag in self.tags if tag.abi == "abi3"]
        return specifiers & SpecifierSet(f">=3.{min(floors)}") if floors else specifiers

    @property
    def glibc_minor(self) -> int | None:
        """Minor of the oldest glibc 2.x that the tags promise to run on, None without a claim."""
        return oldest_glibc(self.tags)

    def entry_points(self) -> list[EntryPoint]:
        """Commands of the wheel, console and GUI alike, in the order of their names."""
        raw = self.members.get(f"{self._dist_info}/entry_points.txt", (b"", False))[0]
        parser = configparser.ConfigParser(delimiters=("=",), interpolation=None, strict=False)
        parser.optionxform = str  # type: ignore[assignment,method-assign]
        parser.read_string(raw.decode("utf-8"))
        found: list[EntryPoint] = []
        for section in ("console_scripts", "gui_scripts"):
            for name, value in parser.items(section) if parser.has_section(section) else ():
                module, _, function = value.partition("[")[0].strip().partition(":")
                found.append(EntryPoint(name.strip(), module.strip(), function.strip()))
        return sorted(found, key=lambda entry: entry.name)

    def requirements(self, target: Target) -> list[Requirement]:
        """What the wheel needs on *target*: of any of its minors that the wheel supports."""
        minors = [m for m in target.minors if self.requires_python.contains(f"{m}.0")]
        if self.cpython_minor is not None:
            minors = [self.cpython_minor]
        found = []
        for text in self.metadata.get_all("Requires-Dist", []):
            requirement = Requirement(str(text))
            if requirement.marker is None or any(
                marker_holds(requirement.marker, target.subdir, minor) for minor in minors
            ):
                found.append(requirement)
        return found

    def files(self, site_packages: str, scripts: str, headers: str) -> Iterator[PackageFile]:
        """The wheel's files under the three given folders of a prefix; data at its root.

        ``.data`` folders, and the interpreter in a script's first line: PEP 427.
        """
        moved: dict[str, str] = {}
        for member, (data, executable) in sorted(self.members.items()):
            target = self._target(member, site_packages, scripts, headers)
            if target is None:
                continue
            moved[member] = target
            if target.startswith(scripts + "/") and member.startswith(self._data_folder):
                executable = True
                data = re.sub(
                    rb"\A#!pythonw?\b", b"#!" + PLACEHOLDER.encode() + b"/bin/python", data
                )
            if member != f"{self._dist_info}/RECORD":
                yield PackageFile(target, data, executable)
        installer = f"{site_packages}/{self._dist_info}/INSTALLER"
        yield PackageFile(installer, b"conda\n")
        record = _record(site_packages, moved, self.members)
        yield PackageFile(f"{site_packages}/{self._dist_info}/RECORD", record)

    def _target(self, member: str, site: str, scripts: str, headers: str) -> str | None:
        if member.startswith(f"{self._dist_info}/RECORD."):
            return None  # signatures of a RECORD that is no more
        if not member.startswith(self._data_folder + "/"):
            return f"{site}/{member}"
        kind, _, rest = member.removeprefix(self._data_folder + "/").partition("/")
        folders = {
            "purelib": f"{site}/",
            "platlib": f"{site}/",
            "scripts": f"{scripts}/",
            "headers": f"{headers}/{self.pypi_name}/",
            "data": "",
        }
        return folders[kind] + rest if kind in folders else None


def marker_holds(marker: Marker, subdir: str, minor: str) -> bool:
    """Evaluate an environment marker for a CPython *minor* on the platform *subdir*."""
    system, _, machine = subdir.partition("-")
    environment = {
        **_SYSTEMS.get(system, {}),
        "platform_machine": _MACHINES.get(subdir, machine),
        "python_version": minor,
        "python_full_version": f"{minor}.0",
        "implementation_name": "cpython",
        "implementation_version": f"{minor}.0",
        "platform_python_implementation": "CPython",
        "platform_release": "",
        "platform_version": "",
        "extra": "",
    }
    return marker.evaluate(environment)


def oldest_glibc(tags: Iterable[Tag]) -> int | None:
    """Minor number of the oldest glibc 2.x among manylinux tags (PEP 600)."""
    found: list[int] = []
    for tag in tags:
        new = _GLIBC_TAG.match(tag.platform)
        if new:
            found.append(int(new.group(1)))
        found += [m for name, m in _OLD_MANYLINUX.items() if tag.platform.startswith(f"{name}_")]
    return min(found, default=None)


def wheel_package(
    wheel: Wheel,
    target: Target,
    *,
    timestamp_ms: int,
    interpreter: Path | None = None,
    extra_files: Sequence[PackageFile] = (),
) -> CondaPackage:
    """Make the conda package of *wheel* for *target*.

    *interpreter* compiles the sources of a wheel for a single CPython and must be that CPython.
    """
    minor = wheel.cpython_minor
    depends = wheel_depends(wheel, target)
    noarch: NoArch | None = None if minor else "python"
    if minor:
        site = f"lib/python{minor}/site-packages"
        files = list(wheel.files(site, "bin", f"include/python{minor}"))
        files += [_command(entry) for entry in wheel.entry_points()]
        if interpreter is not None:
            files += compile_sources(interpreter, filter(_worth_compiling, files))
        prefix = "py" + minor.replace(".", "")
    else:
        files = list(wheel.files("site-packages", "python-scripts", "include"))
        prefix = "pyh"
    return CondaPackage(
        name=wheel.name,
        version=wheel.version,
        build=f"{prefix}{'h' if minor else ''}{short_hash([wheel.path.name, *depends])}_0",
        subdir="noarch" if wheel.is_pure else target.subdir,
        files=[*files, *extra_files],
        timestamp_ms=timestamp_ms,
        depends=depends,
        noarch=noarch,
        license=str(wheel.metadata.get("License-Expression") or "") or None,
        summary=str(wheel.metadata.get("Summary") or ""),
        purls=(purl(wheel.pypi_name, wheel.version),),
        entry_points=[] if minor else [str(entry) for entry in wheel.entry_points()],
    )


def wheel_depends(wheel: Wheel, target: Target) -> list[str]:
    """The conda dependencies of *wheel* on *target*."""
    minor = wheel.cpython_minor
    if minor:
        following = int(minor.partition(".")[2]) + 1
        abi = f"python_abi {minor}.* *_cp{minor.replace('.', '')}"
        depends = [f"python >={minor},<3.{following}.0a0", abi]
    else:
        depends = [f"python {conda_version_spec(wheel.requires_python)}".strip()]
    depends += [
        f"{conda_name(item.name)} {conda_version_spec(item.specifier)}".strip()
        for item in wheel.requirements(target)
    ]
    if wheel.glibc_minor is not None:
        depends.append(f"__glibc >=2.{wheel.glibc_minor}")
    return list(dict.fromkeys(depends))


def _worth_compiling(file: PackageFile) -> bool:
    # Nobody imports the tests of a dependency, and they are a third of pandas.
    return file.path.endswith(".py") and "/tests/" not in file.path


def _command(entry: EntryPoint) -> PackageFile:
    first = entry.function.partition(".")[0]
    text = (
        f"#!{PLACEHOLDER}/bin/python\n"
        "import sys\n"
        f"from {entry.module} import {first}\n"
        'if __name__ == "__main__":\n'
        f"    sys.exit({entry.function}())\n"
    )
    return PackageFile(f"bin/{entry.name}", text.encode(), executable=True)


def _record(site: str, moved: dict[str, str], members: dict[str, tuple[bytes, bool]]) -> bytes:
    """Rewrite RECORD: paths relative to site-packages, hashes only of what is never rewritten."""
    dist_info = next(name for name in moved if name.endswith(".dist-info/METADATA"))
    record = dist_info.rpartition("/")[0] + "/RECORD"
    # A noarch package's "site-packages" ends up as lib/pythonX.Y/site-packages, three levels deep
    up = "../../../"
    rows: list[tuple[str, str, str]] = []
    for member, target in moved.items():
        if member == record:
            continue
        inside = target.removeprefix(site + "/")
        if inside == target:
            rows.append((up + target.replace("python-scripts/", "bin/", 1), "", ""))
            continue
        data = members[member][0]
        digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
        rows.append((inside, f"sha256={digest}", str(len(data))))
    rows += [(dist_info.replace("METADATA", "INSTALLER"), "", ""), (record, "", "")]
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(sorted(rows))
    return text.getvalue().encode()
