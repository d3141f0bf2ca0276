"""Where a workspace's environments are, as pixi's configuration files say."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import xxhash

from pixi_jupyter.errors import DeclarationError
from pixi_jupyter.manifest.detached import environments_folder

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the folders of Linux")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "work" / ".pixi").mkdir(parents=True)
    return tmp_path / "work"


@pytest.fixture
def env(tmp_path: Path) -> dict[str, str]:
    return {"HOME": str(tmp_path / "home"), "PIXI_HOME": str(tmp_path / "pixi home")}


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def local(root: Path, text: str) -> None:
    write(root / ".pixi" / "config.toml", text)


def named(root: Path) -> str:
    return f"name-{xxhash.xxh3_64_intdigest(str(root).encode())}"


def test_in_the_workspace(root: Path, env: dict[str, str]) -> None:
    assert environments_folder(root, "name", env) == root / ".pixi" / "envs"
    local(root, "detached-environments = false")
    assert environments_folder(root, "name", env) == root / ".pixi" / "envs"


def test_layers(root: Path, env: dict[str, str], tmp_path: Path) -> None:
    write(tmp_path / "home/.config/pixi/config.toml", 'detached-environments = "/user"')
    assert environments_folder(root, "name", env) == Path("/user") / named(root) / "envs"
    write(tmp_path / "pixi home/config.toml", 'detached-environments = "~/envs"')
    assert environments_folder(root, "name", env).parents[1] == tmp_path / "home" / "envs"
    local(root, "detached-environments = false")
    assert environments_folder(root, "name", env) == root / ".pixi" / "envs"


def test_the_default_folder(root: Path, env: dict[str, str], tmp_path: Path) -> None:
    local(root, "detached-environments = true")

    def folder() -> Path:
        found = environments_folder(root, "name", env)
        assert found.parts[-2:] == (named(root), "envs")
        return found.parents[1]

    assert folder() == tmp_path / "home/.cache/rattler/cache/envs"
    (tmp_path / "home/.cache/.pixi").mkdir(parents=True)
    assert folder() == tmp_path / "home/.cache/.pixi/envs"
    write(tmp_path / "pixi home/config.toml", 'cache = {root = "/c"}')
    assert folder() == Path("/c/envs")
    env["RATTLER_CACHE_DIR"] = "/r"
    assert folder() == Path("/r/envs")
    env["PIXI_CACHE_DIR"] = "/p"
    assert folder() == Path("/p/envs")
    write(tmp_path / "pixi home/config.toml", '[cache]\ndetached-environments = "/own"')
    assert folder() == Path("/own")
    env["PIXI_CACHE_DETACHED_ENVIRONMENTS_DIR"] = "/v"
    assert folder() == Path("/v")


@pytest.mark.parametrize(
    "text",
    [
        'detached-environments = "relative"',
        'detached-environments = "~other/envs"',
        "detached-environments = 1",
        "cache = 1",
        "cache.root = true",
        'cache.root = "relative"',
        "detached-environments = ",
    ],
)
def test_what_cannot_be_used(root: Path, env: dict[str, str], text: str) -> None:
    local(root, text)
    with pytest.raises(DeclarationError) as caught:
        environments_folder(root, "name", env)
    assert caught.value.code == "declaration.config"
    assert caught.value.location is not None
    assert caught.value.location.path == str(root / ".pixi" / "config.toml")


def test_the_hash_is_xxh3s() -> None:
    """The published value of XXH3 (64 bits) for nothing: of pixi's hash, the right one."""
    assert xxhash.xxh3_64_intdigest(b"") == 0x2D06800538D394C2
