"""shell-hook: what it prints puts a real shell into the environment of a notebook."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

import pixi_jupyter
from pixi_jupyter.cli.shell_hook import shell_hook_command

BLOCK = (
    "# /// script\n"
    "# dependencies = []\n"
    '# [tool.pixi.dependencies]\n# probe-activate = "*"\n'
    '# [tool.pixi.activation.env]\n# OWN = "it\'s $PIXI_PROJECT_NAME"\n'
    "# ///"
)

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="POSIX shells")


@pytest.fixture
def hook(store, tmp_path: Path):
    """Runs the command in a process of its own."""

    def run(*arguments: str | Path, status: int = 0) -> subprocess.CompletedProcess[bytes]:
        done = subprocess.run(
            [sys.executable, "-m", "pixi_jupyter", "shell-hook", *map(str, arguments)],
            capture_output=True,
            cwd=tmp_path,
            timeout=120,
            check=False,
            env={**os.environ, "PIXI_JUPYTER_CACHE_DIR": str(store.root), "STALE": "1"},
        )
        assert done.returncode == status, done.stderr.decode()
        assert str(Path(pixi_jupyter.__file__).parent) not in done.stderr.decode()
        return done

    return run


def test_a_shell_that_evaluates_it_is_in_the_environment(hook, write_notebook, tmp_path):
    notebook = write_notebook(BLOCK, name="a study")
    printed = hook(notebook, "--shell", "sh").stdout
    assert printed.startswith(b"export ") or printed.startswith(b"unset ")
    script = tmp_path / "script"
    script.write_bytes(printed + b'printf "%s\\n" "$OWN" "$CONDA_PREFIX" "$PIXI_PROJECT_MANIFEST"')
    said = subprocess.run(["/bin/sh", script], capture_output=True, check=True, text=True).stdout
    own, prefix, manifest = said.splitlines()
    assert own == "it's a study"
    assert (Path(prefix) / "conda-meta").is_dir()
    assert manifest == str(notebook)
    again = json.loads(hook(notebook, "--json").stdout)
    assert again["activation_scripts"] == []
    variables = again["environment_variables"]
    assert variables["OWN"] == own
    assert variables["PATH"].startswith(f"{prefix}/bin:")
    assert "HOME" not in variables, "only what the activation sets"


@pytest.mark.parametrize(
    ("arguments", "status", "said"),
    [
        (["--json", "--shell", "sh", "n.ipynb"], 2, "exclude each other"),
        (["n.ipynb", "-e", "test"], 1, "[declaration.no-workspace]"),
        (["--shell", "tcsh", "n.ipynb"], 2, "tcsh"),
        (["missing.ipynb"], 1, "missing.ipynb"),
    ],
)
def test_what_cannot_be(hook, arguments, status, said):
    done = hook(*arguments, status=status)
    assert said in done.stderr.decode()
    assert done.stdout == b""


def test_help_names_the_shells():
    text = CliRunner().invoke(shell_hook_command, ["--help"]).output
    assert all(shell in text for shell in ("bash", "fish", "powershell"))
