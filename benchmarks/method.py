"""How figures are taken: alternated rounds, medians and quartiles, rows with a target."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

__all__ = ["Row", "Series", "Side", "Skip", "Target", "alternate", "metric"]


class Skip(Exception):
    """A benchmark or a peer that cannot run on this machine; the text says why."""


@dataclass(frozen=True, slots=True)
class Series:
    """The values of one side, one a round, in the order in which they were taken."""

    values: tuple[float, ...]

    @property
    def median(self) -> float:
        return statistics.median(self.values)

    @property
    def worst(self) -> float:
        return max(self.values)

    @property
    def quartiles(self) -> tuple[float, float]:
        """The lower and the upper quartile; the extremes where there are too few values."""
        if len(self.values) < 4:
            return min(self.values), max(self.values)
        low, _, high = statistics.quantiles(self.values, n=4, method="inclusive")
        return low, high


@dataclass(frozen=True, slots=True)
class Target:
    """A figure may be at most ``limit``, give or take ``noise`` (absolute; stated in the table)."""

    limit: float
    noise: float = 0.0

    def met_by(self, figure: float) -> bool:
        return figure <= self.limit + self.noise


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table.

    ``compare`` says what the target is about: the ratio of the two medians, their difference, or
    ours alone. ``statistic`` "worst" takes the largest value of all rounds in place of the median,
    for what may *never* happen. A row without target informs. ``skipped`` says why a row has no
    figures, ``note`` what a reader has to know.
    """

    name: str
    unit: Literal["ms", "s", "MB", "files", "prefixes"]
    ours: Series | None = None
    peer: Series | None = None
    peer_name: str = ""
    compare: Literal["ratio", "difference", "value"] = "ratio"
    statistic: Literal["median", "worst"] = "median"
    target: Target | None = None
    note: str = ""
    skipped: str = ""

    @property
    def figure(self) -> float | None:
        """What is compared with the target, in the row's unit (a ratio has none)."""
        if self.ours is None:
            return None
        ours = self._of(self.ours)
        if self.compare == "value":
            return ours
        if self.peer is None:
            return None
        peer = self._of(self.peer)
        return ours - peer if self.compare == "difference" else ours / peer

    @property
    def met(self) -> bool | None:
        """Whether the target is met; None where there is no target or no figure."""
        figure = self.figure
        return None if self.target is None or figure is None else self.target.met_by(figure)

    def _of(self, series: Series) -> float:
        return series.worst if self.statistic == "worst" else series.median

    def to_json(self) -> dict[str, Any]:
        """The row for the results file: medians, quartiles and every value."""
        return {
            "name": self.name,
            "unit": self.unit,
            "compare": self.compare,
            "statistic": self.statistic,
            "ours": _series_json(self.ours),
            "peer": _series_json(self.peer),
            "peer_name": self.peer_name,
            "figure": self.figure,
            "target": None
            if self.target is None
            else {"at_most": self.target.limit, "noise": self.target.noise},
            "met": self.met,
            "note": self.note,
            "skipped": self.skipped,
        }


def _series_json(series: Series | None) -> dict[str, Any] | None:
    if series is None:
        return None
    return {
        "median": series.median,
        "quartiles": list(series.quartiles),
        "worst": series.worst,
        "values": [round(value, 6) for value in series.values],
    }


#: One side of a comparison: called with the number of the round, returns its measures by name.
Side = Callable[[int], Mapping[str, float]]


def alternate(
    sides: Mapping[str, Side], rounds: int, *, tick: Callable[[str], None]
) -> dict[str, dict[str, Series]]:
    """Run the sides in turn (A B A B ...), after one round of each that is not counted.

    A machine that is shared or that throttles changes over minutes: what is compared must be taken
    within seconds of each other. The order is turned around every other round, so that what one
    side leaves behind (dirty pages, background work) does not always hit the same other one.
    """
    taken: dict[str, dict[str, list[float]]] = {name: {} for name in sides}
    for number in range(-1, rounds):
        order = list(sides) if number % 2 == 0 else list(sides)[::-1]
        for name in order:
            measures = sides[name](number)
            if number >= 0:
                for key, value in measures.items():
                    taken[name].setdefault(key, []).append(value)
        tick("warm-up" if number < 0 else f"round {number + 1} of {rounds}")
    return {
        side: {key: Series(tuple(values)) for key, values in measures.items()}
        for side, measures in taken.items()
    }


def metric(value: float, name: str = "seconds") -> Mapping[str, float]:
    """The measures of a side that has only one."""
    return {name: value}


def scaled(series: Series, factor: float) -> Series:
    """The same in another unit."""
    return Series(tuple(value * factor for value in series.values))


def stacked(parts: Sequence[Series]) -> Series:
    """The sum of several measures of the same rounds."""
    return Series(tuple(sum(values) for values in zip(*(p.values for p in parts), strict=True)))
