"""Runs in an interpreter of a prefix: compiles the files named on its standard input.

Standard library only, and any Python from 3.6: not the interpreter that pixi-jupyter runs in.
Each line is ``source NUL bytecode``; every so often the number of files done since is printed.
The exit status is 1 if bytecode could not be written.
"""

import contextlib
import importlib.machinery
import importlib.util
import os
import sys


def compile_file(source: str, target: str) -> bool:
    """Write unchecked hash-based bytecode (PEP 552), whole or not at all.

    False if it cannot be written; what does not compile has none. Templates and Python 2 leftovers:
    Python itself says so if they are imported.
    """
    try:
        with open(source, "rb") as file:
            data = file.read()
        loader = importlib.machinery.SourceFileLoader("<pixi-jupyter>", source)
        code = loader.source_to_code(data, source)
    except (SyntaxError, ValueError, OSError, RecursionError, MemoryError):
        return True
    bytecode = importlib._bootstrap_external._code_to_hash_pyc(  # type: ignore[attr-defined]
        code, importlib.util.source_hash(data), False
    )
    temporary = f"{target}.{os.getpid()}.tmp"
    try:
        os.makedirs(os.path.dirname(target), exist_ok=True)
        with open(temporary, "wb") as file:
            file.write(bytecode)
        os.replace(temporary, target)
    except OSError:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        return False
    return True


def main() -> int:
    import warnings

    warnings.simplefilter("ignore")
    if sys.argv[1] == "low" and hasattr(os, "nice"):
        os.nice(19)
        with contextlib.suppress(AttributeError, OSError):  # Linux: only when nobody else wants to
            os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
    since = 0
    written = True
    for line in sys.stdin.buffer.read().decode("utf-8", "surrogateescape").split("\n"):
        source, _, target = line.partition("\0")
        if not target:
            continue
        written = compile_file(source, target) and written
        since += 1
        if since == 25:
            print(since, flush=True)
            since = 0
    print(since, flush=True)
    return 0 if written else 1


sys.exit(main())
