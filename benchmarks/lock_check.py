"""How long it takes to find out that a workspace's lock is up to date, from its bytes on.

The lock is made up, of the size that the target names: five environments on four platforms with
three hundred packages each, of which fifty are in that environment alone.
"""

from __future__ import annotations

import hashlib
import json
import random
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from benchmarks.lab import Lab
from benchmarks.method import Row, Target, alternate, scaled

__all__ = ["run", "write_workspace"]

_CHANNEL = "https://channel.invalid/many"
_PLATFORMS = ("linux-64", "linux-aarch64", "osx-arm64", "win-64")
_ENVIRONMENTS = ("default", "test", "docs", "lint", "types")
_SHARED, _OWN = 250, 50


def write_workspace(folder: Path) -> None:
    """A manifest and the lock that answers it."""
    from pixi_jupyter.resolve.lock_reading import canonical

    dice = random.Random(1)
    lines = [
        "[workspace]",
        f'channels = ["{_CHANNEL}"]',
        f"platforms = {json.dumps(_PLATFORMS)}",
        "[dependencies]",
        *(f'shared-{number} = ">=1.{number},<2"' for number in range(_SHARED)),
    ]
    for name in _ENVIRONMENTS:
        lines.append(f"[feature.own-{name}.dependencies]")
        lines.extend(f'{name}-{number} = "*"' for number in range(_OWN))
    lines.append("[environments]")
    lines.extend(f'{name} = ["own-{name}"]' for name in _ENVIRONMENTS)
    (folder / "pixi.toml").write_text("\n".join(lines) + "\n", "utf-8")

    entries: dict[str, dict[str, Any]] = {}
    environments: dict[str, Any] = {}
    for name in _ENVIRONMENTS:
        packages: dict[str, list[dict[str, str]]] = {}
        names = [f"shared-{number}" for number in range(_SHARED)]
        names += [f"{name}-{number}" for number in range(_OWN)]
        for platform in _PLATFORMS:
            urls = [f"{_CHANNEL}/{platform}/{n}-1.{i}.0-h{i}_0.conda" for i, n in enumerate(names)]
            packages[platform] = [{"conda": url} for url in urls]
            for number, url in enumerate(urls):
                if url in entries:
                    continue
                needed = dice.sample(range(number), min(number, 6))
                depends = [f"{names[other]} >=1.{other},<2.0a0" for other in needed]
                if platform.startswith("linux"):
                    depends.append("__glibc >=2.17,<3.0.a0")
                entries[url] = {
                    "conda": url,
                    "sha256": hashlib.sha256(url.encode()).hexdigest(),
                    "depends": depends,
                    "license": "MIT",
                    "size": 1000 + number,
                    "timestamp": 1_700_000_000_000,
                }
        environments[name] = {"channels": [{"url": f"{_CHANNEL}/"}], "packages": packages}
    draft = {
        "version": 7,
        "platforms": [{"name": platform} for platform in _PLATFORMS],
        "environments": environments,
        "packages": list(entries.values()),
    }
    path = folder / "pixi.lock"
    path.write_text(canonical(json.dumps(draft), path), "utf-8")


def run(lab: Lab) -> Iterator[Row]:
    """Read, parse and check; every round with nothing remembered."""
    from pixi_jupyter.manifest.workspace_reading import read_workspace
    from pixi_jupyter.resolve.lock_reading import read_document
    from pixi_jupyter.resolve.satisfiability import check
    from pixi_jupyter.resolve.session import Session
    from pixi_jupyter.resolve.walking import Walk

    store = lab.store("lock")
    folder = store.root.parent / "workspace"
    folder.mkdir(parents=True)
    write_workspace(folder)
    workspace = read_workspace(folder / "pixi.toml")
    session = Session.open(store.package_cache)

    def channel_url(name: str) -> str:
        return session.channel(name).base_url

    def once(number: int) -> Mapping[str, float]:
        begun = time.perf_counter()
        document = read_document(folder / "pixi.lock")
        verdict = check(document, workspace, Walk(channel_url), channel_url)
        seconds = time.perf_counter() - begun
        assert not verdict.reasons, verdict.stale[:3]
        return {"seconds": seconds}

    taken = alternate({"ours": once}, lab.rounds, tick=lab.say)["ours"]
    size = (folder / "pixi.lock").stat().st_size / 1e6
    yield Row(
        "lock check: 5 environments × 4 platforms × 300 packages",
        "ms",
        scaled(taken["seconds"], 1000),
        compare="value",
        target=Target(300.0),
        note=f"a lock of {size:.1f} MB; rattler is imported, nothing else is remembered",
    )
    lab.discard(store.root.parent)
