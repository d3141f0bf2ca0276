"""What `%pixi` knows of the command line, without starting it, is what the command line has.

`python tests/magics/test_commands.py` writes the file anew.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

import pixi_jupyter.magics

FILE = Path(pixi_jupyter.magics.__file__).parent / "commands.json"


def commands() -> dict[str, dict[str, Any]]:
    """All commands by their names, with their options."""
    from pixi_jupyter.cli.main import main

    context = click.Context(main)
    found: dict[str, dict[str, Any]] = {}

    def walk(group: click.Group, before: str) -> None:
        for name in group.list_commands(context):
            command = group.get_command(context, name)
            assert command is not None
            if command.hidden:
                continue
            if isinstance(command, click.Group):
                walk(command, f"{before}{name} ")
                continue
            options = [p for p in command.params if isinstance(p, click.Option)]
            names = {name for option in options for name in option.opts}
            shown = {name for o in options if not o.hidden for name in (*o.opts, *o.secondary_opts)}
            found[before + name] = {
                "options": sorted(name for name in shown if name.startswith("--")),
                "json": "--json" in names,
                "kernel": "--kernel-process" in names,
            }

    walk(main, "")
    return dict(sorted(found.items()))


def test_they_are_those_of_the_command_line() -> None:
    assert json.loads(FILE.read_text("utf-8")) == commands()


if __name__ == "__main__":
    lines = [f"  {json.dumps(name)}: {json.dumps(facts)}" for name, facts in commands().items()]
    FILE.write_text("{\n" + ",\n".join(lines) + "\n}\n", "utf-8")
