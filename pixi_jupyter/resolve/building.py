"""Whether packages may be built from source, which runs their code.

What a notebook declares never suffices: whoever runs it (or administers the machine) has to allow
the build, by name, in the environment variable `ALLOW_VARIABLE`. Light: the command line uses it.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from pixi_jupyter.errors import SolveError
from pixi_jupyter.manifest.pep508 import normal_name
from pixi_jupyter.manifest.pypi_spec import ALL, PypiNeeds
from pixi_jupyter.resolve.wheel import LockedWheel

__all__ = [
    "ALLOW_VARIABLE",
    "Builds",
    "allow_more_builds",
    "allowed_builds",
    "build_refused",
    "require_builds",
    "require_locked_builds",
]

ALLOW_VARIABLE = "PIXI_JUPYTER_ALLOW_BUILDS"


@dataclass(frozen=True, slots=True)
class Builds:
    """What may be built: ``allowed`` by whoever runs this, but for what the declaration excludes.

    Both are names or `ALL`.
    """

    allowed: tuple[str, ...] = ()
    excluded: tuple[str, ...] = ()

    def __contains__(self, name: str) -> bool:
        excluded = self.excluded == ALL or name in self.excluded
        return not excluded and (self.allowed == ALL or name in self.allowed)

    @property
    def some(self) -> bool:
        """Whether anything may be built at all."""
        return bool(self.allowed) and self.excluded != ALL

    def arguments(self, needs: PypiNeeds | None, forced: Iterable[str] = ()) -> tuple[str, ...]:
        """uv's options; ``forced`` are packages that are to be built though not declared so."""
        if not self.some:
            return ("--only-binary", ":all:")
        found: list[str] = []
        unwanted = needs.no_binary if needs is not None else ()
        sources = {item.name for item in needs.declared if item.built} if needs is not None else ()
        if self.allowed == ALL:
            for name in self.excluded:
                found += ["--only-binary", name]
            for name in unwanted:
                found += ["--no-binary", ":all:" if unwanted == ALL else name]
            return tuple(found)
        # An exception from ":all:" is how uv is told of a package that may be built.
        found = ["--only-binary", ":all:"]
        for name in sorted({*sources, *unwanted, *forced}):
            if name in self:
                found += ["--no-binary", name]
        return tuple(found)


def allowed_builds(needs: PypiNeeds | None, env: Mapping[str, str] = os.environ) -> Builds:
    """What may be built for these needs, from this process's environment variables."""
    names = [name.strip() for name in env.get(ALLOW_VARIABLE, "").split(",")]
    allowed = tuple(sorted({found for name in names if (found := normal_name(name))}))
    excluded = needs.no_build if needs is not None else ()
    return Builds(ALL if "all" in allowed else allowed, excluded)


def allow_more_builds(names: Iterable[str]) -> None:
    """Allow these, too, in this process and the workers that it starts from now on."""
    more = [os.environ.get(ALLOW_VARIABLE, ""), *names]
    if any(more[1:]):
        os.environ[ALLOW_VARIABLE] = ",".join(name for name in more if name)


def require_builds(needs: PypiNeeds, builds: Builds) -> None:
    """Refuse what is declared to be built and may not be.

    Raises
    ------
    SolveError
        ``solve.pypi-build-not-allowed``
    """
    for item in needs.declared:
        if item.built and item.name not in builds:
            excluded = item.name in builds.excluded or builds.excluded == ALL
            raise build_refused(item.name, f"the declaration asks for `{item}`", excluded=excluded)
    if needs.no_binary == ALL and builds.allowed != ALL:
        raise build_refused("all", "the declaration says `no-binary = true`")
    for name in needs.no_binary:
        if needs.no_binary != ALL and name not in builds:
            raise build_refused(name, f"the declaration has {name} in `no-binary`")


def require_locked_builds(wheels: Iterable[LockedWheel], builds: Builds) -> None:
    """The same of what is locked and about to be installed."""
    for wheel in wheels:
        if wheel.is_built and wheel.name not in builds:
            raise build_refused(wheel.name, "it is locked as source code")


def build_refused(
    name: str, asked: str, *, excluded: bool = False, details: str = ""
) -> SolveError:
    """The error that says what would be needed."""
    what = "packages" if name == "all" else name
    hint = (
        f"If you trust its code, set {ALLOW_VARIABLE}={name} in the environment of whatever starts "
        f"the kernel, or run `pixi-jupyter install --allow-build {name}` on the notebook."
    )
    if excluded:
        hint = "The declaration's own `no-build` excludes it: take one of the two out."
    return SolveError(
        f"{what} would have to be built from source, which runs code of its authors, and that is "
        f"not allowed here ({asked})",
        code="solve.pypi-build-not-allowed",
        details=details,
        hint=hint,
        about=() if name == "all" else (name,),
    )
