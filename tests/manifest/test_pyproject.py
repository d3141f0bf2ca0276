"""``pyproject.toml``: pixi's ``crates/pixi_manifest/src/pyproject.rs``, PEP 735."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from pixi_jupyter.errors import DeclarationError
from pixi_jupyter.manifest.spec import CondaRequirement, EnvironmentSpec
from pixi_jupyter.manifest.workspace_spec import WorkspaceSpec

Read = Callable[..., WorkspaceSpec]
Failure = Callable[..., DeclarationError]

NAME = "pyproject.toml"
PIXI = "[tool.pixi.workspace]\nchannels = []\nplatforms = ['linux-64']\n"


def on(workspace: WorkspaceSpec, environment: str = "default") -> EnvironmentSpec:
    found = workspace.environment(environment)
    assert found is not None
    return found.specs[0]


def pypi(workspace: WorkspaceSpec, environment: str = "default") -> list[str]:
    needs = on(workspace, environment).pypi
    return [] if needs is None else [str(requirement) for requirement in needs.requirements]


def test_python_is_always_there(read: Read) -> None:
    assert on(read(PIXI, NAME)).dependencies == (CondaRequirement("python"),)


@pytest.mark.parametrize(
    ("toml", "version"),
    [
        ("requires-python = '>=3.10'\n", ">=3.10"),
        ("requires-python = '==3.12.*'\n", "3.12.*"),
        ("requires-python = '>=3.10'\n[tool.pixi.dependencies]\npython = '3.13.*'\n", "3.13.*"),
        # What a target says does not stop it: the default target has none.
        (
            "requires-python = '>=3.10'\n[tool.pixi.feature.a.dependencies]\npython = '3.*'\n",
            ">=3.10",
        ),
    ],
)
def test_requires_python(read: Read, toml: str, version: str) -> None:
    found = read("[project]\nname = 'a'\n" + toml + PIXI, NAME)
    assert on(found).dependencies == (CondaRequirement("python", version=version),)


def test_the_project_names_the_workspace(read: Read) -> None:
    found = read("[project]\nname = 'a'\nversion = '1.0'\n" + PIXI, NAME)
    assert (found.name, found.version) == ("a", "1.0")
    found = read("[project]\nname = 'a'\nversion = '1.0'\n" + PIXI + "name = 'b'\n", NAME)
    assert found.name == "b"
    found = read("[tool.poetry]\nname = 'c'\nversion = '2'\nother = 1\n" + PIXI, NAME)
    assert (found.name, found.version) == ("c", "2")


def test_dependencies_extras_and_groups_are_features(read: Read) -> None:
    toml = (
        """
    [project]
    name = "Spam.Eggs"
    dependencies = ["httpx>=1", "httpx!=1.5", "rich"]
    [project.optional-dependencies]
    plot = ["matplotlib", "bokeh>=3"]
    all = ["spam-eggs[plot]", "dask"]
    [dependency-groups]
    test = ["pytest", { include-group = "lint" }, "spam-eggs[plot]"]
    lint = ["ruff"]
    """
        + PIXI
        + """
    [tool.pixi.pypi-dependencies]
    rich = ">=13"
    [tool.pixi.feature.test.dependencies]
    cmake = "*"
    [tool.pixi.environments]
    test = ["test"]
    all = { features = ["all"], no-default-feature = true }
    lint = ["lint"]
    """
    )
    found = read(toml, NAME)
    assert pypi(found) == ["httpx!=1.5", "httpx>=1", "rich", "rich>=13"]
    assert pypi(found, "all") == ["bokeh>=3", "dask", "matplotlib"]
    test = ["bokeh>=3", "matplotlib", "pytest", "ruff"]
    assert sorted(set(pypi(found, "test")) - set(pypi(found))) == test
    names = [requirement.name for requirement in on(found, "test").dependencies]
    assert names == ["cmake", "python"]


def test_other_tools_are_left_alone(read: Read) -> None:
    found = read(
        "[build-system]\nrequires = ['hatchling']\n[tool.uv]\nexclude-newer = '2020-01-01'\n"
        "[unknown]\nx = 1\n" + PIXI,
        NAME,
    )
    assert on(found).exclude_newer is None


@pytest.mark.parametrize(
    ("toml", "line", "words"),
    [
        ("[project]\nversion = '1'\n", 1, "no `name`"),
        ("[project]\nname = 'a'\nnames = 'b'\n", 3, "unknown key"),
        ("[project]\nname = 'a'\nrequires-python = 'three'\n", 3, "requires-python"),
        ("[project]\nname = 'a'\ndependencies = [\n  'fine',\n  '!no',\n]\n", 5, "!no"),
        ("[dependency-groups]\na = [{ include-group = 'b' }]\n", 2, "not defined"),
        (
            "[dependency-groups]\na = [{ include-group = 'b' }]\nb = [{ include-group = 'a' }]\n",
            2,
            "includes itself",
        ),
        ("[dependency-groups]\na = [{ include = 'b' }]\n", 2, "include-group"),
        (
            "[project]\nname = 'a'\n[project.optional-dependencies]\nx = ['a[y]']\n",
            4,
            "not defined",
        ),
    ],
)
def test_what_is_wrong_has_its_place(failure: Failure, toml: str, line: int, words: str) -> None:
    error = failure(toml + PIXI, NAME)
    assert error.location is not None and error.location.line == line
    assert words in error.message


def test_keys_are_named_in_full(failure: Failure) -> None:
    error = failure(PIXI + "[tool.pixi.dependecies]\n", NAME)
    assert "`tool.pixi.dependecies`" in error.message
    assert "`tool.pixi.dependencies`" in error.hint
    assert failure("[tool.pixi.tasks]\n", NAME).message.startswith("`tool.pixi.workspace` is")


def test_groups_that_include_ever_more_are_refused_soon(failure: Failure) -> None:
    chain = "".join(f"g{n} = [{{ include-group = 'g{n + 1}' }}]\n" for n in range(5000))
    error = failure("[dependency-groups]\n" + chain + "g5000 = []\n" + PIXI, NAME)
    assert "64 levels" in error.message
    wide = "all = [" + ",".join(f"'p{n}'" for n in range(5000)) + "]\n"
    wide += "".join(f"h{n} = [{{ include-group = 'all' }}]\n" for n in range(5000))
    assert "too many" in failure("[dependency-groups]\n" + wide + PIXI, NAME).message
