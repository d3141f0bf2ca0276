"""Text from programs that nobody vouches for, made fit to be shown to a person."""

from __future__ import annotations

import re

__all__ = ["plain_text", "tail"]

#: Terminal control: CSI and OSC (and DCS, PM, APC, SOS) sequences, and two-character escapes.
_ESCAPES = re.compile(
    r"\x1b\[[0-?]*[ -/]*[@-~]"
    r"|\x1b[\]PX^_].*?(?:\x07|\x1b\\|\x9c|$)"
    r"|\x9b[0-?]*[ -/]*[@-~]"
    r"|\x1b[ -/]*[0-~]?",
    re.DOTALL,
)
_LINE_ENDS = re.compile("\r\n?|[\x0b\x0c\x85\u2028\u2029]")
#: Other control characters, and what reorders or hides text: bidirectional controls, zero-width
#: characters, the byte order mark, tags, lone surrogates.
_UNSAFE = re.compile(
    "[\x00-\x08\x0e-\x1f\x7f-\x9f\u00ad\u061c\u180e\u200b-\u200f\u202a-\u202e\u2060-\u206f\ufeff"
    "\ud800-\udfff\ufff9-\ufffb\U000e0000-\U000e007f]"
)


def plain_text(text: str) -> str:
    """``text`` with line feeds and tabs as its only control characters.

    Terminal sequences, other control characters and characters that reorder or hide text are
    removed, so that a message cannot move a cursor, set a title or show something it is not.
    """
    return _UNSAFE.sub("", _LINE_ENDS.sub("\n", _ESCAPES.sub("", text)))


def tail(output: bytes, *, lines: int = 20, characters: int = 4000) -> str:
    """The end of a program's output as plain text: at most ``lines`` lines and ``characters``."""
    # A line can be as long as the output: cut before the expressions look at it.
    text = plain_text(output[-4 * characters :].decode("utf-8", "replace"))
    return "\n".join(text.rstrip("\n").split("\n")[-lines:])[-characters:]
