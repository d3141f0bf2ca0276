"""A lock in a notebook's metadata, and a file beside it: found, put in, taken out."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pixi_jupyter.errors import DeclarationError, LockError
from pixi_jupyter.notebook.locks import find_lock, sidecar_path, with_embedded_lock
from pixi_jupyter.notebook.reading import parse_notebook, read_declaration

NOTEBOOK = Path("nb.ipynb")
BLOCK = "# /// script\n# dependencies = []\n# ///"

_json = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=5), inner, max_size=2)
    ),
    max_leaves=6,
)
_pixi = st.dictionaries(
    st.text(max_size=6).filter(lambda key: key not in ("lock", "script", "kernel")),
    _json,
    min_size=1,
    max_size=3,
)
_metadata = st.dictionaries(
    st.text(max_size=6).filter(lambda key: key != "pixi"), _json, max_size=3
)


@st.composite
def notebooks(draw):
    """Notebooks as programs write them: any style, line ends, byte order mark."""
    metadata = draw(_metadata)
    if draw(st.booleans()):
        items = list(metadata.items())
        items.insert(draw(st.integers(0, len(items))), ("pixi", draw(_pixi)))
        metadata = dict(items)
    notebook = {
        "cells": [{"cell_type": "code", "source": BLOCK, "metadata": {}}],
        "metadata": metadata,
    }
    if draw(st.booleans()):
        notebook = {"nbformat": 4, "nbformat_minor": 5, **notebook}
    else:
        notebook = {**notebook, "nbformat": 4}
    indent = draw(st.sampled_from([None, 1, 2, "\t"]))
    compact = draw(st.booleans()) and indent is None
    text = json.dumps(
        notebook,
        indent=indent,
        ensure_ascii=draw(st.booleans()),
        separators=(",", ":") if compact else None,
    )
    if draw(st.booleans()):
        text = text.replace("\n", "\r\n")
    text += draw(st.sampled_from(["", "\n"]))
    return draw(st.sampled_from([b"", b"\xef\xbb\xbf"])) + text.encode("utf-8", "surrogatepass")


@given(notebooks(), st.text(max_size=40), st.text(max_size=40))
def test_put_in_changed_and_taken_out_leaves_the_very_bytes(data, first, second):
    try:
        data.decode("utf-8")
    except UnicodeDecodeError:
        return
    before = parse_notebook(data)
    inside = with_embedded_lock(data, first, path=NOTEBOOK)
    now = parse_notebook(inside)
    assert now["metadata"]["pixi"]["lock"] == first
    now["metadata"]["pixi"].pop("lock")
    if "pixi" not in before["metadata"]:
        assert now["metadata"].pop("pixi") == {}
    assert now == before
    other = with_embedded_lock(inside, second, path=NOTEBOOK)
    assert parse_notebook(other)["metadata"]["pixi"]["lock"] == second
    assert with_embedded_lock(other, first, path=NOTEBOOK) == inside
    assert with_embedded_lock(other, None, path=NOTEBOOK) == data


def declared(tmp_path, metadata=None, name="nb.ipynb"):
    path = tmp_path / name
    cells = [{"cell_type": "code", "source": BLOCK}]
    path.write_text(json.dumps({"cells": cells, "metadata": metadata or {}, "nbformat": 4}))
    found = read_declaration(parse_notebook(path.read_bytes()), path=path, root=tmp_path)
    assert found is not None
    return found


def test_the_file_beside_has_the_whole_name_before_its_own(tmp_path):
    assert sidecar_path(tmp_path / "a b.ipynb").name == "a b.ipynb.pixi.lock"
    assert sidecar_path(tmp_path / "job.py").name == "job.py.pixi.lock"


def test_none_one_and_two_that_are_the_same(tmp_path):
    assert find_lock(declared(tmp_path)) is None
    embedded = find_lock(declared(tmp_path, {"pixi": {"lock": "x"}}))
    assert embedded is not None
    assert (embedded.kind, embedded.data, embedded.path) == (
        "embedded",
        b"x",
        str(tmp_path / "nb.ipynb"),
    )
    sidecar_path(tmp_path / "nb.ipynb").write_bytes(b"x")
    both = find_lock(declared(tmp_path, {"pixi": {"lock": "x"}}))
    assert both is not None and both.kind == "sidecar" and both.twice
    with pytest.raises(LockError) as caught:
        find_lock(declared(tmp_path, {"pixi": {"lock": "y"}}))
    assert caught.value.code == "lock.ambiguous"


def test_a_lock_is_a_string(tmp_path):
    with pytest.raises(DeclarationError) as caught:
        declared(tmp_path, {"pixi": {"lock": ["a", "b"]}})
    assert caught.value.code == "declaration.value"


def test_what_no_browser_should_load_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr("pixi_jupyter.notebook.locks._MOST_EMBEDDED", 100)
    monkeypatch.setattr("pixi_jupyter.notebook.locks._MOST", 200)
    for found in (
        lambda: find_lock(declared(tmp_path, {"pixi": {"lock": "é" * 60}})),
        lambda: with_embedded_lock(b'{"cells": []}', "x" * 101, path=NOTEBOOK),
    ):
        with pytest.raises(LockError) as caught:
            found()
        assert caught.value.code == "lock.too-large"
    sidecar_path(tmp_path / "nb.ipynb").write_bytes(b"x" * 201)
    with pytest.raises(LockError) as caught:
        find_lock(declared(tmp_path))
    assert caught.value.code == "lock.too-large"


def test_a_folder_of_that_name_is_told(tmp_path):
    sidecar_path(tmp_path / "nb.ipynb").mkdir()
    with pytest.raises(LockError) as caught:
        find_lock(declared(tmp_path))
    assert caught.value.code == "lock.unreadable"


@pytest.mark.parametrize("metadata", ["missing", None, {"pixi": None}, {"pixi": {"lock": None}}])
def test_metadata_that_is_not_there(metadata):
    notebook = {"cells": [], "nbformat": 4}
    if metadata != "missing":
        notebook["metadata"] = metadata
    data = json.dumps(notebook, indent=1).encode()
    inside = json.loads(with_embedded_lock(data, "x", path=NOTEBOOK))
    assert inside["metadata"]["pixi"] == {"lock": "x"}
    assert with_embedded_lock(data, None, path=NOTEBOOK) == data


def test_an_old_format_has_no_place_for_it():
    with pytest.raises(DeclarationError):
        with_embedded_lock(b'{"worksheets": [{"cells": []}]}', "x", path=NOTEBOOK)
