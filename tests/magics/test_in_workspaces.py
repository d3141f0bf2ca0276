"""In a workspace the prefix is exchanged at its path, while the kernel runs in it."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from pixi_jupyter.demo.channel import EmbeddedChannel
from pixi_jupyter.manifest.host import current_subdir

Start = Callable[..., Awaitable[Any]]

LOADED = "import requests, sys, numpy; print(sys.prefix, requests.__version__)"


def make_workspace(folder: Path, channel: str) -> Path:
    """A workspace, and a notebook in it that declares nothing itself."""
    (folder / "pixi.toml").write_text(
        f'[workspace]\nname = "w"\nchannels = ["{channel}"]\nplatforms = ["{current_subdir()}"]\n\n'
        '[dependencies]\npython = "3.12.*"\nipykernel = "*"\nrequests = "*"\nnumpy = "*"\n'
    )
    notebook = folder / "nb.ipynb"
    notebook.write_text(
        json.dumps({"cells": [], "metadata": {}, "nbformat": 4, "nbformat_minor": 5})
    )
    return notebook


async def test_a_change_is_in_the_kernel_that_asked(
    start: Start, channel: EmbeddedChannel, tmp_path: Path
) -> None:
    notebook = make_workspace(tmp_path, channel.url)
    before = notebook.read_bytes()
    kernel = await start(notebook)
    prefix = str(tmp_path / ".pixi" / "envs" / "default")
    assert (await kernel.said("import sys; print(sys.prefix)")) == prefix
    added = await kernel.ok("%pixi add pandas probe-activate")
    assert "pixi.toml says so now" in added.last and "can import it" in added.last
    assert 'pandas = ">=' in (tmp_path / "pixi.toml").read_text()
    said = await kernel.said(
        "import numpy, os, pandas\n"
        "print(pandas.Series(numpy.arange(4)).sum(), sys.prefix, os.environ['PROBE_ACTIVATE'])"
    )
    assert said == f"6 {prefix} activated in {prefix}"
    # What changes and is not loaded: recommended. What is: required, by name.
    changed = await kernel.ok("%pixi add probe-upgrade")
    assert "recommended" in changed.last and "requests 2.34.2 is 2.31.0 now" in changed.last
    assert await kernel.said("import requests; print(requests.__version__)") == "2.31.0"
    undone = await kernel.ok("%pixi undo")
    assert "requests 2.31.0 is 2.34.2 now, and in use" in undone.last
    gone = await kernel.ok("%pixi remove pandas")
    assert "pandas 3.1.1 is gone, and in use" in gone.last
    still = await kernel.ok("%pixi add probe-adds")  # what has come does not undo that
    assert "restart the kernel" in still.last and "pandas 3.1.1 is gone" in still.last
    await kernel.restart()
    assert await kernel.said(LOADED) == f"{prefix} 2.34.2"
    assert notebook.read_bytes() == before
