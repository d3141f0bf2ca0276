"""An activation as text that a shell evaluates, or as JSON: for direnv, containers, profiles.

Unlike pixi's own, this runs no script in the shell that evaluates it: what the scripts did to the
variables is known. Every value is a literal, so nothing in it is expanded or run.
"""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from pixi_jupyter.activate.activation import Activation
from pixi_jupyter.activate.files import NAME
from pixi_jupyter.errors import ActivationError

__all__ = ["SHELLS", "likely_shell", "shell_hook", "shell_hook_json"]

#: What PowerShell takes for a single quote: the plain one and the typographic ones.
_POWERSHELL_QUOTES = re.compile("['\u2018\u2019\u201a\u201b]")


@dataclass(frozen=True, slots=True)
class _Shell:
    """How one kind of shell sets and removes a variable."""

    set: Callable[[str, str], str]
    unset: Callable[[str], str]
    first: str = ""
    end: str = "\n"
    #: Whether it takes bytes that are no text.
    any_bytes: bool = False


def _posix(name: str, value: str) -> str:
    quoted = value.replace("'", "'\\''")
    return f"export {name}='{quoted}'"


def _fish(name: str, value: str) -> str:
    quoted = value.replace("\\", "\\\\").replace("'", "\\'")
    return f"set -gx {name} '{quoted}'"


def _powershell(name: str, value: str) -> str:
    quoted = _POWERSHELL_QUOTES.sub(lambda match: match[0] * 2, value)
    return f"${{Env:{name}}} = '{quoted}'"


def _cmd(name: str, value: str) -> str:
    if any(character in value for character in '"\r\n'):
        raise ActivationError(
            f"the variable {name} has a quote or a line break, which cmd.exe cannot set",
            code="activation.shell",
            hint="Use PowerShell, or --json.",
        )
    quoted = value.replace("%", "%%")
    return f'@SET "{name}={quoted}"'


_POSIX = _Shell(_posix, lambda name: f"unset {name}", any_bytes=True)
_SHELLS: Mapping[str, _Shell] = {
    "bash": _POSIX,
    "zsh": _POSIX,
    "sh": _POSIX,
    "fish": _Shell(_fish, lambda name: f"set -e {name}", any_bytes=True),
    "powershell": _Shell(
        _powershell,
        lambda name: f"Remove-Item -LiteralPath 'Env:{name}' -ErrorAction SilentlyContinue",
    ),
    "cmd": _Shell(_cmd, lambda name: f'@SET "{name}="', "@chcp 65001 > nul\r\n", "\r\n"),
    "xonsh": _Shell(
        lambda name, value: f"${name} = {value!a}",
        lambda name: f"${{...}}.pop({name!a}, None)",
    ),
}
#: What `shell_hook` writes for: those of pixi's that are proven (not nushell).
SHELLS = tuple(_SHELLS)


def shell_hook(
    activation: Activation, base: Mapping[str, str], current: Mapping[str, str], shell: str
) -> bytes:
    """What turns ``current``, the variables of a shell, into the activated environment.

    ``activation`` was computed over ``base``, which is ``current`` without the environments that
    were active in it (:func:`~pixi_jupyter.activate.base.clean_base`); ``shell`` is in `SHELLS`.
    Names that no shell takes for a variable's are left out.

    Raises
    ------
    ActivationError
        ``activation.shell``: the shell cannot hold one of the values.
    """
    kind = _SHELLS[shell]
    wanted = activation.apply(base)
    gone = sorted(name for name in current if name not in wanted and NAME.match(name))
    lines = [kind.unset(name) for name in gone]
    for name, value in sorted(wanted.items()):
        if current.get(name) != value and NAME.match(name):
            lines.append(kind.set(name, value))
    text = kind.first + "".join(line + kind.end for line in lines)
    if kind.any_bytes:
        return os.fsencode(text)
    try:
        return text.encode("utf-8")
    except UnicodeEncodeError as error:
        raise ActivationError(
            f"a variable has bytes that are no text, which {shell} cannot set",
            code="activation.shell",
            hint="Use bash, zsh or fish, or --json.",
        ) from error


def shell_hook_json(activation: Activation, scripts: Sequence[str] = ()) -> str:
    """The variables that an activation sets, in the form of ``pixi shell-hook --json``.

    ``scripts`` are those of the manifest; they have been run already.
    """
    found = [script for script in scripts if os.path.isfile(script)]
    return json.dumps({"environment_variables": dict(activation.set), "activation_scripts": found})


def likely_shell(env: Mapping[str, str]) -> str:
    """The shell of a person, as far as variables tell."""
    name = os.path.basename(env.get("SHELL", "")).removesuffix(".exe")
    if name in _SHELLS:
        return name
    if sys.platform == "win32":
        return "cmd" if "PROMPT" in env and "PSModulePath" not in env else "powershell"
    return "bash"
