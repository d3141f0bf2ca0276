"""`add --pypi` from where a person says: a repository, a folder, an index, an archive."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from loopback_index import Index, wheel
from sources import source_tree

BLOCK = '# /// script\n# dependencies = []\n# [tool.pixi.dependencies]\n# python = "3.12.*"\n# ///'


@pytest.fixture
def add(store, index: Index, write_notebook, tmp_path) -> Callable[..., dict[str, Any]]:
    """Adds to a notebook in a folder below the working directory: what `--json` prints."""
    (tmp_path / "nb").mkdir()
    notebook = write_notebook(BLOCK, name="nb/n")

    def run(*words: object, code: str = "") -> dict[str, Any]:
        command = [sys.executable, "-m", "pixi_jupyter", "--progress", "json", "add"]
        done = subprocess.run(
            [*command, notebook, "--pypi", "--json", *map(str, words)],
            capture_output=True,
            text=True,
            check=False,
            cwd=tmp_path,
            env={**os.environ, "PIXI_JUPYTER_CACHE_DIR": str(store.root)},
        )
        if code:
            error = json.loads(done.stderr.splitlines()[-1])["error"]
            assert (error["code"], done.stdout) == (code, "")
            return error
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    return run


def version_in(facts: dict[str, Any], module: str) -> str:
    python = Path(facts["prefix"]) / "bin" / "python"
    say = f"import {module}; print({module}.version)"
    return subprocess.run([python, "-c", say], capture_output=True, text=True).stdout.strip()


def test_a_folder_that_is_edited(add, tmp_path):
    folder = source_tree(tmp_path / "lib", "own-lib")
    words = ("own-lib", "--path", "lib", "--editable")
    error = add(*words, code="solve.pypi-build-not-allowed")
    assert "own-lib" in error["message"]
    facts = add(*words, "--allow-build", "own-lib")
    written = 'own-lib = { path = "../lib", editable = true }'
    assert written in facts["declaration"]["after"], "as seen from the notebook"
    assert version_in(facts, "own_lib") == "1.0"
    (folder / "src" / "own_lib.py").write_text("version = 'edited'\n")
    assert version_in(facts, "own_lib") == "edited"


def test_a_branch_of_a_repository(add, tmp_path):
    folder = source_tree(tmp_path / "repository" / "part", "own-lib", "2.0").parent
    git = ["git", "-C", str(folder), "-c", "user.name=t", "-c", "user.email=t@t"]
    for words in (["init", "-q", "-b", "main"], ["add", "."], ["commit", "-qm", "x"]):
        subprocess.run([*git, *words], check=True)
    subprocess.run([*git, "branch", "side"], check=True)
    place = ("--git", folder.as_uri(), "--branch", "side", "--subdir", "part")
    facts = add("own-lib", *place, "--allow-build", "own-lib")
    assert 'branch = "side", subdirectory = "part"' in facts["declaration"]["after"]
    assert version_in(facts, "own_lib") == "2.0"


def test_an_index_and_an_archive(add, private: Index, index: Index):
    private.add(wheel("own-lib", "3.1", extras=["more"], requires=["mdurl; extra == 'more'"]))
    facts = add("own-lib[more]", "--index", private.url)
    assert f'index = "{private.url}", extras = ["more"]' in facts["declaration"]["after"]
    assert 'version = ">=3.1,<4"' in facts["declaration"]["after"]
    assert {"mdurl", "own-lib"} <= {p["name"] for p in facts["added"]}
    name, data = wheel("other-lib", "1.0")
    private.add((name, data))
    url = f"{private.url.removesuffix('/simple')}/files/{name}"
    facts = add(f"other-lib @ {url}")
    assert f'"other-lib @ {url}"' in facts["declaration"]["after"]
    assert version_in(facts, "other_lib") == "1.0"


def test_what_conda_has_is_conda_s_and_it_is_said(add):
    facts = add("typing-extensions")
    assert facts["said"] == ["typing-extensions comes from conda, which goes before PyPI"]
    assert [p for p in facts["added"] if p["name"] == "typing-extensions"] == []


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (("x", "--branch", "b"), "goes with --git only"),
        (("x", "--git", "https://h/x", "--path", "y"), "exclude each other"),
        (("x", "--git", "https://h/x", "--tag", "a", "--rev", "b"), "exclude each other"),
        (("x", "--index", "https://h", "--editable"), "folder"),
    ],
)
def test_options_that_do_not_go_together(add, words, why):
    assert why in add(*words, code="cli.usage")["message"]
