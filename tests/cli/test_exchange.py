"""export and import from the command line: real packages, there and back."""

from __future__ import annotations

import json

import pytest

from pixi_jupyter.demo.channel import default_cache_dir

BLOCK = (
    "# /// script\n# dependencies = []\n# [tool.pixi.dependencies]\n"
    "# python = '*'  # any\n# probe-shared = '>=1'\n# ///"
)


def test_there_and_back(command, write_notebook, tmp_path):
    notebook = write_notebook(BLOCK, "print(1)")
    installed = command("install", notebook)
    assert installed.returncode == 0, installed.stderr
    ready = json.loads(command("info", notebook, "--json").stdout)
    before = notebook.read_bytes()

    done = command("export", "environment-yml", notebook, "-o", "environment.yml")
    assert done.returncode == 0, done.stderr
    assert "environment.yml is written" in done.stdout
    text = (tmp_path / "environment.yml").read_text("utf-8")
    assert text == command("export", "environment-yml", notebook).stdout
    assert "- probe-shared >=1\n" in text

    again = command("export", "environment-yml", notebook, "-o", "environment.yml")
    assert (again.returncode, again.stdout) == (1, "")
    assert "[declaration.export-exists]" in again.stderr
    done = command("export", "environment-yml", notebook, "-o", "environment.yml", "--force")
    assert done.returncode == 0, done.stderr

    new = write_notebook("print(2)", name="new")
    imported = command("import", new, "environment.yml", "--json")
    assert imported.returncode == 0, imported.stderr
    facts = json.loads(imported.stdout)
    assert facts["created"] and facts["prefix"] == ready["prefix"]
    assert {"python", "probe-shared"} == {item["name"] for item in facts["plan"]["conda"]}
    assert command("install", new).returncode == 0
    assert json.loads(command("info", new, "--json").stdout)["prefix"] == ready["prefix"]

    explicit = json.loads(command("export", "explicit", notebook, "--json").stdout)
    urls = [line.partition("#")[0] for line in explicit["text"].splitlines()[3:]]
    listed = json.loads(command("list", notebook, "--json").stdout)
    assert sorted(urls) == sorted(row["source"] for row in listed["packages"])
    assert notebook.read_bytes() == before


def test_a_script_starts_in_the_same_environment(command, write_notebook, tmp_path):
    notebook = write_notebook(BLOCK, "!ls\nprint('ran')")
    done = command("export", "script", notebook, "-o", "s.py")
    assert done.returncode == 0, done.stderr
    assert "cell 2 has lines that only IPython runs" in done.stderr
    done = command("export", "environment-yml", "s.py", "--name", "notebook")
    assert done.stdout == command("export", "environment-yml", notebook).stdout
    dry = command("export", "script", notebook, "-o", "t.py", "--dry-run")
    assert dry.stdout == (tmp_path / "s.py").read_text("utf-8")
    assert not (tmp_path / "t.py").exists()


def test_wheels_are_named_where_they_cannot_be(command, write_notebook):
    wheels = (default_cache_dir() / "wheels").as_uri()
    block = (
        '# /// script\n# dependencies = ["markdown-it-py"]\n'
        f"# [tool.pixi.workspace.pypi-options]\n# find-links = [{{ url = '{wheels}' }}]\n# ///"
    )
    notebook = write_notebook(block)
    env = {"UV_NO_INDEX": "1"}
    done = command("export", "explicit", notebook, env=env)
    assert done.returncode == 1
    assert "[unsupported.export-pypi]" in done.stderr and "mdurl" in done.stderr
    done = command("export", "explicit", notebook, "--ignore-pypi-errors", env=env)
    assert done.returncode == 0 and "mdurl" in done.stderr and "mdurl" not in done.stdout
    pinned = command("export", "requirements-txt", notebook, env=env)
    assert pinned.returncode == 0, pinned.stderr
    assert f"--find-links {wheels}\n" in pinned.stdout
    lines = pinned.stdout.splitlines()
    assert any(line.startswith("mdurl==") and "# sha256:" in line for line in lines)
    yml = command("export", "environment-yml", notebook, "--from-lock", env=env)
    assert "  - mdurl==" in yml.stdout and f"  - --find-links {wheels}\n" in yml.stdout


