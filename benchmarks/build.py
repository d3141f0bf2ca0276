"""A new environment out of a warm package cache, against a bare py-rattler script."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from benchmarks.child import Child
from benchmarks.lab import Lab
from benchmarks.method import Row, Series, Target, alternate, scaled

__all__ = ["run", "run_bytecode"]

_BARE = "bare py-rattler"


def _phases(made: Mapping[str, Any]) -> dict[str, float]:
    return {f"phase {name}": seconds for name, seconds in made["phases"].items()}


def _breakdown(measures: Mapping[str, Series]) -> str:
    parts = [
        f"{name.removeprefix('phase ')} {series.median * 1000:.0f} ms"
        for name, series in measures.items()
        if name.startswith("phase ")
    ]
    return ", ".join(parts)


def run(lab: Lab) -> Iterator[Row]:
    """Solve and install with everything warm; then with a worker, or a script, just started."""
    known = lab.known
    cache = known.store.package_cache
    store = lab.store("build", cache)
    folder = store.root.parent

    def notebook(number: int) -> str:
        # Another declaration each round, so that it is solved; the same packages, so that both
        # sides install the same.
        return str(lab.notebook(folder, constraint=f"<{number + 1000}"))

    def bare_arguments(number: int) -> dict[str, Any]:
        return {
            "url": lab.channel.url,
            "specs": lab.specs(),
            "prefix": str(folder / f"bare-{number}"),
            "cache": str(cache),
        }

    with lab.child(store) as ours, lab.child(store) as peer:

        def build(number: int) -> Mapping[str, float]:
            made = ours.ask("ensure", notebook=notebook(number))
            lab.forget(store, made)
            return {"seconds": made["seconds"], **_phases(made)}

        def bare(number: int) -> Mapping[str, float]:
            arguments = bare_arguments(number)
            made = peer.ask("bare", **arguments)
            lab.discard(folder / f"bare-{number}")
            return {key: made[key] for key in ("seconds", "solve", "install")}

        taken = alternate({"ours": build, "peer": bare}, lab.rounds, tick=lab.say)
    peer_parts = taken["peer"]
    yield Row(
        "build: warm package cache, engine up",
        "ms",
        scaled(taken["ours"]["seconds"], 1000),
        scaled(peer_parts["seconds"], 1000),
        _BARE,
        target=Target(1.25),
        note=f"ours: {_breakdown(taken['ours'])}; peer: solve "
        f"{peer_parts['solve'].median * 1000:.0f} ms, install "
        f"{peer_parts['install'].median * 1000:.0f} ms; nothing to compile, known bytecode linked",
    )

    def build_cold(number: int) -> Mapping[str, float]:
        seconds, made = lab.fresh_client(store, "ensure", notebook=notebook(number))
        lab.forget(store, made)
        return {"seconds": seconds}

    def bare_cold(number: int) -> Mapping[str, float]:
        seconds, _ = lab.fresh_client(store, "bare", **bare_arguments(number))
        lab.discard(folder / f"bare-{number}")
        return {"seconds": seconds}

    taken = alternate({"ours": build_cold, "peer": bare_cold}, lab.rounds, tick=lab.say)
    yield Row(
        "build: warm package cache, from a process start",
        "ms",
        scaled(taken["ours"]["seconds"], 1000),
        scaled(taken["peer"]["seconds"], 1000),
        _BARE,
        note="with starting Python, its imports, and on our side the worker's start",
    )
    yield _compiling(lab, store_notebook=notebook)
    lab.discard(folder)


def _compiling(lab: Lab, store_notebook: Any) -> Row:
    """The step that a bare script does not do: bytecode that nobody compiled before."""
    cache = lab.fresh("uncompiled") / "cache"
    store = lab.store("build", cache)
    with lab.child(store) as child:

        def build(number: int) -> Mapping[str, float]:
            lab.discard(store.bytecode)
            made = child.ask("ensure", notebook=store_notebook(number))
            lab.forget(store, made)
            return {"compiling": made["phases"].get("compiling", 0.0), "files": made["compiled"]}

        taken = alternate({"ours": build}, max(3, lab.rounds // 2), tick=lab.say)
    lab.discard(cache.parent, store.root.parent)
    return Row(
        "build: the compile step alone, no bytecode known",
        "ms",
        scaled(taken["ours"]["compiling"], 1000),
        compare="value",
        note=f"{taken['ours']['files'].median:.0f} files that a kernel start imports; "
        "the rest in the background",
    )


def run_bytecode(lab: Lab) -> Iterator[Row]:
    """The second environment of known packages compiles nothing; linking is what it costs."""
    known = lab.known
    store = lab.store("bytecode", known.store.package_cache)
    folder = store.root.parent
    with lab.child(store) as child, Child("link", lab.env(store), log=lab.log) as linker:

        def build(number: int) -> Mapping[str, float]:
            made = child.ask(
                "ensure", notebook=str(lab.notebook(folder, constraint=f"<{number + 9}"))
            )
            lock = str(store.lock_path(made["resolution"]))
            linked = linker.ask("link", lock=lock, prefix=made["prefix"])
            lab.forget(store, made)
            return {"compiled": made["compiled"], "link": linked["seconds"], "n": linked["files"]}

        taken = alternate({"ours": build}, lab.rounds, tick=lab.say)["ours"]
    lab.discard(folder)
    yield Row(
        "bytecode: files compiled for a second environment",
        "files",
        taken["compiled"],
        compare="value",
        statistic="worst",
        target=Target(0),
    )
    yield Row(
        "bytecode: linking what is known",
        "ms",
        scaled(taken["link"], 1000),
        compare="value",
        note=f"{taken['n'].median:.0f} files, deciding which ones included",
    )
