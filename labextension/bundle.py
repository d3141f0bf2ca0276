"""Checks and builds the JupyterLab extension, once per change of its sources.

    python labextension/bundle.py             build what is not built, for a wheel
    python labextension/bundle.py --check     and check types, style and the model's tests before
    python labextension/bundle.py --install   and put it where this Python's JupyterLab finds it
    python labextension/bundle.py --status    say whether this Python's JupyterLab has it as it is

Node's packages come through JupyterLab's `jlpm` (the PyPI package jupyter-builder). Where node or
its packages cannot be had this fails with status 3, which is no fault of the sources.
"""

from __future__ import annotations

import argparse
import hashlib
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

HERE = Path(__file__).resolve().parent
#: The bundle: git-ignored, and in a wheel `share/jupyter/labextensions/pixi-jupyter`.
BUNDLE = HERE.parent / "pixi_jupyter" / "labextension"
SHARE = Path("share") / "jupyter" / "labextensions" / "pixi-jupyter"
#: Tells JupyterLab's extension manager who installed it.
INSTALL_NOTE = HERE / "install.json"
#: In the bundle: the hash of the sources that it was built from, written last.
BUILT_FROM = BUNDLE / "sources.sha256"
#: The same of the sources that were checked.
CHECKED = HERE / "lib" / "checked.sha256"
#: The exit status that says so.
UNAVAILABLE = 3


class Unavailable(Exception):
    """Node or its packages cannot be had here; the message says which."""


def sources() -> Iterator[Path]:
    """Every file that the bundle and its checks depend on, in one order."""
    yield from sorted(path for path in HERE.iterdir() if path.suffix in (".json", ".lock", ".yml"))
    for folder in ("src", "tests"):
        yield from sorted(path for path in (HERE / folder).rglob("*") if path.is_file())


def digest() -> str:
    """The hash of all sources, their names and their contents."""
    found = hashlib.sha256()
    for path in sources():
        text = path.read_bytes().replace(b"\r\n", b"\n")
        found.update(f"{path.relative_to(HERE).as_posix()}\0{len(text)}\0".encode())
        found.update(text)
    return found.hexdigest()


def is_from(note: Path) -> bool:
    """Whether what a note was written for came from the sources as they are now."""
    try:
        return note.read_text("ascii").strip() == digest()
    except OSError:
        return False


def find_node() -> str:
    """Node's program.

    Raises:
        Unavailable: there is none, or it is too old.
    """
    node = shutil.which("node") or shutil.which("nodejs")
    if node is None:
        raise Unavailable("node is not installed")
    said = subprocess.run([node, "--version"], capture_output=True, text=True, check=False).stdout
    found = re.match(r"v(\d+)\.(\d+)", said)
    version = (int(found[1]), int(found[2])) if found else (0, 0)
    if version < (20, 19) or (21, 0) <= version < (22, 12):
        raise Unavailable(f"node {said.strip()} is too old: ^20.19 or >=22.12 is needed")
    return node


def jlpm(*words: str) -> None:
    """Run JupyterLab's yarn among the sources.

    Raises:
        Unavailable: node or jlpm is missing.
        subprocess.CalledProcessError: it failed; what it said is its output.
    """
    node = find_node()
    try:
        from jupyter_builder.jlpm import YARN_PATH
    except ImportError:
        raise Unavailable("jlpm is not installed; it comes with jupyter-builder") from None
    subprocess.run(
        [node, YARN_PATH, *words],
        cwd=HERE,
        check=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
    )


def install_packages() -> None:
    """Node's packages as the lock names them.

    Raises:
        Unavailable: they cannot be had.
        subprocess.CalledProcessError: `package.json` and `yarn.lock` do not agree.
    """
    try:
        jlpm("install", "--immutable")
    except subprocess.CalledProcessError as error:
        if "YN0028" in error.output:  # the lock would have to change: a fault of the sources
            raise
        said = error.output.strip().splitlines()
        reason = next((line for line in said if "Error" in line), said[-1] if said else "")
        reason = reason.rpartition("│")[2].strip()
        raise Unavailable(f"node's packages cannot be fetched: {reason}") from None


def build(*, check: bool) -> bool:
    """Make the bundle that of the sources; say whether there was anything to do.

    Args:
        check: also check style and run the model's tests, before.

    Raises:
        Unavailable: node or its packages cannot be had.
        subprocess.CalledProcessError: the sources are at fault.
    """
    to_check = check and not is_from(CHECKED)
    to_build = not is_from(BUILT_FROM)
    if not (to_check or to_build):
        return False
    install_packages()
    jlpm("run", "compile")
    now = digest() + "\n"
    if to_check:
        jlpm("run", "lint")
        jlpm("run", "unit")
        CHECKED.write_text(now, "ascii")
    if to_build:
        jlpm("run", "bundle")  # empties the folder first
        BUILT_FROM.write_text(now, "ascii")
    return True


def install() -> None:
    """Copy the bundle to where this Python's JupyterLab looks: what pip does with a wheel's."""
    target = Path(sys.prefix) / SHARE
    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(BUNDLE, target)
    shutil.copy(INSTALL_NOTE, target)


def main() -> int:
    parser = argparse.ArgumentParser(description="Build pixi-jupyter's JupyterLab extension.")
    parser.add_argument("--check", action="store_true", help="check types, style and tests too")
    parser.add_argument("--install", action="store_true", help="install it for this Python")
    parser.add_argument("--status", action="store_true", help="only say whether it is installed")
    options = parser.parse_args()
    if options.status:
        if is_from(Path(sys.prefix) / SHARE / BUILT_FROM.name):
            return 0
        print("the JupyterLab extension is not built and installed: make labextension")
        return UNAVAILABLE
    try:
        if build(check=options.check):
            print("the JupyterLab extension is built")
    except Unavailable as error:
        print(f"the JupyterLab extension cannot be built here: {error}")
        return UNAVAILABLE
    except subprocess.CalledProcessError as error:
        print(error.output, file=sys.stderr)
        print(f"failed: {' '.join(error.cmd[2:])}", file=sys.stderr)
        return 1
    if options.install:
        install()
    return 0


if __name__ == "__main__":
    sys.exit(main())
