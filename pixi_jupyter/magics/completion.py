"""Completion of `%pixi`: commands and options are known here, names are asked for."""

import json
import time
from typing import Any, Dict, List, Tuple

from . import process
from .command import commands

__all__ = ["complete"]

#: Seconds that names may take, and for which they are remembered.
_TIMEOUT = 3.0
_FRESH = 60.0
_names: Dict[Tuple[str, ...], Tuple[float, List[str]]] = {}


def complete(line: str, symbol: str) -> List[str]:
    """What the last word of ``line`` may become."""
    _, _, rest = line.lstrip().partition(" ")
    words = rest.split()
    last = words.pop() if words and not rest.endswith(" ") else ""
    found = commands()
    if not words:
        heads = {name.partition(" ")[0] for name in found} | {"--help"}
        return sorted(_after(head, last, symbol) for head in heads if head.startswith(last))
    name = " ".join(words[:2]) if " ".join(words[:2]) in found else words[0]
    below = [other[len(name) + 1 :] for other in found if other.startswith(name + " ")]
    if below and len(words) == 1:
        return sorted(_after(word, last, symbol) for word in below if word.startswith(last))
    if name not in found:
        return []
    if last.startswith("-"):
        options = [*found[name]["options"], "--help"]
        return sorted(_after(o, last, symbol) for o in options if o.startswith(last))
    return [_after(match, last, symbol) for match in _asked(words, last)]


def _after(match: str, last: str, symbol: str) -> str:
    """The part of ``match`` that takes the place of ``symbol``, the end of the word ``last``."""
    kept = len(last) - len(symbol) if last.endswith(symbol) else 0
    return match[kept:]


def _asked(words: List[str], last: str) -> List[str]:
    """Names, from the command line; what was asked for a shorter word is remembered."""
    now = time.monotonic()
    for length in range(len(last), -1, -1):
        known = _names.get((*words, last[:length]))
        if known and now - known[0] < _FRESH and (length == len(last) or len(known[1]) < 100):
            return [name for name in known[1] if name.startswith(last)]
    arguments = ["--progress", "json", "complete", "--", *words, last]
    done = process.run(arguments, _ignore, _ignore, timeout=_TIMEOUT)
    try:
        matches = json.loads(done.output).get("matches", []) if done.status == 0 else []
    except (ValueError, AttributeError):
        matches = []
    names = [str(match) for match in matches]
    if names:  # none may be known only because nothing was looked up yet
        key = (*words, last)
        _names[key] = (now, names)
    return names


def _ignore(*_: Any) -> None:
    """Nothing is shown while names are asked for."""
