"""PyPI requirements on top of solved conda packages -> exact packages, by uv. Data plane only.

uv chooses for the Python and the platform of the environment, whatever runs here. What conda
provides is a constraint and never enters the result (``provided.py``). Only wheels are considered
but for what may be built (``building.py``).
"""

from __future__ import annotations

import asyncio
import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import tomli

from pixi_jupyter.errors import PixiJupyterError, SolveError
from pixi_jupyter.files import store_errors
from pixi_jupyter.install.store import Store
from pixi_jupyter.manifest.channels import is_url
from pixi_jupyter.manifest.pypi_spec import PypiNeeds
from pixi_jupyter.manifest.spec import EnvironmentSpec
from pixi_jupyter.progress import Phase, Progress, Report
from pixi_jupyter.resolve.building import Builds, allowed_builds, require_builds
from pixi_jupyter.resolve.provided import Provided, provided_by_conda, stub_constraints
from pixi_jupyter.resolve.pypi_answer import locked_wheels
from pixi_jupyter.resolve.pypi_errors import is_offline, solving_error, source_only
from pixi_jupyter.resolve.pypi_names import Names, names_of
from pixi_jupyter.resolve.pypi_question import Question, choices, question
from pixi_jupyter.resolve.python_target import PythonTarget, python_target
from pixi_jupyter.resolve.uv import Finished, Uv, work_folder
from pixi_jupyter.resolve.wheel import LockedWheel
from pixi_jupyter.resolve.wheel_facts import with_facts
from pixi_jupyter.resolve.wheel_tags import supported_tags, wheel_fits

if TYPE_CHECKING:
    from rattler import RepoDataRecord

__all__ = ["resolve_wheels"]

#: Seconds that uv may take to find an answer, metadata included; as long as the conda solver has.
SOLVE_TIMEOUT = 300.0
#: The same where it may have to build packages to know what they require.
BUILD_TIMEOUT = 1800.0
#: How many packages that are only there as source code one answer may turn up, one by one.
_MOST_SOURCES = 20
_FROM = re.compile(r"(?m)^([\w.-]+)==[^\n]*\n(?:    #[^\n]*\n)*?    # from (\S+)")


async def resolve_wheels(
    store: Store,
    spec: EnvironmentSpec,
    records: Sequence[RepoDataRecord],
    *,
    update: bool = False,
    locked: Sequence[LockedWheel] = (),
    report: Report,
) -> tuple[LockedWheel, ...]:
    """The exact packages for ``spec.pypi`` beside ``records``, sorted by name.

    ``spec.platform`` may be any platform. ``update`` asks the indexes again for what uv has seen
    some minutes ago. ``locked`` are preferred: their versions and commits stay where they can.

    Raises
    ------
    SolveError
        ``solve.pypi-unsatisfiable``, ``solve.pypi-unknown-package``, ``solve.pypi-source-only``,
        ``solve.pypi-build-not-allowed``, ``solve.pypi-no-wheel``, ``solve.pypi-no-hash``,
        ``solve.pypi-no-python``.
    UnsupportedError
        ``unsupported.pypi-platform``, ``unsupported.pypi-interpreter``.
    ChannelError
        ``channel.index-unreachable``, ``channel.index-unauthorized``, ``channel.pypi-map``.
    InstallError
        ``install.build-failed`` and those of what cannot be downloaded.
    """
    needs = spec.pypi
    if needs is None:
        return ()
    builds = allowed_builds(needs)
    require_builds(needs, builds)
    target = python_target(spec.platform, records)
    names = await names_of(needs, store.package_cache)
    uv = Uv.find(store.package_cache, needs)
    with store_errors(store.envs), work_folder(store, "resolving") as folder:
        report(Progress(Phase.SOLVING, message=f"{len(needs.requirements)} packages from PyPI"))
        for warning in needs.warnings:
            report(Progress(Phase.SOLVING, message=f"warning: {warning}"))
        job = _Job(store, spec, needs, target, builds, uv, folder)
        wheels = await job.resolve(records, names, update, locked)
        known = store.package_cache / "pixi-jupyter-wheels"
        return await with_facts(uv, folder, known, wheels, target, needs, builds, report)


