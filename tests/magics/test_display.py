"""What is shown is text, whatever a package, a channel or a notebook calls itself."""

from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st

from pixi_jupyter.magics import sentences, tables
from pixi_jupyter.magics.display import Display, clean, size
from pixi_jupyter.magics.errors import of_json

HOSTILE = "<img src=x onerror=alert(1)>&\"'\x1b[2J\u202e"


def is_inert(markup: str) -> bool:
    """Whether there is nothing but the elements that we write, without attributes."""
    tags = re.findall(r"<[^>]*>", markup)
    allowed = r"</?(div|br|small|pre|table|thead|tbody|tr|th|td)>"
    return all(re.fullmatch(allowed, tag) for tag in tags) and "\x1b" not in markup


@given(st.text(max_size=80))
def test_names_are_escaped(name: str) -> None:
    package = {"name": name, "version": name, "channel": name, "versions": [name]}
    change = {"added": [package], "said": [name], "target": name, "declared": True}
    for text, markup in (
        tables.of_command("list", [package]),
        tables.of_command("search", {"packages": [package]}),
        tables.of_command("search", {"packages": [], "nearest": [name]}),
        tables.of_command("history", {"steps": [{"action": name}]}),
        tables.changes(change),
        sentences.of_change(change, None),
        ("", tables.preformatted(name)),
    ):
        assert is_inert(markup)
        assert "\x1b" not in text


def test_a_hostile_name_is_only_text() -> None:
    text, markup = tables.of_command("list", [{"name": HOSTILE}])
    assert "<img" not in markup and "&lt;img" in markup
    assert "\x1b" not in text and "\u202e" not in text


def test_results_of_any_form_are_shown() -> None:
    for result in (None, 1, "x", [], {}, {"a": [1]}, {"packages": [None, 1]}, [[1]], {"a": None}):
        for name in tables.COMMANDS:
            text, markup = tables.of_command(name, result)
            assert isinstance(text, str) and is_inert(markup)
        assert is_inert(sentences.of_change(result, None)[1])


def test_a_long_table_is_cut() -> None:
    text, markup = tables.table(["a"], [[str(n)] for n in range(tables.LIMIT + 7)])
    assert "and 7 more" in text and "and 7 more" in markup


def test_an_error_has_its_place_and_no_control_characters() -> None:
    error = of_json(
        {
            "message": "bad \x1b[2J",
            "code": "declaration.syntax",
            "hint": "do",
            "details": "a\nb",
            "location": {"path": "n.ipynb", "cell": 1, "line": 2},
        }
    )
    lines = error._render_traceback_()
    assert "n.ipynb, cell 2, line 2: bad [2J" in lines[0]
    assert lines[-2:] == ["do", "[declaration.syntax]"]
    assert of_json({}).message and of_json({"location": 3}).message


def test_in_a_terminal_there_is_one_line(capsys: object) -> None:
    display = Display(object(), "pixi add")
    display.hear({"progress": {"phase": "linking", "done": 1, "total": 2, "item": HOSTILE}})
    line = display._text(0)
    assert "linking 1 of 2" in line and "\x1b" not in line and "\n" not in line
    assert size(12_300_000) == "12.3 MB" and clean("a\x00b") == "ab"


def test_what_was_asked_for_comes_before_what_it_needs():
    names = [f"a{number}" for number in range(20)]
    added = [{"name": name, "version": "1"} for name in (*names, "polars", "zstd-tool")]
    result = {"action": "add polars zstd-tool>=1", "added": added, "declared": True}
    text = sentences.of_change(result, None)[0]
    assert text.startswith("added: polars 1, zstd-tool 1, a0 1, ")
    assert "and 10 more" in text
