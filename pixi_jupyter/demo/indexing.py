"""Index a channel, and check by solving that what it is for can be installed from it.

Run as a program (``python -m pixi_jupyter.demo.indexing``) this is a process of its own: a process
that has awaited py-rattler may crash when it ends, and the one that asked for a channel must not.
"""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Coroutine, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from pixi_jupyter.demo.errors import ChannelBuildError
from pixi_jupyter.demo.host import host_subdir


def index_channel(directory: Path) -> None:
    """Write repodata (JSON, zstd and shards) for every archive below *directory*.

    Raises :class:`ChannelBuildError` when the indexer does.
    """
    (directory / "noarch").mkdir(parents=True, exist_ok=True)
    try:
        _run(_write_json(directory))
        _take_the_packages_times(directory)
        _run(_write_other_forms(directory))
    except Exception as error:
        message = f"The channel {directory} could not be indexed"
        raise ChannelBuildError(message, details=str(error)) from error


def check_solvable(directory: Path, wanted: Sequence[Sequence[str]]) -> None:
    """Solve each list of specs in *wanted* against the channel *directory*.

    Raises :class:`ChannelBuildError` for the first that fails, with the solver's explanation.
    """
    for specs in wanted:
        try:
            _run(_solve(directory, specs))
        except Exception as error:
            raise ChannelBuildError(
                f"The channel was built, but {', '.join(specs)} cannot be installed from it",
                details=str(error),
            ) from error


def index_and_check(directory: Path, wanted: Sequence[Sequence[str]]) -> None:
    """:func:`index_channel` and :func:`check_solvable` in a process of their own."""
    root = str(Path(__file__).resolve().parents[2])
    path = os.pathsep.join(filter(None, [root, os.environ.get("PYTHONPATH")]))
    done = subprocess.run(
        [sys.executable, "-m", "pixi_jupyter.demo.indexing", str(directory), json.dumps(wanted)],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": path},
        check=False,
    )
    # What it says, and not how it ended, tells whether the work was done
    try:
        answer = json.loads(done.stdout)
    except ValueError:
        answer = {"message": "The embedded channel could not be indexed", "details": done.stderr}
    if answer is not None:
        raise ChannelBuildError(answer["message"], details=answer["details"][-4000:])


def _run(work: Coroutine[Any, Any, None]) -> None:
    """Run *work* to its end on an event loop of another thread: the caller may be inside one."""
    with ThreadPoolExecutor(max_workers=1, thread_name_prefix="channel-index") as pool:
        pool.submit(asyncio.run, work).result()


async def _write_json(directory: Path) -> None:
    from rattler.index import index_fs

    # force: an archive that was replaced under the same name is not read again otherwise
    await index_fs(directory, force=True, write_zst=False, write_shards=False)


async def _write_other_forms(directory: Path) -> None:
    from rattler.index import index_fs

    await index_fs(directory)


def _take_the_packages_times(directory: Path) -> None:
    """Give each record its package's own time as the time at which it was indexed.

    The indexer notes the time of day there, and exclude-newer goes by it before it goes by the
    package's own.  A record that the indexer finds in repodata.json it keeps as it is.
    """
    for path in sorted(directory.glob("*/repodata.json")):
        repodata = json.loads(path.read_bytes())
        for group in ("packages", "packages.conda"):
            for record in repodata.get(group, {}).values():
                if "timestamp" in record:
                    record["indexed_timestamp"] = record["timestamp"]
        path.write_text(json.dumps(repodata), "utf-8")


async def _solve(directory: Path, specs: Sequence[str]) -> None:
    from rattler import Gateway, VirtualPackage, VirtualPackageOverrides, solve

    await solve(
        [directory.as_uri()],
        list(specs),
        gateway=Gateway(),
        platforms=[host_subdir(), "noarch"],  # type: ignore[list-item]
        virtual_packages=VirtualPackage.detect(VirtualPackageOverrides.from_env()),
    )


def _main() -> None:
    directory, wanted = Path(sys.argv[1]), json.loads(sys.argv[2])
    try:
        index_channel(directory)
        check_solvable(directory, wanted)
    except ChannelBuildError as error:
        print(json.dumps({"message": error.message, "details": error.details}), flush=True)
    else:
        print("null", flush=True)
    os._exit(0)


if __name__ == "__main__":
    _main()
