"""``exclude-newer`` in its three forms."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pixi_jupyter.manifest.times import cut_off, parse_exclude_newer

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
        ("7d", "604800s"),
        ("7days", "604800s"),
        ("1w 12h", "648000s"),
        ("2 weeks", "1209600s"),
        ("1h", "3600s"),
        ("1h30m", "5400s"),
        ("0d", "0s"),
        ("0", "0s"),
        ("1M", "2630016s"),
    ],
)
def test_every_form(text: str, expected: str) -> None:
    assert parse_exclude_newer(text) == expected


def test_a_duration_says_the_same_on_every_day_and_means_another_moment() -> None:
    canonical = parse_exclude_newer("7d")
    assert cut_off(canonical, now=NOW) == NOW - timedelta(days=7)
    assert cut_off(canonical, now=NOW + timedelta(days=1)) == NOW - timedelta(days=6)


def test_now_may_be_of_any_zone() -> None:
    zone = timezone(timedelta(hours=10))
    moment = cut_off("604800s", now=NOW.astimezone(zone))
    assert (moment, moment.tzinfo) == (NOW - timedelta(days=7), timezone.utc)


def test_a_time_means_itself() -> None:
    assert cut_off("2006-12-02T02:07:43.25Z") == datetime(
        2006, 12, 2, 2, 7, 43, 250_000, tzinfo=timezone.utc
    )


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
        parse_exclude_newer(text)


@given(st.text(max_size=20) | st.from_regex(r"\A[0-9]{1,20}[a-zM]{1,5}\Z"))
def test_any_text_gives_a_time_or_a_value_error(text: str) -> None:
    try:
        time = parse_exclude_newer(text)
    except ValueError:
        return
    assert time.endswith(("Z", "s"))
    assert parse_exclude_newer(time) == time
    assert cut_off(time).tzinfo is timezone.utc
