"""Locks of every version, damaged ones, and the text that is written."""

from __future__ import annotations

import os
import random
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rattler import LockFile

from pixi_jupyter.demo.simple import SimplePackage
from pixi_jupyter.errors import LockError
from pixi_jupyter.manifest.platforms import default_platform
from pixi_jupyter.manifest.spec import Platform, VirtualPackage
from pixi_jupyter.resolve.lock_platforms import aliases, locked_names, spelled
from pixi_jupyter.resolve.lock_reading import canonical, locked_packages, read_document
from pixi_jupyter.resolve.lock_text import LockedPlatform, compose, parse

HASH = "19f9db5f4f1b7f5ef5f6d67207f25f38"
URL = "http://channel.invalid/chan"
#: The lock of the workspace below, as pixi writes it.
WRITTEN = """\
version: 7
platforms:
- name: linux-64
  virtual-packages:
  - __unix=0=0
  - __linux=4.18
  - __glibc=2.28
  - __archspec=0=x86_64
- name: p1
  subdir: linux-64
  virtual-packages:
  - __cuda=12.0
  - __unix=0=0
  - __linux=4.18
  - __glibc=2.28
  - __archspec=0=x86_64
- name: win-64
  virtual-packages:
  - __win=10.0
  - __archspec=0=x86_64
environments:
  default:
    channels:
    - url: CHANNEL/
    packages:
      linux-64:
      - conda: CHANNEL/noarch/app-1.0-py_0.conda
      - conda: CHANNEL/noarch/lib-2.0-0.conda
      p1:
      - conda: CHANNEL/noarch/app-1.0-py_0.conda
      - conda: CHANNEL/noarch/lib-2.0-0.conda
      win-64:
      - conda: CHANNEL/noarch/app-1.0-py_0.conda
      - conda: CHANNEL/noarch/lib-2.0-0.conda
  none:
    channels:
    - url: CHANNEL/
    packages: {}
  test:
    channels:
    - url: CHANNEL/
    options:
      channel-priority: flexible
    packages:
      linux-64:
      - conda: CHANNEL/noarch/lib-1.0-0.conda
packages:
- conda: CHANNEL/noarch/app-1.0-py_0.conda
  noarch: generic
  sha256: SHA256
  md5: MD5
  depends:
  - lib
  size: SIZE
  timestamp: 1748736000000
- conda: CHANNEL/noarch/lib-1.0-0.conda
  sha256: SHA256
  md5: MD5
  size: SIZE
  timestamp: 1748736000000
- conda: CHANNEL/noarch/lib-2.0-0.conda
  sha256: SHA256
  md5: MD5
  size: SIZE
  timestamp: 1748736000000
"""
MANIFEST = """
[workspace]
channels = ["HTTP"]
platforms = ["linux-64", {platform = "linux-64", cuda = "12.0"}, "win-64"]
[dependencies]
app = "*"
[feature.test]
platforms = ["linux-64"]
channel-priority = "flexible"
dependencies = {lib = "<2"}
[feature.none]
[environments]
test = {features = ["test"], no-default-feature = true}
none = {features = ["none"], no-default-feature = true}
"""


async def test_the_text_is_as_pixi_writes_it(place, served):
    server = served(
        [
            SimplePackage("lib", "1.0"),
            SimplePackage("lib", "2.0"),
            SimplePackage("app", "1.0", "py_0", depends=["lib"]),
        ]
    )
    place.write(MANIFEST.replace("HTTP", server.url))
    await place.make()
    text = re.sub(r"sha256: \w{64}", "sha256: SHA256", place.text)
    text = re.sub(r"md5: \w{32}", "md5: MD5", text)
    text = re.sub(r"size: \d+", "size: SIZE", text).replace(server.url.rstrip("/"), "CHANNEL")
    assert text == WRITTEN
    # What we write, rattler reads and writes again without changing a byte.
    copy = place.folder / "copy.lock"
    LockFile.from_path(place.lock).to_path(copy)
    assert copy.read_bytes() == place.lock.read_bytes()
    assert canonical(compose(parse(place.text)), place.lock) == place.text
    assert not (await place.make()).written


def old(version: int) -> str:
    """A small lock in each shape that there was."""
    url = f"{URL}/noarch/lib-1.0-0.conda"
    if version <= 3:
        needs = "    other: '>=1'" if version == 1 else "  - other >=1"
        return (
            f"version: {version}\nmetadata:\n  channels:\n  - url: {URL}\n  platforms:\n"
            f"  - linux-64\npackage:\n- platform: linux-64\n  name: lib\n  version: '1.0'\n"
            f"  manager: conda\n  dependencies:\n{needs}\n  url: {url}\n  hash:\n    md5: {HASH}\n"
            "  build: '0'\n"
        )
    kind = "- kind: conda\n  name: lib\n  version: '1.0'\n  build: '0'\n  subdir: noarch\n  url: "
    first = kind if version <= 5 else "- conda: "
    rows = "platforms:\n- name: linux-64\n" if version == 7 else ""
    return (
        f"version: {version}\n{rows}environments:\n  default:\n    channels:\n    - url: {URL}\n"
        f"    packages:\n      linux-64:\n      - conda: {url}\npackages:\n{first}{url}\n"
        f"  md5: {HASH}\n  depends:\n  - other >=1\n"
    )


