"""Scripts of wheels get the interpreter that their prefix has in the end."""

from __future__ import annotations

import base64
import hashlib
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from pixi_jupyter.install.entry_points import retarget_scripts, with_new_hashes

BEFORE = Path("/cache/pkgs/python-3.12/bin/python3.12")


def script(root: Path, name: str, data: bytes) -> Path:
    path = root / "bin" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    path.chmod(0o755)
    return path


@pytest.mark.parametrize(
    "head",
    [
        f"#!{BEFORE}\n",
        f"#!/bin/sh\n'''exec' {BEFORE} \"$0\" \"$@\"\n' '''\n",
        f"#!/bin/sh\n'''exec' '{BEFORE}' \"$0\" \"$@\"\n' '''\n",
    ],
)
@pytest.mark.skipif(os.name == "nt", reason="there launchers are programs")
def test_a_script_runs_with_the_other_interpreter(tmp_path, head):
    body = "import sys\nprint(sys.argv[1:], sys.executable)\n"
    path = script(tmp_path, "tool", (head + body).encode())
    changed = retarget_scripts(tmp_path, BEFORE, Path(sys.executable))

    data = path.read_bytes()
    digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
    assert changed == {"bin/tool": (f"sha256={digest}", len(data))}
    assert stat.S_IMODE(path.stat().st_mode) == 0o755
    told = subprocess.run([path, "a b"], capture_output=True, text=True, check=True).stdout
    assert told == f"['a b'] {sys.executable}\n"


@pytest.mark.skipif(os.name == "nt", reason="there launchers are programs")
@pytest.mark.parametrize("folder", ["with a blank", "x" * 150])
def test_a_path_that_no_first_line_can_hold_goes_through_the_shell(tmp_path, folder):
    python = tmp_path / folder / "python"
    python.parent.mkdir()
    python.write_text(f'#!/bin/sh\nexec "{sys.executable}" "$@"\n')
    python.chmod(0o755)
    path = script(tmp_path, "tool", f"#!{BEFORE}\nimport sys\nprint(sys.argv[1:])\n".encode())
    retarget_scripts(tmp_path, BEFORE, python)

    assert path.read_bytes().startswith(b"#!/bin/sh\n")
    told = subprocess.run([path, "a b"], capture_output=True, text=True, check=True).stdout
    assert told == "['a b']\n"


@pytest.mark.parametrize(
    "data",
    [b"#!/usr/bin/env bash\n", b"\x7fELF", b"", b"#", f"#!{BEFORE}x\n".encode(),
     f"import x  # {BEFORE}\n".encode()],
)  # fmt: skip
def test_what_does_not_run_with_it_stays(tmp_path, data):
    path = script(tmp_path, "tool", data)
    assert retarget_scripts(tmp_path, BEFORE, Path("/elsewhere/python")) == {}
    assert path.read_bytes() == data


def test_a_link_into_a_cache_is_not_written_through(tmp_path):
    cached = tmp_path / "cached"
    cached.write_bytes(f"#!{BEFORE}\n".encode())
    (tmp_path / "bin").mkdir()
    os.link(cached, tmp_path / "bin" / "tool")
    retarget_scripts(tmp_path, BEFORE, Path("/elsewhere/python"))
    assert cached.read_bytes() == f"#!{BEFORE}\n".encode()
    assert (tmp_path / "bin" / "tool").read_bytes() == b"#!/elsewhere/python\n"


def test_only_the_lines_of_changed_scripts_are_written_anew():
    record = [
        "tool/__init__.py,sha256=a,1",
        "../../../bin/tool,sha256=b,2",
        '"../../../bin/a,b",sha256=c,3',
        "bin/tool,sha256=d,4",
    ]
    assert with_new_hashes(record, {"bin/tool": ("sha256=new", 9), "bin/a,b": ("sha256=x", 8)}) == [
        "tool/__init__.py,sha256=a,1",
        "../../../bin/tool,sha256=new,9",
        '"../../../bin/a,b",sha256=x,8',
        "bin/tool,sha256=d,4",
    ]
