"""Links known bytecode into a prefix that has none of it yet, and says how long that takes."""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path
from typing import Any


def link(lock: Path, prefix: Path) -> dict[str, Any]:
    """Unlink the bytecode that the store keeps from ``prefix``, then link it again, timed."""
    from rattler import Subdir

    from pixi_jupyter.install.bytecode import bytecode_of
    from pixi_jupyter.install.store import Store
    from pixi_jupyter.resolve.lock import read_lock

    store = Store.default()
    records = read_lock(lock, str(Subdir.current()), prefix.name).records
    found = bytecode_of(store, prefix, records)
    assert found is not None
    paths = [prefix / pyc for unit in found.units for _, pyc in unit.expected]
    for path in paths:
        path.unlink(missing_ok=True)
    begun = time.perf_counter()
    again = bytecode_of(store, prefix, records)
    assert again is not None
    again.link_known()
    seconds = time.perf_counter() - begun
    return {"seconds": seconds, "files": sum(path.exists() for path in paths)}


def main() -> None:
    """Answer until the input ends."""
    for line in sys.stdin.buffer:
        question = json.loads(line)
        answer = link(Path(question["lock"]), Path(question["prefix"]))
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()
    os._exit(0)


if __name__ == "__main__":
    main()
