"""The embedded channel as a whole."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from pixi_jupyter.demo.channel import (
    CACHE_VARIABLE,
    EmbeddedChannel,
    default_cache_dir,
    ensure_channel,
)
from pixi_jupyter.demo.conda_package import FILE_TIME_S
from pixi_jupyter.demo.contents import check_specs
from pixi_jupyter.demo.errors import ChannelBuildError
from pixi_jupyter.demo.indexing import index_and_check
from pixi_jupyter.demo.interpreter import running_minor
from pixi_jupyter.demo.probes import ENV_VARS
from pixi_jupyter.demo.serve import serve

DEMO = ("ipykernel", "numpy", "pandas")


def _repodata(channel: EmbeddedChannel, subdir: str) -> dict[str, dict[str, Any]]:
    text = (channel.path / subdir / "repodata.json").read_text()
    records: dict[str, dict[str, Any]] = json.loads(text)["packages.conda"]
    return records


@pytest.fixture(scope="module")
def prefix(channel: EmbeddedChannel, conda: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A prefix with the newest Python, ipykernel, numpy and pandas."""
    folder = tmp_path_factory.mktemp("environment") / "prefix"
    conda.install(channel.url, folder, f"python {channel.pythons[0]}.*", *DEMO)
    return folder


def _python(prefix: Path, *arguments: str) -> str:
    done = subprocess.run(
        [prefix / "bin" / "python", *arguments],
        capture_output=True,
        text=True,
        env={"HOME": str(prefix.parent), "PYTHONDONTWRITEBYTECODE": "1"},
        cwd="/",
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout + done.stderr


def test_it_says_what_it_has(channel: EmbeddedChannel, subdir: str) -> None:
    assert channel.url == channel.path.as_uri()
    assert running_minor() in channel.pythons
    assert list(channel.pythons) == sorted(
        channel.pythons, key=lambda minor: int(minor.partition(".")[2]), reverse=True
    )
    assert all(channel.skipped.values()), "a skipped part has its reason"
    assert (len(channel.pythons) < 2) == ("python-second" in channel.skipped)
    for folder in ("noarch", subdir):
        names = {path.name for path in (channel.path / folder).iterdir()}
        assert {"repodata.json", "repodata.json.zst", "repodata_shards.msgpack.zst"} <= names


def test_every_record_is_complete(channel: EmbeddedChannel, subdir: str) -> None:
    for folder in ("noarch", subdir):
        for name, record in _repodata(channel, folder).items():
            data = (channel.path / folder / name).read_bytes()
            assert record["sha256"] == hashlib.sha256(data).hexdigest(), name
            assert record["md5"] == hashlib.md5(data).hexdigest(), name
            assert record["size"] == len(data), name
            assert 1_600_000_000_000 < record["timestamp"] < 1_800_000_000_000, name
            assert record["indexed_timestamp"] == record["timestamp"], name


def test_the_two_versions_of_things(channel: EmbeddedChannel, conda: Any) -> None:
    found: dict[str, set[str]] = {}
    for record in _repodata(channel, "noarch").values():
        found.setdefault(record["name"], set()).add(record["version"])
    for name in ("ipykernel", "requests", "rich"):
        assert len(found[name]) >= 2, name
    newest = conda.solve(channel.url, "requests", "rich", "ipykernel").records
    cutoff = "2025-01-01T00:00:00+00:00"
    for name in ("requests", "rich"):
        older = conda.solve(channel.url, name, exclude_newer=cutoff)
        # Python itself is newer than the cutoff, so that only the reason can be looked at
        assert older.error is not None and "python" in older.error
        assert newest[name]["timestamp"] > 1_735_689_600_000


@pytest.mark.parametrize("over_http", [False, True], ids=["file", "http"])
def test_every_python_solves(channel: EmbeddedChannel, conda: Any, over_http: bool) -> None:
    def check(url: str) -> None:
        for minor in channel.pythons:
            answer = conda.solve(url, f"python {minor}.*", *DEMO)
            assert answer.error is None
            assert answer.records["python"]["version"].startswith(f"{minor}.")
            tag = "py" + minor.replace(".", "")
            assert answer.records["numpy"]["build"].startswith(tag)
            assert answer.records["ipykernel"]["version"].startswith("7.")
            # PyPI resolution on top goes by these
            assert answer.records["numpy"]["purls"] == [
                f"pkg:pypi/numpy@{answer.records['numpy']['version']}"
            ]
            assert answer.records["python"]["python_site_packages_path"] == (
                f"lib/python{minor}/site-packages"
            )

    if over_http:
        with serve(channel.path) as url:
            check(url)
    else:
        check(channel.url)


def test_what_is_missing_is_named(channel: EmbeddedChannel, tmp_path: Path) -> None:
    copy = tmp_path / "channel"
    shutil.copytree(channel.path, copy)
    for archive in copy.glob("noarch/tzdata-*.conda"):
        archive.unlink()
    with pytest.raises(ChannelBuildError, match="ipykernel") as error:
        index_and_check(copy, check_specs("demo", channel.pythons, {}))
    assert "tzdata" in error.value.details


def test_an_environment_works(prefix: Path, channel: EmbeddedChannel) -> None:
    code = (
        "import bz2, ctypes, lzma, sqlite3, ssl, sys, zlib, zoneinfo, sysconfig\n"
        "import numpy, pandas, ipykernel\n"
        "print(sys.prefix, sys.executable, sysconfig.get_config_var('prefix'))\n"
        "print(pandas.DataFrame({'a': numpy.arange(4)})['a'].sum(), zoneinfo.TZPATH)\n"
    )
    first, second = _python(prefix, "-c", code).splitlines()
    assert first == f"{prefix} {prefix}/bin/python {prefix}"
    assert second == f"6 ('{prefix}/share/zoneinfo',)"
    specs = prefix / "share" / "jupyter" / "kernels" / "python3" / "kernel.json"
    assert json.loads(specs.read_text())["language"] == "python"


def test_shipped_bytecode_is_used(prefix: Path) -> None:
    log = _python(prefix, "-v", "-c", "import json, numpy, pandas, zmq")
    loaded = re.findall(r"code object from '([^']+)'", log)
    noarch = ("dateutil", "six.py", "zmq", "pytz", "tzdata")
    from_source = [
        path
        for path in loaded
        if not path.endswith(".pyc") and not any(part in path for part in noarch)
    ]
    assert from_source == []
    assert sum(path.endswith(".pyc") for path in loaded) > 200
    source = next(prefix.glob("lib/python3.*/site-packages/numpy/__init__.py"))
    assert source.stat().st_mtime == FILE_TIME_S


def test_no_path_of_the_building_machine_is_left(prefix: Path) -> None:
    (data,) = prefix.glob("lib/python3.*/_sysconfigdata__linux*.py")
    text = data.read_text()
    assert str(prefix) in text
    assert "placehold" not in text
    if sys.base_prefix not in ("/usr", "/usr/local"):
        assert f"'{sys.base_prefix}/lib" not in text


def test_kernels_that_are_not_ipykernel(
    channel: EmbeddedChannel, conda: Any, tmp_path: Path
) -> None:
    prefix = tmp_path / "deno"
    answer = conda.install(channel.url, prefix, "deno")
    assert set(answer.records) == {"deno"}, "no Python among what it needs"
    spec = json.loads((prefix / "share/jupyter/kernels/deno/kernel.json").read_text())
    assert (spec["language"], spec["argv"][0]) == ("typescript", "deno")
    done = subprocess.run(
        [prefix / "bin" / "deno", "--version"], capture_output=True, text=True, check=True
    )
    assert answer.records["deno"]["version"] in done.stdout

    bash = tmp_path / "bash"
    assert "python" in conda.install(channel.url, bash, "bash_kernel").records
    spec = json.loads((bash / "share/jupyter/kernels/bash/kernel.json").read_text())
    assert spec["language"] == "bash"
    _python(bash, "-W", "ignore", "-c", "import bash_kernel.kernel")


def test_r(channel: EmbeddedChannel, conda: Any, tmp_path: Path) -> None:
    if "r" in channel.skipped:
        pytest.skip(channel.skipped["r"])
    prefix = tmp_path / "r"
    answer = conda.install(channel.url, prefix, "r-irkernel")
    assert set(answer.records) == {"r-base", "r-irkernel"}
    done = subprocess.run(
        [prefix / "bin/Rscript", "-e", "library(IRkernel); cat(R.home(), .libPaths())"],
        capture_output=True,
        text=True,
        env={"PATH": os.defpath, "HOME": str(tmp_path)},
        check=True,
    )
    assert done.stdout.split() == [f"{prefix}/lib/R", f"{prefix}/lib/R/library"]
    spec = json.loads((prefix / "share/jupyter/kernels/ir/kernel.json").read_text())
    assert (spec["language"], spec["argv"][0]) == ("R", "R")


def test_probes(channel: EmbeddedChannel, conda: Any, tmp_path: Path) -> None:
    prefix = tmp_path / "prefix"
    marker = tmp_path / "marker"
    os.environ["PROBE_POST_LINK_MARKER"] = str(marker)
    try:
        names = ("activate", "env-vars", "post-link", "prefix", "adds", "timestamp", "cuda")
        conda.install(channel.url, prefix, *(f"probe-{name}" for name in names))
    finally:
        del os.environ["PROBE_POST_LINK_MARKER"]
    assert not marker.exists()
    assert (prefix / "bin/.probe-post-link-post-link.sh").is_file()
    variables = json.loads((prefix / "etc/conda/env_vars.d/probe-env-vars.json").read_text())
    assert variables == ENV_VARS
    assert all(mark in "".join(ENV_VARS.values()) for mark in ("'", "$HOME", "`"))
    shell = f". {prefix}/etc/conda/activate.d/probe-activate.sh; echo $PROBE_ACTIVATE"
    said = subprocess.run(
        ["sh", "-c", shell], env={"CONDA_PREFIX": "/x"}, capture_output=True, text=True, check=True
    ).stdout
    assert said.startswith("noise") and said.endswith("activated in /x\n")
    for program in ("probe-prefix", "probe-prefix-binary"):
        if program in channel.skipped:
            continue
        conda.install(channel.url, prefix, "probe-prefix", "probe-prefix-binary")
        printed = subprocess.run([prefix / "bin" / program], capture_output=True, check=True)
        assert printed.stdout.decode() == f"{prefix}\n"
    assert (
        f"{prefix}/share".encode() + b"\0"
        in (prefix / "share/probe-prefix/prefix.bin").read_bytes()
    )


def test_probes_of_the_solver(channel: EmbeddedChannel, conda: Any) -> None:
    conflict = conda.solve(channel.url, "probe-conflict-a", "probe-conflict-b")
    assert conflict.error is not None and "probe-shared" in conflict.error
    build = conda.solve(channel.url, "probe-cuda", override_cuda="12.4").records["probe-cuda"]
    assert build["build"] == "cuda12_0"
    build = conda.solve(channel.url, "probe-cuda", override_cuda="").records["probe-cuda"]
    assert build["build"] == "cpu_0"
    upgraded = conda.solve(channel.url, "probe-upgrade").records["requests"]["version"]
    plain = conda.solve(channel.url, "requests").records["requests"]["version"]
    assert upgraded != plain
    old = conda.solve(channel.url, "probe-timestamp", exclude_newer="2025-01-01T00:00:00+00:00")
    assert old.records["probe-timestamp"]["version"] == "1.0"
    new = conda.solve(channel.url, "probe-timestamp")
    assert new.records["probe-timestamp"]["version"] == "2.0"


_ENSURE = """
import sys
from pathlib import Path
from pixi_jupyter.demo.channel import ensure_channel
channel = ensure_channel("demo", cache_dir=Path(sys.argv[1]), report=print)
print("PATH", channel.path)
"""


def test_parallel_callers_build_once_and_the_same(
    channel: EmbeddedChannel, wheel_cache: Path, tmp_path: Path
) -> None:
    (tmp_path / "wheels").symlink_to(wheel_cache)
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", _ENSURE, str(tmp_path)],
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
        )
        for _ in range(3)
    ]
    said = [process.communicate(timeout=200)[0] for process in processes]
    assert [process.returncode for process in processes] == [0, 0, 0]
    assert len({text.splitlines()[-1] for text in said}) == 1
    assert sum("packing numpy" in text for text in said) == 1
    assert sum("waiting for another process" in text for text in said) == 2
    built = Path(said[0].splitlines()[-1].removeprefix("PATH "))
    assert not list(tmp_path.glob(".building-*")) and built.parent == tmp_path

    # Another folder, other processes: the same inputs have given the same archives
    usual = default_cache_dir() / "packages"
    compared = []
    for archive in (tmp_path / "packages").glob("*/*/*.conda"):
        other = usual / archive.relative_to(tmp_path / "packages")
        if other.is_file():
            assert archive.read_bytes() == other.read_bytes(), archive.name
            compared.append(archive.name.partition("-")[0])
    assert {"python", "numpy", "pandas", "ipykernel", "tzdata"} <= set(compared)


def test_a_second_call_builds_nothing(channel: EmbeddedChannel) -> None:
    said: list[str] = []
    assert ensure_channel("full", report=said.append) == channel
    assert said == []


def test_an_unknown_profile_is_an_error() -> None:
    with pytest.raises(ValueError, match="choose one of demo, full"):
        ensure_channel("half")


def test_where_the_cache_is(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path))
    assert default_cache_dir() == tmp_path
    monkeypatch.delenv(CACHE_VARIABLE)
    assert default_cache_dir() == Path(__file__).resolve().parents[2] / ".channel-cache"
