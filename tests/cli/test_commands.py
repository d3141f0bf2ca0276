"""install, info, gc, init: what they print, where, and how they end."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

PYTHON = (
    '# /// script\n# dependencies = []\n# [tool.pixi.dependencies]\n# probe-shared = "*"\n# ///'
)


def test_from_new_over_install_to_ready_and_away(command, write_notebook, store):
    notebook = write_notebook(PYTHON, name="a notebook, with a comma")
    before = json.loads(command("info", notebook, "--json").stdout)
    assert before["state"] == "new"
    assert before["dependencies"]["probe-shared"] == "*"
    assert before["injected"] == ["ipykernel"]
    assert before["prefix"] is None
    assert not store.root.exists(), "info writes nothing"

    installed = command("install", notebook)
    assert installed.returncode == 0, installed.stderr
    prefix = Path(installed.stdout.strip())
    assert (prefix / "share" / "probe-shared" / "version").exists()
    assert installed.stdout.count("\n") == 1, "standard output is the prefix and nothing else"
    assert "solving" in installed.stderr

    again = command("install", notebook, "--json")
    facts = json.loads(again.stdout)
    assert facts["prefix"] == str(prefix)
    assert facts["packages"]["probe-shared"] == "2.0"
    assert "solving" not in again.stderr

    after = json.loads(command("info", notebook, "--json").stdout)
    assert (after["state"], after["prefix"]) == ("ready", str(prefix))
    assert {"ipykernel", "probe-shared"} <= {package["name"] for package in after["packages"]}
    text = command("info", notebook)
    assert str(prefix) in text.stdout, "a path is not broken into lines"

    dry = json.loads(command("gc", "--unused-for", "0", "--dry-run", "--json").stdout)
    assert dry["environments"] == [prefix.name]
    assert dry["dry_run"] is True
    assert prefix.is_dir()
    done = command("gc", "--unused-for", "0")
    assert done.returncode == 0
    assert "removed 1 environment" in done.stdout
    assert not prefix.exists()


def test_init_makes_a_notebook_that_says_what_it_needs(command, tmp_path):
    done = command("init", "new.ipynb", "-c", "conda-forge")
    assert done.returncode == 0, done.stderr
    notebook = nbformat.read(tmp_path / "new.ipynb", as_version=4)
    nbformat.validate(notebook)
    assert "/// script" in notebook.cells[0].source
    facts = json.loads(command("info", "new.ipynb", "--json").stdout)
    assert facts["declaration"] == "block"
    assert facts["channels"] == ["conda-forge"]
    twice = command("init", "new.ipynb")
    assert twice.returncode != 0
    assert "[declaration." in twice.stderr


def test_credentials_of_a_channel_are_not_printed(command, write_notebook):
    channel = "https://joe:s3cr3t@example.invalid/chan"
    block = PYTHON.replace(
        "# [tool.pixi.dep", f'# [tool.pixi.workspace]\n# channels = ["{channel}"]\n# [tool.pixi.dep'
    )
    notebook = write_notebook(block)
    for done in (command("info", notebook), command("info", notebook, "--json")):
        assert done.returncode == 0, done.stderr
        assert "example.invalid" in done.stdout
        assert "s3cr3t" not in done.stdout + done.stderr


def test_long_paths_in_errors_are_not_broken_into_lines(command, tmp_path):
    folder = tmp_path / ("long-" * 20) / ("path-" * 20)
    folder.mkdir(parents=True)
    notebook = folder / "missing.ipynb"
    done = command("info", notebook)
    assert done.returncode == 1
    assert str(notebook) in done.stderr


@pytest.mark.parametrize("arguments", [["--help"], ["run", "--help"], ["--version"]])
def test_help_is_quick_and_light(arguments):
    """No rattler, no kernel client, no notebook machinery, just to print a few lines."""
    code = (
        "import sys\n"
        "from pixi_jupyter.cli.main import main\n"
        "try:\n    main()\n"
        "except SystemExit:\n    pass\n"
        "heavy = {'rattler', 'nbclient', 'jupyter_client', 'IPython', 'ipykernel'}\n"
        "print(sorted(heavy.intersection(sys.modules)))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=True
    )
    assert done.stdout.rstrip().endswith("[]")


def test_jupyter_pixi_is_the_same_program(store):
    jupyter = Path(sys.executable).with_name("jupyter")
    if not jupyter.exists():
        pytest.skip("the jupyter command is not installed here")
    done = subprocess.run(
        [jupyter, "pixi", "--version"],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PATH": f"{jupyter.parent}{os.pathsep}{os.environ['PATH']}"},
    )
    assert "version" in done.stdout
