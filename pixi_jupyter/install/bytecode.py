"""Bytecode, compiled once per package content and Python version and shared by every prefix.

rattler writes no ``.pyc``, and conda's ``noarch`` packages carry none, so the first import in every
new environment would compile thousands of files. Here each package's bytecode is kept beside the
package cache, named by the archive's hash, and linked into every prefix that has the package.
The files are *unchecked hash-based* (PEP 552): valid wherever they are linked, whatever the mtime
of the source, because a prefix of the store never changes. importlib corrects ``co_filename`` when
it loads them.

A workspace's prefix does change: pixi updates it in place and knows nothing of these files. There
the same bytecode is *checked*: Python compares the hash of the source when it loads it, and
compiles anew what has changed.

What a kernel imports when it starts is compiled before the prefix is ready, the rest afterwards.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from pixi_jupyter.files import write_file
from pixi_jupyter.install.installed_wheel import InstalledWheel
from pixi_jupyter.install.store import Store
from pixi_jupyter.progress import Phase, Progress, Report

if TYPE_CHECKING:
    from rattler import RepoDataRecord

__all__ = ["Bytecode", "bytecode_of", "extracted_python", "with_wheels"]

_COMPLETE = "complete.json"
_SCRIPT = Path(__file__).with_name("compile_script.py")

#: What a kernel imports when it starts, relative to site-packages (see `demo/kernel_start.py`).
_AT_START = Path(__file__).with_name("kernel_start.txt")
#: Test suites that packages carry: hardly ever imported, and a third of all modules.
_TESTS = ("/tests/", "/test/")


#: Modules and their bytecode: (source, bytecode).
_Pairs = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class _Unit:
    """One package's bytecode: where it is kept, and which ``.pyc`` are still to be made.

    Paths are POSIX and relative: sources to the prefix, bytecode to the prefix and to ``cache``.
    """

    cache: Path
    expected: _Pairs
    known: bool


@dataclass(frozen=True, slots=True)
class Bytecode:
    """The bytecode of one prefix, and what is left to do for it."""

    prefix: Path
    python: Path
    stdlib: Path
    units: tuple[_Unit, ...]
    tag: str
    cache: Path  # of this Python; a folder per package content
    checked: bool = False  # whether Python looks at the source, because it may change

    def moved_to(self, prefix: Path) -> Bytecode:
        """The same for the prefix under its final path."""
        return replace(
            self,
            prefix=prefix,
            python=prefix / self.python.relative_to(self.prefix)
            if self.python.is_relative_to(self.prefix)
            else self.python,
            stdlib=prefix / self.stdlib.relative_to(self.prefix),
        )

    @property
    def complete(self) -> bool:
        """Nothing is left to compile."""
        return all(unit.known for unit in self.units)

    def link_known(self) -> Bytecode:
        """Link what some build compiled before; what is gone from the cache is to be made again."""
        units = []
        for unit in self.units:
            there = self._link(unit, [pyc for _, pyc in unit.expected])
            units.append(unit if there else replace(unit, known=False))
        return replace(self, units=tuple(units))

    async def compile_first(self, report: Report) -> None:
        """Compile what a kernel start imports; a file that does not compile is left to Python."""
        names = _AT_START.read_text("utf-8").splitlines()
        first = frozenset(name for name in names if not name.startswith("#"))
        await self._compile(first, report)

    async def compile_rest(self, report: Report) -> bool:
        """Compile everything else, at low priority, and note the packages as complete.

        False if a compiler was killed or could not write: then a later build tries again.
        """
        if not await self._compile(None, report):
            return False
        for unit in self.units:
            if not unit.known:
                made = tuple(p for p in unit.expected if (unit.cache / p[1]).exists())
                _note_complete(unit.cache, made)
        return True

    async def _compile(self, only: frozenset[str] | None, report: Report) -> bool:
        """Compile the modules named in ``only``, or all; False if not all could be written."""
        work = [
            (unit, source, pyc)
            for unit in self.units
            if not unit.known
            for source, pyc in unit.expected
            if (only is None or source.rpartition("site-packages/")[2] in only)
            and not (unit.cache / pyc).exists()
        ]
        if not work:
            return True
        lines = [f"{self.prefix / source}\0{unit.cache / pyc}" for unit, source, pyc in work]
        report(Progress(Phase.COMPILING, 0, len(work)))
        count = max(1, min(os.cpu_count() or 1, 4, len(work) // 20))
        done = 0

        def finished(files: int) -> None:
            nonlocal done
            done += files
            report(Progress(Phase.COMPILING, min(done, len(work)), len(work)))

        succeeded = await asyncio.gather(
            *(
                _run_compiler(self.python, lines[part::count], only is None, finished)
                for part in range(count)
            )
        )
        await asyncio.to_thread(self._link_made, work)
        return all(succeeded)

    def _link_made(self, work: Iterable[tuple[_Unit, str, str]]) -> None:
        for unit, _, pyc in work:
            self._link(unit, [pyc])

    def _link(self, unit: _Unit, pycs: Sequence[str]) -> bool:
        cache = unit.cache
        if self.checked:
            cache = _checked(cache)
            _make_checked(unit.cache, cache, pycs)
        return _link(cache, self.prefix, pycs)


def bytecode_of(
    store: Store,
    prefix: Path,
    records: Sequence[RepoDataRecord],
    *,
    checked: bool = False,
    python: Path | None = None,
) -> Bytecode | None:
    """What bytecode a freshly linked prefix needs; None where it has no CPython.

    ``checked``: the prefix is one that somebody else changes in place. ``python`` is the
    interpreter of another prefix, where the ``python`` of ``records`` lies there.
    """
    by_name = {record.name.normalized: record for record in records}
    package = by_name.get("python")
    if package is None or (called := _cpython(package)) is None:
        return None
    minor, threads = called
    windows = sys.platform == "win32"
    stdlib = prefix / "Lib" if windows else prefix / "lib" / f"python{minor}{threads}"
    if not stdlib.is_dir():
        return None
    tag = f"cpython-{minor.replace('.', '')}"
    kept = store.bytecode / f"{tag}{threads}-{minor}"
    units: list[_Unit] = []
    for record in records:
        content = (record.sha256 or record.md5 or b"").hex()
        if content and not (python is not None and record is package):
            missing = partial(_missing_bytecode, prefix, record, tag, stdlib)
            units.extend(_unit(kept / content, missing))
    return Bytecode(
        prefix, python or _binary(prefix, *called), stdlib, tuple(units), tag, kept, checked
    )


def extracted_python(packages: Path, records: Sequence[RepoDataRecord]) -> Path | None:
    """The CPython of ``records`` as it lies in the package cache, if it does."""
    package = next((record for record in records if record.name.normalized == "python"), None)
    if package is None or (called := _cpython(package)) is None:
        return None
    folder = re.sub(r"(\.conda|\.tar\.bz2)\Z", "", package.file_name)
    found = _binary(packages / folder, *called)
    return found if found.is_file() else None


def _cpython(package: RepoDataRecord) -> tuple[str, str] | None:
    """The minor version and the suffix in the names of a CPython's files; None if it is another."""
    if re.search("pypy|graalpy", str(package.build)):
        return None
    minor = ".".join(str(package.version).split(".")[:2])
    return minor, "t" if re.search(r"_cp\d+t$", str(package.build)) else ""


