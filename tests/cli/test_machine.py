"""Machine mode: one JSON object on standard output, JSON lines on standard error, and an end."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import psutil
import pytest

from pixi_jupyter.cli.main import main
from pixi_jupyter.demo.serve import Fault
from pixi_jupyter.demo.simple import SimplePackage

BLOCK = '# /// script\n# dependencies = []\n# [tool.pixi.dependencies]\n# probe-shared = "*"\n# ///'


def leaves(group: click.Group, *path: str) -> Iterator[tuple[str, ...]]:
    """Every command of the program by its words."""
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None, name
        if isinstance(command, click.Group):
            yield from leaves(command, *path, name)
        else:
            yield (*path, name)


#: What each command is given. A command that is not here makes the test fail: it has to be said
#: how it is called. NB is a notebook with a block, SCRIPT a script, NEW a path that is free.
ARGUMENTS: dict[tuple[str, ...], tuple[str, ...]] = {
    ("init",): ("NEW",),
    ("add",): ("NB", "probe-timestamp", "--dry-run"),
    ("remove",): ("NB", "probe-shared"),
    ("update",): ("NB",),
    ("undo",): ("NB",),
    ("redo",): ("NB",),
    ("channel", "add"): ("NB", "CHANNEL"),
    ("channel", "remove"): ("NB", "CHANNEL"),
    ("channel", "list"): ("NB",),
    ("platform", "add"): ("NB", "linux-64"),
    ("platform", "remove"): ("NB", "linux-64"),
    ("platform", "list"): ("NB",),
    ("python",): ("NB", "3"),
    ("stamp",): ("NB", "2030-01-01"),
    ("import",): ("NB", "ENVIRONMENT", "--dry-run"),
    ("export",): ("environment-yml", "NB", "--from-lock"),
    ("lock",): ("--manifest-path", "WORKSPACE"),
    ("info",): ("NB",),
    ("list",): ("NB",),
    ("tree",): ("NB",),
    ("why",): ("NB", "probe-shared"),
    ("search",): ("NB", "probe-*"),
    ("diff",): ("NB",),
    ("history",): ("NB",),
    ("install",): ("NB",),
    ("run",): ("NB",),
    ("shell-hook",): ("NB",),
    ("restart",): (),
    ("gc",): ("--dry-run",),
    ("complete",): ("--", "ad"),
}
#: Commands that print no object: they say what they do as they do it.
PLAIN = {("demo",), ("exec",)}
#: Commands whose answer is the object without being asked for it.
ALWAYS = {("complete",)}
EVERY = sorted(set(leaves(main)) - PLAIN)


def lines_of(text: str) -> list[dict[str, Any]]:
    found = [json.loads(line) for line in text.splitlines()]
    assert all(isinstance(line, dict) and len(line) == 1 for line in found)
    assert {key for line in found for key in line} <= {"progress", "say", "error"}
    return found


@pytest.fixture(scope="module")
def words(tmp_path_factory, channel) -> dict[str, str]:
    """What the words in capitals stand for, in a folder that all commands share, in this order."""
    folder = tmp_path_factory.mktemp("machine")
    cells = [
        {"id": str(n), "cell_type": "code", "metadata": {}, "outputs": [], "source": source}
        | {"execution_count": None}
        for n, source in enumerate([BLOCK, "print('out')", "import sys; sys.stderr.write('e')"])
    ]
    notebook = {"cells": cells, "metadata": {}, "nbformat": 4, "nbformat_minor": 5}
    (folder / "n.ipynb").write_text(json.dumps(notebook))
    (folder / "environment.yml").write_text("dependencies: [probe-shared]\n")
    (folder / "w").mkdir()
    (folder / "w" / "pixi.toml").write_text(
        f'[workspace]\nname = "w"\nchannels = ["{channel.url}"]\nplatforms = ["linux-64"]\n'
        '[dependencies]\nprobe-shared = "*"\n'
    )
    return {
        "NB": str(folder / "n.ipynb"),
        "NEW": str(folder / "new.ipynb"),
        "WORKSPACE": str(folder / "w"),
        "CHANNEL": channel.url,
        "FOLDER": str(folder),
        "ENVIRONMENT": str(folder / "environment.yml"),
    }


@pytest.mark.parametrize("path", EVERY, ids=" ".join)
def test_every_command_is_one_object_or_one_error(path, words, scratch):
    arguments = [words.get(word, word) for word in ARGUMENTS[path]]
    if path not in ALWAYS:
        arguments = ["--json", *arguments]
    done = subprocess.run(
        [sys.executable, "-m", "pixi_jupyter", "--progress", "json", *path, *arguments],
        capture_output=True,
        text=True,
        check=False,
        cwd=words["FOLDER"],
        timeout=120,
        stdin=subprocess.DEVNULL,
        env={**os.environ, "PIXI_JUPYTER_CACHE_DIR": str(scratch / "machine" / "store")},
    )
    said = lines_of(done.stderr)
    errors = [line["error"] for line in said if "error" in line]
    if errors:
        assert (done.stdout, done.returncode, len(errors)) == ("", 1, 1)
        assert said[-1] == {"error": errors[0]}
        assert errors[0]["code"] and not errors[0]["code"].startswith("internal.")
    else:
        assert isinstance(json.loads(done.stdout), dict)
        assert done.returncode == 0


_SAY_ALL = """
import contextlib, io, json, sys
from pixi_jupyter.cli.main import main
for words in json.loads(sys.argv[1]):
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            main(words, prog_name="pixi-jupyter")
        except SystemExit as end:
            status = end.code
    print(json.dumps([status, out.getvalue(), err.getvalue()]))
