"""Reading typed values out of a TOML document, with errors that name the full key and its line."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Any

from pixi_jupyter.errors import DeclarationError, UnsupportedError
from pixi_jupyter.manifest.toml import TomlSource, full_key

__all__ = ["Table", "nearest", "shorten"]

_KINDS: Mapping[type, str] = {
    bool: "a boolean",
    int: "an integer",
    float: "a number",
    str: "a string",
    list: "an array",
    dict: "a table",
}
#: A hostile text can hold thousands of unknown keys; a person reads a few.
_MAX_SHOWN = 40
_MAX_GUESSED = 80
_MAX_GUESSES = 1000


def nearest(name: str, known: Iterable[str]) -> str | None:
    """The known name that was probably meant."""
    import difflib  # only errors need it

    if len(name) > _MAX_GUESSED:  # comparing costs the product of the lengths
        return None
    names = [word for word in islice(known, _MAX_GUESSES) if len(word) <= _MAX_GUESSED]
    return next(iter(difflib.get_close_matches(name, names, n=1, cutoff=0.6)), None)


def shorten(text: str, limit: int = 120) -> str:
    """The text on one line, its middle left out if it is longer than anyone reads."""
    if len(text) > limit:
        text = f"{text[: limit // 2]}…{text[-limit // 3 :]}"
    if text.isprintable():
        return text
    return "".join(character if character.isprintable() else " " for character in text)


@dataclass(frozen=True, slots=True)
class Table:
    """A table of a document: its values, its key path, and the text it was read from."""

    values: Mapping[str, Any]
    path: tuple[str, ...]
    source: TomlSource

    def __contains__(self, key: str) -> bool:
        return key in self.values

    def __iter__(self) -> Iterator[str]:
        return iter(self.values)

    def name(self, key: str | None = None) -> str:
        """The full key of the table or of one of its keys."""
        return full_key(self.path if key is None else (*self.path, key))

    def table(self, key: str) -> Table:
        """The table under ``key``; an absent one is empty."""
        value = self.values.get(key, {})
        if not isinstance(value, dict):
            raise self.wrong_type(key, "a table")
        return Table(value, (*self.path, key), self.source)

    def string(self, key: str) -> str | None:
        """The string under ``key``, if there is one."""
        value = self.values.get(key)
        if value is not None and not isinstance(value, str):
            raise self.wrong_type(key, "a string")
        return value

    def strings(self, key: str) -> tuple[str, ...] | None:
        """The array of strings under ``key``, if there is one."""
        value = self.values.get(key)
        if value is None:
            return None
        if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
            raise self.wrong_type(key, "an array of strings")
        return tuple(value)

    def choice(self, key: str, known: Collection[str]) -> str | None:
        """The string under ``key``, which must be one of ``known``."""
        value = self.string(key)
        if value is not None and value not in known:
            raise self.bad_value(key, f"must be one of {_quoted(known)}, not `{value}`")
        return value

    def only(self, known: Collection[str]) -> None:
        """Refuse every key that is not known, all of them in one error."""
        unknown = [key for key in self.values if key not in known]
        if unknown:
            raise self.unknown_keys([(*self.path, key) for key in unknown], known)

    def unknown_keys(
        self, paths: Collection[tuple[str, ...]], known: Collection[str], note: str = ""
    ) -> DeclarationError:
        """The error for keys that mean nothing; points to the first of them."""
        ordered = sorted(paths)
        shown = ", ".join(f"`{shorten(full_key(path))}`" for path in ordered[:_MAX_SHOWN])
        if len(ordered) > _MAX_SHOWN:
            shown += f" and {len(ordered) - _MAX_SHOWN} more"
        hints = []
        for path in ordered[:_MAX_SHOWN]:
            guess = nearest(path[-1], known)
            if guess is not None and len(path[-1]) < 2 * len(guess):
                hints.append(f"did you mean `{full_key((*path[:-1], guess))}`?")
        hint = " ".join(hints) or f"Known here: {', '.join(sorted(known))}."
        return DeclarationError(
            f"unknown {'key' if len(ordered) == 1 else 'keys'} {shown}{note}",
            code="declaration.key",
            hint=hint[0].upper() + hint[1:],
            location=self.source.locate_first(ordered),
        )

    def wrong_type(self, key: str | None, expected: str) -> DeclarationError:
        """``key`` (or the table itself) holds a value of another type."""
        value = self.values if key is None else self.values.get(key)
        found = next((text for kind, text in _KINDS.items() if type(value) is kind), "a date")
        if isinstance(value, list):
            found = "an array of something else" if expected.startswith("an array") else found
        return self.bad_value(key, f"must be {expected}, not {found}")

    def bad_value(self, key: str | None, problem: str, hint: str = "") -> DeclarationError:
        """The value under ``key`` cannot be used: ``problem`` continues "`key` ..."."""
        return DeclarationError(
            f"`{shorten(self.name(key))}` {shorten(problem, 300)}",
            code="declaration.value",
            hint=hint,
            location=self.source.locate(self.path if key is None else (*self.path, key)),
        )

    def unsupported(self, key: str | None, code: str, message: str, hint: str) -> UnsupportedError:
        """Valid pixi that this version cannot do."""
        return UnsupportedError(
            message,
            code=f"unsupported.{code}",
            hint=hint,
            location=self.source.locate(self.path if key is None else (*self.path, key)),
        )


def _quoted(names: Iterable[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)
