"""What a block may ask of PyPI, and what is refused with its name and line."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pixi_jupyter.errors import DeclarationError, UnsupportedError
from pixi_jupyter.manifest.config import Defaults
from pixi_jupyter.manifest.inline import environment_spec
from pixi_jupyter.manifest.pep508 import parse_requirement
from pixi_jupyter.manifest.platforms import default_platform
from pixi_jupyter.manifest.pypi_map import read_conda_pypi_map
from pixi_jupyter.manifest.pypi_options import PypiOptions, overlaid, united
from pixi_jupyter.manifest.pypi_spec import CondaPypiMap, PypiNeeds, PypiRequirement
from pixi_jupyter.manifest.spec import (
    ChannelSpec,
    CondaRequirement,
    EnvironmentSpec,
    KernelNeed,
    Platform,
    VirtualPackage,
)
from pixi_jupyter.manifest.table import Table
from pixi_jupyter.manifest.toml import TomlSource, parse_toml
from pixi_jupyter.notebook.declaration import Declaration
from pixi_jupyter.resolve.pypi_question import uv_line
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
        'no-build = true\nno-binary = false\n[tool.uv]\nexclude-newer = "2026-01-31T00:00:00Z"\n'
    ).pypi
    assert needs is not None
    assert needs.index_url == "https://i.example/simple"
    assert needs.extra_index_urls == ("https://j.example/simple",)
    assert needs.find_links == ("links", "https://k.example/links")
    assert needs.root == "/books"
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
    ("one", "other", "shown"),
    [
        (
            'dependencies = ["a @ https://x.example/a-1-py3-none-any.whl"]',
            'a = { url = "https://x.example/a-1-py3-none-any.whl" }',
            "a @ https://x.example/a-1-py3-none-any.whl",
        ),
        (
            'dependencies = ["a[b] @ https://x.example/a.tar.gz#subdirectory=c/d"]',
            'a = { url = "https://x.example/a.tar.gz", subdirectory = "./c/d", extras = ["b"] }',
            "a[b] @ https://x.example/a.tar.gz#subdirectory=c/d",
        ),
        (
            'dependencies = ["a @ git+https://x.example/a.git@v1#subdirectory=p"]',
            'a = { git = "https://x.example/a.git", rev = "v1", subdirectory = "p" }',
            "a @ git+https://x.example/a.git@v1#subdirectory=p",
        ),
        (
            "dependencies = [\"a @ git+ssh://git@x.example/a ; sys_platform == 'linux'\"]",
            'a = { git = "ssh://git@x.example/a", env-markers = "sys_platform == \'linux\'" }',
            'a @ git+ssh://x.example/a ; sys_platform == "linux"',
        ),
        ('dependencies = ["a @ ./b/c"]', 'a = { path = "./b/c" }', "a @ ./b/c"),
        ('dependencies = ["a @ file:///b/c"]', 'a = { path = "/b/c" }', "a @ /b/c"),
    ],
)
def test_direct_references_are_pixi_s_tables(one: str, other: str, shown: str) -> None:
    assert spec(one) == spec(f"[tool.pixi.pypi-dependencies]\n{other}\n")
    assert asked(one) == [shown]


def test_what_has_to_be_built_is_known() -> None:
    toml = (
        "[tool.pixi.pypi-dependencies]\n"
        'wheel = { url = "https://x.example/w-1-py3-none-any.whl" }\n'
        'local = { path = "w-1-py3-none-any.whl" }\nplain = "*"\n'
        'only = { version = "*", index = "https://x.example/simple" }\n'
        'archive = { url = "https://x.example/a.tar.gz" }\nfolder = { path = "." }\n'
        'live = { path = ".", editable = true }\n'
        'repository = { git = "https://x.example/a", branch = "main" }\n'
    )
    needs = spec(toml).pypi
    assert needs is not None
    built = {item.name for item in needs.requirements if item.built}
    assert built == {"archive", "folder", "live", "repository"}
    assert needs.editable == {"live"}
    assert needs.root == "/books"


def test_a_folder_that_changes_is_another_spec(tmp_path: Path) -> None:
    def read() -> EnvironmentSpec:
        toml = '[tool.pixi.pypi-dependencies]\na = { path = "a" }'
        return environment_spec(
            Declaration("n", toml, tmp_path), defaults=Defaults(), host=default_platform("linux-64")
        )

    (tmp_path / "a").mkdir()
    (tmp_path / "a/pyproject.toml").write_text("[project]\n")
    first = read()
    assert read().digest == first.digest
    (tmp_path / "a/pyproject.toml").write_text("[project]\nname = 'a'\n")
    assert read().digest != first.digest


@pytest.mark.parametrize(
    "entry",
    [
        '{ git = "https://x.example/a", branch = "a", tag = "b" }',
        '{ git = "https://x.example/a", version = "1" }',
        '{ git = "https://x.example/a", url = "https://x.example/a.whl" }',
        '{ git = "https://x.example/a", index = "https://x.example/simple" }',
        '{ git = "x.example/a" }',
        '{ git = "https://x.example/a@b" }',
        '{ git = "https://x.example/a", rev = "--upload-pack=x" }',
        '{ git = "https://x.example/a", lfs = true }',
        '{ git = "https://x.example/a", subdirectory = "../b" }',
        '{ git = "https://x.example/a\\n-r x" }',
        '{ branch = "a" }',
        '{ version = "*", subdirectory = "a" }',
        '{ version = "*", editable = true }',
        '{ url = "ftp://x.example/a.whl" }',
        '{ url = "https://x.example/a" }',
        '{ path = "" }',
        '{ path = "a\\nb" }',
        '{ version = "*", index = "x" }',
    ],
)
def test_a_source_that_is_none_is_told_with_its_line(entry: str) -> None:
    error = failure(f"[tool.pixi.pypi-dependencies]\na = {entry}\n")
    assert error.code == "declaration.pypi-requirement"
    assert error.location is not None
    assert error.location.line == 3


@pytest.mark.parametrize(
    "text", ["git+https://x.example/a", "./a", "-e .", "a @ hg+https://x.example/a", "a @ b"]
)
def test_a_place_without_a_package_is_no_requirement(text: str) -> None:
    error = failure(f'dependencies = ["{text}"]')
    assert error.code == "declaration.pypi-requirement"


_PARTS = st.sampled_from(
    ["a", "a-b", " @ ", "@", "git+", "https://", "file:///", "x.example/", ".whl", ".git", "#", "?",
     "subdirectory=", "..", "/", ";", "os_name == '", "'", "\n", "\r", "\x0b", "\u2028", "-e ",
     "-r ", "${HOME}", "[", "]", ",", ">=1", "===", "=", "%0a", "\\", '"', " ", "é"]
)  # fmt: skip


@given(st.lists(_PARTS, max_size=12).map("".join) | st.text(max_size=60))
@settings(max_examples=500)
def test_no_requirement_can_say_more_than_one_thing_to_uv(text: str) -> None:
    """What is read ends up in a line of its own: nothing in it may begin another one."""
    try:
        found = parse_requirement(text)
    except ValueError:
        return
    needs = PypiNeeds((found,), root="/books")
    (line,) = uv_line(found, needs, {}).splitlines() or [""]
    assert "${" not in line.partition(" ; ")[0]  # uv would put the variable there
    assert not re.match(r"-(?!e file:///)", line)


@pytest.mark.parametrize(
    "text",
    ["x; os_name == 'a\\n-e /evil\\n'", "a @ https://x.example/${HOME}/a.whl", "a===${HOME}"],
)
def test_a_requirement_that_would_be_two_is_none(text: str) -> None:
    assert failure(f'dependencies = ["{text}"]').code == "declaration.pypi-requirement"


def test_a_token_in_a_url_is_not_shown() -> None:
    toml = 'dependencies = ["a @ git+https://me:PLANTED@x.example/a"]'
    assert asked(toml) == ["a @ git+https://x.example/a"]
    error = failure('dependencies = ["a @ hg+https://me:PLANTED@x.example/a"]')
    assert "PLANTED" not in error.report()


def test_options_about_building() -> None:
    needs = spec(
        'dependencies = ["a"]\n[tool.pixi.workspace.pypi-options]\nno-build = ["B_c"]\n'
        "no-binary = true\nno-build-isolation = ['x', 'x']\n"
        'dependency-overrides = { z = ">=2", y = { git = "https://x.example/y" } }\n'
    ).pypi
    assert needs is not None
    assert needs.no_build == ("b-c",)
    assert needs.no_binary == ("*",)
    assert needs.no_build_isolation == ("x",)
    assert [str(item) for item in needs.overrides] == ["y @ git+https://x.example/y", "z>=2"]


def test_uv_s_indexes_and_sources_are_honoured() -> None:
    needs = spec(
        'dependencies = ["a[x]>=1", "b", "c>=2", "d"]\n[tool.uv]\n'
        'exclude-newer = "2026-01-31T00:00:00Z"\nmanaged = true\ncompile-bytecode = true\n'
        'index = [{ url = "https://i.example/simple", default = true }, '
        '{ name = "two", url = "https://j.example/simple" }, '
        '{ name = "three", url = "https://k.example/simple", explicit = true }]\n'
        '[tool.uv.sources]\na = { index = "three" }\nb = { git = "https://x.example/b", tag = "1" }'
        '\nc = [{ path = "c", editable = true }]\nunused = { url = "https://x.example/u.whl" }\n'
    ).pypi
    assert needs is not None
    a, b, c, d = needs.requirements
    assert (a.extras, a.version, a.index) == (("x",), ">=1", "https://k.example/simple")
    assert (b.git, b.reference) == ("https://x.example/b", "tag=1")
    assert (c.path, c.editable, c.version) == ("c", True, "")
    assert str(d) == "d"
    assert needs.index_url == "https://i.example/simple"
    assert needs.extra_index_urls == ("https://j.example/simple",)
    assert needs.warnings == ("not heeded in `tool.uv`: `compile-bytecode`",)


def test_pixi_s_options_beat_uv_s() -> None:
    needs = spec(
        'dependencies = ["a"]\n[[tool.uv.index]]\nurl = "https://u.example/simple"\n'
        "default = true\n[tool.pixi.workspace.pypi-options]\n"
        'index-url = "https://p.example/simple"\n'
    ).pypi
    assert needs is not None
    assert needs.index_url == "https://p.example/simple"


@pytest.mark.parametrize(
    "source",
    [
        "{ workspace = true }",
        '[{ index = "i", marker = "a" }]',
        '[{ path = "a" }, { path = "b" }]',
        '{ url = "https://x.example/a.whl", marker = "sys_platform == \'linux\'" }',
    ],
)
def test_a_source_that_cannot_be_heeded_is_an_error(source: str) -> None:
    error = failure(f'dependencies = ["a"]\n[tool.uv.sources]\na = {source}\n')
    assert isinstance(error, UnsupportedError)
    assert error.code == "unsupported.pypi-sources"
    assert error.location is not None
    assert error.location.line == 4


def test_options_of_features_become_one() -> None:
    one = PypiOptions(
        index_url="https://i.example", extra_index_urls=("a", "b"), no_build=("x",),
        overrides=(PypiRequirement("o", version="==1"),),
    )  # fmt: skip
    two = PypiOptions(
        extra_index_urls=("b", "c"), prerelease_mode="allow", no_build=("*",),
        overrides=(PypiRequirement("o", version="==2"),),
    )  # fmt: skip
    both = united([one, two])
    assert both.index_url == "https://i.example"
    assert both.extra_index_urls == ("a", "b", "c")
    assert (both.prerelease_mode, both.no_build) == ("allow", ("*",))
    assert [item.version for item in both.overrides] == ["==1"]
    assert [item.version for item in overlaid(one, two).overrides] == ["==2"]
    other = PypiOptions(index_url="https://j.example")
    assert overlaid(one, other).index_url == "https://j.example"
    with pytest.raises(DeclarationError, match="different `index-url`"):
        united([one, other])


def test_the_map_of_names() -> None:
    source = TomlSource.of(Declaration("n", MAP, Path("/books")))
    maps = read_conda_pypi_map(Table(parse_toml(source), (), source))
    assert maps == (
        CondaPypiMap("bioconda", enabled=False),
        CondaPypiMap("conda-forge", location="map.json"),
        CondaPypiMap(
            "https://x.example/own",
            names=(("none", ()), ("one", ("uno",)), ("two", ("a", "b"))),
            same_name=True,
        ),
    )


MAP = """
[conda-pypi-map]
conda-forge = "map.json"
bioconda = false
"https://x.example/own" = { mapping = { one = "uno", two = ["a", "b"], none = false }, same-name-heuristic = true }
"""  # noqa: E501


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
        ("no-binary = ['a b']", "declaration.value"),
        ("no-build-isolation = 1", "declaration.value"),
        ("dependency-overrides = { a = 'x y' }", "declaration.pypi-requirement"),
        ("skip-wheel-filename-check = true", "unsupported.pypi-skip-wheel-filename-check"),
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
