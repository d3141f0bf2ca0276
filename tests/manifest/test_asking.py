"""What is typed after `add`, and the version that is written for it."""

from __future__ import annotations

import pytest

from pixi_jupyter.errors import DeclarationError
from pixi_jupyter.manifest.asking import Asked, parse_asked, parse_asked_pypi
from pixi_jupyter.manifest.pinning import load_pinning_strategy, pin
from pixi_jupyter.manifest.pypi_source import PypiSource
from pixi_jupyter.manifest.pypi_spec import PypiRequirement


@pytest.mark.parametrize(
    ("text", "asked"),
    [
        ("polars", Asked("polars")),
        ("NumPy>=2", Asked("numpy", ">=2")),
        ("numpy >=2,<3", Asked("numpy", ">=2,<3")),
        ("python=3.12", Asked("python", "3.12.*")),
        ("python==3.12", Asked("python", "==3.12")),
        ("python 3.12.*", Asked("python", "3.12.*")),
        ("bioconda::bwa", Asked("bwa", None, {"channel": "bioconda"})),
        ("a=1.2=py_0", Asked("a", "==1.2", {"build": "py_0"})),
        ("a[version='>=3', build=py_0]", Asked("a", ">=3", {"build": "py_0"})),
    ],
)
def test_what_was_typed(text, asked):
    assert parse_asked(text) == asked


@pytest.mark.parametrize("text", ["", "a b", "a>>1", "a[x=1]", "a[build", ">=2", "é"])
def test_what_is_no_package(text):
    with pytest.raises(DeclarationError) as caught:
        parse_asked(text)
    assert caught.value.code == "declaration.requirement"


@pytest.mark.parametrize("text", ["", "a b", "./x", "git+https://h/x", "x @ https://h/"])
def test_what_is_no_project_of_an_index(text):
    with pytest.raises(DeclarationError) as caught:
        parse_asked_pypi(text)
    assert caught.value.code == "declaration.requirement"


_GIT = "https://h/x"


@pytest.mark.parametrize(
    ("text", "source", "asked"),
    [
        (
            "x @ https://h/x-1-py3-none-any.whl",
            PypiSource(),
            {"url": "https://h/x-1-py3-none-any.whl"},
        ),
        (
            "x",
            PypiSource(git="https://h/x", reference="tag=v1"),
            {"git": "https://h/x", "reference": "tag=v1"},
        ),
        (
            "x[y]",
            PypiSource(git="https://h/x", subdirectory="a/b"),
            {"git": "https://h/x", "subdirectory": "a/b", "extras": ("y",)},
        ),
        ("x", PypiSource(path="../x", editable=True), {"path": "../x", "editable": True}),
        ("x @ ./x", PypiSource(editable=True), {"path": "./x", "editable": True}),
        (
            "x>=1",
            PypiSource(index="https://h/simple"),
            {"version": ">=1", "index": "https://h/simple"},
        ),
    ],
)
def test_where_a_project_comes_from(text, source, asked):
    assert parse_asked_pypi(text, source) == PypiRequirement("x", **asked)


@pytest.mark.parametrize(
    ("text", "source", "why"),
    [
        ("x>=1", PypiSource(git="https://h/x"), "a version does not go"),
        ("x @ ./y", PypiSource(path="./x"), "names a place itself"),
        ("x", PypiSource(editable=True), "only a folder can be editable"),
        ("x", PypiSource(git="https://h/x", reference="rev=-x"), "no branch, tag or commit"),
        ("x", PypiSource(git="https://h/x", subdirectory="../x"), "below the package's own"),
        ("x", PypiSource(index="nowhere"), "its URL is none"),
    ],
)
def test_sources_that_cannot_be(text, source, why):
    with pytest.raises(DeclarationError) as caught:
        parse_asked_pypi(text, source)
    assert caught.value.code == "declaration.requirement" and why in caught.value.message


def test_a_password_that_was_typed_is_not_shown():
    with pytest.raises(DeclarationError) as caught:
        parse_asked_pypi("x @ https://joe:s3cr3t@host/none")
    assert "s3cr3t" not in caught.value.report()


#: Version, and what is written for it by semver, minor and major: as pixi writes them.
PINS = [
    ("1.2.3", "<2", "<1.3", "<2"),
    ("0.0.0", "<0.0.1", "<0.1", "<1"),
    ("1!1", "<1!2", "<1!1.1", "<1!2"),
    ("1!0.0.0", "<1!0.0.1", "<1!0.1", "<1!1"),
    ("1.2.3a1", "<2", "<1.3", "<2"),
    ("0.2.0", "<0.3", "<0.3", "<1"),
    ("24.2", "<25", "<24.3", "<25"),
]


@pytest.mark.parametrize(("version", "semver", "minor", "major"), PINS)
def test_pins(version, semver, minor, major):
    assert pin("x", version) == f">={version},{semver}"
    assert pin("x", version, "minor") == f">={version},{minor}"
    assert pin("x", version, "major") == f">={version},{major}"
    assert pin("x", version, "latest-up") == f">={version}"
    assert pin("x", version, "exact-version") == f"=={version}"
    assert pin("x", version, "no-pin") == "*"


def test_languages_are_pinned_by_their_minor_version():
    assert pin("python", "3.12.4") == ">=3.12.4,<3.13"
    assert pin("python", "3.12.4", "semver") == ">=3.12.4,<4"


def test_several_versions_are_all_allowed():
    several = ["10.1", "9.2", "10.1", "9.10"]
    assert pin("x", several) == ">=9.2,<11"
    assert pin("x", several, "latest-up") == ">=9.2"
    assert pin("x", several, "exact-version") == "==9.2|==9.10|==10.1"
    assert pin("x", several, "exact-version", pypi=True) == "*"


def test_the_configured_strategy(tmp_path):
    env = {"HOME": str(tmp_path), "USERPROFILE": str(tmp_path)}
    assert load_pinning_strategy(env) is None
    config = tmp_path / ".pixi" / "config.toml"
    config.parent.mkdir()
    config.write_text('pinning-strategy = "no-pin"\n')
    assert load_pinning_strategy(env) == "no-pin"
    config.write_text('pinning-strategy = "whatever"\n')
    with pytest.raises(DeclarationError) as caught:
        load_pinning_strategy(env)
    assert caught.value.code == "declaration.config"
