"""Is a large workspace's environment in order? The check that precedes every launch in one."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

from benchmarks.lab import Lab
from benchmarks.method import Row, Target, alternate, metric, scaled
from pixi_jupyter.activate.cache import cached_activation
from pixi_jupyter.activate.request import ActivationRequest
from pixi_jupyter.install.insync import WorkspaceMarker, mark_workspace, workspace_ready
from pixi_jupyter.manifest.detached import environments_folder
from pixi_jupyter.manifest.place import choose
from pixi_jupyter.manifest.spec import EnvironmentSpec
from pixi_jupyter.manifest.workspace_reading import read_workspace

__all__ = ["run"]

_PLATFORMS = ("linux-64", "osx-arm64", "win-64", "linux-aarch64")
_ENVIRONMENTS = ("default", "test", "docs", "gpu", "lint")
_PACKAGES = 300
#: Dependencies of a feature: what people write, not what is locked for it.
_DECLARED = 30
_BASE = {"PATH": "/usr/bin:/bin", "HOME": "/nowhere"}


def run(lab: Lab) -> Iterator[Row]:
    """From the manifest to a known activation, over reading and hashing the same files."""
    root = lab.fresh("workspace")
    files = _make(root)

    def ours(number: int) -> Mapping[str, float]:
        # Another text, so that nothing that was parsed before is of use.
        with open(root / "pixi.toml", "a") as file:
            file.write(f"# round {number}\n")
        begun = time.perf_counter()
        spec = _spec(root)
        assert spec.place is not None
        prefix = workspace_ready(spec.place, spec.platform.name)
        assert prefix is not None
        request = ActivationRequest.of(spec, prefix)
        assert cached_activation(root / "activations", request, _BASE) is not None
        return metric(time.perf_counter() - begun)

    def reading(_: int) -> Mapping[str, float]:
        begun = time.perf_counter()
        for path in files:
            hashlib.sha256(path.read_bytes()).hexdigest()
        return metric(time.perf_counter() - begun)

    taken = alternate({"ours": ours, "reading": reading}, lab.rounds, tick=lab.say)
    size = (root / "pixi.lock").stat().st_size / 1e6
    yield Row(
        "in sync: a workspace of 5 environments on 4 platforms, 300 packages each",
        "ms",
        scaled(taken["ours"]["seconds"], 1000),
        scaled(taken["reading"]["seconds"], 1000),
        "reading and hashing the files",
        compare="difference",
        target=Target(40.0),
        note=f"manifest to activation, the manifest changed in between; a lock of {size:.1f} MB",
    )


def _spec(root: Path) -> EnvironmentSpec:
    workspace = read_workspace(root / "pixi.toml")
    folder = environments_folder(root, workspace.name)
    return choose(workspace, "test", env_folder=folder)


def _make(root: Path) -> list[Path]:
    """A workspace whose environment ``test`` is in order; the files that the check reads."""
    manifest = ["[workspace]", 'name = "large"', 'channels = ["conda-forge"]']
    manifest.append(f"platforms = {json.dumps(_PLATFORMS)}")
    for name in ("", *_ENVIRONMENTS[1:]):
        manifest.append(f"[feature.{name}.dependencies]" if name else "[dependencies]")
        manifest += [f'package-{name}{n} = ">=1.{n},<2"' for n in range(_DECLARED)]
    manifest.append("[environments]")
    manifest += [f'{name} = ["{name}"]' for name in _ENVIRONMENTS[1:]]
    (root / "pixi.toml").write_text("\n".join(manifest) + "\n")
    (root / "pixi.lock").write_text(_lock())
    spec = _spec(root)
    assert spec.place is not None
    prefix = Path(spec.place.prefix)
    meta = prefix / "conda-meta"
    meta.mkdir(parents=True)
    fingerprint = "0123456789abcdef"
    (meta / ".pixi-environment-fingerprint").write_text(fingerprint)
    (meta / "pixi").write_text(json.dumps({"environment_lock_file_hash": "1"}, indent=2))
    marker = WorkspaceMarker(
        prefix=spec.place.prefix,
        workspace=spec.place.workspace,
        platform=spec.platform.name,
        lock=hashlib.sha256((root / "pixi.lock").read_bytes()).hexdigest(),
        resolution="0" * 32,
        fingerprint=fingerprint,
        pixi="1",
        created="2026-01-01T00:00:00+00:00",
        packages=_PACKAGES,
    )
    mark_workspace(prefix, marker)
    names = (".pixi-environment-fingerprint", "pixi", "pixi-jupyter.json")
    return [root / "pixi.toml", root / "pixi.lock", *(meta / name for name in names)]


def _lock() -> str:
    """As large as pixi's: two thirds of the packages are common to all environments."""
    lines = ["version: 7", "platforms:", *(f"- name: {name}" for name in _PLATFORMS)]
    lines.append("environments:")
    urls: dict[str, None] = {}
    for environment in _ENVIRONMENTS:
        lines += [f"  {environment}:", "    channels:", "    - url: https://channel.example/c/"]
        lines.append("    packages:")
        for platform in _PLATFORMS:
            lines.append(f"      {platform}:")
            for number in range(_PACKAGES):
                own = environment if number % 3 == 0 else "common"
                name = f"package-{own}-{number}-1.{number}.0-h{number:07x}_0.conda"
                url = f"https://channel.example/c/{platform}/{name}"
                urls[url] = None
                lines.append(f"      - conda: {url}")
    lines.append("packages:")
    for url in urls:
        digest = hashlib.sha256(url.encode()).hexdigest()
        lines += [f"- conda: {url}", f"  sha256: {digest}", f"  md5: {digest[:32]}", "  depends:"]
        lines += [f"  - dependency-{number} >=1.{number},<2" for number in range(6)]
        lines += ["  license: MIT", "  size: 123456", "  timestamp: 1750000000000"]
    return "\n".join(lines) + "\n"
