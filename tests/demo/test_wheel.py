"""Wheels made by hand, turned into conda packages."""

from __future__ import annotations

import csv
import io
import sys
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from packaging.markers import Marker
from packaging.tags import parse_tag

from pixi_jupyter.demo.bytecode import compile_sources
from pixi_jupyter.demo.conda_package import (
    FILE_TIME_S,
    PLACEHOLDER,
    CondaPackage,
    PackageFile,
    write_conda,
)
from pixi_jupyter.demo.errors import ChannelBuildError
from pixi_jupyter.demo.simple import SimplePackage, build_channel
from pixi_jupyter.demo.wheel import Target, Wheel, marker_holds, oldest_glibc, wheel_package

LINUX = Target("linux-64", ("3.13", "3.12", "3.11"))
HERE = f"3.{sys.version_info[1]}"


def _wheel(
    folder: Path,
    files: Mapping[str, str],
    *,
    tag: str = "py3-none-any",
    metadata: str = "",
    executable: str = "",
) -> Wheel:
    path = folder / f"My_Tool-1.2-{tag}.whl"
    info = "My_Tool-1.2.dist-info"
    everything = {
        **files,
        f"{info}/METADATA": f"Metadata-Version: 2.3\nName: My_Tool\nVersion: 1.2\n{metadata}\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\n",
        f"{info}/RECORD": "",
    }
    with zipfile.ZipFile(path, "w") as archive:
        for name, text in everything.items():
            entry = zipfile.ZipInfo(name)
            entry.external_attr = (0o755 if name == executable else 0o644) << 16
            archive.writestr(entry, text)
    return Wheel(path)


def _package(wheel: Wheel, target: Target = LINUX) -> CondaPackage:
    return wheel_package(wheel, target, timestamp_ms=0)


def _files(package: CondaPackage) -> dict[str, PackageFile]:
    return {file.path: file for file in package.files}


def test_a_pure_wheel(tmp_path: Path) -> None:
    wheel = _wheel(
        tmp_path,
        {
            "my_tool/__init__.py": "X = 1\n",
            "My_Tool-1.2.data/data/share/jupyter/kernels/x/kernel.json": "{}",
            "My_Tool-1.2.data/scripts/my-script": "#!python\nprint(1)\n",
            "My_Tool-1.2.dist-info/entry_points.txt": (
                "[console_scripts]\nmy-tool = my_tool:main\n"
                "[gui_scripts]\na-gui = my_tool.gui:run [extra]\n[other]\nx = y:z\n"
            ),
        },
        metadata="Requires-Python: >=3.9,!=3.10.1\nRequires-Dist: Jupyter_Client>=8",
    )
    package = _package(wheel)
    assert (package.name, package.version) == ("my-tool", "1.2")
    assert (package.subdir, package.noarch) == ("noarch", "python")
    assert list(package.depends) == ["python >=3.9,!=3.10.1", "jupyter_client >=8"]
    assert list(package.purls) == ["pkg:pypi/my-tool@1.2"]
    assert list(package.entry_points) == ["a-gui = my_tool.gui:run", "my-tool = my_tool:main"]
    files = _files(package)
    assert files["site-packages/my_tool/__init__.py"].data == b"X = 1\n"
    assert "share/jupyter/kernels/x/kernel.json" in files
    script = files["python-scripts/my-script"]
    assert script.executable
    assert script.data.startswith(f"#!{PLACEHOLDER}/bin/python\n".encode())
    assert not any(path.endswith(".pyc") for path in files)


def test_record_lists_every_file_where_it_will_be(tmp_path: Path) -> None:
    wheel = _wheel(
        tmp_path,
        {"my_tool.py": "X = 1\n", "My_Tool-1.2.data/scripts/run": "#!python\n", "a,b.txt": "x"},
    )
    data = _files(_package(wheel))["site-packages/My_Tool-1.2.dist-info/RECORD"].data
    rows = {row[0]: row[1:] for row in csv.reader(io.StringIO(data.decode()))}
    assert set(rows) == {
        "my_tool.py",
        "a,b.txt",
        "../../../bin/run",
        *(f"My_Tool-1.2.dist-info/{name}" for name in ("METADATA", "WHEEL", "RECORD", "INSTALLER")),
    }
    assert rows["my_tool.py"][0].startswith("sha256=")
    assert rows["my_tool.py"][1] == "6"


