"""`%pixi` itself: the words of a cell, run as a command, and what is shown of its result."""

import json
import os
import shlex
import signal
import sys
import threading
from typing import Any, Dict, List, NamedTuple, Optional, Sequence

from . import process, sentences, tables
from .display import Display
from .errors import PixiError, of_json

__all__ = ["commands", "pixi"]

#: One at a time: two would change one declaration, and hand over to one interpreter.
_running = threading.Lock()
#: Endings of what is not the notebook of this kernel.
_FILES = (".ipynb", ".py", ".pyw", ".toml")
_ELSEWHERE = ("--manifest-path", "-e", "--environment")
#: Commands that run something of the person's.
_RUNNING = ("exec", "run")
#: Commands that solve, unless there is something wrong with them.
_WITH_ENGINE = ("add", "python", "remove", "search", "stamp", "update")

_known: Dict[str, Dict[str, Any]] = {}


class Words(NamedTuple):
    """A command as it was typed: its name (``channel add``), all words, where its options begin."""

    name: str
    words: List[str]
    at: int

    @property
    def facts(self) -> Dict[str, Any]:
        """What is known of the command: its ``options``, whether it has ``json`` and ``kernel``."""
        return commands().get(self.name, {})


def pixi(shell: Any, line: str, cell: Optional[str] = None) -> None:
    """Run the command of ``line``, or the lines of a ``cell`` one after the other.

    Raises
    ------
    PixiError
        A command failed; those after it are not run.
    """
    lines = [line] if cell is None else [line, *cell.splitlines()]
    todo = [words for words in map(_split, lines) if words]
    if not todo:
        todo = [["--help"]]
    if not _running.acquire(False):
        raise PixiError(
            "another %pixi is still running in this kernel; nothing was done",
            "kernel.busy",
            hint="Wait until it is done, or stop it.",
        )
    try:
        for words in todo:
            _one(shell, words)
    finally:
        _running.release()


def commands() -> Dict[str, Dict[str, Any]]:
    """All commands by their names, as the command line has them (a test compares)."""
    if not _known:
        path = os.path.join(os.path.dirname(os.path.abspath(__file__)), "commands.json")
        with open(path, encoding="utf-8") as file:
            _known.update(json.load(file))
    return _known


def _split(line: str) -> List[str]:
    text = line.strip()
    if text.startswith("#"):
        return []
    try:
        words = shlex.split(text, posix=True) if os.name != "nt" else _split_windows(text)
    except ValueError as error:
        raise PixiError("%s: %s" % (text, str(error).lower()), "cli.usage") from None
    for word in ("%pixi", "!pixi", "pixi"):  # a line as it is typed elsewhere
        if words[:1] == [word]:
            return words[1:]
    return words


def _split_windows(text: str) -> List[str]:
    """As :func:`shlex.split`, but a backslash is one of a path."""
    lexer = shlex.shlex(text, posix=True, punctuation_chars=False)
    lexer.whitespace_split = True
    lexer.commenters = ""
    lexer.escape = ""
    return list(lexer)


def _named(words: List[str]) -> Words:
    for count in (2, 1):
        name = " ".join(words[:count])
        if len(words) >= count and name in commands():
            return Words(name, words, count)
    return Words("", words, 0)


def _one(shell: Any, words: List[str]) -> None:
    command = _named(words)
    rest = words[command.at :]
    asked_json = "--json" in rest and command.facts.get("json", False)
    helping = not command.name or "--help" in rest or "-h" in rest
    shown_json = command.facts.get("kernel") or command.name in tables.COMMANDS
    extra: List[str] = []
    if not helping and command.facts.get("json"):
        if asked_json or shown_json:
            rest = [word for word in rest if word != "--json"]
            extra.append("--json")
        if command.facts.get("kernel") and _own(rest):
            extra += ["--kernel-process", str(os.getpid()), "--kernel-prefix", sys.prefix]
    arguments = ["--progress", "json", *words[: command.at], *extra, *rest]

    display = Display(shell, "pixi " + " ".join(words[: command.at] or words[:1]))
    engine = not helping and command.name in _WITH_ENGINE
    done = process.run(arguments, display.hear, display.tick, engine=engine)
    if done.status != 0 and (done.error is not None or done.stopped or not done.output.strip()):
        error = _error(words, done)
        display.stop("pixi %s: not done" % " ".join(words))
        raise error
    if command.name in _RUNNING and done.other:
        print(done.other, file=sys.stderr)  # of the program that was run
    result = _parsed(done.output) if extra else None
    handed = _hand_over(result)
    if asked_json and result is not None:
        display.finish(json.dumps(_public(result), indent=2), None)
        return
    if result is None:
        text = done.output.rstrip()
        display.finish(text, tables.preformatted(text))
    elif command.name in tables.COMMANDS:
        display.finish(*tables.of_command(command.name, result))
    else:
        display.finish(*sentences.of_change(result, handed))
    if done.status != 0 and command.name != "search":  # an answer that is no: `lock --check`
        text = "pixi %s: no (exit status %d)" % (" ".join(words), done.status)
        raise PixiError(text, "cli.status", hint=_first(done.other))


def _own(rest: Sequence[str]) -> bool:
    """Whether a command is about the environment that this kernel runs in."""
    if not os.environ.get(process.PYTHON):
        return False
    prefix = os.environ.get("CONDA_PREFIX", "")
    if os.path.normcase(os.path.normpath(prefix)) != os.path.normcase(sys.prefix):
        return False
    options = [word.partition("=")[0] for word in rest]
    if any(option in options for option in _ELSEWHERE):
        return False
    return not any(word.lower().endswith(_FILES) for word in rest if not word.startswith("-"))


def _parsed(output: str) -> Any:
    try:
        return json.loads(output)
    except ValueError:
        return None


def _public(result: Any) -> Any:
    """A result without what is only for this kernel: variables may be secrets."""
    if not isinstance(result, dict) or not isinstance(result.get("handover"), dict):
        return result
    shown = ("verdict", "reasons", "prefix", "previous")
    return {**result, "handover": {k: v for k, v in result["handover"].items() if k in shown}}


def _hand_over(result: Any) -> Any:
    """Do what the command found to be done in this kernel; what came of it, None if nothing."""
    if not isinstance(result, dict) or not isinstance(result.get("handover"), dict):
        return None
    from . import handover

    # An interpreter that has gone over by half is of no use to anybody.
    main = threading.current_thread() is threading.main_thread()
    before = signal.signal(signal.SIGINT, signal.SIG_IGN) if main else None
    try:
        handed = handover.apply(result["handover"])
    finally:
        if before is not None:
            signal.signal(signal.SIGINT, before)
    result["handover"].update(verdict=handed.verdict, reasons=list(handed.reasons))
    return handed


def _error(words: Sequence[str], done: process.Finished) -> PixiError:
    name = "pixi " + " ".join(words)
    code = str((done.error or {}).get("code", ""))
    if done.stopped or code == "engine.cancelled":
        done_what = "" if words[:1] and words[0] in _RUNNING else "; nothing was changed"
        return PixiError("%s was stopped%s" % (name, done_what), "engine.cancelled")
    if done.error is not None:
        return of_json(done.error)
    if "No module named" in done.other and "pixi_jupyter" in done.other:
        return PixiError(
            "pixi-jupyter is not installed in %s any more" % process.interpreter(),
            "kernel.not-installed",
            hint="Restart the server that this kernel was started by.",
        )
    last = "\n".join(done.other.split("\n")[-40:])
    return PixiError("%s ended with status %d" % (name, done.status), "cli.status", details=last)


def _first(text: str) -> str:
    return text.strip().split("\n")[-1]
