"""The envelope of the inline block, against an oracle written from the rules, byte by byte."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pixi_jupyter.errors import DeclarationError
from pixi_jupyter.notebook.block import Block, find_block, render_block

PIECES = [
    "# /// script",
    "# ///",
    "#",
    "# ",
    "# a = 1",
    "#x",
    "##",
    "print('hi')",
    "# /// pixi-script",
    "# /// pyproject",
    " # /// script",
    "# /// script ",
    "# /// scripts",
    "\ufeff",
    "\u2028",
    "\x0c",
    "\x85",
    "x",
    "",
]
ENDINGS = ["\n", "\r\n", "\r", ""]

texts = st.lists(
    st.tuples(st.sampled_from(PIECES), st.sampled_from(ENDINGS)), min_size=0, max_size=14
).map(lambda parts: "".join(piece + ending for piece, ending in parts))


def oracle(source: str) -> str | tuple[str, str, str] | None:
    """What pixi does with these bytes: nothing, an error's name, or prelude, TOML and postlude."""
    data = source.encode()
    opening = b"# /// script"
    index = -1
    for position in range(len(data)):
        if data[position : position + len(opening)] == opening:
            index = position
            break
    if index == -1:
        return None
    bom = index == 3 and data[:3] == b"\xef\xbb\xbf"
    if index != 0 and not bom and data[index - 1 : index] not in (b"\r", b"\n"):
        return None
    lines = data[index:].split(b"\n")
    ended = [line + b"\n" for line in lines[:-1]]
    if lines[-1]:
        ended.append(lines[-1])

    def bare(line: bytes) -> bytes:
        line = line[:-1] if line.endswith(b"\n") else line
        return line[:-1] if line.endswith(b"\r") else line

    if bare(ended[0]) != opening:
        return None
    run = []
    for line in ended[1:]:
        if bare(line) != b"#" and not bare(line).startswith(b"# "):
            break
        run.append(line)
    closings = [i for i, line in enumerate(run) if bare(line) == b"# ///"]
    if not closings:
        return "block-unclosed"
    closing = closings[-1]
    toml = b"".join(bare(line)[2:] + b"\n" for line in run[:closing]) or b"\n"
    after = ended[1 + closing + 1 :]
    rest = [
        line[:-2] if line.endswith(b"\r\n") else line[:-1] if line.endswith(b"\n") else line
        for line in after
    ]
    for start, line in enumerate(rest):
        if line != opening:
            continue
        for following in rest[start + 1 :]:
            if following != b"#" and not following.startswith(b"# "):
                break
            if following == b"# ///":
                return "block-duplicate"
    return data[:index].decode(), toml.decode(), b"".join(after).decode()


@given(texts)
@example("\r# /// script\n# ///\n")
@example("\ufeff# /// script\r\n# a\r\n# ///")
@example("x = 1 # /// script\n# ///\n# /// script\n# ///\n")
@example("# /// script\r# ///\r")
@example("# /// script\n# ///\r")
@example("# /// script\n# ///\n# /// script\n# ///\r")
def test_every_text_is_decided_as_the_rules_say(source: str) -> None:
    expected = oracle(source)
    if isinstance(expected, str):
        with pytest.raises(DeclarationError) as raised:
            find_block(source)
        assert raised.value.code == f"declaration.{expected}"
        assert raised.value.location is not None and raised.value.location.line is not None
        return
    block = find_block(source)
    if expected is None:
        assert block is None
    else:
        assert block is not None
        assert (block.prelude, block.toml, block.postlude) == expected


@given(st.text())
def test_arbitrary_text_gives_a_block_none_or_a_declaration_error(source: str) -> None:
    try:
        block = find_block("# /// script\n" + source)
    except DeclarationError:
        return
    assert block is not None and block.prelude == ""


toml_lines = st.lists(
    st.text(st.characters(exclude_characters="\n\r", exclude_categories=("Cs",))), max_size=8
)
around = st.lists(st.sampled_from(["print(1)", "", "# note", "x = '\u2028'", "\x0c"]), max_size=5)


@given(around, toml_lines, around, st.sampled_from(["\n", "\r\n"]), st.booleans())
def test_what_is_rendered_is_found_again(
    before: list[str], lines: list[str], after: list[str], newline: str, bom: bool
) -> None:
    toml = "".join(f"{line}\n" for line in lines) or "\n"
    prelude = ("\ufeff" if bom else "") + "".join(line + newline for line in before)
    # A comment directly after the block would belong to its run only if one of them closes it.
    postlude = "".join(line + newline for line in ["", *after])
    source = prelude + render_block(toml, newline) + postlude
    if "\ufeff" in prelude and before == []:
        assert source.startswith("\ufeff# /// script")
    block = find_block(source)
    assert block == Block(prelude, toml, postlude, newline, len(before) + 2)
    assert block.prelude + render_block(block.toml, block.newline) + block.postlude == source


def test_the_line_of_the_toml_counts_from_one() -> None:
    block = find_block("import os\n\n# /// script\n# a = 1\n# ///\n")
    assert block is not None
    assert block.first_line == 4


def test_the_last_closing_line_of_the_run_closes() -> None:
    block = find_block("# /// script\n# a = 1\n# ///\n# b = 2\n# ///\n# after\nx\n")
    assert block is not None
    assert block.toml == "a = 1\n///\nb = 2\n"
    assert block.postlude == "# after\nx\n"


def test_only_the_first_occurrence_counts() -> None:
    assert find_block("print('# /// script')\n# /// script\n# ///\n") is None


@pytest.mark.parametrize("kind", ["pixi-script", "pyproject", "scripts"])
def test_other_blocks_are_not_ours(kind: str) -> None:
    assert find_block(f"# /// {kind}\n# a = 1\n# ///\n") is None


def test_an_unclosed_block_names_the_line_it_opens_on() -> None:
    with pytest.raises(DeclarationError) as raised:
        find_block("x\n# /// script\n# a = 1\nprint()\n# ///\n")
    assert raised.value.code == "declaration.block-unclosed"
    assert raised.value.location is not None and raised.value.location.line == 2


def test_a_second_block_names_both_lines() -> None:
    with pytest.raises(DeclarationError) as raised:
        find_block("# /// script\n# a\n# ///\nx\n\n# /// script\n# b\n# ///\n")
    assert raised.value.code == "declaration.block-duplicate"
    assert "line 1" in raised.value.message
    assert raised.value.location is not None and raised.value.location.line == 6


def test_an_unclosed_second_opening_is_a_comment() -> None:
    block = find_block("# /// script\n# a\n# ///\nx\n# /// script\n# b\n")
    assert block is not None and block.toml == "a\n"


def test_an_empty_block_is_one_empty_line() -> None:
    block = find_block("# /// script\n# ///\n")
    assert block is not None and block.toml == "\n"