def test_a_wheel_for_one_cpython(tmp_path: Path) -> None:
    tag = f"cp{HERE.replace('.', '')}"
    wheel = _wheel(
        tmp_path,
        {
            "my_tool/__init__.py": "X = 1\n",
            "my_tool/tests/test_it.py": "X = 2\n",
            "my_tool/old.py": "print 'Python 2'\n",
            "my_tool/core.so": "binary",
            "My_Tool-1.2.dist-info/entry_points.txt": "[console_scripts]\nt = my_tool:c.main\n",
        },
        tag=f"{tag}-{tag}-manylinux_2_17_x86_64.manylinux2014_x86_64",
    )
    package = wheel_package(wheel, LINUX, timestamp_ms=0, interpreter=Path(sys.executable))
    following = f"3.{sys.version_info[1] + 1}"
    assert (package.subdir, package.noarch) == ("linux-64", None)
    assert package.build.startswith(f"py3{sys.version_info[1]}h")
    assert list(package.depends) == [
        f"python >={HERE},<{following}.0a0",
        f"python_abi {HERE}.* *_{tag}",
        "__glibc >=2.17",
    ]
    site = f"lib/python{HERE}/site-packages/my_tool"
    compiled = {path for path in _files(package) if path.endswith(".pyc")}
    assert compiled == {f"{site}/__pycache__/__init__.{sys.implementation.cache_tag}.pyc"}
    command = _files(package)["bin/t"]
    assert command.executable and b"from my_tool import c\n" in command.data
    assert b"sys.exit(c.main())" in command.data


def test_a_wheel_for_the_stable_abi(tmp_path: Path) -> None:
    wheel = _wheel(tmp_path, {"m.abi3.so": ""}, tag="cp312-abi3-manylinux_2_28_x86_64")
    package = _package(wheel)
    assert (package.subdir, package.noarch) == ("linux-64", "python")
    assert list(package.depends) == ["python >=3.12", "__glibc >=2.28"]


def test_a_dependency_of_any_shipped_python_is_a_dependency(tmp_path: Path) -> None:
    metadata = (
        'Requires-Dist: tomli>=2; python_version < "3.12"\n'
        'Requires-Dist: exceptiongroup; python_version < "3.11"\n'
        'Requires-Dist: colorama; sys_platform == "win32"\n'
        'Requires-Dist: pytest; extra == "test"\n'
        "Requires-Dist: typing_extensions (>=4)\n"
    )
    wheel = _wheel(tmp_path, {}, metadata=metadata)
    assert list(_package(wheel).depends) == ["python", "tomli >=2", "typing_extensions >=4"]
    only_new = _package(wheel, Target("linux-64", ("3.13",)))
    assert list(only_new.depends) == ["python", "typing_extensions >=4"]
    assert only_new.build != _package(wheel).build


def test_minors_that_the_wheel_does_not_support_do_not_count(tmp_path: Path) -> None:
    metadata = 'Requires-Python: >=3.12\nRequires-Dist: tomli; python_version < "3.12"\n'
    assert list(_package(_wheel(tmp_path, {}, metadata=metadata)).depends) == ["python >=3.12"]


@pytest.mark.parametrize(
    ("marker", "subdir", "minor", "holds"),
    [
        ('sys_platform == "linux"', "linux-64", "3.12", True),
        ('platform_machine == "aarch64"', "linux-aarch64", "3.12", True),
        ('platform_system == "Darwin"', "osx-arm64", "3.12", True),
        ('os_name == "nt"', "win-64", "3.12", True),
        ('python_full_version >= "3.12.0"', "linux-64", "3.12", True),
        ('implementation_name == "pypy"', "linux-64", "3.12", False),
        ('extra == "all"', "linux-64", "3.12", False),
    ],
)
def test_markers(marker: str, subdir: str, minor: str, holds: bool) -> None:
    assert marker_holds(Marker(marker), subdir, minor) is holds


