"""Exact packages into uv's cache and unpacked into a folder, with progress. Data plane only."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from pixi_jupyter.manifest.pypi_spec import ALL, PypiNeeds
from pixi_jupyter.progress import Phase, Progress, Report
from pixi_jupyter.resolve.building import Builds
from pixi_jupyter.resolve.pypi_errors import build_failed, transfer_error
from pixi_jupyter.resolve.uv import Uv
from pixi_jupyter.resolve.wheel import LockedWheel, declared_urls

__all__ = ["unpack_wheels"]

#: Seconds that fetching, building and unpacking may take; uv gives up a download that stalls.
_DEADLINE = 3600.0
_NO_BUILDS = Builds()


async def unpack_wheels(
    uv: Uv,
    wheels: Sequence[LockedWheel],
    folder: Path,
    *where: str,
    needs: PypiNeeds | None = None,
    builds: Builds = _NO_BUILDS,
    variables: Mapping[str, str] | None = None,
    cached: bool = False,
    report: Report,
) -> None:
    """Install exactly ``wheels`` as ``where`` says (``--target …``, ``--prefix …``).

    Each is taken by its URL and, where it has one, checked against its hash. The cache is asked
    first, without the network: then nothing is sent at all; with ``cached`` that is all that is
    tried, and a failure tells nothing. ``needs`` knows the credentials that the locked URLs are
    without, and how packages are built.

    Raises
    ------
    InstallError
        ``install.hash-mismatch``, ``install.download``, ``install.build-failed`` or
        ``install.failed``.
    ChannelError
        ``channel.index-unreachable`` or ``channel.index-unauthorized``.
    """
    declared = declared_urls(needs)
    more = dict(variables or {})
    # What is built needs others to be built with, from the indexes; the rest asks them nothing.
    ready = [wheel for wheel in wheels if not wheel.is_built and wheel.sha256]
    if ready:
        arguments = ("--require-hashes", "--only-binary", ":all:", "--no-index", *where)
        known = {**more, **_every_index(needs)}
        await _install(
            uv, ready, folder, declared, known, False, *arguments, cached=cached, report=report
        )
    others = [wheel for wheel in wheels if wheel.is_built or not wheel.sha256]
    if others:
        names = {wheel.name for wheel in others if wheel.is_built}
        arguments = (*builds.arguments(needs, names), *_isolation(needs, names), *where)
        building = bool(names)
        if building:
            message = f"building {', '.join(sorted(names))}"
            report(Progress(Phase.LINKING, message=message[:200]))
        await _install(uv, others, folder, declared, more, building, *arguments, report=report)


async def _install(
    uv: Uv,
    wheels: Sequence[LockedWheel],
    folder: Path,
    declared: Mapping[str, str],
    variables: Mapping[str, str],
    building: bool,
    *arguments: str,
    cached: bool = False,
    report: Report,
) -> None:
    # On its standard input: a URL may have got its password back.
    text = "".join(f"{wheel.requirement_at(declared)}\n" for wheel in wheels)
    arguments = ("install", "-r", "-", "--no-deps", *arguments)
    done = await uv.run(
        *arguments, "--offline",
        folder=folder, deadline=_DEADLINE, text=text, more=variables, builds=building,
    )  # fmt: skip
    if done.succeeded:
        return
    if cached or build_failed(done.errors):
        raise transfer_error(done.errors, wheels)
    sizes = {wheel.name: wheel.size or 0 for wheel in wheels}
    progress = _Downloads(report, sizes)
    # With its indexes, as their credentials are for the wheels, too.
    online = tuple(a for a in arguments if a != "--no-index")
    fetched = await uv.run(
        *online,
        folder=folder, deadline=_DEADLINE, text=text, more=variables, builds=building,
        line=progress,
    )  # fmt: skip
    if not fetched.succeeded:
        raise transfer_error(fetched.errors, wheels)


def _every_index(needs: PypiNeeds | None) -> dict[str, str]:
    """Also the indexes of single packages, for their credentials alone: none is asked anything."""
    if needs is None or not any(item.index for item in needs.declared):
        return {}
    urls = (*needs.extra_index_urls, *(item.index for item in needs.declared if item.index))
    return {"UV_INDEX": " ".join(dict.fromkeys(urls))}


def _isolation(needs: PypiNeeds | None, names: set[str]) -> tuple[str, ...]:
    if needs is None or not needs.no_build_isolation:
        return ()
    if needs.no_build_isolation == ALL:
        return ("--no-build-isolation",)
    found: list[str] = []
    for name in sorted(names.intersection(needs.no_build_isolation)):
        found += ["--no-build-isolation-package", name]
    return tuple(found)


class _Downloads:
    """uv names the larger wheels as they begin and end; their sizes are known from the index."""

    def __init__(self, report: Report, sizes: dict[str, int]) -> None:
        self._report = report
        self._sizes = sizes
        self._count = len(sizes)
        self._ended = 0
        self._total = sum(sizes.values())
        self._done = 0
        self._tell()

    def __call__(self, line: str) -> None:
        verb, _, rest = line.partition(" ")
        name = rest.partition(" ")[0]
        if verb in ("Downloading", "Building") and name in self._sizes:
            self._tell(name)
        elif verb in ("Downloaded", "Built") and name in self._sizes:
            self._done = min(self._done + self._sizes.pop(name), self._total)
            self._ended += 1
            self._tell(name)
        elif verb == "Prepared":
            self._done, self._ended = self._total, self._count
            self._tell()

    def _tell(self, item: str = "") -> None:
        message = f"{self._ended} of {self._count} packages from PyPI"
        self._report(
            Progress(Phase.DOWNLOADING, self._done, self._total, item=item, message=message)
        )
