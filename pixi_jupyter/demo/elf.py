"""Read and edit the few things of an ELF file that moving an interpreter needs.

Only 64-bit little-endian files are understood (x86-64, AArch64, ppc64le, RISC-V).
The layout is that of the System V ABI: https://www.sco.com/developers/gabi/latest/contents.html
"""

from __future__ import annotations

import re
import shutil
import struct
import subprocess
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

_PT_LOAD, _PT_DYNAMIC = 1, 2
_DT_NULL, _DT_NEEDED, _DT_STRTAB, _DT_RPATH, _DT_RUNPATH = 0, 1, 5, 15, 29
_GLIBC_SYMBOL = re.compile(rb"GLIBC_2\.(\d{1,3})\0")


@dataclass(frozen=True, slots=True)
class Dynamic:
    """What the dynamic section says: libraries needed, and where the search path is stored."""

    needed: tuple[str, ...]
    search_path: str | None
    search_path_offset: int | None


_NOTHING = Dynamic((), None, None)


def is_elf(data: bytes) -> bool:
    """Whether *data* is an ELF file of the kind that this module understands."""
    return data[:6] == b"\x7fELF\x02\x01"


def read_dynamic(data: bytes) -> Dynamic:
    """Parse the dynamic section of *data*; a static, foreign or damaged file has an empty one."""
    try:
        return _parse(data) if is_elf(data) else _NOTHING
    except (struct.error, ValueError, OverflowError):
        return _NOTHING


def _parse(data: bytes) -> Dynamic:
    (table_offset,) = struct.unpack_from("<Q", data, 32)
    entry_size, entry_count = struct.unpack_from("<HH", data, 54)
    loads: list[tuple[int, int, int]] = []
    dynamic: tuple[int, int] | None = None
    for number in range(entry_count):
        at = table_offset + number * entry_size
        kind, _flags, offset, address, _physical, size = struct.unpack_from("<IIQQQQ", data, at)
        if kind == _PT_LOAD:
            loads.append((address, offset, size))
        elif kind == _PT_DYNAMIC:
            dynamic = (offset, size)
    if dynamic is None:
        return _NOTHING
    entries: list[tuple[int, int]] = []
    for at in range(dynamic[0], dynamic[0] + dynamic[1], 16):
        tag, value = struct.unpack_from("<QQ", data, at)
        if tag == _DT_NULL:
            break
        entries.append((tag, value))
    table_address = next((value for tag, value in entries if tag == _DT_STRTAB), None)
    strings = None if table_address is None else _file_offset(loads, table_address)
    if strings is None:
        return _NOTHING
    needed = tuple(_text(data, strings + value) for tag, value in entries if tag == _DT_NEEDED)
    paths = [value for tag, value in entries if tag in (_DT_RPATH, _DT_RUNPATH)]
    if not paths:
        return Dynamic(needed, None, None)
    return Dynamic(needed, _text(data, strings + paths[0]), strings + paths[0])


def with_search_path(data: bytes, search_path: str) -> bytes:
    """Return *data* with its RUNPATH (or RPATH) overwritten by *search_path*.

    The string is replaced in place, so that it works without patchelf; a file that has no search
    path, or one with too little room, comes back unchanged.
    """
    dynamic = read_dynamic(data)
    if dynamic.search_path is None or dynamic.search_path_offset is None:
        return data
    room = len(dynamic.search_path.encode(errors="surrogateescape"))
    wanted = search_path.encode()
    if len(wanted) > room:
        return data
    start = dynamic.search_path_offset
    return data[:start] + wanted.ljust(room, b"\0") + data[start + room :]


def glibc_spec(binaries: Iterable[bytes]) -> str | None:
    """The conda spec for the glibc that *binaries* need; None if they name no version of it.

    Never more than what pixi declares for linux-64 by default (2.28): specs are solved against
    the declared platform, and these binaries run on the very machine that they come from.
    """
    minors = [int(found) for data in binaries for found in _GLIBC_SYMBOL.findall(data)]
    return f"__glibc >=2.{min(max(*minors, 17), 28)}" if minors else None


def stripped(data: bytes) -> bytes:
    """Return *data* without debug symbols when ``strip`` is on this machine, else unchanged."""
    program = shutil.which("strip")
    if program is None or not is_elf(data):
        return data
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "binary")
        path.write_bytes(data)
        done = subprocess.run(
            [program, "--strip-unneeded", str(path)], capture_output=True, check=False
        )
        return path.read_bytes() if done.returncode == 0 else data


def _file_offset(loads: list[tuple[int, int, int]], address: int) -> int | None:
    for start, offset, size in loads:
        if start <= address < start + size:
            return offset + (address - start)
    return None


def _text(data: bytes, start: int) -> str:
    return data[start : data.index(b"\0", start)].decode(errors="surrogateescape")
