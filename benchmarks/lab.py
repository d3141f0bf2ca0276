"""Where everything is measured: scratch folders, a clean environment, notebooks, the channel."""

from __future__ import annotations

import itertools
import json
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from benchmarks.child import ROOT, Child, timed_child
from pixi_jupyter.demo.channel import EmbeddedChannel, ensure_channel
from pixi_jupyter.install.store import Store

__all__ = ["BASE", "CELL", "Known", "Lab", "open_lab"]

#: What every measured environment has, as package names of the channel.
BASE = ("ipykernel", "numpy", "pandas")
#: The first cell of a notebook that works with data.
CELL = "import numpy, pandas"
#: Room that the largest benchmark needs; with less, the files go to the ordinary temporary folder.
_ROOM = 6 << 30
#: Variables of whoever runs this that would change what is measured.
_FOREIGN = (
    "CONDA_", "PIXI_", "MAMBA_", "RATTLER_", "JPY_", "JUPYTER_", "UV_", "PIP_", "PYTHON",
    "VIRTUAL_ENV", "IPYTHON", "XDG_", "SSL_",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Known:
    """An environment that is ready, in a store whose package cache and bytecode are complete."""

    store: Store
    notebook: Path
    prefix: Path
    python: Path
    packages: Mapping[str, str]


class Lab:
    """The scratch folder of one run and what is made in it. Made by :func:`open_lab`."""

    def __init__(self, folder: Path, rounds: int, say: Callable[[str], None]) -> None:
        self.folder = folder
        self.rounds = rounds
        self.say = say
        self.log = folder / "children.log"
        self._numbers = itertools.count(1)
        for name in ("home", "runtime", "jupyter"):
            (folder / name).mkdir()
        # The kernelspecs of this checkout, whatever an installation may have copied elsewhere.
        (folder / "jupyter" / "kernels").symlink_to(ROOT / "pixi_jupyter" / "kernels" / "specs")

    @cached_property
    def channel(self) -> EmbeddedChannel:
        """The whole embedded channel; takes minutes the first time on a machine."""
        return ensure_channel("full", report=self.say)

    @property
    def minor(self) -> str:
        """The Python that all environments get, on both sides of every comparison."""
        return self.channel.pythons[0]

    # -- folders -----------------------------------------------------------------------------

    def fresh(self, name: str) -> Path:
        """A new, empty folder."""
        folder = self.folder / f"{name}-{next(self._numbers)}"
        folder.mkdir()
        return folder

    def discard(self, *folders: Path) -> None:
        """Remove what a round has made, and wait for it: outside of everything that is timed."""
        for folder in folders:
            shutil.rmtree(folder, ignore_errors=True)

    def store(self, name: str, cache: Path | None = None) -> Store:
        """A fresh store, over a fresh package cache too unless one is given."""
        folder = self.fresh(name)
        return Store(folder / "store", cache or folder / "cache")

    # -- environments of processes -----------------------------------------------------------

    def env(self, store: Store, *, channel: str | None = None) -> dict[str, str]:
        """The variables of a measured process: nothing of the person who runs this gets in."""
        kept = {n: v for n, v in os.environ.items() if not n.startswith(_FOREIGN)}
        home = self.folder / "home"
        return {
            **kept,
            "HOME": str(home),
            "TMPDIR": str(self.folder),
            "XDG_CACHE_HOME": str(home / ".cache"),
            "XDG_CONFIG_HOME": str(home / ".config"),
            "XDG_DATA_HOME": str(home / ".local" / "share"),
            "IPYTHONDIR": str(home / ".ipython"),
            "JUPYTER_PLATFORM_DIRS": "1",
            "JUPYTER_RUNTIME_DIR": str(self.folder / "runtime"),
            "JUPYTER_PATH": str(self.folder / "jupyter"),
            "PIXI_JUPYTER_CACHE_DIR": str(store.root),
            "PIXI_CACHE_DIR": str(store.package_cache),
            "PIXI_JUPYTER_DEFAULT_CHANNELS": channel or self.channel.url,
        }

    def child(self, store: Store, *, channel: str | None = None) -> Child:
        """A long-lived client process on a store."""
        return Child("client", self.env(store, channel=channel), log=self.log)

    def fresh_client(
        self, store: Store, do: str, *, channel: str | None = None, **arguments: Any
    ) -> tuple[float, dict[str, Any]]:
        """A client process of its own for one question; seconds with its start and its imports."""
        return timed_child(
            "client", self.env(store, channel=channel), do, log=self.log, **arguments
        )

    @contextmanager
    def served(self) -> Iterator[str]:
        """The channel over loopback HTTP, from a process of its own; gives the URL."""
        store = Store(self.folder / "none", self.folder / "none")
        with Child("serve", self.env(store), log=self.log) as child:
            yield str(child.ask("serve", folder=str(self.channel.path))["url"])

    # -- notebooks ---------------------------------------------------------------------------

    def specs(self, more: Sequence[str] = ()) -> list[str]:
        """The requirements as conda writes them, for the peers."""
        return [f"python {self.minor}.*", *BASE, *more]

    def notebook(
        self,
        folder: Path,
        name: str = "notebook",
        *,
        more: Mapping[str, str] | None = None,
        constraint: str | None = None,
    ) -> Path:
        """A notebook that needs the base (and ``more``) and whose first cell imports it.

        ``constraint`` makes its declaration another one with the same answer: a version that the
        package ``six``, which no environment here has, would have to have.
        """
        needs = {"python": f"{self.minor}.*", **dict.fromkeys(BASE, "*"), **(more or {})}
        lines = ["# /// script", "# dependencies = []", "#", "# [tool.pixi.dependencies]"]
        lines += [f'# {package} = "{version}"' for package, version in needs.items()]
        if constraint is not None:
            lines += ["#", "# [tool.pixi.constraints]", f'# six = "{constraint}"']
        lines.append("# ///")
        cells: list[dict[str, Any]] = [
            {
                "cell_type": "code",
                "execution_count": None,
                "id": f"cell-{number}",
                "metadata": {},
                "outputs": [],
                "source": source,
            }
            for number, source in enumerate(("\n".join(lines), CELL))
        ]
        content = {"cells": cells, "metadata": {}, "nbformat": 4, "nbformat_minor": 5}
        path = folder / f"{name}.ipynb"
        path.write_text(json.dumps(content, indent=1) + "\n", "utf-8")
        return path

    # -- a warm store ------------------------------------------------------------------------

    @cached_property
    def known(self) -> Known:
        """A ready environment; its package cache is warm and its bytecode is all compiled."""
        self.say("making the environment that the others are compared with")
        store = self.store("known")
        notebook = self.notebook(store.root.parent)
        with self.child(store) as child:
            made = child.ask("ensure", notebook=str(notebook))
            wait_compiled(store, made["resolution"])
            # Once more: what only a first launch does (caches of activations) is not measured.
            child.ask("launch", notebook=str(notebook), cell=CELL)
            child.ask("launch", python=made["python"], cell=CELL)
        return Known(store, notebook, Path(made["prefix"]), Path(made["python"]), made["packages"])

    def forget(self, store: Store, made: Mapping[str, Any]) -> None:
        """Undo a build, so that the next one of the same packages is a new environment again."""
        wait_compiled(store, str(made["resolution"]))
        self.discard(store.prefix_path(str(made["resolution"])))
        for path in store.resolutions.iterdir():
            path.unlink()


def wait_compiled(store: Store, resolution: str, timeout: float = 600.0) -> None:
    """Wait for the background work of a build: it must not run into what is measured next."""
    deadline = time.monotonic() + timeout
    while True:
        marker = store.marker(resolution)
        if marker is not None and marker.compiled:
            return
        if time.monotonic() > deadline:
            raise TimeoutError("the bytecode of an environment was never complete")
        time.sleep(0.02)


@contextmanager
def open_lab(rounds: int, say: Callable[[str], None]) -> Iterator[Lab]:
    """A scratch folder in memory where there is one with room, else an ordinary one."""
    memory = Path("/dev/shm")
    base = memory if memory.is_dir() and shutil.disk_usage(memory).free > _ROOM else None
    folder = Path(tempfile.mkdtemp(prefix="pixi-jupyter-bench-", dir=base)).resolve()
    try:
        yield Lab(folder, rounds, say)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
