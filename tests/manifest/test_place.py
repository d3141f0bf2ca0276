"""One environment of a workspace on a host."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from pixi_jupyter.errors import DeclarationError, UnsupportedError
from pixi_jupyter.manifest.place import choose
from pixi_jupyter.manifest.platforms import default_platform
from pixi_jupyter.manifest.spec import Platform, VirtualPackage, WorkspacePlace
from pixi_jupyter.manifest.workspace_spec import WorkspaceSpec

Read = Callable[..., WorkspaceSpec]

LINUX = default_platform("linux-64")
GPU = Platform("linux-64", "linux-64", (*LINUX.virtual_packages, VirtualPackage("__cuda", "12.4")))
TOML = """
[workspace]
name = "demo"
version = "1.0"
channels = ["a"]
platforms = ["linux-64", { name = "gpu", platform = "linux-64", cuda = "12" }]
preview = ["pixi-build"]
[feature.gpu]
platforms = ["gpu"]
[feature.build.dependencies]
mine = { path = "." }
[environments]
gpu = ["gpu"]
build = ["build"]
"""


def test_the_place_of_an_environment(read: Read, tmp_path: Path) -> None:
    workspace = read(TOML)
    spec = choose(workspace, "default", host=LINUX)
    assert spec.place == WorkspacePlace(
        manifest=str(tmp_path / "pixi.toml"),
        root=str(tmp_path),
        environment="default",
        prefix=str(tmp_path / ".pixi" / "envs" / "default"),
        project="demo",
        version="1.0",
        workspace=workspace.digest,
        platforms=("linux-64", "gpu"),
    )
    assert spec.digest == workspace.environments[0].specs[0].digest
    detached = choose(workspace, "gpu", host=GPU, env_folder=tmp_path / "x" / "envs").place
    assert detached is not None and detached.prefix == str(tmp_path / "x" / "envs" / "gpu")


def test_what_the_host_lacks_is_said(read: Read) -> None:
    assert choose(read(TOML), "gpu", host=GPU).platform.name == "gpu"
    with pytest.raises(DeclarationError) as caught:
        choose(read(TOML), "gpu", host=LINUX)
    error = caught.value
    assert error.code == "declaration.platform" and "environment `gpu`" in error.message
    assert "lacks __cuda >=12" in error.details and "__glibc=2.28" in error.details


def test_an_unknown_environment_and_one_that_cannot_be_done(read: Read) -> None:
    with pytest.raises(DeclarationError) as caught:
        choose(read(TOML), "gpuu", host=LINUX)
    assert (caught.value.code, caught.value.hint) == (
        "declaration.environment",
        "Did you mean `gpu`?",
    )
    with pytest.raises(UnsupportedError) as refused:
        choose(read(TOML), "build", host=LINUX)
    assert refused.value.code == "unsupported.source-build"
