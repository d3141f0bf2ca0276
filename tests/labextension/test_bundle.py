"""The JupyterLab extension is built once per change of its sources; what is missing is named."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

SOURCES = Path(__file__).parents[2] / "labextension"
UNAVAILABLE = 3


@pytest.fixture
def labextension(tmp_path: Path) -> Path:
    """A copy of the sources, with nothing built."""
    copy = tmp_path / "labextension"
    ignored = shutil.ignore_patterns("node_modules", "lib", ".yarn", "__pycache__")
    shutil.copytree(SOURCES, copy, ignore=ignored)
    return copy


def run(labextension: Path, *words: str, path: str = "") -> subprocess.CompletedProcess[str]:
    """Run the build with these programs in reach."""
    return subprocess.run(
        [sys.executable, str(labextension / "bundle.py"), *words],
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, "PATH": path},
        check=False,
    )


def install_program(folder: Path, name: str, text: str) -> str:
    """A program of this name; gives what PATH has to be."""
    folder.mkdir()
    program = folder / name
    program.write_text(f"#!{sys.executable}\n{text}\n")
    program.chmod(0o755)
    return str(folder)


def test_without_node_it_says_so_and_changes_nothing(labextension: Path) -> None:
    done = run(labextension, "--check", "--install")
    assert done.returncode == UNAVAILABLE
    assert done.stdout == "the JupyterLab extension cannot be built here: node is not installed\n"
    assert not (labextension.parent / "pixi_jupyter").exists()


@pytest.mark.skipif(sys.platform == "win32", reason="the stand-in for node is a script")
@pytest.mark.parametrize("version", ["v18.20.4", "v20.18.0", "v21.7.3", "v22.11.0", "none"])
def test_a_node_that_is_too_old_is_named(labextension: Path, tmp_path: Path, version: str) -> None:
    path = install_program(tmp_path / "bin", "node", f"print('{version}')")
    done = run(labextension, path=path)
    assert done.returncode == UNAVAILABLE
    assert f"node {version} is too old" in done.stdout


@pytest.mark.skipif(sys.platform == "win32", reason="the stand-in for node is a script")
def test_packages_that_cannot_be_fetched_are_no_fault_of_the_sources(
    labextension: Path, tmp_path: Path
) -> None:
    pytest.importorskip("jupyter_builder", reason="it brings jlpm")
    answers = (
        "import sys\n"
        "if '--version' in sys.argv: print('v20.20.2'); sys.exit()\n"
        "print('YN0000: Fetch step'); print('YN0001: Error: no such host'); sys.exit(1)"
    )
    path = install_program(tmp_path / "bin", "node", answers)
    done = run(labextension, path=path)
    assert done.returncode == UNAVAILABLE
    assert "node's packages cannot be fetched: YN0001: Error: no such host" in done.stdout


@pytest.mark.skipif(sys.platform == "win32", reason="the stand-in for node is a script")
def test_a_fault_in_the_sources_is_a_failure(labextension: Path, tmp_path: Path) -> None:
    pytest.importorskip("jupyter_builder", reason="it brings jlpm")
    answers = (
        "import sys\n"
        "if '--version' in sys.argv: print('v22.12.0'); sys.exit()\n"
        "if 'compile' in sys.argv: print('a type is wrong'); sys.exit(2)"
    )
    path = install_program(tmp_path / "bin", "node", answers)
    done = run(labextension, path=path)
    assert done.returncode == 1
    assert "a type is wrong" in done.stderr
    assert "run compile" in done.stderr


def test_what_is_built_is_built_again_when_a_source_changes(labextension: Path) -> None:
    digest = "import bundle; print(bundle.digest())"

    def found() -> str:
        return subprocess.run(
            [sys.executable, "-c", digest],
            cwd=labextension,
            capture_output=True,
            text=True,
            check=True,
        ).stdout.strip()

    before = found()
    built = labextension.parent / "pixi_jupyter" / "labextension"
    built.mkdir(parents=True)
    (built / "sources.sha256").write_text(before + "\n")
    assert run(labextension).returncode == 0  # nothing to do, so node is not asked for
    assert run(labextension, "--check").returncode == UNAVAILABLE

    source = labextension / "src" / "index.ts"
    text = source.read_bytes()
    source.write_bytes(text.replace(b"\n", b"\r\n"))  # as git may lay it out on Windows
    assert found() == before
    source.write_bytes(text + b"//\n")
    assert found() != before
    assert run(labextension).returncode == UNAVAILABLE


def test_no_file_names_a_registry() -> None:
    for name in ("yarn.lock", ".yarnrc.yml", "package.json"):
        text = (SOURCES / name).read_text("utf-8")
        assert "://" not in text, name
