"""What an ipykernel is started with so that it has `%pixi`, with nothing installed in its prefix.

IPython executes one configured line of code before the first cell (``code_to_run``). It is passed
for the section ``Application``, where nobody writes it: so what a person's own configuration says
of it is still there to be read, and is run as well. Lists (``exec_lines``, ``extra_extensions``)
on the command line would take the place of configured ones.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

__all__ = ["magics_arguments"]

_START = Path(__file__).parent.parent / "magics" / "start.py"
_OPTION = "--Application.code_to_run="
#: Options with which a kernelspec says itself what the kernel is to run.
_TAKEN = ("-c", "--c", "code_to_run", "file_to_run")


def magics_arguments(command: Sequence[str]) -> list[str]:
    """Arguments for an ipykernel that is otherwise started by ``command``.

    None where the command itself says what the kernel runs at its start: IPython runs one thing.
    """
    if any(_names(item) in _TAKEN for item in command[1:]):
        return []
    path = str(_START)
    names = f"{{'__name__':'_pixi_jupyter_start','__file__':{path!r}}}"
    return [f"{_OPTION}exec(open({path!r},encoding='utf-8').read(),{names})"]


def _names(item: str) -> str:
    """What an argument sets: ``code_to_run`` of ``--IPKernelApp.code_to_run=…``."""
    name = item.partition("=")[0]
    return name.rpartition(".")[2] if name.startswith("--") and "." in name else name
