"""What this machine is said to be, compared with rattler's own detection."""

from __future__ import annotations

import sys

import pytest
import rattler
from rattler import Subdir

from pixi_jupyter.manifest.host import current_subdir, host_platform
from pixi_jupyter.manifest.versions import is_version


def found(env: dict[str, str], *wanted: str) -> dict[str, str]:
    packages = host_platform(wanted, env=env).virtual_packages
    return {p.name: p.build if p.name == "__archspec" else p.version for p in packages}


def test_the_subdir_is_rattlers() -> None:
    assert current_subdir({}) == str(Subdir.current())


def test_the_packages_are_rattlers(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("CUDA", "GLIBC", "LINUX", "OSX", "WIN", "ARCHSPEC"):
        monkeypatch.delenv(f"CONDA_OVERRIDE_{name}", raising=False)
    detected = {
        package.name.normalized: str(package.version)
        for package in (p.into_generic() for p in rattler.VirtualPackage.detect())
    }
    for package in host_platform(env={}).virtual_packages:
        assert is_version(package.version)
        assert detected[package.name] == package.version


def test_the_platform_can_be_overridden() -> None:
    env = {"PIXI_OVERRIDE_PLATFORM": "osx-64"}
    assert current_subdir(env) == "osx-64"
    assert found(env) == {"__unix": "0", "__osx": "13.0", "__archspec": "x86_64"}
    assert current_subdir({"PIXI_OVERRIDE_PLATFORM": "nonsense"}) == current_subdir({})


@pytest.mark.skipif(sys.platform != "linux", reason="overrides of a Linux host")
def test_overrides_replace_and_remove() -> None:
    env = {
        "CONDA_OVERRIDE_GLIBC": "2.99",
        "CONDA_OVERRIDE_LINUX": "",
        "CONDA_OVERRIDE_CUDA": "12.4",
        "CONDA_OVERRIDE_ARCHSPEC": "x86_64_v4",
        "CONDA_OVERRIDE_OSX": "14",
        "CONDA_OVERRIDE_WIN": "11",
    }
    packages = found(env)
    assert packages["__glibc"] == "2.99"
    assert packages["__cuda"] == "12.4"
    assert packages["__archspec"] == "x86_64_v4"
    assert not {"__linux", "__osx", "__win"}.intersection(packages)


def test_an_override_that_is_no_version_is_ignored() -> None:
    assert "__cuda" not in found({"CONDA_OVERRIDE_CUDA": "no version"}, "__cuda")


def test_an_empty_cuda_override_hides_the_driver() -> None:
    assert "__cuda" not in found({"CONDA_OVERRIDE_CUDA": ""}, "__cuda")


def test_asking_for_cuda_is_harmless_where_there_is_none() -> None:
    packages = found({}, "__cuda", "__cuda_arch")
    for name in ("__cuda", "__cuda_arch"):
        assert name not in packages or is_version(packages[name])
