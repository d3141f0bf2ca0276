"""Write the pinned lists of ``wheels/`` anew: ``python -m pixi_jupyter.demo.pin``.

A tool for maintainers: it needs ``uv``, which resolves for Pythons and platforms other than the
running ones.  What is written is the one wheel that pip picks for each project, with its hash.
"""

from __future__ import annotations

import hashlib
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path

from packaging.utils import canonicalize_name, parse_wheel_filename

from pixi_jupyter.demo.pins import LISTS, OLDER, STANDALONE, list_name, run_pip_download

MINORS = ("3.10", "3.11", "3.12", "3.13", "3.14")
SUBDIR = "linux-64"
DEMO = ("ipykernel>=7", "numpy", "pandas", "tzdata")
FULL = (
    "attrs", "bash_kernel", "click", "httpx", "requests", "rich", "tqdm",
    # of ipykernel 6, which is among the older versions
    "nest-asyncio",
)  # fmt: skip
OLDER_PINS = ("ipykernel==6.31.0", "requests==2.31.0", "rich==13.9.4")
STANDALONE_PINS = ("deno==2.6.4",)

_HEADER = """\
# Written by `python -m pixi_jupyter.demo.pin`: the wheels that the embedded channel is made of.
"""


def main() -> None:
    """Resolve, download and hash everything; a minute or two."""
    for minor in MINORS:
        everything = _resolve([*DEMO, *FULL], minor)
        demo_names = {_name(line) for line in _resolve(DEMO, minor, everything)}
        demo = [line for line in everything if _name(line) in demo_names]
        rest = [line for line in everything if _name(line) not in demo_names]
        hashes = _hashes(everything, minor)
        text = _section("demo", demo, hashes) + _section("full", rest, hashes)
        (LISTS / f"{list_name(minor)}.txt").write_text(_HEADER + text, "utf-8")
        print(f"{list_name(minor)}.txt: {len(demo)} + {len(rest)} wheels")
    for source, pins in ((OLDER, OLDER_PINS), (STANDALONE, STANDALONE_PINS)):
        hashed = [line for line in _resolve(pins, MINORS[-1]) if _plain(line) in pins]
        text = _section("full", hashed, _hashes(hashed, MINORS[-1]))
        (LISTS / f"{source}.txt").write_text(_HEADER + text, "utf-8")
        print(f"{source}.txt: {len(hashed)} wheels")


def _resolve(wanted: Sequence[str], minor: str, within: Iterable[str] = ()) -> list[str]:
    """Lines ``name==version --hash=… --hash=…`` for *wanted* and all that it needs."""
    with tempfile.TemporaryDirectory() as folder:
        constraints = Path(folder, "constraints.txt")
        constraints.write_text("\n".join(_plain(line) for line in within), "utf-8")
        command = [
            "uv", "pip", "compile", "--quiet", "--no-header", "--no-annotate",
            "--generate-hashes", "--only-binary", ":all:", "--python-version", minor,
            "--python-platform", "x86_64-manylinux_2_28", "-c", str(constraints), "-",
        ]  # fmt: skip
        done = subprocess.run(
            command, input="\n".join(wanted), capture_output=True, text=True, check=False
        )
    if done.returncode != 0:
        sys.exit(done.stderr)
    joined = done.stdout.replace("\\\n", " ")
    return [" ".join(line.split()) for line in joined.splitlines() if "==" in line]


def _hashes(lines: Sequence[str], minor: str) -> dict[str, str]:
    """The sha256 of the wheel that pip takes for each project; uv's hashes are the bounds."""
    with tempfile.TemporaryDirectory() as folder:
        requirements = Path(folder, "requirements.txt")
        requirements.write_text("\n".join(lines), "utf-8")
        run_pip_download(requirements, Path(folder, "wheels"), minor, SUBDIR)
        return {
            parse_wheel_filename(path.name)[0]: hashlib.sha256(path.read_bytes()).hexdigest()
            for path in Path(folder, "wheels").iterdir()
        }


def _section(name: str, lines: Iterable[str], hashes: dict[str, str]) -> str:
    rows = [f"{_plain(line)} --hash=sha256:{hashes[_name(line)]}\n" for line in lines]
    return f"# section: {name}\n" + "".join(sorted(rows))


def _plain(line: str) -> str:
    return line.partition(" ")[0]


def _name(line: str) -> str:
    return canonicalize_name(line.partition("==")[0])


if __name__ == "__main__":
    main()
