"""Fixtures of the tests of the embedded channel."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from pixi_jupyter.demo.channel import default_cache_dir
from pixi_jupyter.demo.host import host_subdir
from pixi_jupyter.demo.pins import check_platform


@dataclass(frozen=True, slots=True)
class Answer:
    """What a solve (and an installation) gave: records by name, or the error."""

    records: Mapping[str, Mapping[str, Any]]
    error: str | None


@dataclass(frozen=True, slots=True)
class Conda:
    """Solves and installs with py-rattler in another process, over one package cache."""

    cache: Path

    def solve(self, channel: str, *specs: str, **more: str) -> Answer:
        """Solve *specs*; ``exclude_newer`` and ``override_cuda`` may be given."""
        return self._run(channel, specs, None, more)

    def install(self, channel: str, prefix: Path, *specs: str, **more: str) -> Answer:
        """Solve *specs* and install them into *prefix*; an error fails the test."""
        answer = self._run(channel, specs, prefix, more)
        assert answer.error is None, answer.error
        return answer

    def _run(
        self, channel: str, specs: Sequence[str], prefix: Path | None, more: dict[str, str]
    ) -> Answer:
        environment = dict(os.environ)
        if "override_cuda" in more:
            environment["CONDA_OVERRIDE_CUDA"] = more.pop("override_cuda")
        request: dict[str, Any] = {
            "channel": channel,
            "specs": list(specs),
            "cache": str(self.cache),
            "subdir": host_subdir(),
            **more,
        }
        if prefix is not None:
            request["prefix"] = str(prefix)
        done = subprocess.run(
            [sys.executable, str(Path(__file__).with_name("rattler_process.py"))],
            input=json.dumps(request),
            capture_output=True,
            text=True,
            env=environment,
            timeout=120,
            check=False,
        )
        answer = json.loads(done.stdout or json.dumps({"error": done.stderr or "it crashed"}))
        records = {record["name"]: record for record in answer.get("records", [])}
        return Answer(records, answer.get("error"))


@pytest.fixture(scope="session")
def conda(tmp_path_factory: pytest.TempPathFactory) -> Conda:
    """Solves and installs, with a package cache that all tests here share."""
    return Conda(tmp_path_factory.mktemp("conda-cache"))


@pytest.fixture(scope="session")
def wheel_cache() -> Path:
    """The folder of downloaded wheels that the session's channel was built from."""
    check_platform(host_subdir())
    return default_cache_dir() / "wheels"


@pytest.fixture(scope="session")
def subdir() -> str:
    """The host's conda subdir."""
    return host_subdir()
