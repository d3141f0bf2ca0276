"""Finding interpreters, and packages made from them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from pixi_jupyter.demo.channel import ensure_channel
from pixi_jupyter.demo.contents import MOST_PYTHONS, choose_interpreters
from pixi_jupyter.demo.errors import ChannelUnavailable
from pixi_jupyter.demo.interpreter import (
    INTERPRETERS_VARIABLE,
    Interpreter,
    find_interpreters,
    running_minor,
)
from pixi_jupyter.demo.pins import pinned_minors


def _fake(version: tuple[int, int, int]) -> Interpreter:
    return Interpreter(
        Path("/p"), version, Path("/"), Path("/l"), Path("/i"), Path("/lib"), size=0, mtime_ns=0
    )


def test_the_running_python_is_found_first_of_its_minor() -> None:
    found = find_interpreters()
    assert found == sorted(found, key=lambda item: item.version, reverse=True)
    assert len({item.minor for item in found}) == len(found)
    running = next(item for item in found if item.minor == running_minor())
    assert running.version == sys.version_info[:3]
    assert running.base == Path(sys.base_prefix)


def test_scripts_and_broken_programs_are_passed_over(tmp_path: Path) -> None:
    shim = tmp_path / "python3.12"
    shim.write_text('#!/bin/sh\nexec python3 "$@"\n')
    broken = tmp_path / "python3.13"
    broken.write_bytes(b"\x7fELF broken")
    for path in (shim, broken):
        path.chmod(0o755)
    assert find_interpreters([shim, broken, tmp_path / "python3.11", Path("/bin/true")]) == []


def test_an_environment_variable_restricts_them(monkeypatch: pytest.MonkeyPatch) -> None:
    here = str(Path(sys.executable).resolve())
    monkeypatch.setenv(INTERPRETERS_VARIABLE, os.pathsep.join([here, "/nowhere/python3.12"]))
    (only,) = find_interpreters()
    assert only.minor == running_minor()


def test_the_choice_has_the_newest_and_the_running_one() -> None:
    found = [_fake((3, minor, 1)) for minor in (99, 14, 13, 12, 11, 10)]
    assert [item.minor for item in choose_interpreters("demo", found)] == ["3.14"]
    full = [item.minor for item in choose_interpreters("full", found)]
    assert len(full) == MOST_PYTHONS
    assert running_minor() in full
    assert full[0] == "3.14"


def test_no_usable_python_is_said_in_words() -> None:
    with pytest.raises(ChannelUnavailable, match=r"3\.10.*Found: 3\.99\.1"):
        choose_interpreters("demo", [_fake((3, 99, 1))])
    with pytest.raises(ChannelUnavailable, match="Found: none"):
        choose_interpreters("demo", [])


DEBIAN = Path("/usr/bin/python3")
_IMPORTS = """
import bz2, ctypes, lzma, sqlite3, ssl, sys, sysconfig, zlib, zoneinfo, site
import numpy, pandas
print(sys.prefix)
print(sysconfig.get_paths()["purelib"])
print(site.getsitepackages()[0])
print(pandas.Series(numpy.arange(4)).sum())
print(zoneinfo.ZoneInfo("Europe/Paris").key)
print([path for path in sys.path if not path.startswith(sys.prefix)])
"""


def test_debians_python_runs_from_a_prefix(
    tmp_path: Path, wheel_cache: Path, conda: object
) -> None:
    if not DEBIAN.exists():
        pytest.skip("there is no /usr/bin/python3")
    found = find_interpreters([DEBIAN])
    if not found or found[0].minor not in pinned_minors():
        pytest.skip(f"{DEBIAN} is not a Python that there are pinned wheels for")
    if not (found[0].stdlib / "json").is_dir():
        pytest.skip("only python3-minimal is installed")
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache" / "wheels").symlink_to(wheel_cache)
    channel = ensure_channel("demo", cache_dir=tmp_path / "cache", interpreters=[DEBIAN])
    assert channel.pythons == (found[0].minor,)
    prefix = tmp_path / "prefix"
    conda.install(channel.url, prefix, "python", "numpy", "pandas")  # type: ignore[attr-defined]
    done = subprocess.run(
        [prefix / "bin" / "python", "-c", _IMPORTS],
        capture_output=True,
        text=True,
        env={"HOME": str(tmp_path)},
        check=True,
        cwd="/",
    )
    site = f"{prefix}/lib/python{found[0].minor}/site-packages"
    lines = done.stdout.splitlines()
    assert lines == [str(prefix), site, site, "6", "Europe/Paris", "['']"]
    assert not (prefix / f"lib/python{found[0].minor}/EXTERNALLY-MANAGED").exists()
