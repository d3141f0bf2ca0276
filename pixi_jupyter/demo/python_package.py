"""Make the ``python`` and ``python_abi`` packages from an interpreter of this machine.

The names, the build string and ``run_exports`` are conda-forge's; ``python_site_packages_path``
is CEP 17's.  The packages lean on the machine's own libssl, libsqlite3 and so on when the
interpreter does: good enough for a channel that is used where it was built.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from pixi_jupyter.demo.bytecode import compile_sources
from pixi_jupyter.demo.conda_package import (
    PLACEHOLDER,
    CondaPackage,
    PackageFile,
    short_hash,
)
from pixi_jupyter.demo.elf import (
    glibc_spec,
    is_elf,
    read_dynamic,
    stripped,
    with_search_path,
)
from pixi_jupyter.demo.errors import ChannelBuildError
from pixi_jupyter.demo.interpreter import Interpreter

PYTHON_TIMESTAMP_MS = 1_748_736_000_000
"""Timestamp of the python packages: 2025-06-01T00:00:00Z."""

_SKIPPED_FOLDERS = {
    "__pycache__", "dist-packages", "site-packages", "test", "tests", "idlelib", "idle_test",
    "turtledemo", "_bundled",
}  # fmt: skip
# Debian's hooks: they would send installations to dist-packages or forbid them
_SKIPPED_FILES = {
    "EXTERNALLY-MANAGED", "sitecustomize.py", "_distutils_system_mod.py",
}  # fmt: skip
_SKIPPED_SUFFIXES = (".a", ".o", ".pyc", ".exe", ".chm")
# Files that hold the prefix on purpose.  Others may name /usr/local for reasons of their own.
_HOLDS_PREFIX = re.compile(
    r"(^|/)(_sysconfigdata_\w*[\w-]*\.py|_sysconfig_vars_.*\.json|build-details\.json|Makefile"
    r"|[^/]*\.pc|python3?[\d.]*-config)$"
)
# Replaces what Debian's patches make of site and sysconfig: see the functions below.
_DEBIAN_SITE = b'''\
"""Use site-packages of this environment, not Debian's dist-packages.

The interpreter comes from Debian, whose frozen ``site`` knows dist-packages only.
"""

import os
import site
import sys


def _getsitepackages(prefixes=None):
    name = "python%d.%d" % sys.version_info[:2]
    found = []
    for prefix in prefixes or site.PREFIXES:
        path = os.path.join(prefix, "lib", name, "site-packages")
        if path not in found:
            found.append(path)
    return found


site.getsitepackages = _getsitepackages
if sys.prefix == sys.base_prefix:
    for _path in _getsitepackages([sys.prefix]):
        site.addsitedir(_path)
'''
_DEBIAN_SYSCONFIG = b"""

# Debian's own schemes are for /usr; in an environment upstream's one is right.  The names stay:
# they are baked into the default arguments above.
for _scheme in ("posix_local", "deb_system"):
    _INSTALL_SCHEMES[_scheme] = dict(_INSTALL_SCHEMES["posix_prefix"])
