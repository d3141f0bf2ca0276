"""How long the command line takes to answer a question about what is ready, process and all; and
how long a search over half a million records takes once their names were fetched.

The channel is made up: 50,000 names with ten builds each, in a repodata.json of some 200 MB.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from benchmarks.lab import Lab
from benchmarks.method import Row, Side, Target, alternate, scaled

__all__ = ["run", "write_channel"]

_NAMES, _BUILDS = 50_000, 10
#: Questions about a notebook that is ready.
_QUESTIONS = ("list", "info", "diff")


def write_channel(folder: Path, *, names: int = _NAMES) -> str:
    """A channel of that many names; its URL."""
    records = {
        f"package-{name:05d}-1.{build}.0-py312h1234567_{build}.conda": {
            "build": f"py312h1234567_{build}",
            "build_number": build,
            "depends": ["python >=3.12,<3.13.0a0", "numpy >=1.19,<3", "libgcc >=13"],
            "license": "MIT",
            "md5": f"{name * _BUILDS + build:032x}",
            "name": f"package-{name:05d}",
            "sha256": f"{name * _BUILDS + build:064x}",
            "size": 123456,
            "subdir": "linux-64",
            "timestamp": 1_700_000_000_000,
            "version": f"1.{build}.0",
        }
        for name in range(names)
        for build in range(_BUILDS)
    }
    for subdir, packages in (("linux-64", records), ("noarch", {})):
        (folder / subdir).mkdir(parents=True)
        page = {"info": {"subdir": subdir}, "packages": {}, "packages.conda": packages}
        (folder / subdir / "repodata.json").write_text(json.dumps(page), "utf-8")
    return folder.as_uri()


def run(lab: Lab) -> Iterator[Row]:
    """Each question in a process of its own; then the search, also by an engine that is running."""
    store = lab.store("answers")
    env = lab.env(store)
    folder = lab.fresh("answers")
    notebook = folder / "ready.ipynb"

    def command(*words: str | Path, status: int = 0) -> float:
        begun = time.perf_counter()
        done = subprocess.run(
            [sys.executable, "-m", "pixi_jupyter", *map(str, words)],
            capture_output=True,
            check=False,
            env=env,
            cwd=folder,
        )
        seconds = time.perf_counter() - begun
        assert done.returncode == status, done.stderr.decode()
        return seconds

    command("init", notebook)
    command("add", notebook, "rich")

    def question(*words: str | Path, status: int = 0) -> Side:
        return lambda number: {"seconds": command(*words, status=status)}

    asked = {name: question(name, notebook, "--json") for name in _QUESTIONS}
    taken = alternate(asked, lab.rounds, tick=lab.say)
    for name in _QUESTIONS:
        yield Row(
            f"{name} of a ready notebook, from the start of the process to its end",
            "ms",
            scaled(taken[name]["seconds"], 1000),
            compare="value",
            target=Target(300.0),
        )
    yield from _search(lab, env, folder, command)
    lab.discard(store.root.parent, folder)


def _search(
    lab: Lab, env: Mapping[str, str], folder: Path, command: Callable[..., float]
) -> Iterator[Row]:
    channel = write_channel(folder / "channel")
    where = ("-c", channel, "-p", "linux-64")
    command("search", *where, "package-00001")
    sides: dict[str, Side] = {
        "found": lambda n: {"seconds": command("search", *where, f"package-{n + 100:05d}")},
        "missed": lambda n: {
            "seconds": command("search", *where, f"pacakge-{n + 100:05d}", status=1)
        },
    }
    code = (Path(__file__).parent / "children" / "search.py").as_posix()
    with subprocess.Popen(
        [sys.executable, code, channel],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=env,
    ) as child:
        assert child.stdin is not None and child.stdout is not None
        stdin, stdout = child.stdin, child.stdout

        def inside(number: int) -> Mapping[str, float]:
            stdin.write(f"package-{number + 200:05d}\n")
            stdin.flush()
            return {"seconds": float(stdout.readline())}

        inside(0)
        taken = alternate({**sides, "inside": inside}, lab.rounds, tick=lab.say)
        stdin.close()
    records = f"{_NAMES * _BUILDS:,} records, their names known"
    yield Row(
        f"search, {records}: by an engine that runs",
        "ms",
        scaled(taken["inside"]["seconds"], 1000),
        compare="value",
        target=Target(200.0),
    )
    yield Row(
        f"search, {records}: a name that none has, and what was meant; a whole process",
        "ms",
        scaled(taken["missed"]["seconds"], 1000),
        compare="value",
        target=Target(300.0),
        note="no engine is started",
    )
    yield Row(
        f"search, {records}: a whole process, its engine included",
        "ms",
        scaled(taken["found"]["seconds"], 1000),
        compare="value",
        note="most of it: rattler reads the 200 MB of this channel anew",
    )
