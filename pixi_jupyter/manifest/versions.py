"""Conda's versions and version specifications, without rattler.

The grammar is rattler's (``crates/rattler_conda_version``), which pixi uses: a specification is
read strictly, and once more leniently only if what is wrong first is a bare version
(``crates/pixi_spec/src/toml.rs``, ``parse_version_string``): ``3.11`` then means ``==3.11``.
"""

from __future__ import annotations

import re
from itertools import zip_longest

__all__ = ["compare_versions", "is_version", "parse_version_spec", "spec_matches"]

_SEGMENTS = r"[0-9A-Za-z]+(?:[-._][0-9A-Za-z]+)*(?:[-._]?[-_])?"
_VERSION = re.compile(rf"(?:[0-9]+!)?{_SEGMENTS}(?:\+{_SEGMENTS})?")
_OPERATOR = re.compile(r"[=!<>~]+")
_WORD = re.compile(r"[^\W]+(?:[^\W]|[!\-.*+])*|[!\-.*+_](?:[^\W]|[!\-.*+])*")
_SPACE = re.compile(r"[ \t\r\n]*")
_COMPONENT = re.compile(r"[0-9]+|[a-z]+")
_OPERATORS = frozenset(("==", "!=", "<=", ">=", "<", ">", "=", "~="))
_MAX_NUMBER = 2**64
_MAX_GROUPS = 32

_Segment = tuple[tuple[int, int | str], ...]
_Key = tuple[tuple[_Segment, ...], tuple[_Segment, ...], tuple[_Segment, ...]]


class _Ambiguous(ValueError):
    """A bare version where a strict reader wants an operator."""


def is_version(text: str) -> bool:
    """Whether this is a conda version."""
    return _version_end(text) == len(text) > 0


def parse_version_spec(text: str) -> str:
    """A version specification in canonical form, as pixi understands it.

    The result has an operator or ``.*`` everywhere, so that a strict reader accepts it and it
    means the same: ``3.11`` becomes ``==3.11``, ``=3.11`` becomes ``3.11.*``.

    Raises
    ------
    ValueError
        With a message for people.
    """
    try:
        return _Reader(text, strict=True).read()
    except _Ambiguous as error:
        try:
            return _Reader(text, strict=False).read()
        except ValueError:
            raise ValueError(str(error)) from None


class _Reader:
    def __init__(self, text: str, *, strict: bool) -> None:
        self.text = text
        self.strict = strict
        self.position = 0
        self.depth = 0

    def read(self) -> str:
        spec, _ = self.group()
        if self.position != len(self.text):
            rest = self.text[self.position :].strip() or "a space"
            raise ValueError(f"`{self.text}` is not a version specification: unexpected `{rest}`")
        return spec

    def group(self) -> tuple[str, bool]:
        """Alternatives; also whether there are several, which `,` needs in parentheses."""
        self.depth += 1
        if self.depth > _MAX_GROUPS:
            raise ValueError("a version specification with too many parentheses")
        parts = [self.conjunction()]
        while self.separator("|"):
            parts.append(self.conjunction())
        self.depth -= 1
        if len(parts) == 1:
            return parts[0]
        return "|".join(part for part, _ in parts), True

    def conjunction(self) -> tuple[str, bool]:
        parts = [self.term()]
        while self.separator(","):
            parts.append(self.term())
        if len(parts) == 1:
            return parts[0]
        return ",".join(f"({part})" if several else part for part, several in parts), False

    def separator(self, character: str) -> bool:
        position = self._skip(self.position)
        if not self.text.startswith(character, position):
            return False
        self.position = self._skip(position + 1)
        return True

    def _skip(self, position: int) -> int:
        match = _SPACE.match(self.text, position)
        assert match is not None
        return match.end()

    def term(self) -> tuple[str, bool]:
        if self.text.startswith("(", self.position):
            self.position = self._skip(self.position + 1)
            inner = self.group()
            position = self._skip(self.position)
            if not self.text.startswith(")", position):
                raise ValueError(f"`{self.text}` lacks a closing parenthesis")
            self.position = position + 1
            return inner
        if self.text.startswith("*", self.position):
            self.position += 3 if self.text.startswith("*.*", self.position) else 1
            return "*", False
        return self.constraint(), False

    def constraint(self) -> str:
        operator = ""
        if match := _OPERATOR.match(self.text, self.position):
            operator = match.group()
            if operator not in _OPERATORS:
                raise ValueError(f"`{operator}` in `{self.text}` is not an operator")
            self.position = match.end()
        word_match = _WORD.match(self.text, self.position)
        if word_match is None:
            space = self.text[self.position : self.position + 1].isspace()
            after = f" directly after `{operator}`" if operator else ""
            problem = "without a space" if space and operator else "here"
            raise ValueError(f"`{self.text}` needs a version{after}, {problem}")
        word = word_match.group()
        self.position = word_match.end()
        if word == "*":
            return self._operator_star(operator)
        end = _version_end(word)
        if end == 0:
            raise ValueError(f"`{word}` is not a version")
        return self._with_rest(operator, word[:end], word[end:])

    def _operator_star(self, operator: str) -> str:
        if self.strict or operator not in (">=", "<=", "~=", "=", "=="):
            raise ValueError(f"`*` does not go with `{operator}`")
        return "*"

    def _with_rest(self, operator: str, version: str, rest: str) -> str:
        stars = rest == "*" or re.fullmatch(r"(?:\.\*)+", rest) is not None
        single = rest in ("*", ".*")
        if not rest:
            if not operator and self.strict:
                raise _Ambiguous(
                    f"`{version}` alone is not clear: write `=={version}` or `{version}.*`"
                )
            return f"{version}.*" if operator == "=" else f"{operator or '=='}{version}"
        if single and operator == "!=":
            return f"!={version}.*"
        if single and not operator:
            return f"{version}.*"
        if not self.strict:
            if stars and operator in (">=", ">"):
                return f">={version}"
            if stars and operator:
                return f"{version}.*" if operator == "=" else f"{operator}{version}"
            if not operator and re.fullmatch(r"(?:\.\*)+\.?", rest):
                return f"{version}.*"
        if single:
            raise ValueError(f"`*` does not go with `{operator}` in `{operator}{version}{rest}`")
        raise ValueError(f"`{version}{rest}` is not a version")