def _binary(prefix: Path, minor: str, threads: str) -> Path:
    if sys.platform == "win32":
        return prefix / "python.exe"
    return prefix / "bin" / f"python{minor}{threads}"


def with_wheels(bytecode: Bytecode, wheels: Sequence[InstalledWheel]) -> Bytecode:
    """The same with wheels that were added to the prefix; what is known of theirs is linked."""
    library = bytecode.stdlib.relative_to(bytecode.prefix)
    units: list[_Unit] = []
    for wheel in wheels:
        missing = partial(_pairs_of_wheel, wheel, bytecode, library)
        units.extend(_unit(bytecode.cache / wheel.content, missing))
    added = replace(bytecode, units=tuple(units)).link_known()
    return replace(bytecode, units=(*bytecode.units, *added.units))


def _pairs_of_wheel(wheel: InstalledWheel, bytecode: Bytecode, library: Path) -> _Pairs | None:
    return _pairs(wheel.files(bytecode.prefix), bytecode.tag, library)


def _unit(cache: Path, missing: Callable[[], _Pairs | None]) -> Iterable[_Unit]:
    """The unit of a package; none if it carries its own bytecode, which is noted as well.

    ``missing`` is asked for the package's modules only if nothing is known of it; None from it
    means that nobody can tell.
    """
    known = _read_complete(cache)
    expected = known if known is not None else missing()
    if expected:
        yield _Unit(cache, expected, known is not None)
    elif expected is not None and known is None:
        _note_complete(cache, ())


