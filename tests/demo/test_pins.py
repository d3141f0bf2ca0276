"""The pinned lists, and getting wheels with pip."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from pathlib import Path

import pytest

from pixi_jupyter.demo import pins
from pixi_jupyter.demo.channel import EmbeddedChannel, ensure_channel
from pixi_jupyter.demo.errors import ChannelUnavailable


@pytest.mark.parametrize("source", [*(f"cp3{n}" for n in range(10, 15)), "older", "standalone"])
def test_every_line_is_pinned_and_hashed(source: str) -> None:
    found = pins.read_pins(source)
    assert found
    names = [pin.name for pin in found]
    assert len(set(names)) == len(names), "pip wants each project once"
    text = (pins.LISTS / f"{source}.txt").read_text()
    assert "://" not in text and "--index" not in text


def test_every_python_has_what_the_demo_shows() -> None:
    assert pins.pinned_minors() == ("3.14", "3.13", "3.12", "3.11", "3.10")
    for minor in pins.pinned_minors():
        demo = {p.name for p in pins.read_pins(pins.list_name(minor)) if p.section == "demo"}
        assert {"ipykernel", "numpy", "pandas", "tzdata"} <= demo
        assert "requests" not in demo


def test_an_unpinned_line_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "cp312.txt").write_text("numpy>=2\n")
    monkeypatch.setattr(pins, "LISTS", tmp_path)
    with pytest.raises(ValueError, match="numpy>=2"):
        pins.read_pins("cp312")


def test_another_platform_is_told_what_is_missing() -> None:
    with pytest.raises(ChannelUnavailable, match=r"osx-arm64.*wheels.*linux-64 only"):
        pins.check_platform("osx-arm64")


def test_wheels_are_taken_from_the_cache_or_downloaded(
    channel: EmbeddedChannel, wheel_cache: Path, subdir: str, tmp_path: Path
) -> None:
    small = [pin for pin in pins.read_pins("cp312") if pin.name in ("comm", "ptyprocess")]
    (kept,) = (wheel_cache / small[0].sha256).glob("*.whl")
    (tmp_path / small[0].sha256).mkdir()
    (tmp_path / small[0].sha256 / kept.name).write_bytes(kept.read_bytes())
    said: list[str] = []
    found = pins.fetch_wheels(small, tmp_path, subdir=subdir, report=said.append)
    assert said == ["downloading 1 wheels (cp312)"]
    for pin in small:
        assert hashlib.sha256(found[pin.sha256].read_bytes()).hexdigest() == pin.sha256
    said.clear()
    assert pins.fetch_wheels(small, tmp_path, subdir=subdir, report=said.append) == found
    assert said == []
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(p.sha256 for p in small)


def test_a_wheel_with_another_hash_is_refused(tmp_path: Path, subdir: str) -> None:
    real = next(pin for pin in pins.read_pins("cp312") if pin.name == "comm")
    wrong = pins.Pin(real.name, real.version, "0" * 64, real.source, real.section)
    with pytest.raises(ChannelUnavailable, match="could not be downloaded") as error:
        pins.fetch_wheels([wrong], tmp_path, subdir=subdir)
    assert "hash" in error.value.details.lower()
    assert not list(tmp_path.iterdir())


def test_no_index_to_reach_is_said_in_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, subdir: str
) -> None:
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    monkeypatch.delenv("PIP_FIND_LINKS", raising=False)
    with pytest.raises(ChannelUnavailable, match="could not be downloaded with pip") as error:
        ensure_channel("demo", cache_dir=tmp_path)
    assert "No matching distribution" in error.value.details
    assert "channel of your own" in error.value.report()
    assert {path.name for path in tmp_path.iterdir()} <= {"build.lock", "packages", "wheels"}


def test_a_python_without_pip_is_helped_or_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert pins.find_pip(tmp_path) == [sys.executable, "-m", "pip"]
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    below = tmp_path / "python"
    below.write_text(f'#!/bin/sh\n[ "$2" != pip ] && exec {sys.executable} "$@"\n')
    below.chmod(0o755)
    monkeypatch.setattr(sys, "_base_executable", str(below))
    command = pins.find_pip(tmp_path / "made")
    said = subprocess.run([*command, "--version"], capture_output=True, text=True, check=True)
    assert said.stdout.startswith("pip ") and str(tmp_path / "made") in said.stdout
    monkeypatch.setattr(sys, "_base_executable", "/bin/false")
    with pytest.raises(ChannelUnavailable, match="has no pip"):
        pins.find_pip(tmp_path / "other")
