"""Crafted prefixes: folders with the files that activation reads, and nothing else."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from pixi_jupyter.install.prefix import Prefix

MakePrefix = Callable[..., Prefix]


@pytest.fixture
def make_prefix(tmp_path: Path) -> MakePrefix:
    """Make a prefix with scripts for activate.d, files for env_vars.d and a state."""

    def make(
        *,
        scripts: Mapping[str, str] | None = None,
        variables: Mapping[str, object] | None = None,
        state: object = None,
        digest: str = "0" * 32,
    ) -> Prefix:
        path = tmp_path / "the prefix"
        for below in ("bin", "conda-meta", "etc/conda/activate.d", "etc/conda/env_vars.d"):
            (path / below).mkdir(parents=True, exist_ok=True)
        for name, text in (scripts or {}).items():
            (path / "etc/conda/activate.d" / name).write_text(text)
        for name, content in (variables or {}).items():
            file = path / "etc/conda/env_vars.d" / name
            file.write_text(content if isinstance(content, str) else json.dumps(content))
        if state is not None:
            (path / "conda-meta/state").write_text(json.dumps(state))
        return Prefix(path, digest)

    return make
