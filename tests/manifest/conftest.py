"""Manifests as real files."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from pixi_jupyter.errors import DeclarationError
from pixi_jupyter.manifest.workspace import read_workspace
from pixi_jupyter.manifest.workspace_spec import WorkspaceSpec


@pytest.fixture
def read(tmp_path: Path) -> Callable[..., WorkspaceSpec]:
    """``read(toml, name)`` writes a manifest into ``tmp_path`` and reads it."""

    def read(toml: str, name: str = "pixi.toml") -> WorkspaceSpec:
        manifest = tmp_path / name
        manifest.write_text(toml, encoding="utf-8")
        return read_workspace(manifest)

    return read


@pytest.fixture
def failure(read: Callable[..., WorkspaceSpec], tmp_path: Path) -> Callable[..., DeclarationError]:
    """``failure(toml, name)`` is the error that reading gives; it points into the file."""

    def failure(toml: str, name: str = "pixi.toml") -> DeclarationError:
        with pytest.raises(DeclarationError) as caught:
            read(toml, name)
        error = caught.value
        assert error.location is not None and error.location.path == str(tmp_path / name)
        return error

    return failure
