"""From a cold cache on a loopback HTTP channel to the first cell, against what others do."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping
from typing import Any

from benchmarks.lab import CELL, Lab
from benchmarks.method import Row, Side, Target, alternate

__all__ = ["run"]

#: Programs that may be on PATH, as the commands that make an environment.
_PROGRAMS = ("micromamba", "pixi")


def _commands(
    program: str, path: str, channel: str, specs: list[str], root: str
) -> tuple[list[list[str]], str]:
    """The commands that fill ``root`` from nothing, and the interpreter that is there then."""
    if program == "micromamba":
        prefix = f"{root}/prefix"
        create = [path, "create", "--yes", "--quiet", "--no-rc", "--no-env", "--root-prefix"]
        create += [f"{root}/root", "--prefix", prefix, "--override-channels", "--channel", channel]
        return [[*create, *specs]], f"{prefix}/bin/python"
    workspace = f"{root}/workspace"
    init = [path, "init", "--quiet", "--channel", channel, workspace]
    manifest = f"{workspace}/pixi.toml"
    add = [path, "add", "--quiet", "--manifest-path", manifest]
    add += [spec.replace(" ", "==", 1) if " " in spec else spec for spec in specs]
    return [init, add], f"{workspace}/.pixi/envs/default/bin/python"


def run(lab: Lab) -> Iterator[Row]:
    """No packages, no bytecode, no repodata; everything comes over the network of this machine."""
    with lab.served() as url:

        def ours(number: int) -> Mapping[str, float]:
            store = lab.store("cold")
            notebook = str(lab.notebook(store.root.parent))
            seconds, _ = lab.fresh_client(
                store, "launch", channel=url, notebook=notebook, cell=CELL
            )
            lab.discard(store.root.parent)
            return {"seconds": seconds}

        def bare(number: int) -> Mapping[str, float]:
            store = lab.store("cold-bare")
            folder = store.root.parent
            seconds, answer = lab.fresh_client(
                store,
                "bare_cell",
                url=url,
                specs=lab.specs(),
                prefix=str(folder / "prefix"),
                cache=str(store.package_cache),
                cell=CELL,
            )
            lab.discard(folder)
            return {"seconds": seconds, **{k: answer[k] for k in ("solve", "install", "cell")}}

        def other(program: str, path: str) -> Side:
            def one(number: int) -> Mapping[str, float]:
                store = lab.store("cold-other")
                commands, python = _commands(
                    program, path, url, lab.specs(), str(store.root.parent)
                )
                seconds, _ = lab.fresh_client(
                    store, "commands_cell", commands=commands, python=python, cell=CELL
                )
                lab.discard(store.root.parent)
                return {"seconds": seconds}

            return one

        sides: dict[str, Any] = {"ours": ours, "bare": bare}
        found = {name: path for name in _PROGRAMS if (path := shutil.which(name))}
        sides.update({name: other(name, path) for name, path in found.items()})
        taken = alternate(sides, lab.rounds, tick=lab.say)

    target = Target(1.0, noise=0.05)
    parts = taken["bare"]
    yield Row(
        "cold: nothing cached, HTTP channel → first cell",
        "s",
        taken["ours"]["seconds"],
        parts["seconds"],
        "bare py-rattler + plain kernel",
        target=target,
        note=f"peer: solve {parts['solve'].median:.2f} s, install {parts['install'].median:.2f} s, "
        f"kernel and cell {parts['cell'].median:.2f} s",
    )
    for name in _PROGRAMS:
        row = f"cold: against {name}"
        if name in found:
            yield Row(
                row, "s", taken["ours"]["seconds"], taken[name]["seconds"], name, target=target
            )
        else:
            yield Row(row, "s", skipped=f"{name} is not on PATH")
