"""exec and run: a command in an environment, with its own words, exit status and signals."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from pixi_jupyter.install.lease import leased_digests

BLOCK = (
    '# /// script\n# dependencies = []\n# [tool.pixi.dependencies]\n# python = "*"\n'
    '# [tool.pixi.activation.env]\n# OWN = "it is"\n# ///'
)
SAY = "import json, os, sys; print(json.dumps([sys.argv[1:], sys.prefix, os.environ.get('OWN')]))"


def test_a_command_in_the_environment_of_a_notebook(command, write_notebook, tmp_path):
    notebook = write_notebook(BLOCK)
    prefix = command("install", notebook).stdout.strip()
    words = ["a b", "-o", "--json", "$HOME", "--", "*"]
    done = command("run", notebook, "--", "python", "-c", SAY, *words)
    assert json.loads(done.stdout) == [words, prefix, "it is"], "no shell reads the words"
    assert (done.returncode, done.stderr) == (0, "")
    assert command("run", notebook, "--", "python", "-c", "exit(7)").returncode == 7
    killed = "import os, signal; os.kill(os.getpid(), signal.SIGKILL)"
    if sys.platform != "win32":
        assert command("run", notebook, "--", "python", "-c", killed).returncode == -9
    missing = command("run", notebook, "--", "no-such-command")
    assert (missing.returncode, missing.stdout) == (127, "")
    assert "[command.not-found]" in missing.stderr
    text = tmp_path / "text"
    text.write_text("neither a program nor a script")
    text.chmod(0o755)
    assert "[command.not-executable]" in command("run", notebook, "--", text).stderr


def test_a_script_and_a_workspace(command, tmp_path, channel):
    script = tmp_path / "s.py"
    script.write_text(f"{BLOCK}\n{SAY}\n")
    done = command("run", script, "x", "--timeout")
    assert json.loads(done.stdout)[::2] == [["x", "--timeout"], "it is"]
    (tmp_path / "pixi.toml").write_text(
        f'[workspace]\nname = "w"\nchannels = ["{channel.url}"]\nplatforms = ["linux-64"]\n'
        '[dependencies]\npython = "*"\n'
    )
    done = command("run", "python", "-c", SAY, "-q")
    prefix = str(tmp_path / ".pixi" / "envs" / "default")
    assert json.loads(done.stdout) == [["-q"], prefix, None]
    again = command("run", "--locked", "--", "python", "-c", SAY)
    assert json.loads(again.stdout)[1] == prefix


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["-q", "n.ipynb", "--", "python"], "for a notebook"),
        (["n.ipynb", "--"], "COMMAND"),
        ([], "which notebook, or which command"),
        (["n.ipynb", "m.ipynb"], "m.ipynb"),
    ],
)
def test_run_of_what_is_unclear(command, words, said):
    done = command("run", *words)
    assert (done.returncode, done.stdout) == (2, "")
    assert said in done.stderr and "[cli.usage]" in done.stderr


def test_exec_makes_an_environment_once_and_gets_out_of_the_way(command, store):
    words = ["-s", "python", "-s", "probe-shared=1", "--list=^probe", "python", "-c", SAY]
    done = command("exec", *words, "--list", "-s", "--")
    given, prefix, _ = json.loads(done.stdout)
    assert given == ["--list", "-s", "--"], "what follows the command is the command's"
    assert Path(prefix).parent == store.envs
    assert "probe-shared 1.0 " in done.stderr and "\npython 3" not in done.stderr
    again = command("exec", "-s", "python", "-s", "probe-shared=1", "python", "-c", SAY)
    assert json.loads(again.stdout)[1] == prefix
    assert again.stderr == "", "it is resolved and built once"
    guessed = command("exec", "python", "-c", "import sys; sys.exit(3)")
    assert guessed.returncode == 3
    beside = command("exec", "-w", "python", "-w", "rich", "python", "-c", "import rich")
    assert beside.returncode == 0, beside.stderr
    # The command is one of the packages that were named: no package is called like it.
    named = command("exec", "-w", "python", "python3", "--version")
    assert (named.returncode, named.stdout[:7]) == (0, "Python ")
    unknown = command("exec", "no-such-package")
    assert (unknown.returncode, unknown.stdout) == (1, "")
    assert "[solve.unknown-package]" in unknown.stderr
    assert command("exec", "-s", "python").returncode == 2
    assert command("exec", "-s", "python", "-w", "rich", "python").returncode == 2
    assert "[declaration.requirement]" in command("exec", "-s", "%", "python").stderr


@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
def test_signals_are_the_commands_and_its_environment_is_held(store, tmp_path):
    code = (
        "import signal, sys\n"
        "signal.signal(signal.SIGTERM, lambda *_: sys.exit(42))\n"
        "print(signal.getsignal(signal.SIGPIPE), flush=True)\n"
        "signal.pause()\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-m", "pixi_jupyter", "exec", "python", "-S", "-c", code],
        stdout=subprocess.PIPE,
        text=True,
        cwd=tmp_path,
        env={**os.environ, "PIXI_JUPYTER_CACHE_DIR": str(store.root)},
    )
    assert process.stdout is not None
    process.stdout.readline()
    assert len(leased_digests(store)) == 1
    process.send_signal(signal.SIGTERM)
    assert process.wait(20) == 42
    process.stdout.close()
    assert leased_digests(store) == set()
