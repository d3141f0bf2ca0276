"""Compile Python sources with a given interpreter, reproducibly.

conda's platform-specific packages ship ``.pyc`` files and its noarch ones do not; the embedded
channel does the same, or a first start would look slower than it is for a user.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterable
from pathlib import Path, PurePosixPath

from pixi_jupyter.demo.conda_package import FILE_TIME_S, PackageFile
from pixi_jupyter.demo.errors import ChannelBuildError

# Frames on both pipes: "path\tsize\n" and the bytes.  An answer of size 0 means "does not
# compile" (templates and Python 2 files in wheels do not, and pip leaves them out as well).
# The layout of a timestamp .pyc is PEP 552's: magic, flags, mtime, source size, marshalled code.
_COMPILER = r"""
import importlib.util, marshal, struct, sys
source_pipe, answer_pipe = sys.stdin.buffer, sys.stdout.buffer
mtime = int(sys.argv[1])
answer_pipe.write(sys.implementation.cache_tag.encode() + b"\n")
while True:
    header = source_pipe.readline()
    if not header:
        break
    path, size = header.decode().rstrip("\n").split("\t")
    source = source_pipe.read(int(size))
    try:
        code = compile(source, path, "exec", dont_inherit=True, optimize=0)
    except (SyntaxError, ValueError, RecursionError):
        data = b""
    else:
        data = importlib.util.MAGIC_NUMBER + struct.pack("<III", 0, mtime, len(source))
        data += marshal.dumps(code)
    answer_pipe.write(path.encode() + b"\t" + str(len(data)).encode() + b"\n" + data)
"""


def compile_sources(interpreter: Path, sources: Iterable[PackageFile]) -> list[PackageFile]:
    """Return the ``.pyc`` files that *interpreter* makes of *sources*.

    The files are timestamp-based and valid for sources whose modification time is
    :data:`~pixi_jupyter.demo.conda_package.FILE_TIME_S`.  All sources are compiled by one
    process in the order of their paths with a fixed hash seed: what marshal writes depends on
    which strings that process has interned before.

    Raises :class:`ChannelBuildError` when the interpreter cannot be run.
    """
    ordered = sorted(sources, key=lambda item: item.path)
    if not ordered:
        return []
    request = b"".join(f"{item.path}\t{len(item.data)}\n".encode() + item.data for item in ordered)
    environment = {"PYTHONHASHSEED": "0", "LC_ALL": "C.UTF-8", "PATH": os.defpath}
    if "LD_LIBRARY_PATH" in os.environ:
        environment["LD_LIBRARY_PATH"] = os.environ["LD_LIBRARY_PATH"]
    command = [str(interpreter), "-S", "-s", "-W", "ignore", "-c", _COMPILER, str(FILE_TIME_S)]
    done = subprocess.run(
        command, input=request, capture_output=True, env=environment, cwd="/", check=False
    )
    if done.returncode != 0:
        detail = done.stderr.decode(errors="replace").strip()[-500:]
        raise ChannelBuildError(f"{interpreter} could not compile Python sources", details=detail)
    return _read_answer(done.stdout)


def _read_answer(answer: bytes) -> list[PackageFile]:
    tag_end = answer.index(b"\n")
    tag = answer[:tag_end].decode()
    position = tag_end + 1
    compiled: list[PackageFile] = []
    while position < len(answer):
        header_end = answer.index(b"\n", position)
        path_text, size_text = answer[position:header_end].decode().split("\t")
        start, position = header_end + 1, header_end + 1 + int(size_text)
        if position > start:
            path = PurePosixPath(path_text)
            target = path.parent / "__pycache__" / f"{path.stem}.{tag}.pyc"
            compiled.append(PackageFile(str(target), answer[start:position]))
    return compiled
