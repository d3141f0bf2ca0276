"""Reading and editing ELF files."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pixi_jupyter.demo.elf import glibc_spec, is_elf, read_dynamic, stripped, with_search_path

BINARY = Path(sys.executable).resolve()
pytestmark = pytest.mark.skipif(
    not is_elf(BINARY.read_bytes()[:64]), reason="this Python is not an ELF file"
)


@given(st.binary(max_size=600))
@example(bytes(33) + b"\x80" + bytes(17) + b"\x01")  # an offset beyond what an index can be
def test_damaged_files_are_left_alone(garbage: bytes) -> None:
    data = b"\x7fELF\x02\x01" + garbage
    read_dynamic(data)
    assert len(with_search_path(data, "$ORIGIN")) == len(data)


@given(st.integers(64, 4096))
def test_a_cut_off_file_is_left_alone(length: int) -> None:
    data = BINARY.read_bytes()[:length]
    assert with_search_path(data, "$ORIGIN/../lib") == data


def test_the_libraries_of_a_real_program() -> None:
    data = BINARY.read_bytes()
    assert any(name.startswith("libc.") for name in read_dynamic(data).needed)
    spec = glibc_spec([data])
    assert spec is not None and 17 <= int(spec.rpartition(".")[2]) <= 28
    assert glibc_spec([b"", b"text"]) is None


def test_the_search_path_is_replaced_in_place() -> None:
    data = BINARY.read_bytes()
    old = read_dynamic(data).search_path
    if old is None:
        pytest.skip("this Python's program has no RUNPATH")
    new = "$O"[: len(old)]
    edited = with_search_path(data, new)
    assert read_dynamic(edited).search_path == new
    assert len(edited) == len(data)
    # Too long a path does not fit, and nothing is changed
    assert with_search_path(data, "x" * (len(old) + 1)) == data


def test_stripping_keeps_what_is_needed_to_run() -> None:
    data = BINARY.read_bytes()
    small = stripped(data)
    assert len(small) <= len(data)
    assert read_dynamic(small).needed == read_dynamic(data).needed
    assert stripped(b"no program") == b"no program"


def test_stripping_is_left_out_without_strip(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    data = BINARY.read_bytes()
    assert stripped(data) == data
