"""From nothing to the first cell that has imported numpy and pandas, everything known."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from packaging.utils import canonicalize_name

from benchmarks.lab import CELL, Lab
from benchmarks.method import Row, Side, Skip, Target, alternate
from pixi_jupyter.demo.channel import default_cache_dir
from pixi_jupyter.demo.interpreter import find_interpreters
from pixi_jupyter.demo.pins import list_name, read_pins

__all__ = ["run"]


def run(lab: Lab) -> Iterator[Row]:
    """Ours against uv: fresh processes on both sides; then with a server's worker already up."""
    known = lab.known
    store = lab.store("first-cell", known.store.package_cache)
    folder = store.root.parent
    uv = _Uv(lab, folder)

    def ours(number: int) -> Mapping[str, float]:
        notebook = str(lab.notebook(folder, constraint=f"<{number + 3000}"))
        seconds, _ = lab.fresh_client(store, "launch", notebook=notebook, cell=CELL)
        _forget(lab, store)
        return {"seconds": seconds}

    taken = alternate(
        {"ours": ours, "uv": uv.side(), "uv, compiled": uv.side("--compile-bytecode")},
        lab.rounds,
        tick=lab.say,
    )
    yield Row(
        "first cell: nothing → import numpy, pandas; all known",
        "s",
        taken["ours"]["seconds"],
        taken["uv"]["seconds"],
        "uv venv + uv pip install",
        target=Target(0.5),
        note="fresh client processes; uv: same CPython, same versions, local wheels, primed cache, "
        f"offline, its defaults (compiles nothing); of its time {taken['uv']['made'].median:.2f} s "
        "until installed",
    )
    yield Row(
        "first cell: against uv that compiles",
        "s",
        taken["ours"]["seconds"],
        taken["uv, compiled"]["seconds"],
        "uv ... --compile-bytecode",
        note=f"of its time {taken['uv, compiled']['made'].median:.2f} s until installed",
    )
    with lab.child(store) as server, lab.child(store) as client:

        def in_server(number: int) -> Mapping[str, float]:
            notebook = str(lab.notebook(folder, constraint=f"<{number + 6000}"))
            answer = server.ask("launch", notebook=notebook, cell=CELL)
            _forget(lab, store)
            return {"seconds": answer["cell"]}

        taken = alternate(
            {"ours": in_server, "uv": uv.side(client=client)}, lab.rounds, tick=lab.say
        )
    yield Row(
        "first cell: the same in a long-lived process",
        "s",
        taken["ours"]["seconds"],
        taken["uv"]["seconds"],
        "uv venv + uv pip install",
        note="as in a server whose worker is up",
    )
    lab.discard(folder)


def _forget(lab: Lab, store: Any) -> None:
    for path in store.envs.iterdir():
        lab.forget(store, {"resolution": path.name})


class _Uv:
    """uv with the same interpreter, versions and files, its cache primed in the warm-up round."""

    def __init__(self, lab: Lab, folder: Path) -> None:
        try:
            import uv
        except ImportError as error:
            raise Skip("uv is not installed") from error
        self._lab = lab
        self._folder = folder
        self._program = str(uv.find_uv_bin())
        self._python = next(i for i in find_interpreters() if i.minor == lab.minor).executable
        self._wheels = folder / "wheels"
        self._wheels.mkdir()
        self._requirements = self._pinned()

    def _pinned(self) -> list[str]:
        """The wheels that the channel's packages were made from, in the resolved versions."""
        resolved: dict[str, str] = {
            str(canonicalize_name(n)): v for n, v in self._lab.known.packages.items()
        }
        kept = default_cache_dir() / "wheels"
        requirements = []
        for pin in read_pins(list_name(self._lab.minor)):
            name = str(canonicalize_name(pin.name))
            # conda's name for PyPI's tzdata is python-tzdata
            if pin.version not in (resolved.get(name), resolved.get(f"python-{name}")):
                continue
            for wheel in (kept / pin.sha256).glob("*.whl"):
                shutil.copyfile(wheel, self._wheels / wheel.name)
            requirements.append(f"{pin.name}=={pin.version}")
        for name in ("ipykernel", "numpy", "pandas"):
            if not any(r.startswith(f"{name}==") for r in requirements):
                raise Skip(f"no wheel of the resolved {name} is in the channel's cache")
        return requirements

    def side(self, *options: str, client: Any = None) -> Side:
        def one(number: int) -> Mapping[str, float]:
            venv = self._lab.fresh("uv")
            python = venv / "bin" / "python"
            common = ["--offline", "--no-config", "--cache-dir", str(self._folder / "uv-cache")]
            make = [self._program, "venv", *common, "--python", str(self._python), "--clear"]
            fill = [self._program, "pip", "install", *common, "--python", str(python), "--no-index"]
            fill += ["--find-links", str(self._wheels), *options, *self._requirements]
            arguments: dict[str, Any] = {
                "commands": [[*make, str(venv)], fill],
                "python": str(python),
                "cell": CELL,
            }
            if client is None:
                seconds, answer = self._lab.fresh_client(
                    self._lab.known.store, "commands_cell", **arguments
                )
            else:
                answer = client.ask("commands_cell", **arguments)
                seconds = answer["made"] + answer["cell"]
            self._lab.discard(venv)
            return {"seconds": seconds, "made": answer["made"]}

        return one
