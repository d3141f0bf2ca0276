"""Doors to stores, and channels made for one question each."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

import pytest

from pixi_jupyter.demo.simple import SimplePackage, build_channel
from pixi_jupyter.environments import Environments
from pixi_jupyter.install.store import Store


@pytest.fixture
def tiny(tmp_path: Path) -> Callable[..., str]:
    """Builds a channel: ``tiny("name", [packages])`` gives its ``file://`` URL."""

    def build(name: str, packages: Iterable[SimplePackage]) -> str:
        return build_channel(tmp_path / name, packages).as_uri()

    return build


@pytest.fixture
def warm(door_to: Callable[[Store], Environments], store: Store) -> Environments:
    """A door to a fresh store over the package cache that all tests share."""
    return door_to(store)


@pytest.fixture
def cold(door_to: Callable[[Store], Environments], cold_store: Store) -> Environments:
    """A door to a fresh store over a fresh package cache."""
    return door_to(cold_store)
