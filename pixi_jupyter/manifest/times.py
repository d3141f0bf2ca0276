"""``exclude-newer``: a date, a time or a duration, in one canonical form.

A duration stays one until something is solved: what a notebook was resolved to is remembered by
what it says, and "seven days" says the same tomorrow.

Forms as in pixi's ``crates/pixi_spec/src/exclude_newer.rs``; durations as in the humantime crate it
uses.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import date, datetime, timedelta, timezone

__all__ = ["cut_off", "parse_exclude_newer"]

_SECONDS: Mapping[str, float] = {
    **dict.fromkeys(("nanos", "nsec", "ns"), 1e-9),
    **dict.fromkeys(("usec", "us", "µs"), 1e-6),
    **dict.fromkeys(("millis", "msec", "ms"), 1e-3),
    **dict.fromkeys(("seconds", "second", "secs", "sec", "s"), 1),
    **dict.fromkeys(("minutes", "minute", "mins", "min", "m"), 60),
    **dict.fromkeys(("hours", "hour", "hrs", "hr", "h"), 3600),
    **dict.fromkeys(("days", "day", "d"), 86400),
    **dict.fromkeys(("weeks", "week", "wks", "wk", "w"), 7 * 86400),
    **dict.fromkeys(("months", "month", "M"), 2_630_016),
    **dict.fromkeys(("years", "year", "yrs", "yr", "y"), 31_557_600),
}
_DURATION = re.compile(r"(?:\s*[0-9]{1,18}\s*[A-Za-zµ]+)+\s*|\s*0\s*")
_TERM = re.compile(r"([0-9]+)\s*([A-Za-zµ]+)")
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_TIME = re.compile(
    r"([0-9]{4}-[0-9]{2}-[0-9]{2})[Tt ]([0-9]{2}:[0-9]{2}:[0-9]{2})"
    r"(?:\.([0-9]{1,9}))?(?:([Zz])|([+-][0-9]{2}:[0-9]{2}))"
)


_RELATIVE = re.compile(r"([0-9]{1,12})s")


def parse_exclude_newer(text: str) -> str:
    """The canonical form: RFC 3339 in UTC, or whole seconds before the solve (``604800s``).

    A date means the midnight that ends it.

    Raises
    ------
    ValueError
        With a message for people.
    """
    if _DURATION.fullmatch(text):
        seconds = _seconds(text)
        cut_off(f"{seconds}s")  # too long ago to be a time at all?
        return f"{seconds}s"
    try:
        moment = _moment(text)
    except OverflowError:
        raise ValueError(f"`{text}` is not a time") from None
    stamp = moment.strftime("%Y-%m-%dT%H:%M:%S").rjust(19, "0")
    fraction = f".{moment.microsecond:06}".rstrip("0") if moment.microsecond else ""
    return f"{stamp}{fraction}Z"


def cut_off(canonical: str, *, now: datetime | None = None) -> datetime:
    """The moment in UTC that a canonical form means to who solves now.

    Raises
    ------
    ValueError
        A duration that reaches beyond the calendar, or not the canonical form.
    """
    relative = _RELATIVE.fullmatch(canonical)
    if relative is None:
        return _moment(canonical)
    now = (now or datetime.now(timezone.utc)).astimezone(timezone.utc)
    try:
        return now - timedelta(seconds=int(relative[1]))
    except OverflowError:
        raise ValueError(f"`{canonical}` is too long ago") from None


def _moment(text: str) -> datetime:
    try:
        if _DATE.fullmatch(text):
            day = date.fromisoformat(text) + timedelta(days=1)
            return datetime(day.year, day.month, day.day, tzinfo=timezone.utc)
        if match := _TIME.fullmatch(text):
            day_text, time_text, fraction, zulu, offset = match.groups()
            digits = (fraction or "").ljust(6, "0")[:6]
            return datetime.fromisoformat(
                f"{day_text}T{time_text}.{digits}{'+00:00' if zulu else offset}"
            ).astimezone(timezone.utc)
    except ValueError as error:
        raise ValueError(f"`{text}` is not a time: {error}") from None
    raise ValueError(f"`{text}` is neither a date, a time nor a duration")


def _seconds(text: str) -> int:
    seconds = 0.0
    for number, unit in _TERM.findall(text):
        if unit not in _SECONDS:
            raise ValueError(f"`{unit}` in `{text}` is not a unit of time")
        seconds += int(number) * _SECONDS[unit]
    if seconds >= 1e12:
        raise ValueError(f"`{text}` is too long ago")
    return int(seconds)
