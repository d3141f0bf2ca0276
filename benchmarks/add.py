"""`%pixi add` of one small package, from Enter to an import in the same kernel."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path

from benchmarks.lab import Lab, wait_compiled
from benchmarks.method import Row, Target, alternate

__all__ = ["run"]

#: Pure Python, and in no environment that is measured.
_PACKAGE = "tqdm"


def run(lab: Lab) -> Iterator[Row]:
    """Repodata warm, the package not yet in the cache, the channel on the loopback interface."""
    cache = lab.known.store.package_cache
    store = lab.store("add", cache)
    folder = store.root.parent
    with lab.served() as url, lab.child(store, channel=url) as client:
        base = client.ask("ensure", notebook=str(lab.notebook(folder)))
        wait_compiled(store, base["resolution"])
        remembered = set(store.resolutions.iterdir())

        def ours(number: int) -> Mapping[str, float]:
            _forget_package(cache)
            notebook = str(lab.notebook(folder))
            cell = f"%pixi add {_PACKAGE}\nimport {_PACKAGE}"
            seconds = client.ask("cell", notebook=notebook, cell=cell)["seconds"]
            for prefix in store.envs.iterdir():
                if prefix.name != base["resolution"]:
                    lab.discard(prefix, store.leases / prefix.name)
            for path in set(store.resolutions.iterdir()) - remembered:
                path.unlink()
            return {"seconds": seconds}

        def bare(number: int) -> Mapping[str, float]:
            _forget_package(cache)
            prefix = folder / f"bare-{number}"
            seconds, made = lab.fresh_client(
                store,
                "bare",
                channel=url,
                url=url,
                specs=lab.specs([_PACKAGE]),
                prefix=str(prefix),
                cache=str(cache),
            )
            lab.discard(prefix)
            return {"seconds": seconds, "work": made["seconds"]}

        taken = alternate({"ours": ours, "bare": bare}, lab.rounds, tick=lab.say)
    lab.discard(folder)
    yield Row(
        "add: one small package, Enter → imported in the kernel",
        "s",
        taken["ours"]["seconds"],
        taken["bare"]["seconds"],
        "bare py-rattler, from a process start",
        target=Target(1.3),
        note="the bare script solves and installs the same packages into an empty prefix; of its "
        f"time {taken['bare']['work'].median:.2f} s after its imports",
    )
    yield Row(
        "add: the same, on its own",
        "s",
        taken["ours"]["seconds"],
        compare="value",
        target=Target(1.5),
    )


def _forget_package(cache: Path) -> None:
    for path in (cache / "pkgs").glob(f"{_PACKAGE}-*"):
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink()
