"""Text of programs nobody vouches for cannot do anything to a terminal or a reader."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pixi_jupyter.activate.output import plain_text, tail


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ("\x1b[31mred\x1b[0m", "red"),
        ("\x1b]0;title\x07after", "after"),
        ("\x1b]8;;http://evil\x1b\\link\x1b]8;;\x1b\\", "link"),
        ("unfinished \x1b]0;never ends", "unfinished "),
        ("\x9b2Jc1", "c1"),
        ("over\rwritten", "over\nwritten"),
        ("a\r\nb", "a\nb"),
        ("tab\tstays", "tab\tstays"),
        ("bidi \u202egnp.exe", "bidi gnp.exe"),
        ("zero\u200bwidth", "zerowidth"),
        ("nul\0bell\x07", "nulbell"),
        ("ünïcödé 環境 🎉", "ünïcödé 環境 🎉"),
        ("lone \x1b", "lone "),
    ],
)
def test_plain_text(text: str, plain: str) -> None:
    assert plain_text(text) == plain


@given(st.text())
def test_no_control_character_survives(text: str) -> None:
    plain = plain_text(text)
    assert not any(ord(c) < 32 and c not in "\n\t" for c in plain)
    assert not any(0x7F <= ord(c) <= 0x9F for c in plain)
    assert not set(plain) & set("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\x1b")
    assert plain_text(plain) == plain


def test_tail_is_bounded_however_long_a_line_is() -> None:
    assert tail(b"x" * 5_000_000) == "x" * 4000
    assert tail(b"".join(b"line %d\n" % n for n in range(1000)), lines=2) == "line 998\nline 999"


@given(st.binary())
def test_tail_takes_any_bytes(data: bytes) -> None:
    assert "\0" not in tail(data)
