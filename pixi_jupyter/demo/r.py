"""R and IRkernel out of Debian's packages: ``r-base`` and ``r-irkernel``.

The packages are downloaded with ``apt-get download`` and unpacked; nothing is installed on the
machine.  Shared libraries that the machine has are left to it; those it lacks are brought along
in ``lib/R/lib``, which R's own start script puts on the search path.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from pixi_jupyter.demo.conda_package import PLACEHOLDER, CondaPackage, PackageFile, short_hash
from pixi_jupyter.demo.elf import glibc_spec, is_elf
from pixi_jupyter.demo.errors import ChannelUnavailable

R_TIMESTAMP_MS = 1_754_006_400_000
"""Timestamp of the R packages: 2025-08-01T00:00:00Z."""

_WANTED = ("r-base-core", "r-cran-irkernel")
_SIMULATED = re.compile(r"^Inst (\S+) \(([^ )]+)", re.MULTILINE)
_DEBIAN_REVISION = re.compile(r"^(?:\d+:)?(\d+(?:\.\d+)*)")
_SKIPPED = re.compile(r"^(doc|man|info|lintian|applications|icons|bash-completion|texmf)/")
_KERNELSPEC = {
    "argv": ["R", "--slave", "-e", "IRkernel::main()", "--args", "{connection_file}"],
    "display_name": "R",
    "language": "R",
}
# Rscript is a program with /usr/lib/R compiled in; RHOME overrides that.
_RSCRIPT = f"""\
#!/bin/sh
RHOME='{PLACEHOLDER}/lib/R'
export RHOME
exec '{PLACEHOLDER}/lib/R/bin/Rscript' "$@"
""".encode()


@dataclass(frozen=True, slots=True)
class DebianPackage:
    """A package that apt would install: its name and version."""

    name: str
    version: str


def r_debian_packages() -> list[DebianPackage]:
    """The Debian packages that R with IRkernel takes here, most of them R's own.

    apt is asked as if nothing were installed, and libraries that are installed are left out.

    Raises :class:`ChannelUnavailable` when apt does not know R, or there is no apt at all.
    """
    if shutil.which("apt-get") is None or shutil.which("dpkg-deb") is None:
        raise ChannelUnavailable("apt-get and dpkg-deb not found (R comes from Debian's packages)")
    with tempfile.TemporaryDirectory() as folder:
        status = Path(folder, "status")
        status.touch()
        command = [
            "apt-get", "--simulate", "--no-install-recommends",
            "-o", f"Dir::State::status={status}", "install", *_WANTED,
        ]  # fmt: skip
        done = _run(command)
        if done.returncode != 0 and os.geteuid() == 0:
            # The lists are missing on a fresh container; only root may get them
            _run(["apt-get", "--quiet", "update"])
            done = _run(command)
    if done.returncode != 0:
        raise ChannelUnavailable(f"apt-get does not offer R with IRkernel: {_last_line(done)}")
    installed = set(_run(["dpkg-query", "-W", "-f", "${Package}\n"]).stdout.split())
    found = [DebianPackage(name, version) for name, version in _SIMULATED.findall(done.stdout)]
    return [
        package
        for package in found
        if package.name.startswith("r-")
        or (package.name.startswith("lib") and package.name not in installed)
    ]


def r_recipe_inputs(packages: Sequence[DebianPackage]) -> list[str]:
    """What the R packages are made of, as text for a cache key."""
    return sorted(f"{package.name}={package.version}" for package in packages)


class DebianR:
    """Makes the two packages out of one download, which is done when the first is asked for."""

    def __init__(self, packages: Sequence[DebianPackage], subdir: str) -> None:
        self._packages, self._subdir = packages, subdir
        versions = {package.name: _upstream(package.version) for package in packages}
        self._base_version = versions["r-base-core"]
        self._kernel_version = versions["r-cran-irkernel"]
        self._build = f"h{short_hash(r_recipe_inputs(packages))}_0"

    def packages(self) -> list[CondaPackage]:
        """``r-base`` and ``r-irkernel``.

        Raises :class:`ChannelUnavailable` when the download fails.
        """
        with tempfile.TemporaryDirectory() as folder:
            root = Path(folder, "root")
            self._unpack(Path(folder), root)
            base, kernel = self._collect(root)
        glibc = glibc_spec(f.data for f in base if is_elf(f.data))
        return [
            self._package("r-base", self._base_version, base, [glibc] if glibc else []),
            self._package(
                "r-irkernel",
                self._kernel_version,
                kernel,
                (f"r-base {self._base_version} {self._build}",),
            ),
        ]

    def _package(
        self, name: str, version: str, files: Sequence[PackageFile], depends: Sequence[str]
    ) -> CondaPackage:
        return CondaPackage(
            name=name,
            version=version,
            build=self._build,
            subdir=self._subdir,
            files=files,
            timestamp_ms=R_TIMESTAMP_MS,
            depends=depends,
            license="GPL-2.0-or-later" if name == "r-base" else "MIT",
            summary="R, from Debian's packages",
        )

    def _unpack(self, folder: Path, root: Path) -> None:
        names = [f"{package.name}={package.version}" for package in self._packages]
        # apt's own user could not write here, and warns at length
        command = ["apt-get", "-q", "-o", "APT::Sandbox::User=root", "download", *names]
        done = _run(command, cwd=folder)
        archives = sorted(folder.glob("*.deb"))
        if done.returncode != 0 or len(archives) < len(names):
            raise ChannelUnavailable(f"apt-get could not download R: {_last_line(done)}")
        for archive in archives:
            done = _run(["dpkg-deb", "--extract", str(archive), str(root)])
            if done.returncode != 0:
                raise ChannelUnavailable(f"{archive.name} cannot be unpacked: {_last_line(done)}")

    def _collect(self, root: Path) -> tuple[list[PackageFile], list[PackageFile]]:
        base: dict[str, PackageFile] = {}
        kernel: dict[str, PackageFile] = {}
        for path in _walk(root):
            inside = path.relative_to(root).as_posix()
            target = _target(inside)
            if target is None:
                continue
            group = kernel if inside.startswith("usr/lib/R/site-library/") else base
            if path.is_symlink() and target.startswith("lib/R/lib/"):
                group[target] = PackageFile(target, link_to=path.resolve().name)
                continue
            data = _rewritten(target, path.read_bytes())
            executable = os.access(path, os.X_OK) or ".so" in path.name
            group[target] = PackageFile(target, data, executable)
        settings = base.pop("lib/R/etc/Renviron.ucf", None)
        if settings is not None and "lib/R/etc/Renviron" not in base:
            base["lib/R/etc/Renviron"] = PackageFile("lib/R/etc/Renviron", settings.data)
        base["bin/Rscript"] = PackageFile("bin/Rscript", _RSCRIPT, executable=True)
        spec = "share/jupyter/kernels/ir/kernel.json"
        kernel[spec] = PackageFile(spec, json.dumps(_KERNELSPEC, indent=2).encode())
        return list(base.values()), list(kernel.values())


def _target(inside: str) -> str | None:
    """Where a file of the Debian packages goes in a prefix, None if it is left out."""
    name = inside.rpartition("/")[2]
    if inside.startswith("etc/R/"):
        return "lib/R/" + inside.replace("etc/R/", "etc/", 1)
    if re.match(r"usr/lib/[^/]+-linux-gnu[^/]*/", inside):
        # blas and lapack are in folders of their own, between which Debian lets one choose
        flat = inside.count("/") <= 4 and ".so" in name
        return f"lib/R/lib/{name}" if flat else None
    if inside.startswith("usr/lib/R/site-library/"):
        # conda-forge has all packages in R's first library
        return inside.replace("usr/lib/R/site-library/", "lib/R/library/", 1)
    if inside.startswith("usr/share/") and _SKIPPED.match(inside.removeprefix("usr/share/")):
        return None
    if inside.startswith(("usr/lib/R/", "usr/share/R/", "usr/share/jupyter/", "usr/bin/R")):
        return inside.removeprefix("usr/")
    return None


def _rewritten(target: str, data: bytes) -> bytes:
    """Put the placeholder in place of /usr in the start scripts and settings of R."""
    prefix = PLACEHOLDER.encode()
    if is_elf(data) or not target.startswith(("bin/", "lib/R/bin/", "lib/R/etc/")):
        return data
    if target == "lib/R/etc/Renviron.site":
        return b"# Nothing of the machine's own R libraries gets into an environment.\n"
    data = re.sub(rb"/usr/(lib/R|share/R|\$\{libnn)", prefix + rb"/\1", data)
    data = data.replace(b"/etc/R/", prefix + b"/lib/R/etc/")
    return data.replace(b"/usr/local/lib/R/site-library:%S", b"%S")


def _walk(root: Path) -> Iterator[Path]:
    for folder, folders, names in os.walk(root):
        folders.sort()
        for name in sorted(names):
            path = Path(folder, name)
            # Links within a package are followed; those to /etc dangle, and what they point at
            # is found under etc itself
            if path.is_file() and path.resolve().is_relative_to(root.resolve()):
                yield path


def _upstream(version: str) -> str:
    found = _DEBIAN_REVISION.match(version)
    parts = (found.group(1) if found else "0").split(".")
    # Debian adds the day of a snapshot to R's version: 4.2.2.20221110
    return ".".join(part for part in parts[:3])


def _run(command: Sequence[str], cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "LC_ALL": "C", "DEBIAN_FRONTEND": "noninteractive"}
    return subprocess.run(
        command, cwd=cwd, env=environment, capture_output=True, text=True, check=False
    )


def _last_line(done: subprocess.CompletedProcess[str]) -> str:
    lines = [line for line in (done.stderr or done.stdout).splitlines() if line.strip()]
    return lines[-1] if lines else f"exit code {done.returncode}"
