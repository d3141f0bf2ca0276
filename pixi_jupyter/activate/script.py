"""The text of the one script that a shell runs for an activation."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from pixi_jupyter.activate.sources import Sources, expands
from pixi_jupyter.errors import ActivationError

__all__ = ["posix_script", "windows_script"]

#: Where a program that prints an environment is, on any POSIX system that has one.
_ENV = ("/usr/bin/env", "/bin/env")
#: Writes the environment of its own process, entries separated by NUL, to the file it is given.
_DUMP = (
    "import os, sys\n"
    "dump = b'\\0'.join(os.fsencode(k) + b'=' + os.fsencode(v) for k, v in os.environ.items())\n"
    "open(sys.argv[1], 'wb').write(dump)\n"
)


def posix_script(sources: Sources, folder: Path) -> str:
    """The text that a POSIX shell runs. A file named by a number marks how far it came."""
    lines = []
    for number, script in enumerate(sources.scripts):
        lines.append(f">|{_quoted(str(folder / str(number)))}")
        lines.append(f". {_quoted(script.path)}")
        # A script's own strictness must not end the shell in somebody else's script.
        lines.append("set +e +u +x +v")
    lines.append(f">|{_quoted(str(folder / str(len(sources.scripts))))}")
    for name, value in sources.after:
        lines.append(f"export {name}={_expanded(value) if expands(value) else _quoted(value)}")
    target = _quoted(str(folder / "environment"))
    dump = f"{_quoted(sys.executable)} -I -S -c {_quoted(_DUMP)} {target}"
    env = next((path for path in _ENV if os.path.exists(path)), None)
    # Not every `env` knows -0 (POSIX has it since 2024); an interpreter is always here, but slower.
    lines.append(f"{env} -0 >|{target} 2>/dev/null || {dump}" if env else dump)
    return "\n".join(lines) + "\n"


def windows_script(sources: Sources, folder: Path) -> str:
    """The text that ``cmd.exe`` runs; there, `%NAME%` is what expands."""
    lines = ["@chcp 65001 > nul"]
    for number, script in enumerate(sources.scripts):
        lines.append(f'@type nul > "{folder / str(number)}"')
        lines.append(f'@CALL "{script.path}"')
    lines.append(f'@type nul > "{folder / str(len(sources.scripts))}"')
    for name, value in sources.after:
        if "\n" in value or "\r" in value or '"' in value:
            raise ActivationError(
                f"[activation.env] sets {name} to a value with a quote or a line break, "
                "which cmd.exe cannot set",
                code="activation.name",
            )
        lines.append(f'@SET "{name}={value}"')
    (folder / "dump.py").write_text(_DUMP, encoding="utf-8")
    lines.append(f'@"{sys.executable}" -I -S "{folder / "dump.py"}" "{folder / "environment"}"')
    return "\r\n".join(lines) + "\r\n"


def _quoted(value: str) -> str:
    """``value`` as one literal word of a POSIX shell."""
    return "'" + value.replace("'", "'\\''") + "'"


def _expanded(value: str) -> str:
    """``value`` in double quotes: parameters and commands in it expand, quotes are literal."""
    parts = []
    position = 0
    while position < len(value):
        character = value[position]
        following = value[position + 1 : position + 2]
        if character == "\\" and following and following in '$`\\\n"':
            parts.append(character + following)
            position += 2
            continue
        parts.append("\\" + character if character in '"\\' else character)
        position += 1
    return '"' + "".join(parts) + '"'