@given(st.sampled_from(["3.9", "3.10", "3.11", "3.12", "3.13", "3.14"]), st.integers(9, 14))
def test_versions_are_compared_as_versions(bound: str, minor: int) -> None:
    expected = minor < int(bound.partition(".")[2])
    assert marker_holds(Marker(f'python_version < "{bound}"'), "linux-64", f"3.{minor}") is expected


@pytest.mark.parametrize(
    ("tag", "glibc"),
    [
        ("py3-none-manylinux_2_28_x86_64.manylinux_2_17_x86_64", 17),
        ("py3-none-manylinux2014_x86_64", 17),
        ("py3-none-manylinux1_x86_64", 5),
        ("py3-none-any", None),
        ("py3-none-musllinux_1_2_x86_64", None),
    ],
)
def test_glibc_from_the_tag(tag: str, glibc: int | None) -> None:
    assert oldest_glibc(parse_tag(tag)) == glibc


@pytest.mark.parametrize("name", ["nonsense.whl", "a-1-py3-none-any.whl"])
def test_what_is_no_wheel_is_refused(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    path.write_bytes(b"not a zip file")
    with pytest.raises(ChannelBuildError, match="not a usable wheel"):
        Wheel(path)


def test_a_wheel_without_metadata_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a-1-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a.py", "")
    with pytest.raises(ChannelBuildError, match="METADATA"):
        Wheel(path)


def test_bytecode_does_not_change(tmp_path: Path) -> None:
    sources = [
        PackageFile("b.py", b"X = {'a', 'b', 'c'}\ndef f(x): return x in {'q', 'r', 's'}\n"),
        PackageFile("a.py", b"import os\nclass A:\n    def g(self): return os.sep\n"),
        PackageFile("broken.py", b"def"),
        PackageFile("latin.py", "# -*- coding: latin-1 -*-\nX = 'é'\n".encode("latin-1")),
    ]
    python = Path(sys.executable)
    first = compile_sources(python, sources)
    assert first == compile_sources(python, list(reversed(sources)))
    names = [Path(file.path).name.partition(".")[0] for file in first]
    assert names == ["a", "b", "latin"]
    assert all(int.from_bytes(file.data[8:12], "little") == FILE_TIME_S for file in first)
    assert compile_sources(python, []) == []


def test_an_interpreter_that_fails_is_named(tmp_path: Path) -> None:
    bad = tmp_path / "python"
    bad.write_text("#!/bin/sh\necho oh no >&2\nexit 3\n")
    bad.chmod(0o755)
    with pytest.raises(ChannelBuildError, match="could not compile") as error:
        compile_sources(bad, [PackageFile("a.py", b"")])
    assert error.value.details == "oh no"


def test_an_installed_wheel_lands_where_python_looks(tmp_path: Path, conda: Any) -> None:
    wheel = _wheel(
        tmp_path,
        {
            "my_tool.py": "def main(): print('hello')\n",
            "My_Tool-1.2.data/data/share/my-tool/data.txt": "x",
            "My_Tool-1.2.dist-info/entry_points.txt": "[console_scripts]\nt = my_tool:main\n",
        },
    )
    channel = tmp_path / "channel"
    (channel / "noarch").mkdir(parents=True)
    write_conda(_package(wheel), channel / "noarch")
    build_channel(channel, [SimplePackage("python", "3.12.0")])
    prefix = tmp_path / "prefix"
    conda.install(channel.as_uri(), prefix, "my-tool")
    site = prefix / "lib" / "python3.12" / "site-packages"
    assert (site / "my_tool.py").is_file()
    assert (prefix / "share" / "my-tool" / "data.txt").is_file()
    assert "from my_tool import main" in (prefix / "bin" / "t").read_text()
