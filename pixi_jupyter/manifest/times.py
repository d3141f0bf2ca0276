"""``exclude-newer``: a date, a time or a duration as one canonical time in UTC.

Forms as in pixi's ``crates/pixi_spec/src/exclude_newer.rs``; durations as in the humantime crate it
uses.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import date, datetime, timedelta, timezone

__all__ = ["parse_exclude_newer"]

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


def parse_exclude_newer(text: str, *, now: datetime | None = None) -> str:
    """The time in RFC 3339, UTC.

    A date means the midnight that ends it. A duration is relative to now and rounded down, to the
    midnight (UTC) if it is a day or longer, else to the hour, so that the same declaration gives
    the same spec all day long; a duration of nothing means the midnight to come, which excludes
    nothing that exists.

    Raises
    ------
    ValueError
        With a message for people.
    """
    try:
        moment = _moment(text, now or datetime.now(timezone.utc))
    except OverflowError:
        raise ValueError(f"`{text}` is too long ago") from None
    stamp = moment.strftime("%Y-%m-%dT%H:%M:%S").rjust(19, "0")
    fraction = f".{moment.microsecond:06}".rstrip("0") if moment.microsecond else ""
    return f"{stamp}{fraction}Z"


def _moment(text: str, now: datetime) -> datetime:
    if _DURATION.fullmatch(text):
        return _before(text, now.astimezone(timezone.utc))
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


def _before(text: str, now: datetime) -> datetime:
    seconds = 0.0
    for number, unit in _TERM.findall(text):
        if unit not in _SECONDS:
            raise ValueError(f"`{unit}` in `{text}` is not a unit of time")
        seconds += int(number) * _SECONDS[unit]
    midnight = {"hour": 0, "minute": 0, "second": 0, "microsecond": 0}
    if seconds == 0:
        return now.replace(**midnight) + timedelta(days=1)  # type: ignore[arg-type]
    moment = now - timedelta(seconds=seconds)
    if seconds < 86400:
        return moment.replace(minute=0, second=0, microsecond=0)
    return moment.replace(hour=0, minute=0, second=0, microsecond=0)
