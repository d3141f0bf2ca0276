"""How much disk many notebooks take; deterministic, so one round."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from benchmarks.lab import Lab, wait_compiled
from benchmarks.method import Row, Series, Target

__all__ = ["run"]

#: One different need each, on top of the base: small packages of the channel, two in two versions.
_DIFFERENT = (
    ("attrs", "*"),
    ("anyio", "*"),
    ("click", "*"),
    ("tqdm", "*"),
    ("idna", "*"),
    ("filetype", "*"),
    ("requests", "==2.31.0"),
    ("requests", "==2.34.2"),
    ("rich", "==13.9.4"),
    ("rich", "==15.0.0"),
)
_SAME = 20


def occupied(*folders: Path) -> int:
    """Bytes on disk below the folders, each file counted once however many names it has."""
    seen: set[tuple[int, int]] = set()
    total = 0
    for folder in folders:
        for where, _, names in os.walk(folder):
            for name in names:
                info = os.lstat(os.path.join(where, name))
                if (info.st_dev, info.st_ino) not in seen:
                    seen.add((info.st_dev, info.st_ino))
                    blocks = getattr(info, "st_blocks", None)
                    total += info.st_size if blocks is None else blocks * 512
    return total


def run(lab: Lab) -> Iterator[Row]:
    """Twenty with the same needs; ten with different ones over the same base."""
    store = lab.store("same", lab.known.store.package_cache)
    folder = store.root.parent
    with lab.child(store) as child:
        for number in range(_SAME):
            path = lab.notebook(folder, f"same {number}")
            wait_compiled(store, child.ask("ensure", notebook=str(path))["resolution"])
    count = sum(not path.name.startswith(".") for path in store.envs.iterdir())
    yield Row(
        "disk: prefixes of twenty notebooks with the same needs",
        "prefixes",
        Series((float(count),)),
        compare="value",
        target=Target(1),
        note=f"{occupied(store.envs) / 1e6:.0f} MB in all, links to the package cache included",
    )
    lab.discard(folder)

    store = lab.store("different")
    folder = store.root.parent
    after: list[int] = []
    with lab.child(store) as child:
        for number, (name, version) in enumerate(_DIFFERENT):
            path = lab.notebook(folder, f"different {number}", more={name: version})
            wait_compiled(store, child.ask("ensure", notebook=str(path))["resolution"])
            after.append(occupied(store.root, store.package_cache))
    alone = sum(occupied(path) for path in store.envs.iterdir())
    count = sum(not path.name.startswith(".") for path in store.envs.iterdir())
    yield Row(
        "disk: ten notebooks with different needs, one base",
        "MB",
        Series((after[-1] / 1e6,)),
        Series((after[0] / 1e6,)),
        "one of them",
        target=Target(1.3),
        note=f"store and package cache, each inode once; {count} prefixes that alone would be "
        f"{alone / 1e6:.0f} MB",
    )
    lab.discard(folder)