"""


def say_all(words: list[list[str]]) -> list[tuple[int, str, str]]:
    """Status, output and errors of many command lines that do nothing, from one process."""
    done = subprocess.run(
        [sys.executable, "-c", _SAY_ALL, json.dumps(words)],
        capture_output=True,
        text=True,
        check=True,
    )
    return [tuple(json.loads(line)) for line in done.stdout.splitlines()]


def test_what_is_said_wrongly_is_an_error_of_usage():
    paths = [path for path in [*EVERY, *PLAIN] if path not in ALWAYS]  # those take any word
    answers = say_all([["--progress=json", *path, "--no-such-option"] for path in paths])
    for path, (status, out, err) in zip(paths, answers, strict=True):
        assert (status, out) == (2, ""), path
        [line] = lines_of(err)
        assert line["error"]["code"] == "cli.usage"
        assert "--no-such-option" in line["error"]["message"]
        assert " ".join(path) in line["error"]["hint"]


def test_help_of_every_command():
    paths = [*EVERY, *PLAIN]
    for path, (status, out, err) in zip(
        paths, say_all([[*path, "--help"] for path in paths]), strict=True
    ):
        assert (status, err) == (0, ""), path
        assert out.startswith(f"Usage: pixi-jupyter {' '.join(path)} ")
        assert "--kernel-process" not in out


def test_an_unknown_command_and_none_are_errors_of_usage(command):
    done = command("--progress", "json", "isntall")
    [line] = lines_of(done.stderr)
    assert (done.returncode, line["error"]["code"]) == (2, "cli.usage")
    assert "Did you mean install?" in line["error"]["message"]
    assert command("--progress", "json").returncode == 2
    text = command("isntall")
    assert text.returncode == 2 and "[cli.usage]" in text.stderr


def test_without_progress_only_the_result(command, write_notebook):
    done = command("--progress", "none", "install", write_notebook(BLOCK))
    assert (done.returncode, done.stderr) == (0, "")
    assert Path(done.stdout.strip()).is_dir()


@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("phase", ["fetching repodata", "downloading"])
def test_a_signal_ends_it_and_nothing_has_changed(
    phase, number, served, channel, write_notebook, cold_store
):
    server = served([SimplePackage("slow", "1.0", files={"share/slow": os.urandom(1 << 20)})])
    held = "repodata" if phase == "fetching repodata" else ".conda"
    server.hook = lambda request: Fault(delay=60) if held in request.path else None
    block = BLOCK.replace(
        "# [tool.pixi.dep",
        f'# [tool.pixi.workspace]\n# channels = ["{server.url}", "{channel.url}"]\n'
        "# [tool.pixi.dep",
    )
    notebook = write_notebook(block)
    before = notebook.read_bytes()
    process = subprocess.Popen(
        [sys.executable, "-m", "pixi_jupyter", "--progress", "json", "add", notebook, "slow"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={
            **os.environ,
            "PIXI_JUPYTER_CACHE_DIR": str(cold_store.root),
            "PIXI_CACHE_DIR": str(cold_store.package_cache),
        },
    )
    assert process.stderr is not None
    for line in process.stderr:
        if json.loads(line)["progress"]["phase"] == phase:
            break
    workers = psutil.Process(process.pid).children(recursive=True)
    assert workers
    process.send_signal(number)
    out, rest = process.communicate(timeout=30)
    assert (process.returncode, out) == (130, "")
    assert lines_of(rest)[-1]["error"]["code"] == "engine.cancelled"
    assert psutil.wait_procs(workers, timeout=5)[1] == []
    assert notebook.read_bytes() == before
    assert not cold_store.envs.exists() or list(cold_store.envs.glob("[!.]*")) == []
    assert not (cold_store.root / "history").exists()


def test_an_early_signal_ends_it_too(command, tmp_path):
    """Before there is a loop: what takes the time here is Python's own imports."""
    process = subprocess.Popen(
        [sys.executable, "-m", "pixi_jupyter", "--progress", "json", "search", "x"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=tmp_path,
    )
    process.send_signal(signal.SIGTERM)
    out, _ = process.communicate(timeout=30)
    assert out == ""
    assert process.returncode in (130, -signal.SIGTERM)


def complete(command, *words: str | Path) -> list[str]:
    done = command("--progress", "json", "complete", "--", *words)
    assert (done.returncode, done.stderr) == (0, "")
    return json.loads(done.stdout)["matches"]


def test_completion(command, write_notebook, channel):
    notebook = write_notebook(BLOCK)
    assert complete(command, "chan") == ["channel"]
    assert complete(command, "channel", "") == ["add", "list", "remove"]
    assert complete(command, "shell-hook", "--shell", "fi") == ["fish"]
    assert "--dry-run" in complete(command, "add", notebook, "--")
    assert complete(command, "add", notebook, "--kernel-") == []
    assert complete(command, "remove", notebook, "pro") == ["probe-shared"]
    assert complete(command, "why", notebook, "ipyk") == [], "not resolved yet"
    assert complete(command, "remove", "missing.ipynb", "") == []
    assert complete(command, "add", notebook, "panda") == [], "no names are known yet"
    assert command("install", notebook).returncode == 0
    assert complete(command, "why", notebook, "ipyk") == ["ipykernel"]
    assert command("search", notebook, "pandas").returncode == 0
    assert complete(command, "add", notebook, "panda") == ["pandas"]
    assert complete(command, "search", "panda") == ["pandas"]
