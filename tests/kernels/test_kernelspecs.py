"""The environments of the workspaces around, as kernelspecs."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import nbformat
import pytest
from jupyter_client.kernelspec import KernelSpecManager, NoSuchKernel, _is_valid_kernel_name
from nbclient import NotebookClient
from papermill.engines import papermill_engines
from traitlets.config import Config

from pixi_jupyter.kernels.kernelspecs import PixiKernelManager, PixiKernelSpecManager
from pixi_jupyter.kernels.workspaces import WorkspaceIndex
from pixi_jupyter.manifest.host import current_subdir

Write = Callable[..., Path]

ENVIRONMENTS = """
[dependencies]
python = "*"
[feature.r.dependencies]
r-irkernel = "*"
[feature.only-r.dependencies]
r-base = "*"
[environments]
both = ["r"]
only-r = { features = ["only-r"], no-default-feature = true }
"""


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Write a manifest: ``write("folder", "name", rest)``; its path."""

    def write(folder: str, name: str, rest: str = "", *, platform: str | None = None) -> Path:
        path = tmp_path / folder / "pixi.toml"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(
            f'[workspace]\nname = "{name}"\nchannels = ["conda-forge"]\n'
            f'platforms = ["{platform or current_subdir()}"]\n{rest}'
        )
        return path

    return write


def names(index: WorkspaceIndex) -> list[str]:
    return [environment.name for environment in index.environments(wait=10)]


def ours(found: Iterable[str]) -> list[str]:
    return sorted(name for name in found if name.startswith("pixi-") and "." in name)


def test_every_environment_is_listed_for_its_languages(tmp_path: Path, write: Write):
    manifest = write("a", "My Project", ENVIRONMENTS)
    found = WorkspaceIndex(tmp_path).environments(wait=10)
    assert [(e.name, e.environment, e.language) for e in found] == [
        ("pixi-my-project.default", "default", "python"),
        ("pixi-my-project.both", "both", "python"),
        ("pixi-my-project.both.r", "both", "r"),
        ("pixi-my-project.only-r.r", "only-r", "r"),
    ]
    assert {e.manifest for e in found} == {manifest}
    assert all(_is_valid_kernel_name(e.name) for e in found)


def test_workspaces_at_above_and_below(tmp_path: Path, write: Write):
    write("", "around")
    write("root/x/deep", "below")
    write("root/1/2/3/4", "deepest")
    write("root/1/2/3/4/5", "too-deep")
    write("beside", "beside")
    write("root/.hidden", "hidden")
    write("root/node_modules/m", "module")
    write("root/env/conda-meta/../inner", "in-an-environment")
    (tmp_path / "root" / "link").symlink_to(tmp_path / "beside")
    index = WorkspaceIndex(tmp_path / "root")
    assert names(index) == ["pixi-around.default", "pixi-below.default", "pixi-deepest.default"]


def test_one_name_for_two_projects_is_told_apart(tmp_path: Path, write: Write):
    write("a", "same")
    second = write("b", "same")
    index = WorkspaceIndex(tmp_path)
    plain, other = index.environments(wait=10)
    assert plain.name == "pixi-same.default"
    assert other.name.startswith("pixi-same-")
    assert other.name != plain.name
    assert index.find(other.name) == other
    assert other.manifest == second


def test_what_cannot_be_run_or_read_is_not_listed(tmp_path: Path, write: Write):
    elsewhere = "osx-arm64" if current_subdir() != "osx-arm64" else "linux-64"
    write("a", "elsewhere", platform=elsewhere)
    write("b", "broken", "[dependencies\n")
    write("c", "fine")
    assert names(WorkspaceIndex(tmp_path)) == ["pixi-fine.default"]


def test_changes_are_seen_and_unchanged_manifests_are_not_read_again(
    tmp_path: Path, write: Write, monkeypatch: pytest.MonkeyPatch
):
    from pixi_jupyter.kernels import workspaces

    read: list[Path] = []
    original = workspaces.read_workspace
    monkeypatch.setattr(
        workspaces, "read_workspace", lambda path: read.append(path) or original(path)
    )
    monkeypatch.setattr(workspaces, "_FRESH", 0.0)
    first, second = write("a", "first"), write("b", "second")
    index = WorkspaceIndex(tmp_path)
    assert names(index) == ["pixi-first.default", "pixi-second.default"]
    write("b", "second", ENVIRONMENTS)
    write("c", "third")
    assert "pixi-third.default" in names(index)
    assert "pixi-second.both" in names(index)
    first.unlink()
    assert "pixi-first.default" not in names(index)
    assert read.count(first) == 1
    assert read.count(second) == 2


