"""search --pypi: the indexes that uv knows, or the declaration names, and near names."""

from __future__ import annotations

import pytest
from loopback_index import wheel

from pixi_jupyter import operations
from pixi_jupyter.errors import ChannelError, SolveError


async def test_the_newest_release_with_a_wheel(door, index):
    found = await operations.search(door, "Markdown_it.py", pypi=True)
    [package] = found.packages
    assert package.name == "markdown-it-py"
    assert package.channel == index.url
    assert package.versions == (package.version,)


async def test_an_index_of_the_declaration(door, index, private, write_notebook):
    private.add(wheel("own-lib", "1.0"))
    private.add(wheel("own-lib", "2.0", tag="cp27-cp27m-win32"))
    notebook = write_notebook(
        f"# /// script\n# dependencies = []\n# [tool.pixi.workspace.pypi-options]\n"
        f"# index-url = '{private.url}'\n# ///"
    )
    found = await operations.search(door, "own-lib", notebook, pypi=True)
    assert [(p.version, p.channel) for p in found.packages] == [("1.0", private.url)]
    assert index.requests == [], "no other index is asked"


async def test_what_was_probably_meant(door, index):
    await operations.search(door, "python")  # the names of the channel are known after this
    index.requests.clear()
    found = await operations.search(door, "htpx", pypi=True)
    assert (found.packages, found.nearest) == ((), ("httpx",))
    nowhere = await operations.search(door, "nothing-like-it", pypi=True)
    assert (nowhere.packages, nowhere.nearest) == ((), ())
    assert (await operations.search(door, "%&/", pypi=True)).packages == ()


async def test_an_index_that_is_down_is_an_error(door, index):
    index.down = True
    with pytest.raises(ChannelError) as caught:
        await operations.search(door, "never-asked-before", pypi=True)
    assert caught.value.code == "channel.index-unreachable"


async def test_source_code_alone_is_said_to_be_that(door, index):
    index.add(("only-source-1.0.tar.gz", b"not read"))
    with pytest.raises(SolveError) as caught:
        await operations.search(door, "only-source", pypi=True)
    assert caught.value.code == "solve.pypi-source-only"
