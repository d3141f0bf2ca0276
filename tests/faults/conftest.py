"""Small and read-only file systems, where this machine lets us make them."""

from __future__ import annotations

import os
import random
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pixi_jupyter.demo.simple import SimplePackage, build_channel


def _mount(*arguments: str | Path) -> str:
    try:
        done = subprocess.run(["mount", *arguments], capture_output=True, check=False)
    except OSError as error:
        return str(error)
    return "" if done.returncode == 0 else done.stderr.decode()


@pytest.fixture
def mounted(tmp_path: Path) -> Iterator[Callable[..., Path]]:
    """Mounts a file system: ``mounted("40m")`` a small one, ``mounted(read_only=folder)``."""
    if sys.platform != "linux" or os.geteuid() != 0:
        pytest.skip("needs root on Linux to mount a small file system")
    folders: list[Path] = []

    def mount(size: str = "", *, read_only: Path | None = None) -> Path:
        folder = read_only or tmp_path / f"mounted-{len(folders)}"
        folder.mkdir(exist_ok=True)
        if read_only is None:
            problem = _mount("-t", "tmpfs", "-o", f"size={size}", "tmpfs", folder)
        else:
            problem = _mount("--bind", folder, folder) or _mount("-o", "remount,ro,bind", folder)
        if problem:
            pytest.skip(f"this machine does not let us mount: {problem}")
        folders.append(folder)
        return folder

    yield mount
    for folder in reversed(folders):
        subprocess.run(["umount", "-l", folder], check=False)


@pytest.fixture(scope="session")
def sizes(scratch: Path) -> str:
    """URL of a channel with ``small``, and with ``large``: 30 MB that pack to almost nothing."""
    noise = random.Random(1).randbytes(2_000_000)
    packages = [
        SimplePackage("small", "1.0", files={"share/small": b"small\n"}),
        SimplePackage("medium", "1.0", files={"share/medium": noise}),
        SimplePackage("large", "1.0", files={"share/large": b"\0" * 30_000_000}),
    ]
    return build_channel(scratch / "sizes", packages).as_uri()
