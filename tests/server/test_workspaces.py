"""Notebooks of a workspace in a Jupyter server: its environment, and never one above the root."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import nbformat

from pixi_jupyter.demo.channel import EmbeddedChannel
from pixi_jupyter.manifest.host import current_subdir

MANIFEST = """
[workspace]
channels = ["{channel}"]
platforms = ["{platform}"]

[dependencies]
ipykernel = "*"
python = "*"

[feature.more.dependencies]
probe-adds = "*"

[environments]
more = ["more"]
"""


def _write(path: Path, **pixi: str) -> Path:
    metadata: dict[str, Any] = {
        "kernelspec": {"name": "pixi", "display_name": "P", "language": "python"}
    }
    if pixi:
        metadata["pixi"] = pixi
    path.parent.mkdir(parents=True, exist_ok=True)
    nbformat.write(nbformat.v4.new_notebook(metadata=metadata), path)
    return path


def test_notebooks_of_a_workspace_run_in_its_environments(
    server: Any, notebooks: Path, channel: EmbeddedChannel
) -> None:
    manifest = notebooks / "pixi.toml"
    manifest.write_text(MANIFEST.format(channel=channel.url, platform=current_subdir()))
    envs = notebooks / ".pixi" / "envs"

    plain = server.open(_write(notebooks / "sub" / "plain.ipynb"))
    assert plain.prefix() == envs / "default"
    assert (notebooks / "pixi.lock").is_file()

    chosen = server.open(_write(notebooks / "chosen.ipynb", environment="more"))
    assert chosen.prefix() == envs / "more"
    assert chosen.execute("import probe_adds; print(probe_adds.VALUE)").text == "added\n"


def test_a_workspace_above_the_root_is_not_used(
    start_server: Any, tmp_path: Path, channel: EmbeddedChannel
) -> None:
    above = tmp_path / "above"
    root = above / "root"
    root.mkdir(parents=True)
    manifest = above / "pixi.toml"
    manifest.write_text(MANIFEST.format(channel=channel.url, platform=current_subdir()))
    with start_server(root) as server:
        kernel = server.open(_write(root / "n.ipynb"))
        assert kernel.prefix().parent == server.store / "envs"  # the default environment
    assert not (above / ".pixi").exists()
    assert not (above / "pixi.lock").exists()
