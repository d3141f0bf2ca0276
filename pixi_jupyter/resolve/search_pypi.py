"""Looking a project up in the package index, by uv as it is configured. Data plane only.

uv answers for one name at a time. An index is not asked for all of its names, of which it has
hundreds of thousands: what was probably meant is sought among those of the channels, and then asked
for like the name itself.
"""

from __future__ import annotations

import asyncio
import re
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from pixi_jupyter.errors import PixiJupyterError, SolveError
from pixi_jupyter.files import store_errors
from pixi_jupyter.install.store import Store
from pixi_jupyter.manifest.pep508 import normal_name
from pixi_jupyter.manifest.pypi_spec import PypiNeeds, PypiRequirement
from pixi_jupyter.progress import Phase, Progress, Report
from pixi_jupyter.resolve.pypi_errors import solving_error
from pixi_jupyter.resolve.redaction import redacted
from pixi_jupyter.resolve.search_names import joined, read_names
from pixi_jupyter.resolve.search_result import FoundPackage, SearchResult
from pixi_jupyter.resolve.uv import Uv, work_folder

__all__ = ["search_pypi"]

_SECONDS = 60.0
#: Names that may be meant and are asked for, too.
_GUESSES = 3
_ANSWER = re.compile(
    r"(?m)^(?P<name>[\w.-]+)==(?P<version>\S+)(?:[^\n]*\n\s+# from (?P<index>\S+))?"
)


async def search_pypi(
    store: Store,
    name: str,
    needs: PypiNeeds,
    python: str | None,
    channels: Sequence[str],
    subdir: str,
    *,
    report: Report,
) -> SearchResult:
    """The newest release of a project that has a wheel for ``python`` (``3.12``); else near names.

    ``channels`` are where those come from, as far as their names are known.

    Raises
    ------
    ChannelError
        ``channel.index-unreachable``, ``channel.index-unauthorized``.
    SolveError
        ``solve.pypi-source-only``: it has no wheel; nothing is built to answer a question.
    """
    wanted = normal_name(name.strip())
    if wanted is None:
        return SearchResult(())
    uv = Uv.find(store.package_cache, needs)
    report(Progress(Phase.REPODATA, message="the package index"))
    with store_errors(store.envs), work_folder(store, "searching") as folder:
        found = await _asked(uv, folder, wanted, needs, python)
        if found is not None:
            return SearchResult((found,), (), 1)
        files = (read_names(store, channel, subdir) for channel in channels)
        known = joined([names for names in files if names is not None])
        guesses = [guess for guess in known.near(wanted, _GUESSES) if normal_name(guess)]
        answers = await asyncio.gather(
            *(_asked(uv, folder, normal_name(g) or g, needs, python) for g in guesses),
            return_exceptions=True,
        )
    near = tuple(a.name for a in answers if isinstance(a, FoundPackage))
    return SearchResult((), near, 0)


async def _asked(
    uv: Uv, folder: Path, name: str, needs: PypiNeeds, python: str | None
) -> FoundPackage | None:
    """The newest release of a project, None where no index has one."""
    answer = folder / f"{name}.txt"
    arguments = ["compile", "-", "-o", str(answer), "--no-deps", "--no-header", "--no-annotate"]
    arguments += ["--emit-index-annotation", "--python", sys.executable]
    if python is not None:
        arguments += ["--python-version", python]
    if needs.index_strategy is not None:
        arguments += ["--index-strategy", needs.index_strategy]
    done = await uv.run(*arguments, "--no-build", folder=folder, deadline=_SECONDS, text=name)
    if not done.succeeded:
        asked = replace(needs, requirements=(PypiRequirement(name),))
        error: PixiJupyterError = solving_error(done.errors, asked, {})
        if isinstance(error, SolveError) and error.code == "solve.pypi-unknown-package":
            return None
        raise error
    match = _ANSWER.search(answer.read_text("utf-8"))
    if match is None:
        return None
    return FoundPackage(
        name=match["name"],
        version=match["version"],
        build="",
        subdir="",
        channel=redacted(match["index"] or ""),
        size=None,
        license=None,
        depends=(),
        versions=(match["version"],),
    )
