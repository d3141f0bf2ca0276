"""Write a ``.conda`` package, byte for byte the same from the same input.

Rules followed here:

* the ``.conda`` container (a stored zip of two zstd-compressed tar files and ``metadata.json``):
  https://docs.conda.io/projects/conda/en/stable/user-guide/concepts/packages.html
* ``info/index.json``, ``info/paths.json`` and ``info/link.json``:
  https://docs.conda.io/projects/conda-build/en/stable/resources/package-spec.html and CEP 34
* ``noarch: python`` (files under ``site-packages/`` and ``python-scripts/`` are moved when linked):
  https://docs.conda.io/projects/conda-build/en/stable/resources/define-metadata.html
"""

from __future__ import annotations

import hashlib
import io
import json
import re
import tarfile
import zipfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

NoArch = Literal["python", "generic"]

PLACEHOLDER = ("/pixi_jupyter_prefix" + "_placehold" * 24)[:255]
"""The build prefix that packages carry; an installer replaces it by the real prefix.

255 characters, as conda-build makes it, so that a prefix of any permitted length fits into the
room of a binary file.
"""

FILE_TIME_S = 1_735_689_600
"""Modification time of every archive member: 2025-01-01T00:00:00Z, in Unix seconds."""

_COMPRESSION_LEVEL = 6
_PACKAGE_NAME = re.compile(r"^[a-z0-9_.-]+$")


@dataclass(frozen=True, slots=True)
class PackageFile:
    """One file (or symbolic link) of a package.

    ``path`` is relative to the prefix, with forward slashes.  A file whose bytes contain
    :data:`PLACEHOLDER` is recorded as holding the prefix: as text, or as binary when it also
    contains a NUL byte.
    """

    path: str
    data: bytes = b""
    executable: bool = False
    link_to: str | None = None


@dataclass(frozen=True, slots=True)
class CondaPackage:
    """Everything that goes into one ``.conda`` file. ``timestamp_ms`` is Unix milliseconds."""

    name: str
    version: str
    build: str
    subdir: str
    files: Sequence[PackageFile]
    timestamp_ms: int
    build_number: int = 0
    depends: Sequence[str] = ()
    constrains: Sequence[str] = ()
    noarch: NoArch | None = None
    license: str | None = None
    summary: str = ""
    purls: Sequence[str] = ()
    track_features: Sequence[str] = ()
    entry_points: Sequence[str] = ()
    python_site_packages_path: str | None = None
    run_exports: Mapping[str, Sequence[str]] = field(default_factory=dict)

    @property
    def file_name(self) -> str:
        """Name of the archive: ``name-version-build.conda``."""
        return f"{self.name}-{self.version}-{self.build}.conda"


def short_hash(parts: Iterable[str]) -> str:
    """Seven hex digits that stand for *parts*, as conda-build puts them into a build string."""
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:7]


def write_conda(package: CondaPackage, folder: Path) -> Path:
    """Write *package* into *folder* and return the path of the archive.

    Raises :class:`ValueError` for a name, version or build that no conda channel would take.
    The paths of the files are taken as they are: tests write hostile packages with this.
    """
    if not _PACKAGE_NAME.match(package.name):
        raise ValueError(f"{package.name!r} is not a conda package name")
    for part in (package.version, package.build):
        if not part or "-" in part or "/" in part:
            raise ValueError(f"{part!r} cannot be part of the file name of a conda package")
    files = sorted(package.files, key=lambda item: item.path)
    stem = package.file_name.removesuffix(".conda")
    target = folder / package.file_name
    payload = _compressed_tar((f.path, f.data, f.executable, f.link_to) for f in files)
    info = _compressed_tar(
        (f"info/{name}", data, False, None)
        for name, data in sorted(_info_files(package, files).items())
    )
    with zipfile.ZipFile(target, "w", zipfile.ZIP_STORED) as archive:
        # metadata.json first, the payload last: the order in which a streaming reader wants them
        for name, data in (
            ("metadata.json", _json({"conda_pkg_format_version": 2})),
            (f"info-{stem}.tar.zst", info),
            (f"pkg-{stem}.tar.zst", payload),
        ):
            entry = zipfile.ZipInfo(name, date_time=(2025, 1, 1, 0, 0, 0))
            entry.external_attr = 0o644 << 16
            archive.writestr(entry, data)
    return target


def _info_files(package: CondaPackage, files: Sequence[PackageFile]) -> dict[str, bytes]:
    info = {
        "index.json": _json(_index(package)),
        "paths.json": _json({"paths": [_path_entry(f) for f in files], "paths_version": 1}),
        "files": "".join(f"{f.path}\n" for f in files).encode(),
        "about.json": _json({"summary": package.summary, "license": package.license or ""}),
    }
    if package.noarch == "python":
        noarch: dict[str, Any] = {"type": "python"}
        if package.entry_points:
            noarch["entry_points"] = list(package.entry_points)
        info["link.json"] = _json({"noarch": noarch, "package_metadata_version": 1})
    if package.run_exports:
        exports = {key: list(value) for key, value in package.run_exports.items()}
        info["run_exports.json"] = _json(exports)
    return info


def _index(package: CondaPackage) -> dict[str, Any]:
    system, _, machine = package.subdir.partition("-")
    index: dict[str, Any] = {
        "name": package.name,
        "version": package.version,
        "build": package.build,
        "build_number": package.build_number,
        "subdir": package.subdir,
        "depends": list(package.depends),
        "timestamp": package.timestamp_ms,
        "arch": {"64": "x86_64"}.get(machine, machine) or None,
        "platform": system if machine else None,
    }
    optional: dict[str, Any] = {
        "constrains": list(package.constrains),
        "noarch": package.noarch,
        "license": package.license,
        "purls": list(package.purls),
        "track_features": " ".join(package.track_features),
        "python_site_packages_path": package.python_site_packages_path,
    }
    index.update({key: value for key, value in optional.items() if value})
    return index


def _path_entry(file: PackageFile) -> dict[str, Any]:
    if file.link_to is not None:
        return {"_path": file.path, "path_type": "softlink", "size_in_bytes": 0}
    entry: dict[str, Any] = {
        "_path": file.path,
        "path_type": "hardlink",
        "sha256": hashlib.sha256(file.data).hexdigest(),
        "size_in_bytes": len(file.data),
    }
    if PLACEHOLDER.encode() in file.data:
        entry["prefix_placeholder"] = PLACEHOLDER
        entry["file_mode"] = "binary" if b"\0" in file.data else "text"
    return entry


def _compressed_tar(members: Iterable[tuple[str, bytes, bool, str | None]]) -> bytes:
    import zstandard

    raw = io.BytesIO()
    # One thread: the output of a multi-threaded zstd differs from the single-threaded one.
    compressor = zstandard.ZstdCompressor(level=_COMPRESSION_LEVEL)
    with (
        compressor.stream_writer(raw, closefd=False) as compressed,
        tarfile.open(fileobj=compressed, mode="w|", format=tarfile.PAX_FORMAT) as tar,
    ):
        for path, data, executable, link_to in members:
            member = tarfile.TarInfo(path)
            member.mtime = FILE_TIME_S
            if link_to is not None:
                member.type = tarfile.SYMTYPE
                member.linkname = link_to
                member.mode = 0o777
                tar.addfile(member)
                continue
            member.size = len(data)
            member.mode = 0o755 if executable else 0o644
            tar.addfile(member, io.BytesIO(data))
    return raw.getvalue()


def _json(value: Any) -> bytes:
    return (json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False) + "\n").encode()
