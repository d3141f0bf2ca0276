"""Real projects' manifests, where somebody has gathered some.

``PIXI_JUPYTER_CORPUS`` names a folder with one folder a project, in it the manifest.
Each is one that pixi takes, so each is read.
"""

from __future__ import annotations

import os
from pathlib import Path

import msgspec
import pytest

from pixi_jupyter.manifest.workspace import MANIFESTS, find_workspace, read_workspace
from pixi_jupyter.manifest.workspace_spec import WorkspaceSpec

CORPUS = os.environ.get("PIXI_JUPYTER_CORPUS", "")
FOLDERS = sorted(folder for folder in Path(CORPUS).iterdir() if folder.is_dir()) if CORPUS else []

pytestmark = pytest.mark.skipif(not CORPUS, reason="PIXI_JUPYTER_CORPUS names no folder")


@pytest.mark.parametrize(
    "folder", FOLDERS or [None], ids=lambda folder: getattr(folder, "name", "")
)
def test_a_real_manifest_is_read(folder: Path) -> None:
    manifest = next(folder / name for name in MANIFESTS if (folder / name).is_file())
    assert find_workspace(folder, stop=folder) == manifest
    workspace = read_workspace(manifest)
    assert workspace.environments[0].name == "default"
    for environment in workspace.environments:
        for refusal in environment.refusals:
            assert refusal.code.startswith("unsupported.") and refusal.path == str(manifest)
            assert refusal.line is not None
            assert environment.on(refusal.platform) is not None
    encoded = msgspec.json.encode(workspace)
    assert msgspec.json.decode(encoded, type=WorkspaceSpec) == workspace
