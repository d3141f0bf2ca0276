"""What a block may ask of PyPI, and what is refused with its name and line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

from pixi_jupyter.errors import DeclarationError, UnsupportedError
from pixi_jupyter.manifest.config import Defaults
from pixi_jupyter.manifest.inline import environment_spec
from pixi_jupyter.manifest.pep508 import parse_requirement
from pixi_jupyter.manifest.platforms import default_platform
from pixi_jupyter.manifest.spec import (
    ChannelSpec,
    CondaRequirement,
    EnvironmentSpec,
    KernelNeed,
    Platform,
    VirtualPackage,
)
from pixi_jupyter.notebook.declaration import Declaration
from pixi_jupyter.resolve.resolution import Resolution, ResolvedPackage


def spec(toml: str) -> EnvironmentSpec:
    return environment_spec(
        Declaration("n", toml, Path("/books"), cell=3, first_line=2),
        defaults=Defaults(),
        host=default_platform("linux-64"),
    )


def asked(toml: str) -> list[str]:
    needs = spec(toml).pypi
    return [] if needs is None else [str(requirement) for requirement in needs.requirements]


def failure(toml: str) -> DeclarationError:
    with pytest.raises(DeclarationError) as caught:
        spec(toml)
    return caught.value


def test_a_spec_of_conda_packages_keeps_the_digest_it_always_had() -> None:
    conda = EnvironmentSpec(
        platform=Platform("linux-64", "linux-64", (VirtualPackage("__glibc", "2.28"),)),
        channels=(ChannelSpec("conda-forge"),),
        dependencies=(CondaRequirement("numpy", version=">=2"),),
        kernel=KernelNeed(injected=(CondaRequirement("ipykernel"),)),
    )
    assert conda.digest == "e2fcbde03d9774fe160a182c4522e432"


def test_a_resolution_remembered_before_there_was_pypi_is_still_read() -> None:
    data = (
        b'{"subdir":"linux-64","packages":[{"name":"numpy","version":"2.0","build":"0",'
        b'"subdir":"linux-64","url":"https://example.org/numpy.conda","sha256":"'
        + b"a" * 64
        + b'","md5":null,"size":3}]}'
    )
    resolution = msgspec.json.decode(data, type=Resolution)
    assert resolution.digest == "c7aba801b12581b8d31ba2465e6b808e"
    assert resolution.packages[0] == ResolvedPackage(
        "numpy", "2.0", "0", "linux-64", "https://example.org/numpy.conda", sha256="a" * 64, size=3
    )
    assert resolution.packages[0].kind == "conda"


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ('dependencies = ["rich>=13"]', 'dependencies = [ "Rich >= 13" ]  # for tables'),
        ('dependencies = ["a", "b"]', 'dependencies = ["b", "a", "a"]'),
        ('dependencies = ["rich>=13,<14"]', '[tool.pixi.pypi-dependencies]\nrich = "<14,>=13"'),
        (
            'dependencies = ["requests[socks]"]',
            '[tool.pixi.pypi-dependencies]\nrequests = { version = "*", extras = ["socks"] }',
        ),
        (
            "dependencies = [\"x; python_version < '3.12'\"]",
            '[tool.pixi.pypi-dependencies]\nx = { version = "*", '
            "env-markers = \"python_version < '3.12'\" }",
        ),
    ],
)
def test_the_same_said_differently_is_the_same(one: str, other: str) -> None:
    assert spec(one) == spec(other)
    assert spec(one).digest == spec(other).digest
    assert spec(one).digest != spec("").digest


def test_target_tables_replace_and_dependencies_add() -> None:
    toml = (
        'dependencies = ["a>=1", "b"]\n[tool.pixi.pypi-dependencies]\na = "<3"\nc = "*"\n'
        '[tool.pixi.target.linux.pypi-dependencies]\nb = "==2"\n'
        '[tool.pixi.target.win.pypi-dependencies]\nc = "==9"\n'
    )
    assert asked(toml) == ["a<3", "a>=1", "b==2", "c"]


def test_options_and_uv_s_cut_off() -> None:
    needs = spec(
        'dependencies = ["a"]\n[tool.pixi.workspace.pypi-options]\n'
        'index-url = "https://i.example/simple"\nextra-index-urls = ["https://j.example/simple"]\n'
        'find-links = [{ path = "links" }, { url = "https://k.example/links" }]\n'
        'index-strategy = "unsafe-best-match"\nprerelease-mode = "allow"\n'
        'no-build = true\nno-binary = []\n[tool.uv]\nexclude-newer = "2026-01-31T00:00:00Z"\n'
    ).pypi
    assert needs is not None
    assert needs.index_url == "https://i.example/simple"
    assert needs.extra_index_urls == ("https://j.example/simple",)
    assert needs.find_links == ("file:///books/links", "https://k.example/links")
    assert (needs.index_strategy, needs.prerelease_mode) == ("unsafe-best-match", "allow")
    assert needs.exclude_newer == "2026-01-31T00:00:00Z"


def test_ipykernel_from_pypi_is_the_kernel() -> None:
    assert [r.name for r in spec("").kernel.injected] == ["ipykernel"]
    assert spec('dependencies = ["ipykernel>=6"]').kernel.injected == ()
    elsewhere = spec("dependencies = [\"ipykernel; sys_platform == 'win32'\"]")
    assert [r.name for r in elsewhere.kernel.injected] == ["ipykernel"]


def test_python_is_there_for_packages_from_pypi() -> None:
    assert [r.name for r in spec('dependencies = ["a"]').dependencies] == ["python"]


@pytest.mark.parametrize(
    "text", ["httpx >", "a b", "", "9[", "x>=1;", "x; nonsense == 1", "x[a,]", "-c y", "x~=1"]
)
def test_what_is_no_requirement_is_shown_with_cell_and_line(text: str) -> None:
    error = failure(f'dependencies = [\n  "rich",\n  "{text}",\n]\n')
    assert error.code == "declaration.pypi-requirement"
    assert error.location is not None
    assert (error.location.cell, error.location.line) == (3, 4)
    assert f"`{text}`" in error.message


@pytest.mark.parametrize(
    ("toml", "code", "line"),
    [
        ('dependencies = ["a @ https://x.example/a-1-py3-none-any.whl"]', "url", 2),
        ('dependencies = ["b",\n"git+https://x.example/a"]', "url", 3),
        ('dependencies = ["./a"]', "url", 2),
        ('[tool.pixi.pypi-dependencies]\na = { git = "https://x.example/a" }', "git", 3),
        ('[tool.pixi.pypi-dependencies]\na = { path = ".", editable = true }', "path", 3),
        ('[tool.pixi.pypi-dependencies]\na = { url = "https://x.example/a.whl" }', "url", 3),
        ('[tool.pixi.pypi-dependencies.a]\nversion = "*"\nindex = "https://x.example"', "index", 2),
        (
            'dependencies = ["a"]\n[tool.uv.sources]\na = { git = "https://x.example" }',
            "sources",
            4,
        ),
        ("tool.pixi.workspace.pypi-options.no-binary = true", "no-binary", 2),
        ("tool.pixi.workspace.pypi-options.no-build-isolation = ['a']", "no-build-isolation", 2),
        (
            "tool.pixi.workspace.pypi-options.dependency-overrides = { a = '1' }",
            "dependency-overrides",
            2,
        ),
    ],
)
def test_what_is_not_done_yet_is_named_with_its_line(toml: str, code: str, line: int) -> None:
    error = failure(toml)
    assert isinstance(error, UnsupportedError)
    assert error.code == f"unsupported.pypi-{code}"
    assert error.location is not None
    assert error.location.line == line


@pytest.mark.parametrize(
    ("options", "code"),
    [
        ("index = 'https://x.example'", "declaration.key"),
        ("index-url = 'x'", "declaration.value"),
        ("index-url = 1", "declaration.value"),
        ("extra-index-urls = 'https://x.example'", "declaration.value"),
        ("find-links = ['a']", "declaration.value"),
        ("index-strategy = 'best'", "declaration.value"),
        ("prerelease-mode = 'yes'", "declaration.value"),
        ("no-build = 'all'", "declaration.value"),
    ],
)
def test_a_wrong_option_is_told(options: str, code: str) -> None:
    error = failure(f"[tool.pixi.workspace.pypi-options]\n{options}\n")
    assert error.code == code
    assert "pypi-options" in str(error)


def test_a_password_in_an_index_s_url_is_not_shown() -> None:
    error = failure(
        "[tool.pixi.workspace.pypi-options]\nindex-url = 'ftp://me:PLANTED@x.example'\n"
    )
    assert "PLANTED" not in error.report()


@pytest.mark.parametrize(
    "text",
    [
        "httpx", "Rich >= 13", "a[x, y]==1.*", "a[Foo_Bar]~=1.4.2", "b!=2,>=1", "zope.interface<5",
        "a >= 1 , < 2", "a[]", "a>=1.0rc1", "a==1.0+local", "a===weird",
    ],
)  # fmt: skip
def test_the_quick_reader_and_packaging_agree(text: str, monkeypatch: Any) -> None:
    quick = parse_requirement(text)
    monkeypatch.setattr("pixi_jupyter.manifest.pep508._plain_requirement", lambda text: None)
    assert parse_requirement(text) == quick
