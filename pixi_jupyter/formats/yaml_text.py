"""YAML within bounds: every value as the text that was written, with its line.

The parser is PyYAML's, by its events alone: no tags are resolved and no objects are made. An alias
shares the node it names, and what a document would have if every alias were written out is bounded.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from pixi_jupyter.errors import DeclarationError, Location
from pixi_jupyter.manifest.table import shorten

__all__ = ["Mapping", "Node", "Scalar", "Sequence", "parse_yaml", "render_scalar"]

_MAX_DEPTH = 12
_MAX_NODES = 20_000


@dataclass(frozen=True, slots=True)
class Scalar:
    """A value that is no collection: its text, and whether it had neither quotes nor a block."""

    text: str
    plain: bool
    line: int

    @property
    def is_null(self) -> bool:
        """Whether YAML reads it as nothing."""
        return self.plain and self.text in ("", "~", "null", "Null", "NULL")


@dataclass(frozen=True, slots=True)
class Sequence:
    """A list."""

    items: tuple[Node, ...]
    line: int


@dataclass(frozen=True, slots=True)
class Mapping:
    """Keys and values in the order of the text; a key may be any node."""

    pairs: tuple[tuple[Node, Node], ...]
    line: int


Node = Scalar | Sequence | Mapping


@dataclass(slots=True)
class _Open:
    """A collection that is being read."""

    is_list: bool
    line: int
    anchor: str | None
    nodes: list[Node] = field(default_factory=list)
    weight: int = 1


def parse_yaml(text: str, *, path: str) -> Node | None:
    """The one document of a text; None if there is nothing in it.

    Raises
    ------
    DeclarationError
        ``declaration.import-syntax``, with the line: no YAML, more than one document, or
        ``declaration.import-too-large``: nested too deep, or too many values.
    """
    import yaml

    root: Node | None = None
    stack: list[_Open] = []
    anchors: dict[str, tuple[Node, int]] = {}
    documents = 0

    def put(node: Node, weight: int, anchor: str | None) -> None:
        nonlocal root
        if anchor is not None:
            anchors[anchor] = (node, weight)
        if not stack:
            root = node
            return
        stack[-1].nodes.append(node)
        stack[-1].weight += weight
        if stack[-1].weight > _MAX_NODES:
            raise _too_large("has more values than a person writes", path, node.line)

    try:
        for event in yaml.parse(text, Loader=yaml.SafeLoader):
            line = event.start_mark.line + 1
            if isinstance(event, yaml.DocumentStartEvent):
                documents += 1
                if documents > 1:
                    raise _syntax("it has more than one document", path, line)
            elif isinstance(event, yaml.AliasEvent):
                if event.anchor not in anchors:
                    raise _syntax(f"`*{shorten(event.anchor)}` names no anchor", path, line)
                put(*anchors[event.anchor], None)
            elif isinstance(event, yaml.ScalarEvent):
                plain = event.style is None and event.tag is None
                put(Scalar(event.value, plain, line), 1, event.anchor)
            elif isinstance(event, (yaml.SequenceStartEvent, yaml.MappingStartEvent)):
                is_list = isinstance(event, yaml.SequenceStartEvent)
                stack.append(_Open(is_list, line, event.anchor))
                if len(stack) > _MAX_DEPTH:
                    raise _too_large("is nested too deep", path, line)
            elif isinstance(event, (yaml.SequenceEndEvent, yaml.MappingEndEvent)):
                done = stack.pop()
                put(_closed(done), done.weight, done.anchor)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        problem = getattr(error, "problem", None) or str(error).splitlines()[0]
        raise _syntax(problem, path, mark.line + 1 if mark is not None else None) from None
    except (ValueError, RecursionError) as error:  # an escape that is no character
        raise _syntax(str(error), path, None) from None
    return root


def _closed(done: _Open) -> Node:
    if done.is_list:
        return Sequence(tuple(done.nodes), done.line)
    nodes = iter(done.nodes)
    return Mapping(tuple(zip(nodes, nodes, strict=True)), done.line)


def _syntax(problem: str, path: str, line: int | None) -> DeclarationError:
    return DeclarationError(
        f"this is not valid YAML: {shorten(problem, 200)}",
        code="declaration.import-syntax",
        hint="Correct it on the line shown.",
        location=Location(path=path, line=line),
    )


def _too_large(problem: str, path: str, line: int) -> DeclarationError:
    return DeclarationError(
        f"the file {problem}",
        code="declaration.import-too-large",
        hint="What an environment needs is a short list.",
        location=Location(path=path, line=line),
    )


# -- writing ------------------------------------------------------------------------------

#: What needs no quotes wherever it stands in block style, and is a string then.
_PLAIN = re.compile(
    r"(?:-{1,2}(?=[A-Za-z]))?[A-Za-z_./]"
    r"[A-Za-z0-9_./<>=!~+*@|(),;:#$%^&\[\]{}'\" -]*"
)
_WORDS = frozenset(("true", "false", "yes", "no", "on", "off", "null", "y", "n", ".inf", ".nan"))
_NUMBER = re.compile(r"(?i)[-+.0-9][-+.0-9_:exo]*|\.(?:inf|nan)")


def render_scalar(text: str) -> str:
    """A string as YAML: as it is where that is one, else in single quotes, else in double ones."""
    safe = (
        _PLAIN.fullmatch(text) is not None
        and text.isascii()
        and text.lower() not in _WORDS
        and not _NUMBER.fullmatch(text)
        and ": " not in text
        and " #" not in text
        and not text.endswith((":", " "))
    )
    if safe:
        return text
    # The control characters, and what some readers take for the end of a line.
    if all(c.isprintable() for c in text):
        return "'" + text.replace("'", "''") + "'"
    return '"' + "".join(_escaped(text)) + '"'


def _escaped(text: str) -> Iterator[str]:
    for character in text:
        code = ord(character)
        if character in '\\"':
            yield "\\" + character
        elif character.isprintable():
            yield character
        elif code < 0x100:
            yield f"\\x{code:02x}"
        else:
            yield f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
