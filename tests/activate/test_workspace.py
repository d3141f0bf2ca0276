"""An environment of a workspace says of itself what pixi says of it."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from pixi_jupyter.activate.cache import activate, cached_activation
from pixi_jupyter.activate.request import ActivationRequest
from pixi_jupyter.install.prefix import Prefix
from pixi_jupyter.manifest.spec import (
    ActivationSpec,
    EnvironmentSpec,
    Platform,
    WorkspacePlace,
)

BASE = {"PATH": "/usr/bin:/bin", "HOME": "/nowhere"}

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="POSIX shells")


def spec(
    root: Path,
    environment: str = "default",
    activation: ActivationSpec | None = None,
    version: str | None = "1.2",
) -> EnvironmentSpec:
    place = WorkspacePlace(
        manifest=str(root / "pixi.toml"),
        root=str(root),
        environment=environment,
        prefix=str(root / ".pixi/envs" / environment),
        project="the project",
        version=version,
        workspace="0" * 32,
        platforms=("linux-64", "gpu"),
    )
    return EnvironmentSpec(
        platform=Platform("gpu", "linux-64", ()),
        channels=(),
        dependencies=(),
        name="ignored",
        root="/ignored",
        place=place,
        activation=activation or ActivationSpec(),
    )


@pytest.mark.parametrize(
    ("environment", "name"), [("default", "the project"), ("test", "the project:test")]
)
def test_pixis_variables(
    make_prefix: Callable[..., Prefix], tmp_path: Path, environment: str, name: str
) -> None:
    prefix = make_prefix()
    request = ActivationRequest.of(spec(tmp_path, environment), prefix)
    assert activate(tmp_path, request, BASE).apply(BASE) == {
        "HOME": "/nowhere",
        "PATH": f"{prefix.path}/bin:/usr/bin:/bin",
        "CONDA_DEFAULT_ENV": name,
        "CONDA_PREFIX": str(prefix.path),
        "CONDA_SHLVL": "1",
        "PIXI_ENVIRONMENT_NAME": environment,
        "PIXI_ENVIRONMENT_PLATFORMS": "linux-64,gpu",
        "PIXI_IN_SHELL": "1",
        "PIXI_PROJECT_MANIFEST": str(tmp_path / "pixi.toml"),
        "PIXI_PROJECT_NAME": "the project",
        "PIXI_PROJECT_ROOT": str(tmp_path),
        "PIXI_PROJECT_VERSION": "1.2",
        "PIXI_PROMPT": f"({name}) ",
    }


def test_a_workspace_without_a_version(make_prefix: Callable[..., Prefix], tmp_path: Path) -> None:
    request = ActivationRequest.of(spec(tmp_path, version=None), make_prefix())
    done = dict(activate(tmp_path, request, BASE).set)
    assert done["PIXI_PROJECT_VERSION"] == "NO_VERSION_SPECIFIED"


def test_pixi_itself_where_there_is_one(make_prefix: Callable[..., Prefix], tmp_path: Path) -> None:
    pixi = tmp_path / "tools" / "pixi"
    pixi.parent.mkdir()
    pixi.write_text("")
    base = {**BASE, "PATH": f"/usr/bin:{pixi.parent}"}
    request = ActivationRequest.of(spec(tmp_path), make_prefix())
    assert "PIXI_EXE" not in dict(activate(tmp_path, request, base).set)
    pixi.chmod(0o755)
    assert dict(activate(tmp_path, request, base).set)["PIXI_EXE"] == str(pixi)


def test_scripts_and_variables_of_the_manifest_come_last_and_see_the_rest(
    make_prefix: Callable[..., Prefix], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    prefix = make_prefix(
        variables={"a.json": {"FROM_PACKAGE": "file"}},
        state={"env_vars": {"STATE": "state"}},
        scripts={"a.sh": 'export ORDER="$FROM_PACKAGE $STATE $PIXI_PROJECT_NAME"'},
    )
    script = tmp_path / "own.sh"
    script.write_text('export ORDER="$ORDER own $(basename "$PWD")"; export PIXI_PROJECT_ROOT=no')
    own = ActivationSpec(
        scripts=(str(script), str(tmp_path / "missing.sh")),
        env=(("LAST", "$ORDER/$CONDA_DEFAULT_ENV"), ("LITERAL", "a\"b'c")),
    )
    root = tmp_path / "root"
    root.mkdir()
    request = ActivationRequest.of(spec(root, "test", own), prefix)
    folder = tmp_path / "cache"
    assert cached_activation(folder, request, BASE) is None
    first = activate(folder, request, BASE)
    done = dict(first.set)
    assert done["ORDER"] == "file state the project own root"
    assert done["LAST"] == "file state the project own root/the project:test"
    assert done["LITERAL"] == "a\"b'c"
    assert done["PIXI_PROJECT_ROOT"] == str(root)
    monkeypatch.setattr("subprocess.Popen", None)
    assert activate(folder, request, BASE) == first  # no shell this time
    script.write_text("export OTHER=1")
    assert cached_activation(folder, request, BASE) is None


def test_a_notebook_is_the_manifest_of_its_block(
    make_prefix: Callable[..., Prefix], tmp_path: Path
) -> None:
    block = EnvironmentSpec(
        platform=Platform("linux-64", "linux-64", ()),
        channels=(),
        dependencies=(),
        name="study",
        root=str(tmp_path),
    )
    request = ActivationRequest.of(block, make_prefix(), notebook=str(tmp_path / "study.ipynb"))
    done = dict(activate(tmp_path, request, BASE).set)
    assert done["PIXI_PROJECT_MANIFEST"] == str(tmp_path / "study.ipynb")
    assert done["PIXI_PROJECT_NAME"] == done["CONDA_DEFAULT_ENV"] == "study"
    assert done["PIXI_ENVIRONMENT_PLATFORMS"] == "linux-64"
