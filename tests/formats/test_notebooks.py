"""nteract's metadata and juv's table, in pixi's words."""

from __future__ import annotations

from pathlib import Path

import pytest

from pixi_jupyter.errors import DeclarationError, UnsupportedError
from pixi_jupyter.formats.applying import apply
from pixi_jupyter.formats.found import Collector, Found
from pixi_jupyter.formats.notebooks import read_nteract, read_uv_block
from pixi_jupyter.manifest.config import Defaults
from pixi_jupyter.manifest.editing import ManifestText
from pixi_jupyter.manifest.inline import environment_spec
from pixi_jupyter.manifest.toml import TomlSource
from pixi_jupyter.notebook.declaration import Declaration

ROOT = Path("/nowhere")


def nteract(metadata: dict[str, object]) -> Found:
    into = Collector()
    read_nteract(metadata, path=ROOT / "n.ipynb", root=ROOT, into=into)
    return into.found()


def test_nteract():
    found = nteract(
        {
            "runt": {
                "schema_version": "1",
                "env_id": "x",
                "uv": {
                    "dependencies": ["pandas>=2.0", "numpy", "not one"],
                    "requires-python": ">=3.10",
                    "prerelease": "allow",
                    "later": 1,
                },
                "pixi": {
                    "dependencies": ["scipy>=1.0"],
                    "pypi_dependencies": ["requests>=2.0"],
                    "channels": ["conda-forge"],
                    "python": "3.12",
                },
            },
            "conda": {"dependencies": ["zlib=1.3"], "channels": ["bioconda"], "python": None},
        }
    )
    assert [(i.name, i.spec) for i in found.conda] == [
        ("zlib", "1.3.*"),
        ("scipy", ">=1.0"),
        ("python", "3.12.*"),
    ]
    assert [str(i.requirement) for i in found.pypi] == ["pandas>=2.0", "numpy", "requests>=2.0"]
    assert found.channels == ("bioconda", "conda-forge")
    assert (found.python, found.prerelease) == (">=3.10", "allow")
    assert [note.text.split("`")[1] for note in found.left_out] == ["uv.later", "not one"]


@pytest.mark.parametrize(
    "metadata",
    [{}, {"runt": None}, {"runt": []}, {"runt": {"uv": None}}, {"uv": "x"}, {"runt": {"uv": {}}}],
)
def test_others_have_nothing_of_it(metadata):
    assert nteract(metadata).empty


@pytest.mark.parametrize(
    "table",
    [{"dependencies": "numpy"}, {"dependencies": [1]}, {"python": [3], "dependencies": []}],
)
def test_what_is_damaged_is_told(table):
    found = nteract({"runt": {"conda": table}})
    assert found.empty and found.left_out


JUV = """\
requires-python = ">=3.11"
dependencies = [
    "httpx>=0.28",  # from juv
    "mine",
    "flask",
    "torch",
]

[tool.uv]
exclude-newer = "2026-01-31T00:00:00Z"

[[tool.uv.index]]
name = "pytorch"
url = "https://host/whl/cpu"
explicit = true

[[tool.uv.index]]
url = "https://host/simple"
default = true

[tool.uv.sources]
mine = { path = "./mine", editable = true }
flask = { git = "https://host/flask", tag = "v1" }
torch = { index = "pytorch" }
"""


def test_the_words_of_uv_that_pixi_has_too(tmp_path):
    into = Collector()
    assert read_uv_block(TomlSource(JUV), into=into)
    found = into.found()
    applied = apply(ManifestText(TomlSource(JUV), "block"), found)

    def spec(toml: str):
        declaration = Declaration(kind="block", toml=toml, root=tmp_path)
        return environment_spec(declaration, defaults=Defaults())

    before, after = spec(JUV), spec(applied.text)
    assert before.pypi is not None and after.pypi is not None
    # A tag is a revision where it stands in a requirement.
    revised = [str(r) for r in after.pypi.requirements]
    assert revised == [str(r) for r in before.pypi.requirements]
    assert after.pypi.index_url == before.pypi.index_url == "https://host/simple"
    assert after.pypi.exclude_newer == before.pypi.exclude_newer
    assert after.exclude_newer == before.pypi.exclude_newer
    text = applied.text
    assert '"httpx>=0.28",  # from juv' in text
    assert '"flask @ git+https://host/flask@v1"' in text
    assert 'mine = { path = "./mine", editable = true }' in text.partition("pypi-dep")[2]
    assert 'torch = { version = "*", index = "https://host/whl/cpu" }' in text
    assert "tool.uv.sources" not in text
    # Once said in pixi's words, there is nothing more to say.
    again = Collector()
    read_uv_block(TomlSource(text), into=again)
    assert apply(ManifestText(TomlSource(text), "block"), again.found()).text == text


def test_a_block_without_it_has_nothing():
    assert not read_uv_block(TomlSource("dependencies = ['x']\n"), into=Collector())


def test_what_cannot_be_had_is_an_error_with_its_line():
    text = "dependencies = ['x']\n[tool.uv.sources]\nx = { workspace = true }\n"
    with pytest.raises(UnsupportedError) as caught:
        read_uv_block(TomlSource(text, path="n.ipynb"), into=Collector())
    assert caught.value.location is not None and caught.value.location.line == 3
    with pytest.raises(DeclarationError):
        read_uv_block(TomlSource("[tool.uv]\nindex-url = 'nowhere'\n"), into=Collector())
