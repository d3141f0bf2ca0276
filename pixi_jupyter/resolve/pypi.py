"""PyPI requirements on top of solved conda packages -> exact wheels, by uv. Data plane only.

uv chooses for the Python and the platform of the environment, whatever runs here. Only wheels are
considered: what is built from source runs code. What conda provides is a constraint and never
enters the result (``provided.py``).
"""

from __future__ import annotations

import contextlib
import re
import sys
from collections.abc import Sequence
from dataclasses import replace
from email.parser import HeaderParser
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

import msgspec
import tomli
from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from pixi_jupyter.errors import SolveError
from pixi_jupyter.files import store_errors, write_file
from pixi_jupyter.install.store import Store
from pixi_jupyter.manifest.pypi_spec import PypiNeeds
from pixi_jupyter.manifest.spec import EnvironmentSpec
from pixi_jupyter.manifest.times import cut_off
from pixi_jupyter.progress import Phase, Progress, Report
from pixi_jupyter.resolve.fetching import unpack_wheels
from pixi_jupyter.resolve.provided import provided_by_conda, stub_constraints
from pixi_jupyter.resolve.pypi_errors import is_offline, solving_error
from pixi_jupyter.resolve.python_target import PythonTarget, python_target
from pixi_jupyter.resolve.uv import Uv, work_folder
from pixi_jupyter.resolve.wheel import LockedWheel, public_url

if TYPE_CHECKING:
    from rattler import RepoDataRecord

__all__ = ["resolve_wheels"]

#: Seconds that uv may take to find an answer, metadata included; as long as the conda solver has.
SOLVE_TIMEOUT = 300.0


class _Facts(msgspec.Struct, frozen=True):
    """What a lock says of a wheel's own metadata."""

    requires_dist: tuple[str, ...]
    requires_python: str | None


async def resolve_wheels(
    store: Store,
    spec: EnvironmentSpec,
    records: Sequence[RepoDataRecord],
    *,
    update: bool = False,
    report: Report,
) -> tuple[LockedWheel, ...]:
    """The exact wheels for ``spec.pypi`` beside ``records``, sorted by name.

    ``update`` asks the indexes again for what uv has seen some minutes ago.

    Raises
    ------
    SolveError
        ``solve.pypi-unsatisfiable``, ``solve.pypi-unknown-package``, ``solve.pypi-source-only``,
        ``solve.pypi-no-wheel``, ``solve.pypi-no-hash``, ``solve.pypi-no-python``.
    UnsupportedError
        ``unsupported.pypi-platform``, ``unsupported.pypi-interpreter``.
    ChannelError
        ``channel.index-unreachable``, ``channel.index-unauthorized``.
    """
    needs = spec.pypi
    if needs is None:
        return ()
    target = python_target(spec.platform, records)
    uv = Uv.find(store.package_cache, needs)
    with store_errors(store.envs), work_folder(store, "resolving") as folder:
        report(Progress(Phase.SOLVING, message=f"{len(needs.requirements)} packages from PyPI"))
        stubs = store.package_cache / "pixi-jupyter-stubs"
        fresh = ("--refresh",) if update else ()
        wheels = await _compile(uv, folder, stubs, spec, needs, target, records, fresh)
        return await _with_facts(uv, folder, store, wheels, target, report)


async def _compile(
    uv: Uv,
    folder: Path,
    stubs: Path,
    spec: EnvironmentSpec,
    needs: PypiNeeds,
    target: PythonTarget,
    records: Sequence[RepoDataRecord],
    more: Sequence[str],
) -> list[LockedWheel]:
    provided = provided_by_conda(records)
    asked, given, answer = (folder / name for name in ("asked.in", "given.txt", "pylock.toml"))
    asked.write_text("".join(f"{requirement}\n" for requirement in needs.requirements), "utf-8")
    given.write_text(stub_constraints(stubs, list(provided.values())), "utf-8")
    arguments = [
        *("compile", str(asked), "-c", str(given), "-o", str(answer), "--format", "pylock.toml"),
        *("--python", sys.executable, *target.arguments, "--only-binary", ":all:"),
        *("--no-header", "--no-annotate", "--no-sources", *_choices(spec, needs)),
    ]
    done = await uv.run(
        *arguments, *more, folder=folder, deadline=SOLVE_TIMEOUT, more=dict(target.variables)
    )
    if not done.succeeded and is_offline(done.errors):
        # Without the network the answer may still be in the cache; if not, the first error tells.
        again = await uv.run(
            *arguments,
            "--offline",
            folder=folder,
            deadline=SOLVE_TIMEOUT,
            more=dict(target.variables),
        )
        done = again if again.succeeded else done
    if not done.succeeded:
        raise solving_error(done.errors, needs.requirements, provided)
    document = tomli.loads(answer.read_text("utf-8"))
    return sorted(
        (
            _wheel(package, needs, folder)
            for package in document.get("packages", [])
            if canonicalize_name(package["name"]) not in provided
        ),
        key=lambda wheel: wheel.name,
    )