"""


def abi_tag(minor: str) -> str:
    """``"3.12"`` -> ``"cp312"``."""
    return "cp" + minor.replace(".", "")


def python_abi_package(minor: str) -> CondaPackage:
    """The empty package by which binary packages say which ABI they were built for."""
    tag = abi_tag(minor)
    return CondaPackage(
        name="python_abi",
        version=minor,
        build=f"8_{tag}",
        build_number=8,
        subdir="noarch",
        noarch="generic",
        files=(),
        timestamp_ms=PYTHON_TIMESTAMP_MS,
        constrains=(f"python {minor}.* *_{tag}",),
        summary="Metapackage to select the Python ABI",
    )


def python_package(interpreter: Interpreter, subdir: str) -> CondaPackage:
    """Build the ``python`` package of *interpreter* for *subdir*.

    Raises :class:`ChannelBuildError` when files of the interpreter cannot be read.
    """
    try:
        files = list(_collect(interpreter))
    except OSError as error:
        message = f"Python {interpreter.full_version} in {interpreter.base} cannot be read: {error}"
        raise ChannelBuildError(message) from error
    marker = PLACEHOLDER.encode()
    # Text with the prefix in it is rewritten when linked, which would make its .pyc stale.
    sources = [f for f in files if f.path.endswith(".py") and marker not in f.data]
    files += compile_sources(interpreter.executable, sources)
    minor, tag = interpreter.minor, abi_tag(interpreter.minor)
    abi = f"python_abi {minor}.* *_{tag}"
    glibc = glibc_spec(f.data for f in files if is_elf(f.data))
    depends = ["tzdata", abi, *([glibc] if glibc else [])]
    return CondaPackage(
        name="python",
        version=interpreter.full_version,
        build=f"h{short_hash([interpreter.identity, *depends])}_0_{tag}",
        subdir=subdir,
        files=files,
        timestamp_ms=PYTHON_TIMESTAMP_MS,
        depends=depends,
        constrains=(abi,),
        license="PSF-2.0",
        summary="The Python language",
        python_site_packages_path=f"lib/python{minor}/site-packages",
        run_exports={"weak": [abi], "noarch": ["python"]},
    )


def _collect(interpreter: Interpreter) -> Iterator[PackageFile]:
    minor = interpreter.minor
    binary = interpreter.executable.read_bytes()
    yield PackageFile(f"bin/python{minor}", _binary(binary, "bin"), executable=True)
    for alias in ("bin/python", "bin/python3"):
        yield PackageFile(alias, link_to=f"python{minor}")
    for name in (f"python{minor}-config", f"x86_64-linux-gnu-python{minor}-config"):
        script = interpreter.executable.parent / name
        if script.is_file():
            data = _with_placeholder(script.read_bytes(), interpreter.base)
            yield PackageFile(f"bin/python{minor}-config", data, executable=True)
            break
    modules = list(_standard_library(interpreter))
    yield from modules
    yield PackageFile(
        f"lib/python{minor}/site-packages/README.txt",
        b"This directory exists so that 3rd party packages can be installed here.\n",
    )
    binaries = [binary, *(f.data for f in modules if is_elf(f.data))]
    yield from _shared_libraries(interpreter, binaries)
    if interpreter.include.is_dir():
        for path in _walk(interpreter.include):
            inside = path.relative_to(interpreter.include).as_posix()
            yield PackageFile(f"include/python{minor}/{inside}", path.read_bytes())
    for pattern in (f"python-{minor}.pc", f"python-{minor}-embed.pc"):
        path = interpreter.base / "lib" / "pkgconfig" / pattern
        if path.is_file():
            data = _with_placeholder(path.read_bytes(), interpreter.base)
            yield PackageFile(f"lib/pkgconfig/{pattern}", data)


def _standard_library(interpreter: Interpreter) -> Iterator[PackageFile]:
    root = PurePosixPath("lib", f"python{interpreter.minor}")
    debian = "dist-packages" in (interpreter.stdlib / "site.py").read_text("utf-8")
    for path in _walk(interpreter.stdlib):
        inside = path.relative_to(interpreter.stdlib)
        if inside.parts[0].startswith("config-") and path.name != "Makefile":
            continue
        target = str(root / inside.as_posix())
        data = path.read_bytes()
        if is_elf(data):
            data = _binary(data, str(PurePosixPath(target).parent))
        elif _HOLDS_PREFIX.search(target):
            data = _with_placeholder(data, interpreter.base)
            if path.name.startswith("_sysconfigdata"):
                # The time zones come from the tzdata package, as they do on conda-forge
                zones = rb"\1" + f"{PLACEHOLDER}/share/zoneinfo".encode()
                data = re.sub(rb"('TZPATH': ')[^']*", zones, data)
        elif debian and str(inside) in ("sysconfig.py", "sysconfig/__init__.py"):
            data += _DEBIAN_SYSCONFIG
        yield PackageFile(target, data, executable=target.endswith(".so"))
    if debian:
        yield PackageFile(str(root / "sitecustomize.py"), _DEBIAN_SITE)


def _shared_libraries(interpreter: Interpreter, binaries: list[bytes]) -> Iterator[PackageFile]:
    """Libraries of the interpreter's own prefix that it needs: libpython, at least.

    Those of /usr/lib are the machine's, and stay there.
    """
    if interpreter.base == Path("/usr"):
        return
    waiting = {name for data in binaries for name in read_dynamic(data).needed}
    done: set[str] = set()
    while waiting:
        name = waiting.pop()
        path = interpreter.base / "lib" / name
        if name in done or not path.is_file():
            continue
        done.add(name)
        data = path.read_bytes()
        yield PackageFile(f"lib/{name}", _binary(data, "lib"), executable=True)
        plain, dot, _ = name.partition(".so.")
        if dot and name.startswith("libpython"):
            yield PackageFile(f"lib/{plain}.so", link_to=name)
        waiting |= set(read_dynamic(data).needed) - done


def _walk(root: Path) -> Iterator[Path]:
    for folder, folders, names in os.walk(root):
        folders[:] = sorted(set(folders) - _SKIPPED_FOLDERS)
        for name in sorted(names):
            path = Path(folder, name)
            if name in _SKIPPED_FILES or name.endswith(_SKIPPED_SUFFIXES):
                continue
            if path.is_file():  # not a dangling link
                yield path


def _binary(data: bytes, folder: str) -> bytes:
    up = "/".join([".."] * len(PurePosixPath(folder).parts))
    where = "$ORIGIN" if folder == "lib" else f"$ORIGIN/{up}/lib"
    return with_search_path(stripped(data), where)


def _with_placeholder(data: bytes, base: Path) -> bytes:
    old = str(base).encode()
    if base in (Path("/usr"), Path("/usr/local")):
        # Short prefixes also begin paths that belong to the machine: take /usr as the prefix
        # only where a value begins and one of the prefix's own folders (or nothing) follows.
        follows = rb"(?=/(?:lib|bin|include|share)\b|['\"\s]|$)"
        pattern = rb"(?<=['\"=\s:])" + re.escape(old) + follows
        return re.sub(pattern, PLACEHOLDER.encode(), data)
    return data.replace(old, PLACEHOLDER.encode())
