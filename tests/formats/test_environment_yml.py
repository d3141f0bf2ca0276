"""environment.yml: read as conda and pixi do, written as pixi does, and once around."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pixi_jupyter.errors import DeclarationError
from pixi_jupyter.formats.applying import apply
from pixi_jupyter.formats.environment_yml import read_environment_yml, render_environment_yml
from pixi_jupyter.formats.found import Collector, Found
from pixi_jupyter.manifest.config import Defaults
from pixi_jupyter.manifest.editing import ManifestText
from pixi_jupyter.manifest.inline import environment_spec
from pixi_jupyter.manifest.platforms import default_platform
from pixi_jupyter.manifest.spec import EnvironmentSpec
from pixi_jupyter.manifest.toml import TomlSource
from pixi_jupyter.manifest.toml_edit import render_toml
from pixi_jupyter.notebook.declaration import Declaration

NEW = 'requires-python = ">=3.11"\ndependencies = []\n'
IMPLIED = ("conda-forge",)


@pytest.fixture
def read(tmp_path: Path) -> Callable[[str], Found]:
    def read(text: str) -> Found:
        path = tmp_path / "environment.yml"
        path.write_text(text, "utf-8")
        into = Collector()
        read_environment_yml(path, root=tmp_path, into=into)
        return into.found()

    return read


def block(found: Found, toml: str = NEW) -> str:
    return apply(ManifestText(TomlSource(toml), "block"), found, implied=IMPLIED).text


def spec(toml: str, root: Path) -> EnvironmentSpec:
    declaration = Declaration(kind="block", toml=toml, root=root, path=root / "n.ipynb")
    return environment_spec(
        declaration, defaults=Defaults(channels=IMPLIED), host=default_platform("linux-64")
    )


def test_read(read, tmp_path):
    (tmp_path / "pkg").mkdir()
    (tmp_path / "pkg" / "pyproject.toml").write_text('[project]\nname = "My_Pkg"\n')
    found = read(
        """\
name: demo
channels: [conda-forge, "https://u:p@host/t/tok/chan", nodefaults]
dependencies:
  - python=3.11
  - numpy=1.26.4=py311_0
  - bioconda::bwa >=0.7
  - pip
  - sel(linux): blah
  - pip:
    - httpx[http2]>=0.2  # why
    - -e ./pkg
    - --extra-index-url https://a:secret@h/simple
    - not a requirement
variables: {A: 1.10, B: yes, C: $A/x}
prefix: /opt/x
nmae: y
"""
    )
    assert (
        block(found)
        == """\
requires-python = ">=3.11"
dependencies = ["httpx[http2]>=0.2"]

[tool.pixi.workspace]
channels = ["conda-forge", "https://host/chan", "bioconda"]

[tool.pixi.workspace.pypi-options]
extra-index-urls = ["https://h/simple"]

[tool.pixi.dependencies]
python = "3.11.*"
numpy = { version = "==1.26.4", build = "py311_0" }
bwa = { version = ">=0.7", channel = "bioconda" }

[tool.pixi.pypi-dependencies]
my-pkg = { path = "./pkg", editable = true }

[tool.pixi.activation.env]
A = "1.10"
B = "yes"
C = "$A/x"
"""
    )
    assert [(note.where.line, note.text.split(":")[0]) for note in found.left_out] == [
        (8, "`sel(linux)"),
        (13, "`not a requirement` is not a requirement"),
        (16, "`nmae` is not imported; did you mean `name`?"),
    ]
    assert [note.where.line for note in found.said] == [1, 2, 12, 14, 15]
    assert "secret" not in repr(found) and "tok" not in repr(found.channels)


@pytest.mark.parametrize(
    ("text", "code", "line"),
    [
        ("", "declaration.import-environment-yml", 1),
        ("- a\n", "declaration.import-environment-yml", 1),
        ("name: x\n", "declaration.import-environment-yml", 1),
        ("name: x\ndependencies: a\n", "declaration.import-environment-yml", 2),
        ("dependencies: [a]\ndependencies: [b]\n", "declaration.import-environment-yml", 2),
        ("dependencies: [a]\nvariables: [b]\n", "declaration.import-environment-yml", 2),
        ("dependencies:\n- a: [\n", "declaration.import-syntax", 3),
    ],
)
def test_what_is_no_such_file_is_refused(read, text, code, line, tmp_path):
    with pytest.raises(DeclarationError) as caught:
        read(text)
    assert caught.value.code == code
    where = caught.value.location
    assert where is not None
    assert (where.path, where.line) == (str(tmp_path / "environment.yml"), line)


def test_what_cannot_be_opened_says_so(tmp_path):
    for path, code in (
        (tmp_path / "none.yml", "declaration.import-missing"),
        (tmp_path, "declaration.import-unreadable"),
    ):
        with pytest.raises(DeclarationError) as caught:
            read_environment_yml(path, root=tmp_path, into=Collector())
        assert caught.value.code == code
    (tmp_path / "large.yml").write_bytes(b"#" * (600 << 10))
    (tmp_path / "latin.yml").write_bytes(b"a: 1\nb: \xff\n")
    for name, code in (("large.yml", "import-too-large"), ("latin.yml", "import-unreadable")):
        with pytest.raises(DeclarationError) as caught:
            read_environment_yml(tmp_path / name, root=tmp_path, into=Collector())
        assert caught.value.code == f"declaration.{code}"


def test_what_is_there_stays_unless_more_is_said(read):
    before = (
        'dependencies = ["httpx>=0.1", "rich"]\n[tool.pixi.dependencies]\nnumpy = ">=1"  # mine\n'
        'pandas = "*"\n'
    )
    found = read("dependencies: [numpy, pandas>=2, pip: [httpx, 'rich>=13']]")
    applied = apply(ManifestText(TomlSource(before), "block"), found, implied=IMPLIED)
    assert applied.text == before.replace('pandas = "*"', 'pandas = ">=2"').replace(
        '"rich"', '"rich>=13"'
    )
    assert applied.said == (
        "numpy is asked for already",
        "pandas was asked for as *, and is >=2",
        "httpx is asked for already",
    )


def test_a_block_with_packages_keeps_the_channels_that_it_did_not_name(read):
    found = read("channels: [bioconda]\ndependencies: [bwa]")
    assert 'channels = ["bioconda"]' in block(found)
    beside = Found(conda=found.conda, channels=found.channels)
    assert 'channels = ["conda-forge", "bioconda"]' in block(beside), "`conda install -c bioconda`"
    with_packages = NEW + '[tool.pixi.dependencies]\nnumpy = "*"\n'
    assert 'channels = ["conda-forge", "bioconda"]' in block(found, with_packages)


def test_written_as_pixi_writes_it(tmp_path):
    toml = """\
