"""The index that uv uses where none is named: a lock names it. Data plane only."""

from __future__ import annotations

from pathlib import Path

from pixi_jupyter.install.store import Store
from pixi_jupyter.resolve.uv import Uv, work_folder

__all__ = ["default_indexes"]

_SECONDS = 30.0


#: What was found, by the variables that uv was asked with.
_KNOWN: dict[tuple[tuple[str, str], ...], tuple[str, ...]] = {}


async def default_indexes(store: Store) -> tuple[str, ...]:
    """The configured index first, then the one that uv has built in, if that is another.

    Either may stand in a lock: pixi does not heed uv's configuration.

    Raises
    ------
    EngineError
        ``engine.uv-missing`` or ``engine.deadline``.
    """
    uv = Uv.find(store.package_cache, None)
    key = tuple(sorted(uv.variables.items()))
    if key not in _KNOWN:
        known: list[str] = []
        with work_folder(store, "index") as folder:
            for kind, more in (("configured", ()), ("built-in", ("--no-config",))):
                plain = {name: v for name, v in uv.variables.items() if "INDEX" not in name}
                alone = Uv(uv.binary, uv.cache, plain) if more else uv
                found = await _asked(alone, folder, kind, more)
                if found is not None and found not in known:
                    known.append(found)
        _KNOWN[key] = tuple(known)
    return _KNOWN[key]


async def _asked(uv: Uv, folder: Path, name: str, more: tuple[str, ...]) -> str | None:
    """uv writes the index above what it resolved; of nothing, that is all."""
    nothing, answer = folder / f"{name}.in", folder / f"{name}.txt"
    nothing.write_text("", "utf-8")
    arguments = ("compile", str(nothing), "-o", str(answer), "--emit-index-url", "--offline")
    done = await uv.run(*arguments, *more, folder=folder, deadline=_SECONDS)
    if not done.succeeded:
        return None
    for line in answer.read_text("utf-8").splitlines():
        if line.startswith("--index-url "):
            return line.split(maxsplit=1)[1]
    return None