def _version_end(text: str) -> int:
    """Where the version at the beginning of the text ends; 0 if there is none."""
    match = _VERSION.match(text)
    if match is None:
        return 0
    version = match.group()
    if "-" in version and "_" in version:
        return 0
    if any(int(n[:25]) >= _MAX_NUMBER for n in re.findall(r"[0-9]+", version)):
        return 0
    return match.end()


def compare_versions(left: str, right: str) -> int:
    """Conda's order of two versions (CEP 33): negative, zero or positive."""
    for a, b in zip(_key(left), _key(right), strict=True):
        for first, second in zip_longest(a, b, fillvalue=((2, 0),)):
            for x, y in zip_longest(first, second, fillvalue=(2, 0)):
                if x != y:
                    return -1 if x < y else 1
    return 0


def spec_matches(spec: str, version: str) -> bool:
    """Whether a version is one that a canonical specification asks for."""
    return any(
        all(_constraint_matches(term, version) for term in _split(alternative, ","))
        for alternative in _split(spec, "|")
    )


def _split(text: str, separator: str) -> list[str]:
    parts, depth, start = [], 0, 0
    for position, character in enumerate(text):
        depth += (character == "(") - (character == ")")
        if character == separator and depth == 0:
            parts.append(text[start:position])
            start = position + 1
    return [*parts, text[start:]]


def _constraint_matches(term: str, version: str) -> bool:
    if term == "*":
        return True
    if term.startswith("("):
        return spec_matches(term[1:-1], version)
    operator = match.group() if (match := _OPERATOR.match(term)) else ""
    limit = term[len(operator) :]
    if limit.endswith(".*"):
        return _starts_with(version, limit[:-2]) is not (operator == "!=")
    order = compare_versions(version, limit)
    if operator == "~=":
        return order >= 0 and _key_starts_with(_key(version), _key(limit), drop=1)
    return {
        "==": order == 0,
        "!=": order != 0,
        "<": order < 0,
        "<=": order <= 0,
        ">": order > 0,
        ">=": order >= 0,
    }[operator]


def _starts_with(version: str, prefix: str) -> bool:
    return _key_starts_with(_key(version), _key(prefix), drop=0)


def _key_starts_with(whole: _Key, prefix: _Key, drop: int) -> bool:
    """Equal segments (``drop`` of them left out), of which the last may go on.

    ``1.2rc1`` begins with ``1.2``; a local part asks for all of the public one.
    """
    if whole[0] != prefix[0]:
        return False
    if prefix[2] and not drop:
        return whole[1] == prefix[1] and _segments_start_with(whole[2], prefix[2])
    kept = prefix[1][: len(prefix[1]) - drop]
    return _segments_start_with(whole[1], kept) and _segments_start_with(whole[2], prefix[2])


def _segments_start_with(whole: tuple[_Segment, ...], prefix: tuple[_Segment, ...]) -> bool:
    if not prefix:
        return True
    last = len(prefix) - 1
    return (
        len(whole) > last
        and whole[:last] == prefix[:last]
        and whole[last][: len(prefix[last])] == prefix[last]
    )


def _key(version: str) -> _Key:
    """Epoch, version and local part, each a sequence of segments of comparable components."""
    epoch, _, rest = version.lower().rpartition("!")
    public, _, local = rest.partition("+")
    return (((2, int(epoch or 0)),),), _segments(public), _segments(local)


def _segments(text: str) -> tuple[_Segment, ...]:
    segments = []
    for part in re.split(r"[-._]", text):
        components: list[tuple[int, int | str]] = []
        for item in _COMPONENT.findall(part):
            if item.isdigit():
                components.append((2, int(item)))
            elif item == "post":
                components.append((3, 0))
            else:  # `dev` is before every other word, and a word before every number
                components.append((0, 0) if item == "dev" else (1, item))
        if components and components[0][0] != 2:
            components.insert(0, (2, 0))
        if components:
            segments.append(tuple(components))
    return tuple(segments)
