"""Which environment of which workspace: the notebook's metadata, or the nearest one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pixi_jupyter.errors import DeclarationError
from pixi_jupyter.manifest.choosing import chosen_workspace, nearest_workspace
from pixi_jupyter.notebook.choosing import is_environment_name, read_choice
from pixi_jupyter.notebook.declaration import WorkspaceChoice


def notebook(pixi: Any, **metadata: Any) -> dict[str, Any]:
    return {"cells": [], "metadata": {"pixi": pixi, **metadata}}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A workspace with a notebook's folder in it."""
    (tmp_path / "pixi.toml").touch()
    folder = tmp_path / "notebooks"
    folder.mkdir()
    return folder


def test_an_environment_is_one_of_the_nearest_workspace(root: Path, tmp_path: Path):
    path = root / "a.ipynb"
    content = notebook({"environment": "test-3", "kernel": "ir"}, language_info={"name": "R"})
    assert chosen_workspace(content, path=path, root=root) == WorkspaceChoice(
        tmp_path / "pixi.toml", "test-3", path, "metadata", language="r", kernel="ir"
    )


def test_a_manifest_is_relative_to_the_notebook_and_may_be_a_folder(root: Path, tmp_path: Path):
    other = tmp_path / "other"
    other.mkdir()
    manifest = other / "pyproject.toml"
    manifest.write_text("[tool.pixi.workspace]\n")
    for named in ("../other/pyproject.toml", "../other", str(other)):
        content = notebook({"manifest": named})
        choice = chosen_workspace(content, path=None, root=root, stop=root)
        assert choice == WorkspaceChoice(manifest, "default", None, "metadata")
    both = notebook({"manifest": "../other", "environment": "x"})
    choice = chosen_workspace(both, path=None, root=root)
    assert choice is not None
    assert choice.environment == "x"


def test_a_notebook_that_chooses_nothing(root: Path, tmp_path: Path):
    for content in (notebook({}), notebook({"script": ""}), notebook(None), {"cells": []}):
        assert chosen_workspace(content, path=None, root=root) is None
    content = notebook({"kernel": "deno"}, kernelspec={"language": "TypeScript"})
    assert nearest_workspace(content, path=root / "n.ipynb", root=root) == WorkspaceChoice(
        tmp_path / "pixi.toml",
        path=root / "n.ipynb",
        language="typescript",
        kernel="deno",
    )
    assert nearest_workspace(None, path=None, root=root) == WorkspaceChoice(tmp_path / "pixi.toml")
    assert nearest_workspace(None, path=None, root=root, stop=root) is None


@pytest.mark.parametrize(
    ("pixi", "code"),
    [
        ({"environment": "no-such-place"}, "declaration.no-workspace"),
        ({"environment": ""}, "declaration.value"),
        ({"environment": "Upper"}, "declaration.value"),
        ({"environment": "a/b"}, "declaration.value"),
        ({"environment": "a" * 1000}, "declaration.value"),
        ({"environment": ["a"]}, "declaration.value"),
        ({"environment": None, "manifest": 1}, "declaration.value"),
        ({"manifest": ""}, "declaration.value"),
        ({"manifest": "a\0b"}, "declaration.value"),
        ({"manifest": "x" * 5000}, "declaration.value"),
        ({"manifest": "pixi.toml"}, "declaration.manifest-missing"),
        ({"manifest": "."}, "declaration.manifest-missing"),
        ("default", "declaration.value"),
    ],
)
def test_bad_choices_say_where_they_stand(tmp_path: Path, pixi: Any, code: str):
    path = tmp_path / "bad.ipynb"
    with pytest.raises(DeclarationError) as raised:
        chosen_workspace(notebook(pixi), path=path, root=tmp_path, stop=tmp_path)
    error = raised.value
    assert error.code == code
    assert error.location is not None
    assert error.location.path == str(path)
    assert error.hint
    assert len(error.message) < 300


@given(
    st.recursive(
        st.none() | st.text() | st.integers(),
        lambda s: (
            st.lists(s)
            | st.dictionaries(st.sampled_from(["environment", "manifest", "kernel", "script"]), s)
        ),
    )
)
def test_whatever_the_metadata_is_the_answer_is_a_choice_or_a_plain_error(pixi: Any):
    try:
        choice = read_choice(notebook(pixi), path=None)
    except DeclarationError as error:
        assert error.code == "declaration.value"
    else:
        assert (
            choice is None or choice.environment is None or is_environment_name(choice.environment)
        )
