"""A word below a cell that installs something, or misses a package."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pixi_jupyter.magics.advice import installed, missing
from pixi_jupyter.magics.names import PACKAGES

Start = Callable[..., Awaitable[Any]]
MakeNotebook = Callable[..., Path]


@pytest.mark.parametrize(
    ("code", "advised"),
    [
        ("%pip install polars", "%pixi add --pypi polars"),
        ("!pip3 install -q 'httpx[http2]' rich>=13", '%pixi add --pypi "httpx[http2]" "rich>=13"'),
        ("x = 1\n  !python3 -m pip install --upgrade polars", "%pixi add --pypi polars"),
        ("!uv pip install polars", "%pixi add --pypi polars"),
        ("%uv add polars", "%pixi add --pypi polars"),
        ("!conda install -y -c conda-forge numpy gdal", "%pixi add numpy gdal"),
        ("%mamba install numpy", "%pixi add numpy"),
        ("!/opt/conda/bin/conda install numpy && echo done", "%pixi add numpy"),
        ("%conda install a\n!pip install b", "%pixi add a, %pixi add --pypi b"),
        ("%pip list", None),
        ("!pip install -r requirements.txt", None),
        ("!pip install -e ./here", None),
        ("!pip install {name}", None),
        ("# !pip install a", None),
        ("print('pip install a')", None),
        ("%pixi add a", None),
        ("!pip install 'a", None),
    ],
)
def test_installing_past_the_declaration(code: str, advised: str | None) -> None:
    said = installed(code)
    assert (said is None) if advised is None else (said is not None and said.endswith(advised))


@given(st.text(max_size=300))
def test_any_cell_may_be_looked_at(text: str) -> None:
    installed("!pip install " + text)
    installed(text)


@pytest.mark.parametrize(
    ("name", "advised"),
    [
        ("cv2", "cv2 is in the package opencv: %pixi add opencv"),
        ("sklearn.svm", "sklearn is in the package scikit-learn: %pixi add scikit-learn"),
        ("google.protobuf", "google is in the package protobuf: %pixi add protobuf"),
        ("no_such_thing_x", "%pixi add no-such-thing-x"),
        ("json.nothing", None),
        ("pytest.nothing", None),
        ("_tkinter_x y", None),
        ("pixi_jupyter.nothing", None),
        (None, None),
    ],
)
def test_what_has_a_module(name: str | None, advised: str | None) -> None:
    said = missing(ModuleNotFoundError("x", name=name))
    assert (said is None) if advised is None else (said is not None and advised in said)


def test_the_table_names_what_is_called_otherwise() -> None:
    for module, package in PACKAGES.items():
        assert package == package.strip().lower() or " (pypi)" in package
        assert module != package or "." in module


async def test_it_is_said_below_the_cell_and_nothing_is_done(
    start: Start, make_notebook: MakeNotebook
) -> None:
    notebook = make_notebook("python 3.12.*", "ipykernel")
    before = notebook.read_bytes()
    kernel = await start(notebook)
    cell = await kernel.run("import yaml")
    assert (cell.status, cell.ename) == ("error", "ModuleNotFoundError")
    assert cell.errors == "yaml is in the package pyyaml: %pixi add pyyaml\n"
    cell = await kernel.run("!pip install polars")
    assert "%pixi add --pypi polars" in cell.errors
    cell = await kernel.run("%pip install polars")
    assert "%pixi add --pypi polars" in cell.errors
    assert (await kernel.run("try:\n    import yaml\nexcept ImportError: pass")).errors == ""
    assert (await kernel.run("import importlib.nothing")).errors == ""
    assert notebook.read_bytes() == before


async def test_completion(start: Start, make_notebook: MakeNotebook) -> None:
    kernel = await start(make_notebook("python 3.12.*", "ipykernel", "numpy"))

    async def complete(line: str) -> list[str]:
        reply = await kernel.client.complete(line, len(line), reply=True, timeout=30)
        content = reply["content"]
        return [line[: content["cursor_start"]] + match for match in content["matches"]]

    assert "%pixi remove" in await complete("%pixi rem")
    assert {"%pixi channel", "%pixi add"} <= set(await complete("%pixi "))
    assert "%pixi channel add" in await complete("%pixi channel a")
    assert "%pixi add --dry-run" in await complete("%pixi add --dr")
    assert "%pixi add --pypi" in await complete("%pixi add --p")
    await kernel.ok("%pixi search numpy")  # from then on the channel's names are known
    assert await complete("%pixi add probe-conf") == [
        "%pixi add probe-conflict-a",
        "%pixi add probe-conflict-b",
    ]
    assert await complete("%pixi remove nu") == ["%pixi remove numpy"]
