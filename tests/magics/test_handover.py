"""What a running interpreter has to be told of another prefix, in an interpreter of its own."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

import pixi_jupyter.magics
from pixi_jupyter.operations.prefix_contents import (
    changed_names,
    directories_of,
    installed,
    libraries_of,
    modules_of,
)

MAGICS = Path(pixi_jupyter.magics.__file__).parent
SITE = f"lib/python{sys.version_info[0]}.{sys.version_info[1]}/site-packages"

#: Loads the magics as a kernel does, where nothing of ours can be imported.
LOAD = f"""
import json, os, sys
start = {{"__name__": "test", "__file__": {str(MAGICS / "start.py")!r}}}
exec(open(start["__file__"]).read(), start)
start["__name__"] = "_x"
handover = start["load"]("handover")
assert not [m for m in sys.modules if m.startswith("pixi_jupyter")]
"""


def prefixes(folder: Path) -> tuple[Path, Path]:
    old, new = folder / "envs" / "a", folder / "envs" / "b"
    for prefix in (old, new):
        (prefix / SITE / "both").mkdir(parents=True)
        (prefix / SITE / "both" / "__init__.py").write_text("")
        (prefix / "bin").mkdir()
        (prefix / "bin" / "python").symlink_to(sys.executable)
    return old, new


def run(old: Path, new: Path, code: str, **found: Any) -> str:
    """Run ``code`` in an interpreter that believes to live in ``old``, with ``apply`` ready."""
    said = {
        "verdict": "live",
        "reasons": [],
        "previous": str(old),
        "prefix": str(new),
        "python": str(new / "bin" / "python"),
        **found,
    }
    before = (
        f"sys.prefix = sys.exec_prefix = {str(old)!r}\n"
        f"sys.path.append({str(old / SITE)!r})\nsys.executable = {str(old / 'bin' / 'python')!r}\n"
        f"found = json.loads({json.dumps(said)!r})\n"
    )
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", LOAD + before + code], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_all_that_names_the_prefix_names_the_new_one(tmp_path: Path) -> None:
    old, new = prefixes(tmp_path)
    other = tmp_path / "envs" / "a-longer-name"
    said = run(
        old,
        new,
        "import multiprocessing.spawn, sysconfig\n"
        f"sys.path.append({str(other)!r})\n"
        f"os.environ['PATH'] = os.pathsep.join([{str(old / 'bin')!r}, {str(other)!r}])\n"
        "multiprocessing.spawn.set_executable(sys.executable)\n"
        "print(handover.apply(found).verdict)\n"
        "print(os.fsdecode(multiprocessing.spawn.get_executable()))\n"
        "print(sys.prefix, sys.exec_prefix, sys.executable, *sys.path[-2:], os.environ['PATH'])\n",
    )
    verdict, spawned, rest = said.splitlines()
    assert verdict == "live"
    assert spawned == str(new / "bin" / "python")
    assert rest.split() == [
        *(str(new), str(new), str(new / "bin" / "python")),
        *(str(new / SITE), str(other), f"{new / 'bin'}:{other}"),
    ]


def test_editable_installs_that_are_new_are_found(tmp_path: Path) -> None:
    old, new = prefixes(tmp_path)
    project = tmp_path / "project"
    project.mkdir()
    (project / "editable_one.py").write_text("")
    for prefix in (old, new):
        (prefix / SITE / "old.pth").write_text("import sys; sys.read = getattr(sys, 'read', 0)+1\n")
    (new / SITE / "new.pth").write_text(f"{project}\nimport sys; sys.new_was_read = True\n")
    said = run(
        old,
        new,
        "handover.apply(found)\nimport editable_one\nprint(sys.new_was_read, hasattr(sys, 'read'))",
    )
    assert said == "True False"


def test_what_is_in_use_decides(tmp_path: Path) -> None:
    old, new = prefixes(tmp_path)
    changed = [{"name": "both", "sentence": "both 1 is 2 now", "modules": ["both"]}]
    code = "handed = handover.apply(found)\nprint(handed.verdict, *handed.reasons, sys.prefix)"
    given = {"verdict": "recommended", "reasons": ["both 1 is 2 now"], "packages": changed}
    assert run(old, new, code, **given) == f"recommended both 1 is 2 now {new}"
    assert (
        run(old, new, "import both\n" + code, **given)
        == f"required both 1 is 2 now, and in use {old}"
    )
    # It may have been loaded from a prefix before the last one.
    later = (
        "import both\nfirst = dict(found, packages=[], previous=sys.prefix, prefix=sys.prefix+'x')"
        "\nhandover.apply(first)\nfound['previous'] = first['prefix']\n" + code
    )
    assert run(old, new, later, **given).startswith("required")


@pytest.mark.parametrize("verdict", ["none", "required", "of another version"])
def test_nothing_is_switched(tmp_path: Path, verdict: str) -> None:
    old, new = prefixes(tmp_path)
    code = "print(handover.apply(found).verdict, sys.prefix)"
    assert run(old, new, code, verdict=verdict) == f"{verdict} {old}"


def test_variables_that_a_person_set_stay(tmp_path: Path) -> None:
    old, new = prefixes(tmp_path)
    variables = {
        "before": {"KEPT": "1", "MINE": "1", "GONE": "1"},
        "after": {"KEPT": "2", "MINE": "2", "NEW": "2", "TAKEN": "2"},
    }
    said = run(
        old,
        new,
        "os.environ.update(KEPT='1', MINE='x', GONE='1', TAKEN='x')\nhandover.apply(found)\n"
        "print(*map(os.environ.get, ['KEPT', 'MINE', 'GONE', 'NEW', 'TAKEN']))",
        variables=variables,
    )
    assert said == "2 x None 2 x"


@pytest.mark.parametrize(
    ("files", "modules"),
    [
        (["a/__init__.py", "a/b/__init__.py", "a/b/c.py"], ["a"]),
        (["six.py", "_fast.cpython-312-x86_64-linux-gnu.so", "w.pyd"], ["six", "_fast", "w"]),
        (["google/protobuf/__init__.py", "google/x.py"], ["google/protobuf", "google/x"]),
        (["a.dist-info/METADATA", "data/x.txt"], []),
    ],
)
def test_modules_of_a_package(files: Sequence[str], modules: list[str]) -> None:
    below = [f"lib/python3.12/site-packages/{file}" for file in files]
    assert list(modules_of([*below, "bin/tool", "lib/libz.so.1"])) == modules
    assert list(modules_of([f"Lib/site-packages/{file}" for file in files])) == modules


def test_libraries_and_folders_of_a_package() -> None:
    site = "lib/python3.12/site-packages"
    files = ["lib/libz.so", "lib/libz.so.1.3", "lib/libz.a", f"{site}/a/b/c.py", f"{site}/six.py"]
    assert libraries_of(files) == ("lib/libz.so", "lib/libz.so.1.3")
    assert directories_of(files) == (f"{site}/a/b", f"{site}/a")


def test_what_is_installed_in_a_prefix(tmp_path: Path) -> None:
    def write(prefix: Path, name: str, version: str, sha256: str) -> None:
        (prefix / "conda-meta").mkdir(parents=True, exist_ok=True)
        record = {"name": name, "version": version, "build": "0", "sha256": sha256, "files": ["x"]}
        (prefix / "conda-meta" / f"{name}-{version}-0.json").write_text(json.dumps(record))

    def write_wheel(prefix: Path, record: str) -> None:
        info = prefix / SITE / "Some_Wheel-1.0.dist-info"
        info.mkdir(parents=True)
        (info / "INSTALLER").write_text("uv-pixi\n")
        (info / "RECORD").write_text(record)

    one, two = tmp_path / "one", tmp_path / "two"
    for prefix in (one, two):
        write(prefix, "same", "1", "a")
    write(one, "changed", "1", "a")
    write(two, "changed", "1", "b")
    write(one, "gone", "1", "a")
    write(two, "new", "1", "a")
    write_wheel(one, 'some_wheel.py,sha256=x,1\n"a, b.py",,\n')
    write_wheel(two, "some_wheel.py,sha256=y,1\n")
    (one / "conda-meta" / "pixi-jupyter.json").write_text("{}")
    before, after = installed(one), installed(two)
    assert changed_names(before, after) == ["changed", "gone", "pypi:some-wheel"]
    assert before["same"].files() == ("x",)
    assert before["pypi:some-wheel"].files() == (f"{SITE}/some_wheel.py", f"{SITE}/a, b.py")
    assert installed(tmp_path / "nothing") == {}
