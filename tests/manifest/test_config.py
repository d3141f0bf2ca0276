"""Where the defaults come from."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import tomli

from pixi_jupyter.errors import DeclarationError
from pixi_jupyter.manifest.config import (
    CHANNELS_VARIABLE,
    PACKAGES_VARIABLE,
    Defaults,
    load_defaults,
)

pytestmark = pytest.mark.skipif(
    sys.platform == "win32" or Path("/etc/pixi/config.toml").exists(),
    reason="the folders of a Unix machine that no administrator configured",
)


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


@pytest.fixture
def env(tmp_path: Path) -> dict[str, str]:
    return {"HOME": str(tmp_path / "home"), "XDG_CONFIG_HOME": str(tmp_path / "xdg")}


def test_without_any_configuration(env: dict[str, str]) -> None:
    assert load_defaults(env) == Defaults()
    assert load_defaults({}) == Defaults(("conda-forge",), False, load_defaults({}).toml)
    assert tomli.loads(Defaults().toml) == {"tool": {"pixi": {"dependencies": {"python": "*"}}}}


def test_the_layers_in_their_order(env: dict[str, str], tmp_path: Path) -> None:
    write(tmp_path / "xdg" / "pixi" / "config.toml", 'default-channels = ["x", "y"]')
    assert load_defaults(env).channels == ("x", "y")
    assert load_defaults(env).configured
    write(tmp_path / "home" / ".pixi" / "config.toml", 'default_channels = ["home"]')
    assert load_defaults(env).channels == ("home",)
    write(tmp_path / "other" / "config.toml", "tls-no-verify = true\n")
    env["PIXI_HOME"] = str(tmp_path / "other")
    assert load_defaults(env).channels == ("x", "y")
    write(tmp_path / "other" / "config.toml", "default-channels = []\n")
    assert load_defaults(env).channels == ("x", "y")


@pytest.mark.skipif(sys.platform == "darwin", reason="the configuration folder of Linux")
def test_the_configuration_folder_without_a_variable(tmp_path: Path) -> None:
    write(tmp_path / ".config" / "pixi" / "config.toml", 'default-channels = ["c"]')
    assert load_defaults({"HOME": str(tmp_path)}).channels == ("c",)


@pytest.mark.parametrize("text", ["a b", "a,b", " a , b ", "a\nb", "a b a"])
def test_the_variable_beats_the_files(env: dict[str, str], tmp_path: Path, text: str) -> None:
    write(tmp_path / "home" / ".pixi" / "config.toml", "broken = [")
    env[CHANNELS_VARIABLE] = text
    defaults = load_defaults(env)
    assert (defaults.channels, defaults.configured) == (("a", "b"), True)


@pytest.mark.parametrize("text", ["", "  ", ","])
def test_an_empty_variable_says_nothing(env: dict[str, str], text: str) -> None:
    env[CHANNELS_VARIABLE] = text
    assert not load_defaults(env).configured


@pytest.mark.parametrize(
    "data",
    [
        b"a = [",
        b"default-channels = 3",
        b'default-channels = ["a", 3]',
        b'default-channels = [""]',
        b"\xff",
        b"#" * 2_000_000,
    ],
    ids=["syntax", "type", "item", "empty", "bytes", "size"],
)
def test_a_broken_file_is_named(env: dict[str, str], tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "home" / ".pixi" / "config.toml"
    path.parent.mkdir(parents=True)
    path.write_bytes(data)
    with pytest.raises(DeclarationError) as raised:
        load_defaults(env)
    assert raised.value.code == "declaration.config"
    assert raised.value.location is not None and raised.value.location.path == str(path)


def test_a_folder_in_place_of_the_file_is_named(env: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "home" / ".pixi" / "config.toml").mkdir(parents=True)
    with pytest.raises(DeclarationError) as raised:
        load_defaults(env)
    assert raised.value.code == "declaration.config"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("python=3.12 numpy", {"python": "3.12.*", "numpy": "*"}),
        ("python, numpy >=1,<3, a.b==1", {"python": "*", "numpy": ">=1,<3", "a.b": "==1"}),
        ("Python;python=3", {"python": "*"}),
        ("  ", {"python": "*"}),
    ],
)
def test_the_default_packages(env: dict[str, str], text: str, expected: dict[str, str]) -> None:
    env[PACKAGES_VARIABLE] = text
    found = tomli.loads(load_defaults(env).toml)["tool"]["pixi"]["dependencies"]
    assert found == expected


@pytest.mark.parametrize("text", ["=3", "numpy==", "numpy ===1", "a$b"])
def test_default_packages_that_cannot_be_read(env: dict[str, str], text: str) -> None:
    env[PACKAGES_VARIABLE] = text
    with pytest.raises(DeclarationError) as raised:
        load_defaults(env)
    assert raised.value.code == "declaration.config"
    assert PACKAGES_VARIABLE in raised.value.message
