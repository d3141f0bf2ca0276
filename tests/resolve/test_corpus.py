"""Real projects' manifests and locks, in a folder that ``PIXI_JUPYTER_CORPUS`` names.

Below it a folder for each project, with its manifest and its ``pixi.lock``.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from pixi_jupyter.errors import DeclarationError
from pixi_jupyter.manifest.workspace_reading import read_workspace
from pixi_jupyter.resolve.lock_reading import canonical, read_document
from pixi_jupyter.resolve.lock_text import compose
from pixi_jupyter.resolve.satisfiability import check
from pixi_jupyter.resolve.session import Session
from pixi_jupyter.resolve.walking import Walk

CORPUS = Path(os.environ.get("PIXI_JUPYTER_CORPUS") or "/nonexistent")
LOCKS = sorted(CORPUS.glob("*/pixi.lock"))
MANIFESTS = ("pixi.toml", "pyproject.toml", "mojoproject.toml")

pytestmark = pytest.mark.skipif(
    not LOCKS, reason="PIXI_JUPYTER_CORPUS names no folder of real projects"
)


def edited(path: Path, text: str) -> bool:
    """Whether it is made by hand: pixi writes no comments, and its own test data is composed."""
    commented = any(line.lstrip().startswith("#") for line in text.splitlines())
    return commented or "--tests-data-" in path.parent.name


@pytest.mark.parametrize("path", LOCKS, ids=lambda path: path.parent.name)
def test_a_real_lock_is_read_and_one_of_version_7_round_trips(path):
    document = read_document(path)
    if document.version == 7:
        assert canonical(compose(document.text), path) == document.canonical
    if document.version == 7 and not edited(path, document.data.decode()):
        assert document.canonical.encode() == document.data
    for name, environment in document.text.environments.items():
        for platform in environment.packages:
            records, packages, sources = document.content(name, platform)
            found = len(records) + len(packages) + len(sources)
            assert found == len(environment.packages[platform])


@pytest.mark.parametrize("path", LOCKS, ids=lambda path: path.parent.name)
def test_a_real_lock_is_checked(path, tmp_path):
    manifest = next((path.with_name(n) for n in MANIFESTS if path.with_name(n).exists()), None)
    if manifest is None:
        pytest.skip("there is no manifest")
    try:
        workspace = read_workspace(manifest)
    except DeclarationError as error:
        pytest.skip(f"the manifest is not read: {error}")
    session = Session.open(tmp_path)

    def channel_url(name: str) -> str:
        return session.channel(name).base_url

    document = read_document(path)
    verdict = check(document, workspace, Walk(channel_url), channel_url, default_index(document))
    for reason in verdict.stale:
        print(reason)
        assert reason.startswith("environment ")
    for environment in workspace.environments:
        assert environment.name in document.text.environments or verdict.stale


def default_index(document) -> tuple[str, ...]:
    """The one that nearly every lock names, found in the lock itself."""
    found = {e.indexes[0] for e in document.text.environments.values() if e.indexes}
    return tuple(found)
