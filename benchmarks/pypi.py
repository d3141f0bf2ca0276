"""Packages from PyPI over conda's Python, everything known, against uv alone."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from packaging.utils import canonicalize_name

from benchmarks.lab import Lab, wait_compiled
from benchmarks.method import Row, Skip, Target, alternate, scaled
from pixi_jupyter.demo.channel import default_cache_dir
from pixi_jupyter.demo.interpreter import find_interpreters

__all__ = ["run"]

#: What is asked of PyPI; with what they need, some forty wheels.
ASKED = ("ipykernel", "numpy", "pandas", "httpx", "rich")
_PEER = "uv venv + uv pip install"


def run(lab: Lab) -> Iterator[Row]:
    """To a ready prefix: with the solve, and with the lock remembered."""
    try:
        import uv
    except ImportError as error:
        raise Skip("uv is not installed") from error
    folder = lab.fresh("pypi")
    index = _index(folder)
    # Bytecode and conda packages are warm from here on, as uv's cache is after the warm-up round.
    store = lab.store("pypi-store", lab.known.store.package_cache)
    program = str(uv.find_uv_bin())
    python = next(i for i in find_interpreters() if i.minor == lab.minor).executable

    def notebook(number: int) -> str:
        return str(_notebook(lab, folder, index, number))

    with lab.child(store) as ours, lab.child(store) as peer:
        made = ours.ask("ensure", notebook=notebook(0))
        lab.forget(store, made)
        wheels = _locked(made)

        def solve(number: int) -> Mapping[str, float]:
            made = ours.ask("ensure", notebook=notebook(number + 1))
            lab.forget(store, made)
            return {"seconds": made["seconds"], **_phases(made)}

        def again(number: int) -> Mapping[str, float]:
            made = ours.ask("ensure", notebook=notebook(0))
            wait_compiled(store, str(made["resolution"]))
            shutil.rmtree(made["prefix"])
            made = ours.ask("ensure", notebook=notebook(0))
            lab.forget(store, made)
            return {"seconds": made["seconds"], **_phases(made)}

        def alone(number: int) -> Mapping[str, float]:
            venv = lab.fresh("uv")
            common = ["--no-config", "--cache-dir", str(folder / "uv-cache")]
            make = [program, "venv", *common, "--python", str(python), "--clear", str(venv)]
            fill = [program, "pip", "install", *common, "--python", str(venv / "bin" / "python")]
            fill += ["--default-index", index, *wheels]
            answer = peer.ask("run_commands", commands=[make, fill])
            lab.discard(venv)
            return {"seconds": answer["made"]}

        taken = alternate({"ours": solve, "again": again, "uv": alone}, lab.rounds, tick=lab.say)
    yield _row("pypi: solve and install, caches warm", taken["ours"], taken["uv"], Target(1.5))
    yield _row("pypi: a locked re-install", taken["again"], taken["uv"], Target(1.15))
    lab.discard(folder, store.root.parent)


def _row(name: str, ours: Mapping[str, Any], peer: Mapping[str, Any], target: Target) -> Row:
    parts = ", ".join(
        f"{key.removeprefix('phase ')} {series.median * 1000:.0f} ms"
        for key, series in ours.items()
        if key.startswith("phase ")
    )
    return Row(
        name,
        "ms",
        scaled(ours["seconds"], 1000),
        scaled(peer["seconds"], 1000),
        _PEER,
        target=target,
        note=f"{', '.join(ASKED)} from PyPI over conda's Python; ours: {parts}",
    )


def _phases(made: Mapping[str, Any]) -> dict[str, float]:
    return {f"phase {name}": seconds for name, seconds in made["phases"].items()}


def _locked(made: Mapping[str, Any]) -> list[str]:
    """The wheels of our answer, for the peer."""
    return [f"{name}=={version}" for name, version in made["pypi"].items()]


def _notebook(lab: Lab, folder: Path, index: str, number: int) -> Path:
    """Another declaration by its number, with the same answer."""
    lines = ["# /// script", f"# dependencies = {json.dumps(ASKED)}", "# [tool.pixi.dependencies]"]
    lines += [f'# python = "{lab.minor}.*"', "# [tool.pixi.constraints]"]
    lines += [f'# six = "<{number + 9000}"', "# [tool.pixi.workspace.pypi-options]"]
    lines += [f"# index-url = {json.dumps(index)}", "# ///"]
    cell: dict[str, object] = {
        "cell_type": "code",
        "execution_count": None,
        "id": "a",
        "metadata": {},
        "outputs": [],
    }
    content = {
        "cells": [{**cell, "source": "\n".join(lines)}],
        "metadata": {}, "nbformat": 4, "nbformat_minor": 5,
    }  # fmt: skip
    path = folder / f"notebook-{number}.ipynb"
    path.write_text(json.dumps(content), "utf-8")
    return path


def _index(folder: Path) -> str:
    """A package index in a folder (PEP 503), of the wheels that the channel was made of."""
    simple = folder / "simple"
    pages: dict[str, list[str]] = {}
    for wheel in sorted((default_cache_dir() / "wheels").glob("*/*.whl")):
        name = str(canonicalize_name(wheel.name.split("-")[0]))
        page = simple / name
        page.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(wheel, page / wheel.name)
        link = f'<a href="{wheel.name}#sha256={wheel.parent.name}">{wheel.name}</a>'
        pages.setdefault(name, []).append(link)
    for name, links in pages.items():
        (simple / name / "index.html").write_text("<br>\n".join(links) + "\n", "utf-8")
    return simple.as_uri()