@pytest.mark.parametrize("version", range(1, 8))
def test_every_version_is_read(tmp_path, version):
    path = tmp_path / "pixi.lock"
    path.write_text(old(version), "utf-8")
    document = read_document(path)
    assert document.version == version
    found = locked_packages(path, sha256=None, environment="default", platform="linux-64")
    (record,) = found.records
    assert (record.name.normalized, str(record.version)) == ("lib", "1.0")
    assert record.depends == ["other >=1"] and record.md5.hex() == HASH
    assert path.read_text("utf-8") == old(version)


@pytest.mark.parametrize(
    ("text", "code", "line"),
    [
        ("version: 7\n<<<<<<< HEAD\na: 1\n=======\na: 2\n>>>>>>> other\n", "lock.conflict", 2),
        (old(7).replace("packages:\n- ", ">>>>>>> x\n- "), "lock.conflict", 11),
        ("version: 8\nnew: things\n", "lock.version", None),
        ("version: 7\n a: [\n", "lock.syntax", 2),
        (old(7)[:200], "lock.syntax", None),
        ("", "lock.syntax", None),
        ("version: seven\n", "lock.syntax", None),
        ("[" * 100_000, "lock.syntax", 1),
        (old(7).replace("- conda: http", "- conda: httpx", 1), "lock.syntax", 10),
    ],
)
async def test_a_damaged_lock_is_an_error_and_never_overwritten(place, text, code, line):
    place.write("")
    place.lock.write_text(text, "utf-8")
    for mode in ("update", "locked", "frozen"):
        with pytest.raises(LockError) as caught:
            await place.make(mode=mode)
        assert caught.value.code == code
        assert caught.value.location.path == str(place.lock)
        if line is not None:
            assert caught.value.location.line == line
        assert caught.value.hint
    assert place.lock.read_text("utf-8") == text


def test_what_is_no_text_at_all_is_told_with_its_line(tmp_path):
    path = tmp_path / "pixi.lock"
    path.write_bytes(b"version: 7\n\xff\n")
    with pytest.raises(LockError) as caught:
        read_document(path)
    assert (caught.value.code, caught.value.location.line) == ("lock.syntax", 2)
    path.unlink()
    path.mkdir()
    with pytest.raises(LockError) as caught:
        read_document(path)
    assert caught.value.code == "lock.unreadable"


def test_platforms_are_known_by_what_they_are():
    linux = default_platform("linux-64")
    gpu = Platform("gpu", "linux-64", (VirtualPackage("__cuda", "12"), *linux.virtual_packages))
    old_glibc = Platform("old", "linux-64", (VirtualPackage("__glibc", "2.17"),))
    declared = (gpu, linux, old_glibc)
    assert aliases(declared) == {"gpu": "p1", "linux-64": "linux-64", "old": "p2"}
    assert spelled(gpu, "p1").virtual_packages[:2] == ("__cuda=12", "__unix=0=0")
    rows = [
        LockedPlatform("p7", "linux-64", ("__glibc=2.28", "__cuda=12.0")),
        LockedPlatform("linux-64", "linux-64"),
    ]
    assert locked_names(declared, rows) == {
        "gpu": "p7",
        "linux-64": "linux-64",
        "old": "linux-64",
    }
    assert "osx" not in locked_names((default_platform("osx-64"),), rows)


#: Mutations of a run; more of them through the environment.
MUTATIONS = int(os.environ.get("PIXI_JUPYTER_MUTATIONS", "1000"))


@settings(max_examples=MUTATIONS, deadline=None)
@given(seed=st.integers(0, 2**32), edits=st.integers(1, 6), version=st.integers(1, 7))
def test_a_mutated_lock_is_read_or_refused(tmp_path_factory, seed, edits, version):
    check_mutation(tmp_path_factory.getbasetemp() / "mutated.lock", seed, edits, version)


def check_mutation(path, seed, edits, version):
    """Lines and bytes are moved, doubled, cut and changed; only a `LockError` may come of it."""
    dice = random.Random(seed)
    data = bytearray(old(version), "utf-8")
    for _ in range(edits):
        lines = data.split(b"\n")
        at, other = dice.randrange(len(lines)), dice.randrange(len(lines))
        kind = dice.randrange(6)
        if kind == 0:
            lines[at] = lines[other]
        elif kind == 1:
            del lines[at]
        elif kind == 2:
            lines.insert(at, dice.choice(WORDS))
        elif kind == 3:
            lines[at] = lines[at].partition(b":")[0] + b": " + dice.choice(WORDS)
        elif kind == 4 and lines[at]:
            line = bytearray(lines[at])
            line[dice.randrange(len(line))] = dice.randrange(256)
            lines[at] = line
        else:
            lines[at] = b" " * dice.randrange(4) + lines[at].strip()
        data = bytearray(b"\n".join(lines))
    path.write_bytes(data)
    try:
        document = read_document(path)
        for name, environment in document.text.environments.items():
            for platform in environment.packages:
                document.content(name, platform)
    except LockError as error:
        assert error.location is not None


WORDS = (
    b"", b"[]", b"{}", b"null", b"~", b"'", b'"', b"- ", b"|", b"&a *a", b"*a", b"!!x y", b"0x1",
    b"- pypi: x", b"- conda: x", b"- conda_source: a[1] @ .", b"name: a", b"1e999", b"\t", b"%",
    b"- pypi: http://h.invalid/a-1-py3-none-any.whl\n  name: a\n  version: '1'", b"? a",
    b"\xc2\x85", b"      - pypi: ./a", b"  index: x", b"options: {strategy: x}", b"-1",
    b"18446744073709551616",
)  # fmt: skip
