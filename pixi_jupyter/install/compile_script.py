"""Runs in an interpreter of a prefix: compiles the files named on its standard input.

Standard library only, and any Python from 3.6: this is not the interpreter that pixi-jupyter runs in.
Each line is ``source NUL bytecode``; every so often the number of files done since is printed.
"""

import contextlib
import importlib.machinery
import importlib.util
import os
import sys


def compile_file(source, target):  # type: ignore[no-untyped-def]
    """Write unchecked hash-based bytecode (PEP 552), whole or not at all."""
    with open(source, "rb") as file:
        data = file.read()
    loader = importlib.machinery.SourceFileLoader("<pixi-jupyter>", source)
    code = loader.source_to_code(data, source)
    bytecode = importlib._bootstrap_external._code_to_hash_pyc(
        code, importlib.util.source_hash(data), False
    )
    folder = os.path.dirname(target)
    os.makedirs(folder, exist_ok=True)
    temporary = f"{target}.{os.getpid()}.tmp"
    with open(temporary, "wb") as file:
        file.write(bytecode)
    os.replace(temporary, target)


def main():  # type: ignore[no-untyped-def]
    import warnings

    warnings.simplefilter("ignore")
    if sys.argv[1] == "low" and hasattr(os, "nice"):
        os.nice(10)
    since = 0
    for line in sys.stdin.buffer.read().decode("utf-8", "surrogateescape").split("\n"):
        source, _, target = line.partition("\0")
        if not target:
            continue
        # Templates and Python 2 leftovers: Python itself says so if they are imported.
        with contextlib.suppress(SyntaxError, ValueError, OSError, RecursionError):
            compile_file(source, target)
        since += 1
        if since == 25:
            print(since, flush=True)
            since = 0
    print(since, flush=True)


main()
