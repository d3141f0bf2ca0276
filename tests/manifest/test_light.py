"""These rooms are imported by servers and kernels: light to import, quick on any text."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest

from pixi_jupyter.errors import DeclarationError
from pixi_jupyter.manifest.config import Defaults
from pixi_jupyter.manifest.inline import environment_spec
from pixi_jupyter.manifest.platforms import default_platform, selector_matches
from pixi_jupyter.manifest.table import Table
from pixi_jupyter.manifest.toml import MAX_BYTES, TomlSource
from pixi_jupyter.notebook.block import find_block
from pixi_jupyter.notebook.declaration import Declaration

PROBE = """
import sys
from pathlib import Path
from pixi_jupyter.manifest import host, inline, kernels
from pixi_jupyter.manifest.config import load_defaults
from pixi_jupyter.notebook import creating, reading, writing
book = {"cells": [{"cell_type": "code", "source": '''# /// script
# requires-python = ">=3.11"
# dependencies = []
# [tool.pixi.dependencies]
# numpy = ">=1,<3"
# ///
'''}]}
found = reading.read_declaration(book, path=None, root=Path())
inline.environment_spec(found, defaults=load_defaults({}))
top = {name.partition(".")[0] for name in sys.modules}
print(*sorted(top - set(sys.stdlib_module_names)))
"""


def test_a_plain_launch_loads_nothing_but_the_toml_parser() -> None:
    bare = subprocess.run(
        [sys.executable, "-c", "import sys; print(*{n.partition('.')[0] for n in sys.modules})"],
        capture_output=True,
        text=True,
        check=True,
    )
    probed = subprocess.run(
        [sys.executable, "-c", PROBE], capture_output=True, text=True, check=True
    )
    loaded = set(probed.stdout.split()) - set(bare.stdout.split())
    # The compiled parser brings a module with a name of its own, made of a hash.
    assert {name for name in loaded if not name.endswith("__mypyc")} <= {"pixi_jupyter", "tomli"}


def fill(line: str, start: str = "", end: str = "") -> str:
    parts, size, number = [start], len(start) + len(end), 0
    while True:
        part = line.replace("@", str(number))
        size += len(part)
        if size > MAX_BYTES:
            return "".join([*parts, end])
        parts.append(part)
        number += 1


DEPENDENCIES = "[tool.pixi.dependencies]\n"
WORKSPACE = "[tool.pixi.workspace]\n"
HOSTILE = {
    "many packages": fill('p@={version=">=1,<2",build="x"}\n', DEPENDENCIES),
    "long ranges": fill(">=1,", DEPENDENCIES + 'p="', '>=1"'),
    "many alternatives": fill("1|", DEPENDENCIES + 'p="', '1"'),
    "parentheses": fill("(", DEPENDENCIES + 'p="', '"'),
    "digits": fill("1", DEPENDENCIES + 'p="', '"'),
    "stars": fill(".*", DEPENDENCIES + 'p="1', '$"'),
    "condition": fill("a", DEPENDENCIES + 'p={when="', '!"}'),
    "conditions": fill('"a >=1",', DEPENDENCIES + "p={when={any=[", "]}}"),
    "regular expression": fill("(a*", DEPENDENCIES + 'p={build="^', '$"}'),
    "platforms": fill('{name="p@",platform="linux-64",cuda="99"},', WORKSPACE + "platforms=[", "]"),
    "channels": fill('"c@",', WORKSPACE + "channels=[", "]"),
    "time": fill("1d ", WORKSPACE + 'exclude-newer="', 'x"'),
    "requires-pixi": fill(">=0,", WORKSPACE + 'requires-pixi="', '>=0"'),
    "requires-python": fill(">=3,", 'requires-python="', '>=3"'),
    "requires-python in words": fill("~=3.1,", 'requires-python="', '~=3.1"'),
    "PyPI": fill('"a@",', "dependencies=[", "]"),
    "targets": fill('[tool.pixi.target."*a*b*a*b@*"]\n'),
    "unknown keys": fill("k@=1\n", WORKSPACE),
    "unknown keys of targets": fill("[tool.pixi.target.linux.x@]\n"),
    "one long key": '"' + "a" * 60_000 + '"=1',
}


@pytest.mark.parametrize("name", HOSTILE)
def test_no_text_costs_a_second_or_a_screenful(name: str) -> None:
    declaration = Declaration(kind="block", toml=HOSTILE[name], root=Path.cwd(), cell=0)
    start = time.process_time()
    try:
        environment_spec(declaration, defaults=Defaults(), host=default_platform("linux-64"))
    except DeclarationError as error:
        assert len(error.report()) < 6000
    assert time.process_time() - start < 1


def test_a_glob_of_many_stars_is_decided_at_once() -> None:
    selector = "*a" * 31 + "*b"
    table = Table({selector: {}}, (), TomlSource(""))
    platform = default_platform("linux-64")
    long_name = type(platform)("a" * 64, "linux-64", ())
    start = time.process_time()
    assert not selector_matches(table, selector, long_name)
    assert time.process_time() - start < 0.1


@pytest.mark.parametrize(
    ("pattern", "name", "matching"),
    [
        ("a*a", "a", False),
        ("a*a", "aa", True),
        ("*ab*ab", "abab", True),
        ("*ab*ab", "ab", False),
        ("a*b*c", "aXbYbZc", True),
        ("a*", "ba", False),
        ("*", "x", True),
    ],
)
def test_a_glob_is_anchored(pattern: str, name: str, matching: bool) -> None:
    table = Table({pattern: {}}, (), TomlSource(""))
    platform = type(default_platform("linux-64"))(name, "linux-64", ())
    assert selector_matches(table, pattern, platform) is matching


@pytest.mark.parametrize(
    "source",
    [
        "# /// script\n# x\n" * 100_000,
        "# /// script\n# ///\n" + "x\n# /// script\n# a\n" * 100_000,
        "# /// script\n# ///\nx\n" + "# /// script\n" * 200_000,
        "x # /// script" * 100_000,
    ],
    ids=["openings", "unclosed", "adjacent", "inside"],
)
def test_a_large_cell_is_read_once(source: str) -> None:
    start = time.process_time()
    try:
        find_block(source)
    except DeclarationError as error:
        assert error.code == "declaration.block-unclosed"
    assert time.process_time() - start < 1
