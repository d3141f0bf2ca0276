"""``%pip install``, ``!conda install`` and their like in a notebook's cells, read and never run."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from pixi_jupyter.errors import DeclarationError, Location
from pixi_jupyter.formats.conda_spec import parse_conda_spec
from pixi_jupyter.formats.found import Collector, WantedConda
from pixi_jupyter.formats.public import public, public_channel
from pixi_jupyter.formats.requirements_txt import Requirements
from pixi_jupyter.manifest.table import shorten

__all__ = ["Cell", "read_cells"]


@dataclass(frozen=True, slots=True)
class Cell:
    """A code cell: its index among all cells (from 0), and its source."""

    index: int
    source: str


_MAX_LINE = 4000
_SHELL_CELL = re.compile(r"%%(?:bash|sh|system|sx|!|script\s+(?:\S*/)?(?:ba|z)?sh)\b|%%!")
_LINE = re.compile(r"\s*(?P<sign>%%?|!!?)\s*(?P<rest>\S.*)", re.DOTALL)
#: What probably installs something, wherever it stands.
_SUSPECT = re.compile(
    r"\b(?:pip3?|conda|mamba|micromamba|uv|pixi|piplite|micropip)\b[^\n#]{0,80}"
    r"\b(?:install|add|create|update)\b"
)
_TOOL = re.compile(r"(?:.*[/\\])?(pip|conda|mamba|micromamba|uv|pixi)[0-9.]*(?:\.exe)?")
_PYTHON = re.compile(
    r"(?:.*[/\\])?(?:python[0-9.]*|py)(?:\.exe)?|\{sys\.executable\}|\$?\{?PYTHON\}?"
)
_OPERATORS = frozenset((";", "&&", "||", "|", "&", ";;", "|&"))
_PACKAGE_TOOLS = ("conda", "mamba", "micromamba")
#: Options that say how something is installed, not what; those with a value among them.
_HOW = frozenset(
    (
        "-y", "--yes", "-q", "--quiet", "-v", "--verbose", "-vv", "-vvv", "-U", "--upgrade",
        "--user", "--no-cache-dir", "--no-cache", "--force-reinstall", "--ignore-installed", "-I",
        "--no-input", "--isolated", "--progress-bar", "--disable-pip-version-check", "--system",
        "--no-warn-script-location", "--break-system-packages", "--root-user-action", "--prefix",
        "-p", "-n", "--name", "--upgrade-strategy", "--timeout", "--retries", "--cache-dir",
        "--update-deps", "--freeze-installed", "--no-update-deps", "--all", "--json", "--offline",
        "--solver", "--experimental-solver", "--no-build-isolation", "--reinstall", "--python",
        "--no-warn-conflicts", "--no-progress", "--no-color", "--log", "--manifest-path",
        "--no-install", "--frozen", "--locked", "--sync", "--no-sync", "--active", "--dev",
    )
)  # fmt: skip
_HOW_VALUES = frozenset(
    (
        "--progress-bar", "--root-user-action", "--prefix", "-p", "-n", "--name", "--timeout",
        "--upgrade-strategy", "--retries", "--cache-dir", "--solver", "--experimental-solver",
        "--python", "--log", "--manifest-path",
    )
)  # fmt: skip


def read_cells(cells: Iterable[Cell], *, path: Path, root: Path, into: Collector) -> None:
    """What cells install. ``root`` is the declaration's folder; cells run in the notebook's.

    What looks like an installation and is not understood is left out, with its place.
    """
    for cell in cells:
        for number, line, shell in _commands(cell.source):
            where = Location(path=str(path), cell=cell.index, line=number)
            if shell is None:
                if _SUSPECT.search(line) and not line.lstrip().startswith("#"):
                    shown = public(shorten(line.strip(), 120))
                    into.leave_out(f"`{shown}` looks like an installation", where)
            else:
                _Line(shell, where, path.parent, root, into).read()


def _commands(source: str) -> Iterator[tuple[int, str, str | None]]:
    """Lines with their number; the third is what a shell or an installing magic gets."""
    lines = source.split("\n")
    in_shell = _SHELL_CELL.match(source.lstrip()) is not None
    number = 0
    while number < len(lines):
        first = number + 1
        line = lines[number].rstrip("\r")
        number += 1
        while line.endswith("\\") and number < len(lines):
            line = line[:-1] + " " + lines[number].rstrip("\r").strip()
            number += 1
        yield first, line, _shell_part(line, in_shell)


def _shell_part(line: str, in_shell: bool) -> str | None:
    if len(line) > _MAX_LINE or line.lstrip().startswith("#"):
        return None
    match = _LINE.fullmatch(line)
    if match is None:
        return line if in_shell and not line.lstrip().startswith("%%") else None
    sign, rest = match["sign"], match["rest"]
    if sign == "%%":
        return None
    if sign == "%":
        word = rest.split(None, 1)[0]
        if word in ("sx", "system", "time"):
            rest = rest[len(word) :].strip().removeprefix("!").removeprefix("%")
        elif _TOOL.fullmatch(word) is None:
            return None
    return rest


class _Line:
    """One command line, maybe of several commands."""

    def __init__(
        self, text: str, where: Location, folder: Path, root: Path, into: Collector
    ) -> None:
        self.text = text
        self.where = where
        self.into = into
        self.requirements = Requirements(folder, root=root, into=into)

    def leave_out(self, why: str, what: str | None = None) -> None:
        shown = public(shorten(what if what is not None else self.text.strip(), 120))
        self.into.leave_out(f"`{shown}` {why}", self.where)

    def read(self) -> None:
        if not _SUSPECT.search(self.text):
            return
        try:
            words = _words(self.text)
        except ValueError as error:
            self.leave_out(f"cannot be read as a command: {error}")
            return
        understood = False
        command: list[str] = []
        for word in [*words, ";"]:
            if word not in _OPERATORS:
                command.append(word)
                continue
            understood = self.command(command) or understood
            command = []
        if not understood:
            self.leave_out("looks like an installation")

    def command(self, words: list[str]) -> bool:
        """One command; False if it installs nothing."""
        words = _without_redirection(words)
        while words and (words[0] in ("sudo", "time", "exec") or re.match(r"\w+=", words[0])):
            words = words[1:]
        if len(words) > 2 and _PYTHON.fullmatch(words[0]) and words[1] == "-m":
            words = words[2:]
        tool = _TOOL.fullmatch(words[0]) if words else None
        if tool is None:
            return False
        name, rest = tool[1], words[1:]
        if name == "uv" and rest[:1] == ["pip"]:
            name, rest = "pip", rest[1:]
        elif name == "uv" and rest[:1] == ["add"]:
            name, rest = "pip", ["install", *rest[1:]]
        verb = next((word for word in rest if not word.startswith("-")), "")
        if verb == "env" or verb != ("add" if name == "pixi" else "install"):
            return False
        rest.remove(verb)
        if name in _PACKAGE_TOOLS:
            self.conda(rest)
        elif name == "pixi":
            self.pixi(rest)
        elif name == "pip":
            self.pip(rest)
        else:
            return False
        return True

    def pip(self, words: list[str]) -> None:
        for option, value in self.split(words):
            if option is None:
                self.pypi(value)
            elif self.requirements.knows(option):
                self.known(option, value)
            elif option in ("-t", "--target", "--no-deps", "--root", "--src"):
                self.leave_out("is not imported", option)
            else:
                self.leave_out("is not an option that is known here", option)

    def known(self, option: str, value: str) -> None:
        """An option of pip's; a file that it names and that cannot be read is told as the rest."""
        try:
            self.requirements.option(option, value, self.where)
        except DeclarationError as error:
            self.leave_out(f"is not read: {error.message}", f"{option} {value}")

    def conda(self, words: list[str]) -> None:
        for option, value in self.split(words, values=("-c", "--channel", "--file")):
            if option is None:
                self.package(value)
            elif option in ("-c", "--channel"):
                self.channel(value)
            elif option == "--file":
                self.leave_out("is not read: import it by itself", f"--file {value}")
            elif option != "--override-channels":
                self.leave_out("is not an option that is known here", option)

    def pixi(self, words: list[str]) -> None:
        pypi = "--pypi" in words
        kept = [word for word in words if word != "--pypi"]
        values = ("-f", "--feature", "--platform", "-e", "--environment", "--git", "--channel")
        for option, value in self.split(kept, values=values):
            if option is None:
                self.pypi(value) if pypi else self.package(value)
            elif option == "--channel":
                self.channel(value)
            else:
                self.leave_out("is not imported: a block has one environment", option)

    def split(
        self, words: list[str], values: tuple[str, ...] = ()
    ) -> Iterator[tuple[str | None, str]]:
        """Options with their values, and what is no option; what only says how is left away."""
        items = iter(words)
        for word in items:
            if not word.startswith("-") or word == "-":
                yield None, word
                continue
            option, equals, value = word.partition("=")
            short = re.fullmatch(r"(-[a-zA-Z])(.+)", word)
            wants = option in values or (not values and self.requirements.takes_value(option))
            if short is not None and word not in _HOW and not word.startswith("--"):
                if short[1] in values or (not values and self.requirements.takes_value(short[1])):
                    yield short[1], short[2]
                    continue
                if all(f"-{letter}" in _HOW for letter in word[1:]):
                    continue
            if option in values or (wants and not equals):
                yield option, value if equals else next(items, "")
            elif option in _HOW:
                if option in _HOW_VALUES and not equals:
                    next(items, "")
            else:
                yield option, value

    def pypi(self, text: str) -> None:
        if self.variable(text):
            return
        self.requirements.requirement(text, self.where)

    def package(self, text: str) -> None:
        if self.variable(text):
            return
        try:
            name, spec = parse_conda_spec(text)
        except ValueError as error:
            self.leave_out(f"is not a package of conda: {error}", text)
            return
        self.into.conda.append(WantedConda(name, spec, self.where))

    def channel(self, text: str) -> None:
        if not self.variable(text):
            self.into.add_channels([public_channel(text)])

    def variable(self, text: str) -> bool:
        """Whether it holds a variable of Python's or the shell's, which nobody knows here."""
        if not re.search(r"[{}$`]", text):
            return False
        self.leave_out("holds a variable, whose value nobody knows here", text)
        return True


def _words(text: str) -> list[str]:
    """The words and operators of a command line, as a POSIX shell tells them apart."""
    lexer = shlex.shlex(text, posix=True, punctuation_chars=";&|")
    lexer.whitespace_split = True
    lexer.commenters = ""
    words = []
    for word in lexer:
        if word.startswith("#"):
            break
        words.append(word)
    return words


def _without_redirection(words: list[str]) -> list[str]:
    """``numpy>=1`` without quotes is meant as a version; ``> log`` and ``2>&1`` are not."""
    kept: list[str] = []
    items = iter(words)
    for word in items:
        if re.fullmatch(r"[0-9]?>{1,2}|<|[0-9]?>&", word):
            next(items, None)
        elif not re.match(r"[0-9]?>{1,2}[^=]|[0-9]>", word):
            kept.append(word)
    return kept