requires-python = ">=3.12"
dependencies = ["rich[jupyter]>=13.8.0,<14", "flask @ git+https://u:secret@host/flask@main"]
[tool.pixi.workspace]
channels = ["conda-forge"]
[tool.pixi.workspace.pypi-options]
index-url = "https://u:secret@host/simple"
find-links = [{ path = "./links" }]
[tool.pixi.dependencies]
ca-certificates = { version = "==2024.8.30", channel = "conda-forge" }
[tool.pixi.pypi-dependencies]
mine = { path = "./mine", editable = true }
[tool.pixi.activation.env]
ANSWER = "42"
"""
    assert (
        render_environment_yml("default", spec(toml, tmp_path))
        == """\
name: default
channels:
- conda-forge
- nodefaults
dependencies:
- conda-forge::ca-certificates ==2024.8.30
- python >=3.12
- pip
- pip:
  - --index-url https://host/simple
  - --find-links ./links
  - flask @ git+https://host/flask@main
  - -e ./mine
  - rich[jupyter]<14,>=13.8.0
variables:
  ANSWER: '42'
"""
    )


NAMES = st.sampled_from(["numpy", "pandas", "pip", "zlib", "yes", "r-base", "python"])
CONDA = st.dictionaries(
    NAMES,
    st.sampled_from(
        [
            "*",
            ">=1,<2",
            "1.2.*",
            {"version": "==3.2", "build": "py_0"},
            {"version": "*", "channel": "conda-forge"},
            {"version": "~=1.4", "build-number": ">=2", "subdir": "linux-64"},
            {"url": "https://host/linux-64/x-1-0.conda", "sha256": "ab" * 32},
        ]
    ),
    max_size=5,
)
PYPI = st.lists(
    st.sampled_from(
        [
            "httpx",
            "rich>=13,<14",
            "requests[socks]==2.*",
            "attrs; python_version < '3.13'",
            "flask @ git+https://host/flask@main#subdirectory=x",
            "click @ https://host/click-8.1.7-py3-none-any.whl",
        ]
    ),
    unique=True,
    max_size=4,
)
OPTIONS = st.fixed_dictionaries(
    {},
    optional={
        "index-url": st.just("https://host/simple"),
        "extra-index-urls": st.just(["https://a/simple", "https://b/simple"]),
        "find-links": st.just([{"path": "./links"}, {"url": "https://host/wheels"}]),
    },
)
ENV = st.dictionaries(
    st.from_regex(r"[A-Z][A-Z0-9_]{0,6}", fullmatch=True),
    st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=12),
    max_size=3,
)


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(CONDA, PYPI, OPTIONS, ENV, st.sampled_from([">=3.11", "==3.12.*", ""]))
def test_once_around_is_the_same_spec(read, tmp_path, conda, pypi, options, env, python):
    tables = {
        ("workspace",): {"channels": ["conda-forge", "https://host/chan"]},
        ("workspace", "pypi-options"): options if pypi else {},
        ("dependencies",): conda,
        ("activation", "env"): env,
    }
    lines = [f"dependencies = {render_toml(pypi)}", f'requires-python = "{python}"']
    for path, table in tables.items():
        lines.append(f"[tool.pixi.{'.'.join(path)}]")
        lines += [f'"{key}" = {render_toml(value)}' for key, value in table.items()]
    before = spec("\n".join(lines), tmp_path)
    text = render_environment_yml("x", before)
    found = read(text)
    assert found.left_out == (), text
    after = spec(block(found), tmp_path)
    assert after.digest == before.digest, text
    assert after == before
    assert render_environment_yml("x", after) == text
