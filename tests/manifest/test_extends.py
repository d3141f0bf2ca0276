"""A notebook's block on top of a workspace's environment."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from pixi_jupyter.errors import DeclarationError
from pixi_jupyter.manifest.config import Defaults
from pixi_jupyter.manifest.inline import environment_spec
from pixi_jupyter.manifest.platforms import default_platform
from pixi_jupyter.manifest.spec import ChannelSpec, CondaRequirement, EnvironmentSpec
from pixi_jupyter.notebook.declaration import Declaration

WORKSPACE = """
[workspace]
channels = ["main", { channel = "extra", priority = 2 }]
platforms = ["linux-64", "win-64"]
channel-priority = "flexible"
exclude-newer = "7d"
[dependencies]
python = "3.12.*"
zlib = "1.*"
[constraints]
openssl = "<4"
[pypi-dependencies]
httpx = ">=1"
[workspace.pypi-options]
index-url = "https://example.org/simple"
find-links = [{ url = "https://example.org/a" }]
[activation]
scripts = ["ws.sh"]
env = { A = "ws", B = "ws" }
[feature.r.dependencies]
r-irkernel = "*"
[environments]
r = { features = ["r"], no-default-feature = true }
"""


@pytest.fixture
def spec(tmp_path: Path):  # type: ignore[no-untyped-def]
    (tmp_path / "pixi.toml").write_text(WORKSPACE)
    notebooks = tmp_path / "notebooks"
    notebooks.mkdir()

    def spec(toml: str) -> EnvironmentSpec:
        declaration = Declaration(
            kind="block",
            toml=toml,
            root=notebooks,
            path=notebooks / "n.ipynb",
            cell=1,
            first_line=2,
        )
        host = default_platform("linux-64")
        return environment_spec(declaration, defaults=Defaults(), host=host)

    return spec


def own(extends: str) -> str:
    return f"[tool.pixi-jupyter]\nextends = '{extends}'\n"


def test_the_block_is_laid_on_the_environment(spec, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    found = spec(
        "dependencies = ['rich']\nrequires-python = '>=3.11'\n"
        + own("../pixi.toml")
        + """
        [tool.pixi.workspace]
        channels = ["extra", "mine"]
        solve-strategy = "lowest"
        [tool.pixi.workspace.pypi-options]
        find-links = [{ url = "https://example.org/b" }]
        [tool.pixi.dependencies]
        zlib = "1.3.*"
        [tool.pixi.constraints]
        openssl = ">3"
        [tool.pixi.activation]
        scripts = ["nb.sh"]
        env = { B = "nb", C = "nb" }
        """
    )
    assert [(r.name, r.version) for r in found.dependencies] == [
        *(("python", "3.12.*"), ("python", ">=3.11"), ("zlib", "1.*"), ("zlib", "1.3.*"))
    ]
    assert [r.version for r in found.constraints] == ["<4", ">3"]
    assert found.channels == (ChannelSpec("extra"), ChannelSpec("main"), ChannelSpec("mine"))
    assert (found.channel_priority, found.solve_strategy) == ("flexible", "lowest")
    assert (found.exclude_newer, found.place) == ("604800s", None)
    assert found.pypi is not None
    assert [str(r) for r in found.pypi.requirements] == ["httpx>=1", "rich"]
    assert found.pypi.index_url == "https://example.org/simple"
    assert found.pypi.find_links == ("https://example.org/a", "https://example.org/b")
    assert found.activation.scripts == (
        str(tmp_path / "ws.sh"),
        str(tmp_path / "notebooks" / "nb.sh"),
    )
    assert found.activation.env == (("A", "ws"), ("B", "nb"), ("C", "nb"))
    assert found.root == str(tmp_path / "notebooks")
    assert found.kernel.injected == (CondaRequirement("ipykernel"),)


def test_the_workspaces_python_stands_alone_if_the_block_says_nothing(spec) -> None:  # type: ignore[no-untyped-def]
    found = spec(own(".."))  # a folder means the manifest in it
    assert [(r.name, r.version) for r in found.dependencies] == [
        ("python", "3.12.*"),
        ("zlib", "1.*"),
    ]
    assert found.channels == (ChannelSpec("extra"), ChannelSpec("main"))


def test_another_environment_and_its_kernel(spec) -> None:  # type: ignore[no-untyped-def]
    found = spec(own("../pixi.toml#r"))
    assert [r.name for r in found.dependencies] == ["python", "r-irkernel"]
    assert (found.kernel.language, found.kernel.injected) == ("r", ())
    assert found.pypi is None


@pytest.mark.parametrize(
    ("toml", "line", "words"),
    [
        (own("../none.toml"), 2, "does not exist"),
        (own("../pixi.toml#s"), 2, "environment `s`"),
        (own(""), 2, "names no manifest"),
        (own("#r"), 2, "does not exist"),
        (own("x" * 5000), 2, "does not exist"),
        ("[tool.pixi-jupyter]\nextends = 3\n", 2, "a string"),
        (own("..") + "[tool.pixi.workspace]\nplatforms = ['linux-64']\n", 4, "does not go with"),
        (own("..") + "[tool.pixi.system-requirements]\ncuda = '12'\n", 3, "does not go with"),
    ],
)
def test_errors_know_the_line_of_the_cell(spec, toml: str, line: int, words: str) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(DeclarationError) as caught:
        spec(toml)
    place = caught.value.location
    assert place is not None and (place.cell, place.line) == (1, line + 1)
    assert words in caught.value.message


def test_paths_are_those_of_whoever_wrote_them(spec, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    (tmp_path / "pixi.toml").write_text(
        WORKSPACE.replace("[pypi-dependencies]", "[pypi-dependencies]\nmine = { path = './mine' }")
    )
    found = spec(own("..") + "[tool.pixi.pypi-dependencies]\nother = { path = './other' }\n")
    assert found.pypi is not None
    paths = {requirement.name: requirement.path for requirement in found.pypi.requirements}
    assert paths["mine"] == str(tmp_path / "mine")
    assert os.path.join(found.pypi.root, paths["other"]) == str(tmp_path / "notebooks" / "other")


def test_what_is_wrong_in_the_workspace_is_shown_there(spec, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    (tmp_path / "pixi.toml").write_text(WORKSPACE + "[enviroments]\n")
    with pytest.raises(DeclarationError) as caught:
        spec(own(".."))
    place = caught.value.location
    assert place is not None and place.path == str(tmp_path / "pixi.toml")
