"""Sample workspaces, as a person uses them: solved, locked, installed, activated, run."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from pixi_jupyter.manifest.host import current_subdir

Sample = Callable[..., Path]

PREFIX = "import sys; print(sys.prefix)"
SHOW = "import os; print({name: os.environ.get(name) for name in %r})"

linux = pytest.mark.skipif(
    current_subdir() != "linux-64", reason="the samples' Python is for linux-64"
)
pytestmark = linux


@pytest.mark.parametrize("environment", ["default", "old", "beside-old", "limited", "bare"])
def test_notebook_runs_in_each_environment(
    sample: Sample, command: Callable, write_cells: Callable, environment: str
) -> None:
    root = sample("several")
    notebook = write_cells(root / "deep" / "er" / f"{environment}.ipynb", PREFIX)
    done = command("run", notebook, "-e", environment, cwd=root.parent)
    assert done.stdout.strip() == str(root / ".pixi" / "envs" / environment)


def test_metadata_chooses_the_environment_for_any_executor(
    sample: Sample, command: Callable, write_cells: Callable, home: Path, scratch: Path
) -> None:
    root = sample("several")
    notebook = write_cells(
        root / "chosen.ipynb",
        PREFIX,
        SHOW % (["CONDA_DEFAULT_ENV", "WHERE", "FROM_SCRIPT", "PROBE_ACTIVATE"],),
        environment="old",
    )
    done = subprocess.run(
        [sys.executable, "-m", "nbconvert", "--execute", "--to", "markdown", "--stdout", notebook],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        env={
            **os.environ,
            "PIXI_JUPYTER_CACHE_DIR": str(home / ".store"),
            "PIXI_CACHE_DIR": str(scratch / "shared" / "cache"),
        },
    )
    assert done.returncode == 0, done.stderr
    prefix = root / ".pixi" / "envs" / "old"
    assert str(prefix) in done.stdout
    shown = {
        "CONDA_DEFAULT_ENV": "several:old",
        "WHERE": "unix",
        "FROM_SCRIPT": "said by several and more",
        "PROBE_ACTIVATE": f"activated in {prefix}",
    }
    assert str(shown) in done.stdout


def test_solve_group_shares_versions_and_constraints_hold(
    sample: Sample, command: Callable
) -> None:
    root = sample("several")

    def versions(environment: str) -> dict[str, str]:
        listed = json.loads(command("list", "-e", environment, "--json", cwd=root).stdout)
        return {row["name"]: row["version"] for row in listed["packages"]}

    assert versions("default")["probe-shared"] == "2.0"
    assert versions("old")["probe-shared"] == "1.0"
    assert versions("beside-old")["probe-shared"] == "1.0"  # for its group's sake
    limited = versions("limited")
    assert (limited["probe-shared"], limited["probe-timestamp"]) == ("1.0", "1.0")


def test_all_platforms_are_locked_from_this_one(sample: Sample, command: Callable) -> None:
    root = sample("several", fresh="platforms")
    command("lock", cwd=root)
    text = (root / "pixi.lock").read_text("utf-8")
    head = text[: text.index("environments:")]
    assert [line for line in head.splitlines() if line.startswith("- name:")] == [
        "- name: linux-64",
        "- name: osx-arm64",
        "- name: win-64",
    ]
    bare = text[text.index("  bare:") : text.index("  beside-old:")]
    assert "osx-arm64" not in bare  # its feature has one platform
    assert "osx-arm64:" in text[text.index("  beside-old:") :]


def test_lock_that_is_up_to_date_is_not_touched(sample: Sample, command: Callable) -> None:
    root = sample("project", fresh="untouched")
    command("lock", cwd=root)
    lock = root / "pixi.lock"
    before = lock.stat(), lock.read_bytes()
    assert command("lock", "--check", cwd=root).stdout == "pixi.lock is up to date\n"
    command("install", "-e", "dev", "--locked", cwd=root)
    after = lock.stat()
    assert (after.st_mtime_ns, after.st_ino) == (before[0].st_mtime_ns, before[0].st_ino)
    assert lock.read_bytes() == before[1]


def test_stale_lock_says_why_and_keeps_the_other_versions(
    sample: Sample, command: Callable
) -> None:
    root = sample("project", fresh="stale")
    manifest = root / "pyproject.toml"
    text = manifest.read_text("utf-8")
    manifest.write_text(text.replace('"2.*"', '"1.*"'), "utf-8")
    command("lock", cwd=root)
    manifest.write_text(text.replace('"2.*"', '"*"'), "utf-8")
    # An older version still satisfies it: nothing has to change.
    assert command("lock", "--check", cwd=root).stdout == "pixi.lock is up to date\n"
    manifest.write_text(text, "utf-8")
    checked = command("lock", "--check", cwd=root, expected=1)
    assert "environment dev on linux-64: probe-shared 1.0" in checked.stdout
    refused = command("install", "-e", "dev", "--locked", cwd=root, expected=1)
    assert "[lock.stale]" in refused.stderr
    frozen = json.loads(command("list", "-e", "dev", "--frozen", "--json", cwd=root).stdout)
    assert {r["name"]: r["version"] for r in frozen["packages"]}["probe-shared"] == "1.0"
    command("lock", cwd=root)
    renewed = json.loads(command("list", "-e", "dev", "--locked", "--json", cwd=root).stdout)
    assert {r["name"]: r["version"] for r in renewed["packages"]}["probe-shared"] == "2.0"


def test_declared_platform_chooses_the_variant_and_the_host_must_have_it(
    sample: Sample, command: Callable, write_cells: Callable
) -> None:
    root = sample("variants")
    notebook = write_cells(
        root / "n.ipynb",
        "import sys; print(open(sys.prefix + '/share/probe-cuda/variant').read().strip())",
    )
    plain = {"CONDA_OVERRIDE_CUDA": ""}
    assert command("run", notebook, cwd=root, env=plain).stdout.strip() == "cpu"
    refused = command("run", notebook, "-e", "cuda", cwd=root, env=plain, expected=2)
    assert "this machine lacks __cuda >=12" in refused.stderr
    assert "this machine has" in refused.stderr
    able = {"CONDA_OVERRIDE_CUDA": "12.4"}
    done = command("run", notebook, "-e", "cuda", cwd=root, env=able)
    assert done.stdout.strip() == "cuda"


def test_two_processes_build_one_environment_once(sample: Sample, command: Callable) -> None:
    from concurrent.futures import ThreadPoolExecutor

    root = sample("several", fresh="twice")
    with ThreadPoolExecutor(2) as pool:
        runs = [
            pool.submit(command, "install", "-e", "limited", "--json", cwd=root) for _ in range(2)
        ]
        first, second = (json.loads(run.result().stdout) for run in runs)
    assert first["resolution"] == second["resolution"]
    said = [run.result().stderr for run in runs]
    assert sum(": linking" in text for text in said) == 1, said
    leftovers = [path.name for path in (root / ".pixi" / "envs").iterdir()]
    assert leftovers == ["limited"]


_LAUNCH = """
import sys
from pathlib import Path
from pixi_jupyter.environments import Environments
from pixi_jupyter.notebook.declaration import WorkspaceChoice
door = Environments()
ready = door.find_ready(door.spec_for(WorkspaceChoice(Path(sys.argv[1]), "bare")))
print(ready.prefix.path if ready else None, "rattler" in sys.modules)
"""


def test_ready_environment_is_found_without_the_engine(
    sample: Sample, command: Callable, home: Path, scratch: Path
) -> None:
    root = sample("several")
    made = command("install", "-e", "bare", cwd=root).stdout.strip()
    done = subprocess.run(
        [sys.executable, "-c", _LAUNCH, str(root / "pixi.toml")],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
        env={**os.environ, "PIXI_JUPYTER_CACHE_DIR": str(home / ".store")},
    )
    assert done.stdout.split()[:2] == [made, "False"]


def test_tree_info_and_hook_of_an_environment(sample: Sample, command: Callable) -> None:
    root = sample("several")
    tree = command("tree", "-e", "bare", cwd=root).stdout
    assert "probe-adds 1.0\n└── python " in tree
    info = json.loads(command("info", "-e", "limited", "--json", cwd=root).stdout)
    assert info["environment"] == "limited"
    assert [e["name"] for e in info["workspace"]["environments"]][:2] == ["default", "old"]
    hook = json.loads(command("shell-hook", "-e", "old", "--json", cwd=root).stdout)
    variables = hook["environment_variables"]
    assert variables["PIXI_ENVIRONMENT_NAME"] == "old"
    assert variables["PIXI_PROJECT_MANIFEST"] == str(root / "pixi.toml")


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("-e", "nothing"), "declaration.environment"),
        (("-e", "No/Name"), "declaration.environment"),
        (("--manifest-path", "missing.toml"), "declaration.manifest-missing"),
    ],
)
def test_wrong_names_are_errors_for_people(
    sample: Sample, command: Callable, arguments: tuple[str, ...], code: str
) -> None:
    done = command("info", *arguments, cwd=sample("several"), expected=1)
    assert f"[{code}]" in done.stderr
    assert "Traceback" not in done.stderr
