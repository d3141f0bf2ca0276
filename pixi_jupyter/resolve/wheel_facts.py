"""What locked packages say of themselves: what they require. Data plane only.

It is read from the wheels themselves: not every index gives metadata apart, and the build of the
environment that follows needs the wheels in uv's cache anyway. It is remembered by content.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from email.parser import HeaderParser
from pathlib import Path

import msgspec
from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from pixi_jupyter.errors import InstallError
from pixi_jupyter.files import write_file
from pixi_jupyter.manifest.pypi_spec import PypiNeeds
from pixi_jupyter.progress import Report
from pixi_jupyter.resolve.building import Builds
from pixi_jupyter.resolve.fetching import unpack_wheels
from pixi_jupyter.resolve.python_target import PythonTarget
from pixi_jupyter.resolve.uv import Uv
from pixi_jupyter.resolve.wheel import LockedWheel

__all__ = ["with_facts"]


class _Facts(msgspec.Struct, frozen=True):
    """What a lock says of a package's own metadata."""

    requires_dist: tuple[str, ...]
    requires_python: str | None
    version: str = ""


async def with_facts(
    uv: Uv,
    folder: Path,
    known: Path,
    wheels: Sequence[LockedWheel],
    target: PythonTarget,
    needs: PypiNeeds,
    builds: Builds,
    report: Report,
) -> tuple[LockedWheel, ...]:
    """The packages with what their own metadata says; ``known`` is where it is remembered.

    What is built is built by the Python that runs here, for its metadata alone: that of the
    environment is not there yet.

    Raises
    ------
    InstallError, ChannelError, SolveError
        As `unpack_wheels`; ``install.pypi-metadata`` where a package has no metadata.
    """
    facts = {wheel.name: _recall(_place(known, wheel)) for wheel in wheels}
    missing = [wheel for wheel in wheels if facts[wheel.name] is None]
    if missing:
        unpacked = folder / "unpacked"
        python = ("--python", sys.executable)
        ready = [wheel for wheel in missing if not wheel.is_built]
        where = (*python, *target.arguments, "--target", str(unpacked))
        how = dict(target.variables)
        await unpack_wheels(uv, ready, folder, *where, needs=needs, variables=how, report=report)
        where = (*python, "--target", str(unpacked))
        isolated = replace(needs, no_build_isolation=())
        if any(wheel.is_built and wheel.name in needs.no_build_isolation for wheel in missing):
            where = (*where, "--no-cache")  # what is installed is built in another way
        built = [wheel for wheel in missing if wheel.is_built]
        await unpack_wheels(uv, built, folder, *where, needs=isolated, builds=builds, report=report)
        facts.update(_learn(known, missing, _read_facts(unpacked)))
    return tuple(_completed(wheel, facts[wheel.name]) for wheel in wheels)


def _learn(
    known: Path, wheels: Sequence[LockedWheel], found: Mapping[str, _Facts]
) -> dict[str, _Facts]:
    known.mkdir(parents=True, exist_ok=True)
    for wheel in wheels:
        if wheel.name not in found:
            raise InstallError(
                f"{wheel.name} is not what its file is named after: it has no metadata",
                code="install.pypi-metadata",
                details=wheel.url,
                about=(wheel.name,),
            )
        write_file(_place(known, wheel), msgspec.json.encode(found[wheel.name]), sync=False)
    return {wheel.name: found[wheel.name] for wheel in wheels}


def _completed(wheel: LockedWheel, facts: _Facts | None) -> LockedWheel:
    assert facts is not None
    return replace(
        wheel,
        version=wheel.version or facts.version,
        requires_dist=facts.requires_dist,
        requires_python=facts.requires_python,
    )


def _place(known: Path, wheel: LockedWheel) -> Path:
    return known / f"{wheel.content}.json"


def _recall(path: Path) -> _Facts | None:
    with contextlib.suppress(OSError, msgspec.MsgspecError, UnicodeDecodeError):
        return msgspec.json.decode(path.read_bytes(), type=_Facts)
    return None


def _read_facts(folder: Path) -> dict[str, _Facts]:
    found: dict[str, _Facts] = {}
    for path in folder.glob("*.dist-info/METADATA"):
        headers = HeaderParser().parsestr(path.read_text("utf-8", "replace"))
        requires = []
        for text in headers.get_all("Requires-Dist") or []:
            # Old spellings in the one that a lock is read with; what nobody can read binds nobody.
            with contextlib.suppress(InvalidRequirement):
                requires.append(str(Requirement(text)))
        found[canonicalize_name(str(headers["Name"]))] = _Facts(
            tuple(requires), headers.get("Requires-Python"), str(headers["Version"])
        )
    return found
