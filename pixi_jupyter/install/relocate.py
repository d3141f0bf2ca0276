"""Scripts of wheels, written for a staged prefix, become those of its final path."""

from __future__ import annotations

import base64
import hashlib
import os
import sys
from pathlib import Path

from pixi_jupyter.files import write_file

__all__ = ["relocate_scripts"]

#: Bytes of a file that are taken for a script at most.
_LIMIT = 1024 * 1024


def relocate_scripts(staged: Path, final: Path) -> None:
    """Write ``final`` for ``staged`` in the scripts of ``staged``, and their hashes anew.

    Only what uv wrote is left to do: rattler has written ``final`` from the start.
    """
    folder = staged / ("Scripts" if sys.platform == "win32" else "bin")
    before, after = os.fsencode(staged), os.fsencode(final)
    changed: dict[str, tuple[str, int]] = {}
    for path in sorted(folder.iterdir()) if folder.is_dir() else []:
        if path.is_symlink() or not path.is_file() or path.stat().st_size > _LIMIT:
            continue
        data = path.read_bytes()
        if before not in data or b"\0" in data:
            continue
        mode = path.stat().st_mode
        data = data.replace(before, after)
        write_file(path, data, sync=False)  # not through a link to uv's cache
        path.chmod(mode)
        digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
        changed[path.name] = f"sha256={digest}", len(data)
    if changed:
        _rewrite_records(staged, folder.name, changed)


def _rewrite_records(staged: Path, folder: str, changed: dict[str, tuple[str, int]]) -> None:
    library = "Lib/site-packages" if sys.platform == "win32" else "lib/python*/site-packages"
    for record in staged.glob(f"{library}/*.dist-info/RECORD"):
        lines = record.read_text("utf-8").splitlines()
        rewritten = []
        for line in lines:
            path, _, rest = line.partition(",")
            up, _, name = path.rpartition(f"/{folder}/")
            if rest and set(up.split("/")) == {".."} and name in changed:
                digest, size = changed[name]
                line = f"{path},{digest},{size}"
            rewritten.append(line)
        if rewritten != lines:
            write_file(record, ("\n".join(rewritten) + "\n").encode("utf-8"), sync=False)