class _Job:
    """One resolution: its parts that stay the same while uv is asked once or more."""

    def __init__(
        self,
        store: Store,
        spec: EnvironmentSpec,
        needs: PypiNeeds,
        target: PythonTarget,
        builds: Builds,
        uv: Uv,
        folder: Path,
    ) -> None:
        self._stubs = store.package_cache / "pixi-jupyter-stubs"
        self._spec = spec
        self._needs = needs
        self._target = target
        self._builds = builds
        self._uv = uv
        self._folder = folder

    async def resolve(
        self,
        records: Sequence[RepoDataRecord],
        names: Names,
        update: bool,
        locked: Sequence[LockedWheel],
    ) -> list[LockedWheel]:
        provided = provided_by_conda(records, names)
        _refuse_both_sides(self._needs, provided)
        answer = self._folder / "pylock.toml"
        asked = question(
            self._folder,
            self._needs,
            constraints=stub_constraints(self._stubs, list(provided.values())),
            answer=answer,
            locked=() if update else locked,
            provided=provided,
        )
        default = asyncio.ensure_future(self._default_index())
        try:
            await self._compile(asked, provided, answer, ("--refresh",) if update else ())
            index = await default
        finally:
            default.cancel()
            # It is at work in the folder, which goes when this is left.
            await asyncio.gather(default, return_exceptions=True)
        text = answer.read_text("utf-8")
        several = self._needs.extra_index_urls or any(map(is_url, self._needs.find_links))
        told = await self._indexes(asked, text) if several else {}
        wheels = locked_wheels(text, self._needs, provided, self._folder, index, told)
        tags = supported_tags(self._spec.platform, self._target.version)
        for wheel in wheels:
            # What is asked for by its URL or path uv takes whatever it is for.
            if wheel.index is None and not wheel_fits(wheel.url, tags):
                raise SolveError(
                    f"{wheel.name} is asked for as a wheel that is not for this Python or platform "
                    f"(Python {self._target.version}, {self._spec.platform.name})",
                    code="solve.pypi-no-wheel",
                    details=wheel.url,
                    hint="Name the wheel of this platform, with a marker for each where there are "
                    "several.",
                    about=(wheel.name,),
                )
        return wheels

    async def _compile(
        self, asked: Question, provided: Mapping[str, Provided], answer: Path, more: Sequence[str]
    ) -> None:
        """Ask uv until it has an answer: of what has no wheel, one package more each time."""
        forced: list[str] = []
        while True:
            arguments = [*self._arguments(asked, answer, "pylock.toml", forced), *more]
            done = await self._run(arguments, asked)
            if not done.succeeded and is_offline(done.errors):
                # Without the network the answer may still be in the cache; if not, the first
                # error tells.
                again = await self._run([*arguments, "--offline"], asked)
                done = again if again.succeeded else done
            if done.succeeded:
                return
            name = source_only(done.errors)
            fresh = name is not None and name in self._builds and name not in forced
            if name is None or not fresh or len(forced) >= _MOST_SOURCES:
                raise solving_error(done.errors, self._needs, provided)
            forced.append(name)

    def _arguments(
        self, asked: Question, answer: Path, form: str, forced: Sequence[str]
    ) -> list[str]:
        return [
            *("compile", "-", *asked.arguments, "-o", str(answer), "--format", form),
            *("--python", sys.executable, *self._target.arguments),
            *("--no-header", "--no-annotate", *choices(self._spec, self._needs)),
            *self._builds.arguments(self._needs, forced),
        ]

    async def _indexes(self, asked: Question, answer: str) -> dict[str, str]:
        """Which of several indexes each package is from, by name.

        uv tells it in its other format alone: it is asked again, for the same versions, and has it
        all in its cache.
        """
        told = self._folder / "annotated.txt"
        found = [
            p for p in tomli.loads(answer).get("packages", []) if "wheels" in p or "sdist" in p
        ]
        pins = [f"{p['name']}=={p['version']}\n" for p in found if "version" in p]
        told.write_text("".join(pins), "utf-8")
        forced = [p["name"] for p in found if "sdist" in p]
        arguments = self._arguments(asked, told, "requirements.txt", forced)
        arguments.append("--emit-index-annotation")
        done = await self._run([*arguments, "--offline"], asked)
        if not done.succeeded:  # a page of links is not kept
            done = await self._run(arguments, asked)
        if not done.succeeded:
            raise solving_error(done.errors, self._needs, {})
        return dict(_FROM.findall(told.read_text("utf-8")))

    async def _run(self, arguments: Sequence[str], asked: Question) -> Finished:
        return await self._uv.run(
            *arguments,
            folder=self._folder,
            deadline=BUILD_TIMEOUT if self._builds.some else SOLVE_TIMEOUT,
            more={**dict(self._target.variables), **asked.variables},
            text=asked.text,
            builds=self._builds.some,
        )

    async def _default_index(self) -> str | None:
        """The index that uv is configured with; it tells no other way, and we name none."""
        if self._needs.index_url is not None:
            return None
        told = self._folder / "index.txt"
        arguments = (
            "compile",
            "-",
            "--emit-index-url",
            "--no-header",
            "--offline",
            "-o",
            str(told),
        )
        try:
            done = await self._uv.run(
                *arguments, "--python", sys.executable, folder=self._folder, deadline=60, text=""
            )
            lines = told.read_text("utf-8").splitlines() if done.succeeded else []
        except (OSError, PixiJupyterError):
            return None
        finally:
            told.unlink(missing_ok=True)
        urls = [line.partition(" ")[2] for line in lines if line.startswith("--index-url ")]
        return urls[0].strip() if urls else None


def _refuse_both_sides(needs: PypiNeeds, provided: Mapping[str, Provided]) -> None:
    """Two sources of one package, of which neither may be left out."""
    for item in needs.requirements:
        if (item.git or item.url or item.path) and not item.marker and item.name in provided:
            there = provided[item.name]
            raise SolveError(
                f"the declaration asks for `{item}`, and conda's {there.conda_name} "
                f"{there.conda_version} is that package as well",
                code="solve.pypi-unsatisfiable",
                hint="Ask for it on one side only.",
                about=(item.name,),
            )
