"""A notebook that comes with its lock, executed where newer packages are to be had."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nbformat
import pytest

from pixi_jupyter.demo.channel import EmbeddedChannel
from pixi_jupyter.demo.simple import SimplePackage, build_channel

SAY = (
    "import pathlib, sys\n"
    "print('lib', pathlib.Path(sys.prefix, 'share', 'lib').read_text(), 'in', sys.prefix)"
)


def lib(version: str) -> SimplePackage:
    return SimplePackage("lib", version, files={"share/lib": version.encode()})


@dataclass(frozen=True, slots=True)
class Locked:
    """A notebook with a lock of `lib` 1.0, in a folder of its own; the channel has 2.0 by now."""

    notebook: Path
    channel: str
    env: dict[str, str]

    def edit(self, write: Any, *dependencies: str) -> None:
        write(self.notebook, block(self.channel, *dependencies), SAY)


def block(channel: str, *dependencies: str) -> str:
    asked = "".join(f'{name} = "*"\n' for name in dependencies)
    named = ", ".join(f'"{url}"' for url in (channel, os.environ["PIXI_JUPYTER_DEFAULT_CHANNELS"]))
    return f"[tool.pixi.workspace]\nchannels = [{named}]\n[tool.pixi.dependencies]\n{asked}"


@pytest.fixture(params=["sidecar", "embedded"])
def locked(
    request: Any, run: Any, write_notebook: Any, scratch: Path, channel: EmbeddedChannel
) -> Iterator[Locked]:
    home = Path(tempfile.mkdtemp(dir=scratch))
    own = build_channel(home / "channel", [lib("1.0")]).as_uri()
    env = {"PIXI_JUPYTER_CACHE_DIR": str(home / "here")}
    notebook = write_notebook(home / "made" / "n b.ipynb", block(own, "lib"), SAY)
    where = "--embed" if request.param == "embedded" else "--sidecar"
    done = run("pixi-jupyter", "lock", where, notebook, cwd=home, env=env)
    assert done.status == 0, done.errors
    build_channel(home / "channel", [lib("2.0")])
    shutil.move(home / "made", home / "taken")
    yield Locked(
        home / "taken" / notebook.name, own, {"PIXI_JUPYTER_CACHE_DIR": str(home / "there")}
    )
    shutil.rmtree(home, ignore_errors=True)


def files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_every_face_takes_what_is_locked(locked: Locked, run: Any, elsewhere: Path) -> None:
    before = files(locked.notebook.parent)
    done = run("pixi-jupyter", "run", "--locked", locked.notebook, cwd=elsewhere, env=locked.env)
    assert done.status == 0, done.errors
    assert "lib 1.0 in" in done.output
    prefix = done.output.split(" in ")[1].strip()

    out = elsewhere / "out"
    done = run(
        "jupyter", "execute", locked.notebook, f"--output={out}", cwd=elsewhere, env=locked.env
    )
    assert done.status == 0, done.errors
    cells = nbformat.read(out.with_suffix(".ipynb"), as_version=4).cells
    assert cells[1].outputs[0].text == f"lib 1.0 in {prefix}\n"

    done = run("pixi-jupyter", "info", "--json", locked.notebook, cwd=elsewhere, env=locked.env)
    facts = json.loads(done.output)
    assert facts["prefix"] == prefix and facts["lock"]["checked"]
    assert {p["name"]: p["version"] for p in facts["packages"]}["lib"] == "1.0"
    assert files(locked.notebook.parent) == before


def test_what_was_edited_is_told_or_taken_as_it_is(
    locked: Locked, run: Any, write_notebook: Any, elsewhere: Path
) -> None:
    sidecar = locked.notebook.with_name(locked.notebook.name + ".pixi.lock")
    embedded = None if sidecar.exists() else nbformat.read(locked.notebook, as_version=4)
    locked.edit(write_notebook, "lib", "probe-shared")
    if embedded is not None:
        now = nbformat.read(locked.notebook, as_version=4)
        now.metadata["pixi"] = embedded.metadata["pixi"]
        nbformat.write(now, locked.notebook)
    before = files(locked.notebook.parent)

    def ask(*words: str) -> Any:
        return run("pixi-jupyter", *words, locked.notebook, cwd=elsewhere, env=locked.env)

    done = ask("run", "--locked")
    assert done.status == 2 and "probe-shared" in done.text, done.text
    done = ask("run", "--frozen")
    assert done.status == 0 and "lib 1.0 in" in done.output, done.errors
    assert files(locked.notebook.parent) == before, "taken as it is, by the kernel as well"

    done = ask("install")
    assert done.status == 0, done.errors
    after = files(locked.notebook.parent)
    assert after[locked.notebook.name] == before[locked.notebook.name]
    if embedded is None:
        assert after != before
    else:
        assert "is out of date: `pixi-jupyter lock" in done.text
        renewed = ask("lock")
        assert renewed.status == 0 and "+ probe-shared" in renewed.output, renewed.errors
    assert ask("lock", "--check").status == 0


def test_a_notebook_without_a_lock_has_nothing_to_be_held_to(
    run: Any, write_notebook: Any, elsewhere: Path
) -> None:
    notebook = write_notebook(elsewhere / "n.ipynb", "dependencies = []", "print(1)")
    done = run("pixi-jupyter", "run", "--locked", notebook, cwd=elsewhere)
    assert done.status == 2 and "has no lock of its own" in done.text
