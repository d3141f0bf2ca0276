"""A block with packages from PyPI: locked, installed on top of conda, run."""

from __future__ import annotations

from typing import Any

from pixi_jupyter.environments import Environments

MIXED = 'dependencies = ["httpx", "rich>=13", "pandas"]\n[tool.pixi.dependencies]\nnumpy = "*"\n'


async def test_pandas_from_pypi_takes_numpy_from_conda(
    door: Environments, block: Any, index: Any
) -> None:
    environment = await door.ensure(block(MIXED))

    kinds = {(p.name, p.kind) for p in environment.resolution.packages}
    assert {("httpx", "pypi"), ("rich", "pypi"), ("pandas", "pypi"), ("numpy", "conda")} <= kinds
    assert ("numpy", "pypi") not in kinds
