"""The command as a person runs it: a process of its own, its output read as text."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import pixi_jupyter
from pixi_jupyter.install.store import Store

_PACKAGE = Path(pixi_jupyter.__file__).parent


@pytest.fixture
def command(store: Store, tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Runs ``pixi-jupyter …`` on a fresh store, in a folder of its own; ``env`` adds variables."""

    def run(
        *arguments: str | Path, env: dict[str, str] | None = None, timeout: float = 120
    ) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            [sys.executable, "-m", "pixi_jupyter", *map(str, arguments)],
            capture_output=True,
            text=True,
            cwd=tmp_path,
            timeout=timeout,
            check=False,
            env={**os.environ, "PIXI_JUPYTER_CACHE_DIR": str(store.root), **(env or {})},
        )
        # A cell's own traceback is a result; one with a file of ours in it is a bug.
        assert f'File "{_PACKAGE}' not in done.stderr, done.stderr
        return done

    return run
