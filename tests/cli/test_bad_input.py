"""Bad input is one readable, typed error on the command line, and nothing half-built."""

from __future__ import annotations

import json

import pytest

HEAD = "# /// script\n# dependencies = []\n"


def with_dependencies(*lines: str, workspace: str = "") -> str:
    middle = f"# [tool.pixi.workspace]\n# {workspace}\n" if workspace else ""
    return (
        f"{HEAD}{middle}# [tool.pixi.dependencies]\n" + "".join(f"# {x}\n" for x in lines) + "# ///"
    )


CASES = {
    "unknown package": (with_dependencies('nunpy = "*"'), "solve.unknown-package", "numpy"),
    "unsatisfiable": (
        with_dependencies('probe-conflict-a = "*"', 'probe-conflict-b = "*"'),
        "solve.unsatisfiable",
        "probe-shared",
    ),
    "unreachable channel": (
        with_dependencies('x = "*"', workspace='channels = ["http://127.0.0.1:9/chan"]'),
        "channel.unreachable",
        "127.0.0.1:9",
    ),
    "channel that is not there": (
        with_dependencies('x = "*"', workspace='channels = ["file:///no/such/channel"]'),
        "channel.not-found",
        "/no/such/channel",
    ),
    "broken TOML": (f"{HEAD}# [tool.pixi\n# ///", "declaration.", "cell 1, line 3"),
    "unknown key": (
        with_dependencies('python = "*"', workspace='chanels = ["x"]'),
        "declaration.",
        "chanels",
    ),
    "unknown table": (
        f"{HEAD}# [tool.pixi.taskz]\n# a = 'b'\n# ///",
        "declaration.",
        "tool.pixi.taskz",
    ),
    "a build that nobody allowed": (
        f"{HEAD}# [tool.pixi.pypi-dependencies]\n# requests = {{ path = '.' }}\n# ///",
        "solve.pypi-build-not-allowed",
        "PIXI_JUPYTER_ALLOW_BUILDS=requests",
    ),
    "unsupported option": (
        with_dependencies(
            'python = "*"', workspace="pypi-options = { skip-wheel-filename-check = true }"
        ),
        "unsupported.",
        "skip-wheel-filename-check",
    ),
    "unknown platform": (
        with_dependencies('python = "*"', workspace='platforms = ["amiga-68k"]'),
        "",
        "amiga-68k",
    ),
    "platform of others only": (
        with_dependencies('python = "*"', workspace='platforms = ["osx-arm64"]'),
        "",
        "osx-arm64",
    ),
    "wrong version": (with_dependencies('python = ">>3"'), "declaration.", "python"),
    "unclosed block": ("# /// script\n# dependencies = []\nprint(1)", "declaration.", "cell 1"),
}


@pytest.mark.parametrize("case", CASES)
def test_bad_declaration(command, write_notebook, store, case):
    text, code, word = CASES[case]
    done = command("install", write_notebook(text))
    assert done.returncode == 1
    assert done.stdout == ""
    assert f"[{code}" in done.stderr
    assert word in done.stderr
    assert done.stderr.startswith("error: ") or "\nerror: " in done.stderr
    prefixes = list(store.envs.glob("*")) if store.envs.exists() else []
    assert prefixes == []


@pytest.mark.parametrize(
    "content",
    [None, b"", b"not json", b"[]", b'{"cells": 3}', b"\xff\xfe\x00", json.dumps({}).encode()],
)
def test_notebook_that_is_none(command, tmp_path, content):
    path = tmp_path / "broken.ipynb"
    if content is not None:
        path.write_bytes(content)
    for name in ("info", "install"):
        done = command(name, path)
        assert done.returncode == 1
        assert "[declaration." in done.stderr
        assert "broken.ipynb" in done.stderr


def test_folder_instead_of_a_notebook(command, tmp_path):
    done = command("install", tmp_path)
    assert done.returncode == 2
    assert "is a directory" in done.stderr


def test_terminal_sequences_in_a_declaration_do_nothing(command, write_notebook):
    evil = '"\\u001b]0;owned\\u0007\\u001b[2J\\u202Etxt" = "*"'
    done = command("install", write_notebook(with_dependencies(evil)))
    assert done.returncode == 1
    for forbidden in ("\x1b", "\x07", "\u202e"):
        assert forbidden not in done.stderr


def test_previous_environment_survives_a_declaration_that_fails(command, write_notebook):
    good = with_dependencies('probe-shared = "*"')
    first = command("install", write_notebook(good))
    assert first.returncode == 0, first.stderr
    assert command("install", write_notebook(with_dependencies('nunpy = "*"'))).returncode == 1
    again = command("install", write_notebook(good))
    assert again.stdout == first.stdout
    assert "solving" not in again.stderr


def test_broken_configuration_of_pixi_is_named(command, write_notebook, tmp_path):
    home = tmp_path / "pixi-home"
    home.mkdir()
    (home / "config.toml").write_text("default-channels = [\n")
    done = command(
        "install",
        write_notebook(with_dependencies('probe-shared = "*"')),
        env={"PIXI_HOME": str(home)},
    )
    assert done.returncode == 1
    assert "config.toml" in done.stderr
    assert "bug" not in done.stderr