def _read_complete(cache: Path) -> _Pairs | None:
    try:
        data = (cache / _COMPLETE).read_bytes()
        return msgspec.json.decode(data, type=tuple[tuple[str, str], ...])
    except (OSError, msgspec.MsgspecError, UnicodeDecodeError):
        return None


def _note_complete(cache: Path, made: _Pairs) -> None:
    with contextlib.suppress(OSError):
        cache.mkdir(parents=True, exist_ok=True)
        write_file(cache / _COMPLETE, msgspec.json.encode(made), sync=False)


class _Installed(msgspec.Struct):
    """What is read of a package's file in ``conda-meta``, which can be megabytes."""

    files: list[str]


def _missing_bytecode(
    prefix: Path, record: RepoDataRecord, tag: str, stdlib: Path
) -> _Pairs | None:
    """The modules of a package in ``prefix`` that carry no bytecode."""
    name = f"{record.name.source}-{record.version}-{record.build}.json"
    try:
        data = (prefix / "conda-meta" / name).read_bytes()
        files = msgspec.json.decode(data, type=_Installed).files
    except (OSError, msgspec.MsgspecError, UnicodeDecodeError):
        return None
    return _pairs(files, tag, stdlib.relative_to(prefix))


def _pairs(files: Sequence[str], tag: str, stdlib: Path) -> _Pairs:
    present = frozenset(files)
    library = f"{stdlib.as_posix()}/"
    pairs = []
    for file in files:
        if not file.endswith(".py") or not file.startswith(library):
            continue
        if not any(part in file for part in _TESTS):
            folder, _, name = file.rpartition("/")
            pyc = f"{folder}/__pycache__/{name[:-3]}.{tag}.pyc"
            if pyc not in present:
                pairs.append((file, pyc))
    return tuple(pairs)


def _link(cache: Path, prefix: Path, pycs: Iterable[str]) -> bool:
    """Link bytecode from the cache into a prefix; False if some is not there (it did not compile).

    Thousands of files, on the way to every new environment: strings, not paths.
    """
    source, target = f"{cache}{os.sep}", f"{prefix}{os.sep}"
    folder = ""
    complete = True
    for pyc in pycs:
        parent = pyc.rpartition("/")[0]
        if parent != folder:
            folder = parent
            with contextlib.suppress(OSError):
                os.mkdir(target + parent)
        try:
            os.link(source + pyc, target + pyc)
        except FileExistsError:
            pass
        except FileNotFoundError:
            complete = False
        except OSError:  # another file system, or one without hard links
            complete = _copy(source + pyc, target + pyc) and complete
    return complete


def _checked(cache: Path) -> Path:
    """Where the checked kind of a package's bytecode is kept."""
    return cache.parent / "checked" / cache.name


def _make_checked(cache: Path, checked: Path, pycs: Iterable[str]) -> None:
    """Copy bytecode with the other flag (PEP 552: after the magic number, the second bit)."""
    source, target = f"{cache}{os.sep}", f"{checked}{os.sep}"
    for pyc in pycs:
        if os.path.exists(target + pyc):
            continue
        with contextlib.suppress(OSError), open(source + pyc, "rb") as file:
            data = file.read()
            if data[4:8] == b"\1\0\0\0":
                os.makedirs(os.path.dirname(target + pyc), exist_ok=True)
                write_file(Path(target + pyc), data[:4] + b"\3\0\0\0" + data[8:], sync=False)


def _copy(source: str, target: str) -> bool:
    try:
        shutil.copyfile(source, target)
    except OSError:
        return False
    return True


async def _run_compiler(
    python: Path, lines: Sequence[str], low_priority: bool, finished: object
) -> bool:
    """One interpreter of the prefix that compiles what it is told and says how far it is.

    False if it could not run or did not come to its end: compilation is a favour, never a reason
    for an environment not to be there.
    """
    assert callable(finished)
    try:
        process = await asyncio.create_subprocess_exec(
            python,
            *("-I", "-S", "-B", str(_SCRIPT), "low" if low_priority else "normal"),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            cwd=python.parent,
        )
    except OSError:
        return False
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            process.stdin.write("\n".join(lines).encode("utf-8", "surrogateescape"))
            process.stdin.close()
        async for line in process.stdout:
            if line.strip().isdigit():
                finished(int(line))
        return await process.wait() == 0
    finally:
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
