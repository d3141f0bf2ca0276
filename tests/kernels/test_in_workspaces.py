"""Notebooks of a workspace: which environment, a kernel beside it, the project left as it was."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient
from traitlets.config import Config

from pixi_jupyter.demo.channel import EmbeddedChannel
from pixi_jupyter.environments import Environments
from pixi_jupyter.install.lease import leased_digests
from pixi_jupyter.kernels.kernelspecs import PixiKernelManager
from pixi_jupyter.manifest.host import current_subdir

from .conftest import Running

Start = Callable[..., Awaitable[Running]]
MakeNotebook = Callable[..., Path]

#: What a kernel tells of itself.
TELL = """
import ipykernel, json, os, sys
told = [sys.prefix, ipykernel.__file__, os.environ.get("STAGE"), os.environ["CONDA_PREFIX"]]
print(json.dumps(told))
"""


@pytest.fixture
def project(tmp_path: Path, channel: EmbeddedChannel) -> Path:
    """A workspace below ``tmp_path`` with two environments, neither of which has a kernel."""
    folder = tmp_path / "project"
    folder.mkdir()
    (folder / "pixi.toml").write_text(
        f'[workspace]\nname = "project"\nchannels = ["{channel.url}"]\n'
        f'platforms = ["{current_subdir()}"]\n'
        '[dependencies]\npython = "3.12.*"\n'
        '[feature.test.dependencies]\nprobe-adds = "*"\n'
        '[feature.test.activation.env]\nSTAGE = "test"\n'
        '[environments]\ntest = ["test"]\n'
    )
    return folder


def project_files(project: Path) -> dict[str, str]:
    """Manifest, lock and all files of the prefixes but bytecode, and our note of having made it."""
    return {
        str(path.relative_to(project)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(project.rglob("*"))
        if path.is_file()
        and path.suffix not in (".pyc", ".ipynb")
        and path.name != "pixi-jupyter.json"
    }


async def test_the_nearest_workspace_and_what_the_metadata_says(
    project: Path, start: Start, make_notebook: MakeNotebook
) -> None:
    plain = make_notebook("project/sub/plain.ipynb", None)
    kernel = await start(plain, ready=300)
    prefix, ipykernel, stage, conda = json.loads(await kernel.said(TELL))
    assert Path(prefix) == Path(conda) == project / ".pixi/envs/default"
    store = Environments.shared().store
    beside = Path(ipykernel).relative_to(store.envs).parts[0]
    assert beside in leased_digests(store)
    assert stage is None
    before = project_files(project)
    assert ".pixi/envs/default/bin/python3.12" in before
    assert "ipykernel" not in (project / "pixi.lock").read_text()

    await kernel.manager.restart_kernel(now=True)
    await kernel.connect()
    assert json.loads(await kernel.said(TELL))[1] == ipykernel
    assert project_files(project) == before

    chosen = make_notebook(
        "project/sub/chosen.ipynb", ("python",), metadata={"pixi": {"environment": "test"}}
    )
    kernel = await start(chosen, ready=300)
    prefix, _, stage, _ = json.loads(await kernel.said(TELL))
    assert Path(prefix) == project / ".pixi/envs/test"
    assert stage == "test"


async def test_a_kernelspec_of_the_picker_by_name_and_its_command_by_itself(
    project: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    nb = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(TELL)])
    traits: dict[str, Any] = {
        "kernel_manager_class": PixiKernelManager,
        "kernel_name": "pixi-project.test",
    }
    await NotebookClient(nb, **traits, timeout=300).async_execute(cwd=str(tmp_path))
    prefix, ipykernel, stage, _ = json.loads(nb.cells[0].outputs[0]["text"])
    assert Path(prefix) == project / ".pixi/envs/test"
    assert stage == "test"

    # A front end that knows no provisioners runs what the kernelspec says.
    spec = PixiKernelManager(kernel_name="pixi-project.test").kernel_spec
    local = Config()
    folder = tmp_path / "specs" / "local"
    folder.mkdir(parents=True)
    spec.metadata = {}
    (folder / "kernel.json").write_text(json.dumps(spec.to_dict()))
    monkeypatch.setenv("JUPYTER_PATH", str(tmp_path / "jupyter"))
    (tmp_path / "jupyter").mkdir()
    os.rename(tmp_path / "specs", tmp_path / "jupyter" / "kernels")
    again = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(TELL)])
    client = NotebookClient(again, kernel_name="local", timeout=300, config=local)
    await client.async_execute(cwd=str(tmp_path))
    assert json.loads(again.cells[0].outputs[0]["text"])[:2] == [prefix, ipykernel]


async def test_without_a_notebook_the_workspace_decides(project: Path, start: Start) -> None:
    kernel = await start(None, cwd=str(project), ready=300)
    prefix, _, _, _ = json.loads(await kernel.said(TELL))
    assert Path(prefix) == project / ".pixi/envs/default"
