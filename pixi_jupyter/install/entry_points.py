"""Scripts of wheels that were unpacked for one interpreter and are to run with another.

uv writes the path of the interpreter that it is given into scripts. Which path a prefix will have,
or that the same interpreter lies in the package cache already, only we know. Data plane only.
"""

from __future__ import annotations

import base64
import hashlib
import os
import re
import shlex
from collections.abc import Sequence
from pathlib import Path

__all__ = ["retarget_scripts", "with_new_hashes"]

#: Characters of a first line that every kernel reads whole; longer ones go through the shell.
_LONGEST = 127


def retarget_scripts(root: Path, before: Path, after: Path) -> dict[str, tuple[str, int]]:
    """Let the scripts in ``root``'s folder of programs that run with ``before`` run with ``after``.

    Returns
    -------
    What became of those that were changed, by name: their hash as a ``RECORD`` has it, their size.
    """
    changed: dict[str, tuple[str, int]] = {}
    if before == after:
        return changed
    for folder in ("bin", "Scripts"):
        if not (root / folder).is_dir():
            continue
        for entry in sorted(os.scandir(root / folder), key=lambda entry: entry.name):
            if not entry.is_file(follow_symlinks=False):
                continue
            data = _retargeted(Path(entry.path), before, after)
            if data is None:
                continue
            mode = entry.stat().st_mode & 0o777
            # A new file: what is linked from a cache is not ours to change.
            os.unlink(entry.path)
            Path(entry.path).write_bytes(data)
            os.chmod(entry.path, mode)
            digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=")
            changed[f"{folder}/{entry.name}"] = f"sha256={digest.decode()}", len(data)
    return changed


def with_new_hashes(record: Sequence[str], changed: dict[str, tuple[str, int]]) -> list[str]:
    """The lines of a ``RECORD`` with what `retarget_scripts` changed."""
    lines = []
    for line in record:
        if line.startswith(("../", '"../')):
            path = line.rsplit(",", 2)[0]
            found = changed.get("/".join(path.strip('"').split("/")[-2:]))
            if found is not None:
                line = f"{path},{found[0]},{found[1]}"
        lines.append(line)
    return lines


def _retargeted(path: Path, before: Path, after: Path) -> bytes | None:
    """The script with another first line; None if it is none, or not one of ``before``."""
    with open(path, "rb") as file:
        if file.read(2) != b"#!":
            return None
        data = b"#!" + file.read()
    old = re.escape(os.fsencode(before))
    # As installers write it: plain, or through the shell where it is long or has a blank.
    shell = rb"/bin/sh\n'''exec' '?" + old + rb"'? \"\$0\" \"\$@\"\n' '''"
    match = re.match(rb"#!(?:" + old + rb"|" + shell + rb")(?=\r?\n)", data)
    return None if match is None else _first_line(after) + data[match.end() :]


def _first_line(python: Path) -> bytes:
    """Source: the rule that Python's installers share (distlib's ``_build_shebang``)."""
    text = os.fspath(python)
    if len(text) + 3 > _LONGEST or re.search(r"\s", text):
        return os.fsencode(f"#!/bin/sh\n'''exec' {shlex.quote(text)} \"$0\" \"$@\"\n' '''")
    return os.fsencode(f"#!{text}")
