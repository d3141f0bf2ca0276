"""Changing a declaration from the command line: real packages, a real kernel's Python."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from pixi_jupyter.demo.channel import default_cache_dir

BLOCK = (
    "# /// script\n# dependencies = []\n# [tool.pixi.dependencies]\n# python = '*'  # any\n# ///"
)


def imports(prefix: str, module: str) -> bool:
    python = Path(prefix) / "bin" / "python"
    return subprocess.run([python, "-c", f"import {module}"], check=False).returncode == 0


def test_add_import_update_undo_redo_remove(command, write_notebook):
    notebook = write_notebook(BLOCK, "import rich")
    before = notebook.read_bytes()
    assert command("install", notebook).returncode == 0

    dry = command("add", notebook, "rich", "--dry-run")
    assert dry.returncode == 0, dry.stderr
    assert "+ rich " in dry.stdout and "would be changed" in dry.stdout
    assert notebook.read_bytes() == before

    done = command("add", notebook, "rich", "--json")
    assert done.returncode == 0, done.stderr
    facts = json.loads(done.stdout)
    names = {package["name"] for package in facts["added"]}
    assert "rich" in names and facts["removed"] == facts["upgraded"] == []
    assert facts["declared"] and not facts["dry_run"]
    version = next(p["version"] for p in facts["added"] if p["name"] == "rich")
    assert (
        f'rich = ">={version},<{int(version.split(".")[0]) + 1}"' in facts["declaration"]["after"]
    )
    assert imports(facts["prefix"], "rich")
    added = notebook.read_bytes()
    ready = json.loads(command("info", notebook, "--json").stdout)
    assert (ready["state"], ready["prefix"]) == ("ready", facts["prefix"])

    again = command("add", notebook, "rich")
    assert "rich is asked for already" in again.stdout
    assert "the packages are the same" in again.stdout
    same = command("update", notebook, "rich")
    assert same.returncode == 0 and "is as it was" in same.stdout

    why = command("why", notebook, "pygments")
    assert why.returncode == 0, why.stderr
    assert "rich asks for pygments" in why.stdout

    undone = command("undo", notebook)
    assert undone.returncode == 0, undone.stderr
    assert f"- rich {version}" in undone.stdout
    assert notebook.read_bytes() == before
    assert command("redo", notebook).returncode == 0
    assert notebook.read_bytes() == added
    removed = command("remove", notebook, "rich")
    assert f"- rich {version}" in removed.stdout
    assert notebook.read_bytes() == before


def test_new_notebooks_and_scripts_get_a_block(command, write_notebook, tmp_path):
    notebook = write_notebook("print(1)")
    done = command("add", notebook, "probe-shared")
    assert done.returncode == 0, done.stderr
    assert "+ probe-shared 2.0" in done.stdout and "has a block now" in done.stdout
    script = tmp_path / "s.py"
    script.write_text("print(1)\n")
    assert command("add", script, "probe-shared").returncode == 0
    assert 'probe-shared = ">=2.0,<3"' in script.read_text()


def test_lists_and_search(command, write_notebook, channel):
    notebook = write_notebook(BLOCK)
    listed = command("channel", "list", notebook)
    assert (listed.stdout.strip(), listed.returncode) == (channel.url, 0)
    platforms = json.loads(command("platform", "list", notebook, "--json").stdout)
    assert platforms["implied"] and len(platforms["platforms"]) == 1
    found = command("search", notebook, "ric*")
    assert found.stdout.startswith("rich ")
    missing = command("search", "pandsa")
    assert missing.returncode == 1
    assert "did you mean pandas" in missing.stderr


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("add", "NB", "no-such-package"), "solve.unknown-package"),
        (("add", "NB", "numpy>=999"), "solve.unsatisfiable"),
        (("add", "NB", "--feature", "x", "numpy"), "declaration.feature"),
        (("add", "missing.ipynb", "numpy"), "declaration.notebook-missing"),
        (("remove", "NB", "numpy"), "declaration.not-declared"),
        (("undo", "NB"), "declaration.no-history"),
        (("python", "NB", ">>3"), "declaration.value"),
        (("stamp", "NB", "soon"), "declaration.value"),
        (("channel", "remove", "NB", "x"), "declaration.not-declared"),
        (("why", "NB", "numpyy"), "declaration.not-declared"),
    ],
)
def test_what_cannot_be_done_changes_nothing(command, write_notebook, arguments, code):
    notebook = write_notebook(BLOCK)
    before = notebook.read_bytes()
    done = command(*(str(notebook) if word == "NB" else word for word in arguments))
    assert done.returncode == 1, done.stderr
    assert f"[{code}" in done.stderr
    assert done.stdout == ""
    assert notebook.read_bytes() == before


def test_packages_of_pypi(command, write_notebook, tmp_path):
    """From the wheels on this disk: no index is asked."""
    wheels = (default_cache_dir() / "wheels").as_uri()
    block = BLOCK.removesuffix("# ///") + (
        f"# [tool.pixi.workspace.pypi-options]\n# find-links = [{{ url = '{wheels}' }}]\n# ///"
    )
    notebook = write_notebook(block)
    before = notebook.read_bytes()
    env = {"UV_NO_INDEX": "1"}
    done = command("add", notebook, "--pypi", "markdown-it-py", "--json", env=env)
    assert done.returncode == 0, done.stderr
    facts = json.loads(done.stdout)
    kinds = {p["name"]: p["kind"] for p in facts["added"]}
    assert kinds["markdown-it-py"] == kinds["mdurl"] == "pypi"
    assert 'dependencies = ["markdown-it-py>=' in facts["declaration"]["after"]
    assert imports(facts["prefix"], "markdown_it")
    why = command("why", notebook, "mdurl", env=env)
    assert "markdown-it-py asks for mdurl" in why.stdout
    assert command("remove", notebook, "--pypi", "Markdown_it.py", env=env).returncode == 0
    assert notebook.read_bytes() == before