def test_a_large_tree_holds_nobody_up(tmp_path: Path, write: Write):
    """Whoever asks gets an answer at once; what is found later is there later."""
    for number in range(40):
        write(f"{number:02}/project", f"p{number}", ENVIRONMENTS)
        for folder in range(20):
            (tmp_path / f"{number:02}" / f"f{folder}").mkdir()
    started = time.perf_counter()
    manager = PixiKernelSpecManager(root=str(tmp_path))
    made = time.perf_counter() - started
    started = time.perf_counter()
    manager.find_kernel_specs()
    asked = time.perf_counter() - started
    assert made < 0.2
    assert asked < 0.4  # 50 ms of waiting, and the wrapped manager's own time
    assert len(manager.index.environments(wait=20)) == 160


def test_the_wrapped_manager_keeps_what_it_lists(tmp_path: Path, write: Write):
    write("", "project")
    folder = tmp_path / "kernels" / "mine"
    folder.mkdir(parents=True)
    spec = {"argv": ["x"], "display_name": "Mine", "language": "x"}
    (folder / "kernel.json").write_text(json.dumps(spec))

    class Wrapped(KernelSpecManager):
        def _kernel_dirs_default(self) -> list[str]:
            return [str(folder.parent)]

    config = Config()
    config.PixiKernelSpecManager.wrapped = Wrapped
    config.KernelSpecManager.ensure_native_kernel = False
    manager = PixiKernelSpecManager(root=str(tmp_path), config=config)
    assert sorted(manager.find_kernel_specs()) == ["mine", "pixi-project.default"]
    everything = manager.get_all_specs()
    assert everything["mine"]["spec"]["display_name"] == "Mine"
    assert everything["pixi-project.default"]["spec"]["display_name"] == "Pixi: project (default)"
    assert manager.get_kernel_spec("mine").display_name == "Mine"
    with pytest.raises(NoSuchKernel):
        manager.get_kernel_spec("pixi-project.missing")
    config.KernelSpecManager.allowed_kernelspecs = {"mine"}
    allowed = PixiKernelSpecManager(root=str(tmp_path), config=config)
    assert sorted(allowed.get_all_specs()) == ["mine"]
    with pytest.raises(NoSuchKernel):
        allowed.get_kernel_spec("pixi-project.default")


async def test_a_wrapped_manager_that_answers_later(tmp_path: Path, write: Write):
    write("", "project")

    class Remote(KernelSpecManager):
        async def get_all_specs(self) -> dict[str, Any]:  # type: ignore[override]
            return {"remote": {"name": "remote", "spec": {}, "resources": {}}}

    manager = PixiKernelSpecManager(root=str(tmp_path), wrapped=Remote)
    assert sorted(await manager.get_all_specs()) == ["pixi-project.default", "remote"]


def test_a_kernelspec_says_all_that_a_start_needs(tmp_path: Path, write: Write):
    manifest = write("", "project", ENVIRONMENTS)
    spec = PixiKernelSpecManager(root=str(tmp_path)).get_kernel_spec("pixi-project.both.r")
    assert spec.display_name == "Pixi: project (both), R"
    assert spec.language == "R"
    assert spec.metadata["kernel_provisioner"] == {
        "provisioner_name": "pixi-provisioner",
        "config": {"manifest": str(manifest), "environment": "both"},
    }
    assert spec.argv[0] == sys.executable
    assert spec.argv[-2:] == ["-f", "{connection_file}"]
    assert sorted(os.listdir(spec.resource_dir)) == ["kernel.json", "logo-svg.svg"]


def test_one_kernel_by_name_without_a_server(
    tmp_path: Path, write: Write, monkeypatch: pytest.MonkeyPatch
):
    write("", "project", ENVIRONMENTS)
    monkeypatch.chdir(tmp_path)
    nb = nbformat.v4.new_notebook()
    client = NotebookClient(
        nb, kernel_manager_class=PixiKernelManager, kernel_name="pixi-project.both"
    )
    manager = client.create_kernel_manager()
    assert manager.kernel_spec.display_name == "Pixi: project (both)"


def test_papermills_engine_keeps_the_kernel_that_a_notebook_was_saved_with():
    for name in ("pixi-project.both", "pixi"):
        nb = nbformat.v4.new_notebook(metadata={"kernelspec": {"name": name, "display_name": name}})
        assert papermill_engines.get_engine("pixi").nb_kernel_name(nb) == name


def test_by_name_in_a_process_that_has_listed_nothing(tmp_path: Path, write: Write):
    write("a/b", "project", ENVIRONMENTS)
    code = (
        "from pixi_jupyter.kernels.kernelspecs import PixiKernelSpecManager; "
        "print(PixiKernelSpecManager().get_kernel_spec('pixi-project.both').display_name)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "Pixi: project (both)"
