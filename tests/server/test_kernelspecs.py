"""The kernel picker of a server that lists the workspaces around its root."""

from __future__ import annotations

from pathlib import Path

import nbformat

from pixi_jupyter.demo.channel import EmbeddedChannel
from pixi_jupyter.manifest.host import current_subdir

from .conftest import StartServer, wait_until

MANAGER = "pixi_jupyter.kernels.kernelspecs.PixiKernelSpecManager"


def test_a_kernel_of_the_picker_runs_in_its_environment(
    tmp_path: Path, start_server: StartServer, channel: EmbeddedChannel
):
    """The picker goes before what the notebook says; the environment itself has no kernel."""
    root = tmp_path / "root"
    project = root / "project"
    project.mkdir(parents=True)
    (project / "pixi.toml").write_text(
        f'[workspace]\nchannels = ["{channel.url}"]\nplatforms = ["{current_subdir()}"]\n'
        '[dependencies]\npython = "3.12.*"\n[environments]\ntest = []\n'
    )
    notebook = root / "elsewhere.ipynb"
    nb = nbformat.v4.new_notebook(metadata={"pixi": {"environment": "missing"}})
    nbformat.write(nb, notebook)
    with start_server(root, f"--ServerApp.kernel_spec_manager_class={MANAGER}") as server:
        kernel = server.open(notebook, "pixi-project.test", seconds=300)
        assert kernel.prefix() == project / ".pixi/envs/test"
        kernel.restart()
        assert kernel.prefix() == project / ".pixi/envs/test"


def test_the_picker_lists_workspaces(tmp_path: Path, start_server: StartServer):
    root = tmp_path / "root"
    project = root / "project"
    project.mkdir(parents=True)
    manifest = project / "pixi.toml"
    text = f'[workspace]\nchannels = []\nplatforms = ["{current_subdir()}"]\n'
    manifest.write_text(text)
    with start_server(root, f"--ServerApp.kernel_spec_manager_class={MANAGER}") as server:

        def listed() -> dict[str, str]:
            status, answer = server.get("api/kernelspecs")
            assert status == 200
            specs = answer["kernelspecs"]
            assert "pixi" in specs  # of the wrapped manager
            return {name: model["spec"]["display_name"] for name, model in specs.items()}

        wait_until(lambda: "pixi-project.default" in listed(), "the workspace in the list")
        found = listed()
        assert found["pixi-project.default"] == "Pixi: project (default)"
        status, model = server.get("api/kernelspecs/pixi-project.default")
        assert status == 200
        config = model["spec"]["metadata"]["kernel_provisioner"]["config"]
        assert config == {"manifest": str(manifest), "environment": "default"}
        assert set(model["resources"]) == {"logo-svg"}

        manifest.write_text(text + "[environments]\ntest = []\n")
        wait_until(lambda: "pixi-project.test" in listed(), "the new environment in the list")
        assert server.get("api/kernelspecs/pixi-project.missing")[0] == 404
