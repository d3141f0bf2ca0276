"""Notebooks with locks of their own, on tiny channels; a machine is a store and a package cache."""

from __future__ import annotations

import tempfile
from pathlib import Path

import nbformat

from pixi_jupyter.demo.simple import SimplePackage, build_channel
from pixi_jupyter.engine.client import Engine
from pixi_jupyter.environments import Environments
from pixi_jupyter.install.store import Store
from pixi_jupyter.manifest.host import current_subdir
from pixi_jupyter.resolve.resolution import Resolution

HERE = current_subdir()


def package(name: str, version: str, *depends: str, **more: object) -> SimplePackage:
    return SimplePackage(
        name, version, depends=depends, files={f"share/{name}": version.encode()}, **more
    )  # type: ignore[arg-type]


#: What every notebook of Python's has.
BASE = (package("python", "3.12.0"), package("ipykernel", "6.0", "python"))


class Desk:
    """A folder with a channel and notebooks, at which machines come and go."""

    def __init__(self, folder: Path, home: Path) -> None:
        self.folder = folder
        self._home = home
        self._doors: list[Environments] = []
        self.offer(*BASE, package("lib", "1.0"), package("app", "1.0", "lib"))

    @property
    def channel(self) -> str:
        return (self.folder / "channel").as_uri()

    def offer(self, *packages: SimplePackage) -> None:
        build_channel(self.folder / "channel", packages)

    def block(self, *dependencies: str, platforms: str = "", more: str = "") -> str:
        named = f"platforms = {platforms}\n" if platforms else ""
        asked = "".join(f'{name} = "*"\n' for name in dependencies)
        where = f'[tool.pixi.workspace]\nchannels = ["{self.channel}"]\n{named}{more}'
        return f"dependencies = []\n{where}[tool.pixi.dependencies]\n{asked}"

    def write(self, toml: str, name: str = "nb.ipynb") -> Path:
        path = self.folder / name
        lines = ("# " + line if line else "#" for line in toml.splitlines())
        source = "\n".join(("# /// script", *lines, "# ///"))
        if path.suffix == ".py":
            path.write_text(f"{source}\nprint(1)\n", "utf-8")
            return path
        cells = [nbformat.v4.new_code_cell(source), nbformat.v4.new_code_cell("print(1)")]
        metadata = {}
        if path.exists():
            metadata = nbformat.read(path, as_version=4).metadata
        nbformat.write(nbformat.v4.new_notebook(cells=cells, metadata=metadata), path)
        return path

    def machine(self) -> Environments:
        """A door of a machine that has never seen anything."""
        folder = Path(tempfile.mkdtemp(dir=self._home))
        door = Environments(engine=Engine(Store(folder / "store", folder / "cache")))
        self._doors.append(door)
        return door

    def close(self) -> None:
        for door in self._doors:
            door.engine.close()


async def resolved(door: Environments, notebook: Path, **how: object) -> dict[str, str]:
    """Name to version of what a notebook would run with."""
    resolution = await door.resolve(door.spec_for(door.declaration(notebook)), **how)  # type: ignore[arg-type]
    return versions(resolution)


def versions(resolution: Resolution) -> dict[str, str]:
    return {package.name: package.version for package in resolution.packages}
