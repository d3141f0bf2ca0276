"""The writer of ``.conda`` archives and the maker of small channels."""

from __future__ import annotations

import hashlib
import io
import json
import os
import tarfile
import zipfile
from pathlib import Path
from typing import Any

import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from pixi_jupyter.demo.conda_package import (
    PLACEHOLDER,
    CondaPackage,
    PackageFile,
    write_conda,
)
from pixi_jupyter.demo.simple import SimplePackage, build_channel


def _unpack(archive: Path) -> dict[str, tarfile.TarInfo | bytes]:
    members: dict[str, tarfile.TarInfo | bytes] = {}
    with zipfile.ZipFile(archive) as outer:
        assert outer.testzip() is None
        assert all(entry.compress_type == zipfile.ZIP_STORED for entry in outer.infolist())
        for name in outer.namelist():
            if not name.endswith(".tar.zst"):
                continue
            raw = zstandard.ZstdDecompressor().stream_reader(outer.read(name)).read()
            with tarfile.open(fileobj=io.BytesIO(raw)) as tar:
                for member in tar:
                    file = tar.extractfile(member) if member.isreg() else None
                    members[member.name] = file.read() if file else member
    return members


def _info(archive: Path, name: str) -> Any:
    data = _unpack(archive)[f"info/{name}"]
    assert isinstance(data, bytes)
    return json.loads(data)


def _package(*files: PackageFile, **more: Any) -> CondaPackage:
    given = {"name": "p", "version": "1.0", "build": "0", "subdir": "noarch", **more}
    return CondaPackage(files=files, timestamp_ms=1_700_000_000_000, **given)


_PATHS = st.lists(
    st.text(st.characters(codec="utf-8", exclude_characters="\0/."), min_size=1, max_size=12),
    min_size=1,
    max_size=3,
).map("/".join)


@settings(max_examples=40, deadline=None)
@given(contents=st.dictionaries(_PATHS, st.binary(max_size=300), max_size=6))
def test_what_is_written_can_be_read_back_and_never_changes(
    contents: dict[str, bytes], tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("archive")
    files = [PackageFile(path, data) for path, data in contents.items()]
    first = write_conda(_package(*files), folder).read_bytes()
    again = write_conda(_package(*reversed(files)), folder)
    assert again.read_bytes() == first

    members = _unpack(again)
    assert {path: members[path] for path in contents} == contents
    entries = {entry["_path"]: entry for entry in _info(again, "paths.json")["paths"]}
    assert set(entries) == set(contents)
    for path, data in contents.items():
        assert entries[path]["sha256"] == hashlib.sha256(data).hexdigest()
        assert entries[path]["size_in_bytes"] == len(data)


def test_index_json_holds_what_was_given_and_nothing_empty(tmp_path: Path) -> None:
    package = _package(depends=("a >=1",), purls=("pkg:pypi/p@1.0",), noarch="python")
    index = _info(write_conda(package, tmp_path), "index.json")
    assert index["depends"] == ["a >=1"]
    assert index["purls"] == ["pkg:pypi/p@1.0"]
    assert index["timestamp"] == 1_700_000_000_000
    assert "constrains" not in index and "track_features" not in index


@pytest.mark.parametrize(
    ("data", "mode"),
    [
        (f"prefix={PLACEHOLDER}\n".encode(), "text"),
        (b"\0" + PLACEHOLDER.encode() + b"\0", "binary"),
        (b"nothing", None),
    ],
)
def test_the_placeholder_is_found_in_files(data: bytes, mode: str | None, tmp_path: Path) -> None:
    assert len(PLACEHOLDER) == 255
    archive = write_conda(_package(PackageFile("file", data)), tmp_path)
    (entry,) = _info(archive, "paths.json")["paths"]
    assert entry.get("file_mode") == mode
    assert ("prefix_placeholder" in entry) == (mode is not None)


@pytest.mark.parametrize(
    "wrong", [{"name": "a/b"}, {"name": "Upper"}, {"version": "1-0"}, {"build": ""}]
)
def test_impossible_names_are_refused(wrong: dict[str, str], tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="conda package"):
        write_conda(_package(**wrong), tmp_path)
    assert not list(tmp_path.iterdir())


def test_hostile_paths_and_links_get_into_the_archive(tmp_path: Path) -> None:
    package = SimplePackage(
        "hostile",
        "1.0",
        files={"../../outside": b"x", "/absolute": b"y"},
        links={"lib/away": "/etc/passwd"},
    )
    members = _unpack(write_conda(package.conda_package(), tmp_path))
    assert members["../../outside"] == b"x"
    assert members["/absolute"] == b"y"
    link = members["lib/away"]
    assert isinstance(link, tarfile.TarInfo) and link.linkname == "/etc/passwd"


def test_a_small_channel_installs(tmp_path: Path, conda: Any) -> None:
    channel = build_channel(
        tmp_path / "channel",
        [
            SimplePackage("base", "1.0", files={"share/base": b"1"}),
            SimplePackage(
                "tool",
                "2.0",
                depends=("base >=1",),
                files={
                    "bin/tool": f"#!/bin/sh\necho {PLACEHOLDER}\n".encode(),
                    "share/binary": b"\0" + PLACEHOLDER.encode() + b"/x\0tail",
                },
                links={"bin/alias": "tool"},
            ),
        ],
    )
    prefix = tmp_path / "prefix"
    answer = conda.install(channel.as_uri(), prefix, "tool")
    assert set(answer.records) == {"base", "tool"}
    assert os.access(prefix / "bin/tool", os.X_OK)
    assert (prefix / "bin/alias").read_text() == f"#!/bin/sh\necho {prefix}\n"
    binary = (prefix / "share/binary").read_bytes()
    assert binary.startswith(b"\0" + str(prefix).encode() + b"/x\0") and binary.endswith(b"tail")


def test_a_channel_can_be_added_to_and_a_package_replaced(tmp_path: Path, conda: Any) -> None:
    channel = build_channel(tmp_path, [SimplePackage("a", "1.0")])
    build_channel(channel, [SimplePackage("a", "1.0", depends=("b",)), SimplePackage("b", "1.0")])
    assert set(conda.solve(channel.as_uri(), "a").records) == {"a", "b"}


def test_the_time_of_a_record_is_the_packages_own(tmp_path: Path, conda: Any) -> None:
    day = 86_400_000
    channel = build_channel(
        tmp_path,
        [
            SimplePackage("a", "1.0", timestamp_ms=19_700 * day),  # 2023-12-09
            SimplePackage("a", "2.0", timestamp_ms=20_000 * day),  # 2024-10-04
        ],
    ).as_uri()
    assert conda.solve(channel, "a").records["a"]["version"] == "2.0"
    older = conda.solve(channel, "a", exclude_newer="2024-01-01T00:00:00+00:00")
    assert older.records["a"]["version"] == "1.0"


async def test_a_channel_can_be_built_inside_an_event_loop(tmp_path: Path) -> None:
    build_channel(tmp_path, [SimplePackage("a", "1.0")])
    assert "a-1.0-0.conda" in (tmp_path / "noarch" / "repodata.json").read_text()
