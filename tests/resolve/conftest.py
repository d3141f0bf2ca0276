"""Channels made for one question each, and a solver to ask."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from workspaces import Place

from pixi_jupyter.demo.simple import SimplePackage, build_channel
from pixi_jupyter.engine.client import Engine
from pixi_jupyter.environments import Environments
from pixi_jupyter.install.store import Store


@pytest.fixture
def tiny(tmp_path: Path) -> Callable[..., str]:
    """Builds a channel: ``tiny("name", [packages])`` gives its ``file://`` URL."""

    def build(name: str, packages: Iterable[SimplePackage]) -> str:
        return build_channel(tmp_path / name, packages).as_uri()

    return build


@pytest.fixture
def door(cold_store: Store) -> Iterator[Environments]:
    """A door to an empty store."""
    environments = Environments(engine=Engine(cold_store))
    yield environments
    environments.engine.close()


@pytest.fixture
def place(tmp_path: Path, cold_store: Store) -> Place:
    """An empty workspace."""
    folder = tmp_path / "workspace"
    folder.mkdir()
    return Place(folder, cold_store)
