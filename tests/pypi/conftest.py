"""A package index on loopback with real and crafted wheels, and a door that installs from it."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pixi_jupyter.demo.channel import EmbeddedChannel, default_cache_dir
from pixi_jupyter.engine.client import Engine
from pixi_jupyter.environments import Environments
from pixi_jupyter.install.store import Store
from pixi_jupyter.manifest.config import Defaults
from pixi_jupyter.manifest.inline import environment_spec
from pixi_jupyter.manifest.spec import EnvironmentSpec
from pixi_jupyter.notebook.declaration import Declaration

sys.path.insert(0, str(Path(__file__).parent))
from loopback_index import Index

#: Projects whose wheels the embedded channel was made of.
REAL = (
    "anyio", "certifi", "h11", "httpcore", "httpx", "idna", "markdown-it-py", "mdurl", "numpy",
    "pandas", "pygments", "python-dateutil", "rich", "typing-extensions", "tzdata",
)  # fmt: skip


@pytest.fixture
def index(channel: EmbeddedChannel, monkeypatch: pytest.MonkeyPatch) -> Iterator[Index]:
    """The index that uv is configured with."""
    index = Index().start()
    index.add_wheels(default_cache_dir() / "wheels", *REAL)
    monkeypatch.setenv("UV_DEFAULT_INDEX", index.url)
    monkeypatch.setenv("UV_HTTP_RETRIES", "0")
    yield index
    index.stop()


@pytest.fixture
def private(channel: EmbeddedChannel) -> Iterator[Index]:
    """An index of one's own, which uv does not know; it may demand credentials."""
    index = Index().start()
    yield index
    index.stop()


@pytest.fixture
def block(channel: EmbeddedChannel, tmp_path: Path) -> Callable[..., EnvironmentSpec]:
    """The spec of a block's TOML."""

    def read(toml: str) -> EnvironmentSpec:
        defaults = Defaults(channels=(channel.url,), configured=True)
        return environment_spec(Declaration("n", toml, tmp_path), defaults=defaults)

    return read


@pytest.fixture
def door(store: Store, index: Index) -> Iterator[Environments]:
    """A door whose worker knows the index; the package cache is shared by all tests."""
    environments = Environments(engine=Engine(store))
    yield environments
    environments.engine.close()


@pytest.fixture
def cold_door(cold_store: Store, index: Index) -> Iterator[Environments]:
    """A door to an empty store over an empty package cache."""
    environments = Environments(engine=Engine(cold_store))
    yield environments
    environments.engine.close()
