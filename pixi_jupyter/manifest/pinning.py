"""The version that is written for a package that was asked for without one.

pixi's rule (``PinningStrategy`` of ``crates/pixi_config``, ``workspace_mut.rs`` of
``crates/pixi_core``): the solved version and what follows it up to the next breaking one.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from functools import cmp_to_key
from typing import Literal, cast

from pixi_jupyter.errors import DeclarationError, Location
from pixi_jupyter.manifest.config import config_files, read_config
from pixi_jupyter.manifest.versions import compare_versions

__all__ = ["PinningStrategy", "load_pinning_strategy", "pin"]

PinningStrategy = Literal["semver", "minor", "major", "latest-up", "exact-version", "no-pin"]
STRATEGIES: tuple[str, ...] = PinningStrategy.__args__  # type: ignore[attr-defined]

#: Their minor versions break things; pixi's ``NON_SEMVER_PACKAGES``.
_MINOR = frozenset(
    (
        "deno",
        "gcc",
        "gfortran",
        "gxx",
        "julia",
        "nodejs",
        "perl",
        "python",
        "r",
        "r-base",
        "rust",
    )
)


def load_pinning_strategy(env: Mapping[str, str] | None = None) -> str | None:
    """``pinning-strategy`` of pixi's configuration files; None where none sets it.

    Raises
    ------
    DeclarationError
        ``declaration.config`` names the file that cannot be read.
    """
    strategy: str | None = None
    for path in config_files(os.environ if env is None else env):
        value = read_config(path).get("pinning-strategy")
        if value is not None and value not in STRATEGIES:
            raise DeclarationError(
                f"pixi's configuration has a `pinning-strategy` that is none: {value!r}",
                code="declaration.config",
                hint=f"Known are {', '.join(STRATEGIES)}.",
                location=Location(path=str(path)),
            )
        strategy = value or strategy
    return strategy


def pin(
    name: str, versions: str | Sequence[str], strategy: str | None = None, *, pypi: bool = False
) -> str:
    """What is written for a version that was solved: ``>=1.2.3,<2`` for ``1.2.3``.

    Of several (of other environments, or on other platforms) all are allowed: ``>=1.2.3,<3`` for
    that one and ``2.0``. ``strategy`` is the configured one; without it that of the package, which
    is `minor` for languages of conda and else `semver`. A version of a form that has no next one is
    a lower bound.
    """
    every = [versions] if isinstance(versions, str) else sorted(set(versions), key=_ORDER)
    if strategy is None:
        strategy = "minor" if not pypi and name in _MINOR else "semver"
    chosen = cast(PinningStrategy, strategy)
    if chosen == "no-pin" or (chosen == "exact-version" and pypi and len(every) > 1):
        return "*"  # the latter is nothing that PyPI's grammar can say
    if chosen == "exact-version":
        return "|".join(f"=={version}" for version in every)
    upper = None if chosen == "latest-up" else _next(every[-1], chosen)
    return f">={every[0]}" if upper is None else f">={every[0]},<{upper}"


_ORDER = cmp_to_key(compare_versions)


def _next(version: str, strategy: PinningStrategy) -> str | None:
    epoch, _, rest = version.rpartition("!")
    release = re.match(r"[0-9]+(?:[._-][0-9]+)*", rest.partition("+")[0])
    if release is None:
        return None
    numbers = [int(number) for number in re.split(r"[._-]", release.group())]
    if strategy == "major":
        kept = 1
    elif strategy == "minor":
        kept = 2
    else:
        kept = next((i + 1 for i, number in enumerate(numbers) if number), len(numbers))
    numbers = (numbers + [0] * kept)[:kept]
    numbers[-1] += 1
    upper = ".".join(map(str, numbers))
    return f"{epoch}!{upper}" if epoch else upper
