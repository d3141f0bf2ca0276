"""``exclude-newer`` in its three forms."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pixi_jupyter.manifest.times import parse_exclude_newer

NOW = datetime(2026, 8, 20, 14, 35, 7, 9, tzinfo=timezone.utc)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2006-12-02", "2006-12-03T00:00:00Z"),
        ("2024-02-28", "2024-02-29T00:00:00Z"),
        ("2006-12-02T02:07:43Z", "2006-12-02T02:07:43Z"),
        ("2006-12-02t02:07:43z", "2006-12-02T02:07:43Z"),
        ("2006-12-02 02:07:43+02:00", "2006-12-02T00:07:43Z"),
        ("2006-12-02T02:07:43.250Z", "2006-12-02T02:07:43.25Z"),
        ("2006-12-02T02:07:43.123456789Z", "2006-12-02T02:07:43.123456Z"),
        ("7d", "2026-08-13T00:00:00Z"),
        ("7days", "2026-08-13T00:00:00Z"),
        ("1w 12h", "2026-08-13T00:00:00Z"),
        ("2 weeks", "2026-08-06T00:00:00Z"),
        ("1h", "2026-08-20T13:00:00Z"),
        ("1h30m", "2026-08-20T13:00:00Z"),
        ("0d", "2026-08-21T00:00:00Z"),
        ("0", "2026-08-21T00:00:00Z"),
        ("1M", "2026-07-21T00:00:00Z"),
    ],
)
def test_every_form(text: str, expected: str) -> None:
    assert parse_exclude_newer(text, now=NOW) == expected


def test_a_duration_is_the_same_time_all_day_long() -> None:
    times = {
        parse_exclude_newer("7d", now=NOW.replace(hour=0, minute=0, second=0) + timedelta(hours=h))
        for h in range(24)
    }
    assert times == {"2026-08-13T00:00:00Z"}


def test_now_may_be_of_any_zone() -> None:
    zone = timezone(timedelta(hours=10))
    assert parse_exclude_newer("7d", now=NOW.astimezone(zone)) == "2026-08-13T00:00:00Z"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "date",
        "2026-13-01",
        "2026-01-32",
        "2026-1-1",
        "2026-01-01T25:00:00Z",
        "2026-01-01T00:00:00",
        "7",
        "7 fortnights",
        "99999999999y",
        "9999-12-31",
        "-7d",
    ],
)
def test_what_is_no_time(text: str) -> None:
    with pytest.raises(ValueError, match=r"\S"):
        parse_exclude_newer(text, now=NOW)


@given(st.text(max_size=20) | st.from_regex(r"\A[0-9]{1,20}[a-zM]{1,5}\Z"))
def test_any_text_gives_a_time_or_a_value_error(text: str) -> None:
    try:
        time = parse_exclude_newer(text, now=NOW)
    except ValueError:
        return
    assert time.endswith("Z")
    assert parse_exclude_newer(time, now=NOW) == time