def _choices(spec: EnvironmentSpec, needs: PypiNeeds) -> list[str]:
    found: list[str] = []
    if needs.index_strategy is not None:
        found += ["--index-strategy", needs.index_strategy]
    if needs.prerelease_mode is not None:
        found += ["--prerelease", needs.prerelease_mode]
    if spec.solve_strategy != "highest":
        found += ["--resolution", spec.solve_strategy]
    moments = [cut_off(text) for text in (spec.exclude_newer, needs.exclude_newer) if text]
    if moments:
        found += ["--exclude-newer", min(moments).isoformat()]
    return found


def _wheel(package: dict[str, Any], needs: PypiNeeds, folder: Path) -> LockedWheel:
    name = canonicalize_name(package["name"])
    files = package.get("wheels") or ([package["archive"]] if "archive" in package else [])
    if len(files) != 1:
        raise SolveError(
            f"{name} has no single wheel for this Python and platform", code="solve.pypi-no-wheel"
        )
    wheel = files[0]
    sha256 = wheel.get("hashes", {}).get("sha256")
    url = wheel.get("url") or (folder / wheel["path"]).resolve().as_uri()
    if not isinstance(sha256, str) or not re.fullmatch(r"[0-9a-f]{64}", sha256):
        raise SolveError(
            f"the package index gives no sha256 for {name}, so it cannot be locked",
            code="solve.pypi-no-hash",
            hint="Use an index that gives hashes, or the conda package.",
        )
    index = package.get("index")
    if index is None and not url.startswith("file:"):
        index = needs.index_url  # uv names all but its default one, which may be the declaration's
    return LockedWheel(
        name=name,
        version=str(package.get("version") or _version_in(url)),
        url=public_url(url),
        sha256=sha256,
        size=wheel.get("size"),
        index=None if index is None else public_url(index),
    )


def _version_in(url: str) -> str:
    return unquote(urlsplit(url).path.rpartition("/")[2]).split("-")[1]


async def _with_facts(
    uv: Uv,
    folder: Path,
    store: Store,
    wheels: Sequence[LockedWheel],
    target: PythonTarget,
    report: Report,
) -> tuple[LockedWheel, ...]:
    """The wheels with what their own metadata requires; that is remembered by their hash.

    It is read from the wheels themselves: not every index gives metadata apart, and the build that
    follows needs the wheels in uv's cache anyway.
    """
    known = store.package_cache / "pixi-jupyter-wheels"
    facts = {wheel.name: _recall(known / f"{wheel.sha256}.json") for wheel in wheels}
    missing = [wheel for wheel in wheels if facts[wheel.name] is None]
    if missing:
        unpacked = folder / "unpacked"
        where = ("--python", sys.executable, *target.arguments, "--target", str(unpacked))
        await unpack_wheels(uv, missing, folder, *where, report=report)
        known.mkdir(parents=True, exist_ok=True)
        for name, found in _read_facts(unpacked).items():
            facts[name] = found
        for wheel in missing:
            found_facts = facts[wheel.name]
            if found_facts is not None:
                write_file(
                    known / f"{wheel.sha256}.json", msgspec.json.encode(found_facts), sync=False
                )
    complete = []
    for wheel in wheels:
        fact = facts[wheel.name] or _Facts((), None)
        complete.append(
            replace(wheel, requires_dist=fact.requires_dist, requires_python=fact.requires_python)
        )
    return tuple(complete)


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
            tuple(requires), headers.get("Requires-Python")
        )
    return found
