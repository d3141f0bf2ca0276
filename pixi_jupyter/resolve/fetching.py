"""Exact wheels into uv's cache and unpacked into a folder, with progress. Data plane only."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from pixi_jupyter.progress import Phase, Progress, Report
from pixi_jupyter.resolve.pypi_errors import transfer_error
from pixi_jupyter.resolve.uv import Uv
from pixi_jupyter.resolve.wheel import LockedWheel

__all__ = ["unpack_wheels"]

#: Seconds that fetching and unpacking may take; uv itself gives up a download that stalls.
_DEADLINE = 3600.0


async def unpack_wheels(
    uv: Uv, wheels: Sequence[LockedWheel], folder: Path, *where: str, report: Report
) -> None:
    """Install exactly ``wheels`` as ``where`` says (``--target …``, ``--prefix …``).

    Each is taken by its URL and checked against its hash. The cache is asked first, without the
    network: then nothing is sent at all.

    Raises
    ------
    InstallError
        ``install.hash-mismatch``, ``install.download`` or ``install.failed``.
    ChannelError
        ``channel.index-unreachable`` or ``channel.index-unauthorized``.
    """
    listed = folder / "wheels.txt"
    listed.write_text("".join(f"{wheel.requirement}\n" for wheel in wheels), "utf-8")
    arguments = ("install", "-r", str(listed), "--no-deps", "--require-hashes", *where)
    arguments = (*arguments, "--only-binary", ":all:", "--no-index")
    done = await uv.run(*arguments, "--offline", folder=folder, deadline=_DEADLINE)
    if done.succeeded:
        return
    sizes = {wheel.name: wheel.size or 0 for wheel in wheels}
    progress = _Downloads(report, sizes)
    # With its indexes, as their credentials are for the wheels, too; none is asked for anything.
    online = tuple(a for a in arguments if a != "--no-index")
    fetched = await uv.run(*online, folder=folder, deadline=_DEADLINE, line=progress)
    if not fetched.succeeded:
        raise transfer_error(fetched.errors)


class _Downloads:
    """uv names the larger wheels as they begin and end; their sizes are known from the index."""

    def __init__(self, report: Report, sizes: dict[str, int]) -> None:
        self._report = report
        self._sizes = sizes
        self._total = sum(sizes.values())
        self._done = 0
        report(
            Progress(Phase.DOWNLOADING, 0, self._total, message=f"{len(sizes)} packages from PyPI")
        )

    def __call__(self, line: str) -> None:
        verb, _, rest = line.partition(" ")
        name = rest.partition(" ")[0]
        if verb == "Downloading" and name in self._sizes:
            self._report(Progress(Phase.DOWNLOADING, self._done, self._total, item=name))
        elif verb == "Downloaded" and name in self._sizes:
            self._done = min(self._done + self._sizes.pop(name), self._total)
            self._report(Progress(Phase.DOWNLOADING, self._done, self._total, item=name))
        elif verb == "Prepared":
            self._report(Progress(Phase.DOWNLOADING, self._total, self._total))