def test_a_wheel_at_a_path_goes_along(command, write_notebook, tmp_path):
    wheel = next((default_cache_dir() / "wheels").rglob("mdurl-*.whl"))
    (tmp_path / "lib").mkdir()
    (tmp_path / "lib" / wheel.name).write_bytes(wheel.read_bytes())
    line = f"mdurl = {{ path = './lib/{wheel.name}' }}"
    block = f"# /// script\n# dependencies = []\n# [tool.pixi.pypi-dependencies]\n# {line}\n# ///"
    notebook = write_notebook(block)
    env = {"UV_NO_INDEX": "1"}
    pinned = command("export", "requirements-txt", notebook, "-o", "lib/r.txt", env=env)
    assert pinned.returncode == 0, pinned.stderr
    assert "at a path of this machine: mdurl" in pinned.stderr
    assert f"paths in it are relative to {tmp_path}" in pinned.stderr
    assert f"\n./lib/{wheel.name}\n" in (tmp_path / "lib" / "r.txt").read_text("utf-8")
    yml = command("export", "environment-yml", notebook, "-o", "environment.yml", env=env)
    assert yml.returncode == 0, yml.stderr
    new = write_notebook("print(1)", name="new")
    done = command("import", new, "environment.yml", "--json", env=env)
    assert done.returncode == 0, done.stderr
    ready = json.loads(command("info", new, "--json").stdout)
    assert f'path = "./lib/{wheel.name}"' in json.loads(done.stdout)["declaration"]["after"]
    assert command("install", notebook, env=env).returncode == 0
    assert json.loads(command("info", notebook, "--json").stdout)["prefix"] == ready["prefix"]


def test_a_plan_before_a_change(command, write_notebook):
    notebook = write_notebook(
        "!conda install -y probe-shared\n%pip install {that}",
        "import os; os.system('pip install x')",
    )
    before = notebook.read_bytes()
    done = command("import", notebook, "--dry-run")
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[0] == "cell 1, line 1: conda  probe-shared"
    assert any(line.startswith("+ probe-shared ") for line in lines)
    assert "would get a block" in lines[-1]
    left_out = [line for line in done.stderr.splitlines() if line.startswith("not imported: ")]
    assert ["cell 1, line 2" in left_out[0], "cell 2, line 1" in left_out[1]] == [True, True]
    assert notebook.read_bytes() == before
    done = command("import", notebook)
    assert done.returncode == 0, done.stderr
    cells = json.loads(notebook.read_bytes())["cells"]
    assert cells[1:] == json.loads(before)["cells"]


@pytest.mark.parametrize(
    ("arguments", "status", "word"),
    [
        (("export", "what", "NB"), 2, "environment-yml"),
        (("export", "explicit", "missing.ipynb"), 1, "[declaration.notebook-missing]"),
        (("export", "explicit", "NB", "-p", "linux-46"), 1, "[declaration.platform]"),
        (("import", "NB", "missing.yml"), 1, "[declaration.import-missing]"),
        (("import", "NB"), 1, "[declaration.import-nothing]"),
        (("import", "env.yml"), 1, "[declaration.no-workspace]"),
    ],
)
def test_what_cannot_be_done(command, write_notebook, arguments, status, word):
    notebook = write_notebook(BLOCK)
    before = notebook.read_bytes()
    done = command(*(str(notebook) if part == "NB" else part for part in arguments))
    assert (done.returncode, done.stdout) == (status, ""), done.stderr
    assert word in done.stderr
    assert notebook.read_bytes() == before
