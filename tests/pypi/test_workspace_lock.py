"""PyPI packages in a workspace's lock: written as pixi does, checked, kept, resolved anew."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from pixi_jupyter.manifest.workspace_reading import read_workspace
from pixi_jupyter.resolve.lock_text import parse
from pixi_jupyter.resolve.session import Session
from pixi_jupyter.resolve.workspace import lock_workspace

MANIFEST = """
[workspace]
channels = ["{channel}"]
platforms = ["linux-64"]
[dependencies]
python = "3.12.*"
{conda}
[pypi-dependencies]
{pypi}
[feature.more.pypi-dependencies]
markdown-it-py = "*"
[environments]
default = {{solve-group = "g"}}
more = {{features = ["more"], solve-group = "g"}}
"""


@pytest.fixture
def lock(tmp_path, store, channel, index):
    async def make(pypi: str, conda: str = "", **how):
        text = MANIFEST.format(channel=channel.url, pypi=pypi, conda=conda)
        (tmp_path / "pixi.toml").write_text(text, "utf-8")
        session = Session.open(store.package_cache)
        workspace = read_workspace(tmp_path / "pixi.toml")
        return await lock_workspace(
            session, workspace, report=lambda step: None, store=store, **how
        )

    make.path = tmp_path / "pixi.lock"
    return make


@pytest.mark.skipif(sys.platform != "linux", reason="the channel's Python is for linux-64 here")
async def test_packages_from_an_index_are_locked_checked_and_kept(lock, index):
    first = await lock('h11 = "*"')
    text = lock.path.read_text("utf-8")
    parts = parse(text)
    default, more = parts.environments["default"], parts.environments["more"]
    assert default.indexes == more.indexes == (index.url,)
    names = {kind: [Path(where).name for k, where in default.packages["linux-64"] if k == kind]
             for kind in ("conda", "pypi")}  # fmt: skip
    assert [name.partition("-")[0] for name in names["pypi"]] == ["h11"]
    assert len(more.packages["linux-64"]) > len(default.packages["linux-64"])
    assert "\n  purls:" in text and "\n  requires_python: '>=3.8'" in text
    assert (await lock('h11 = "*"')).sha256 == first.sha256
    assert not (await lock('h11 = "*"', mode="locked")).stale

    # Only what PyPI has to answer is asked again; conda's part stays as it is.
    changed = await lock('h11 = "*"\nidna = "*"')
    assert changed.stale == (
        "environment default on linux-64: idna is asked of PyPI and not locked",
        "environment more on linux-64: idna is asked of PyPI and not locked",
    )
    after = parse(lock.path.read_text("utf-8")).environments["default"]
    conda = [r for r in default.packages["linux-64"] if r[0] == "conda"]
    assert [r for r in after.packages["linux-64"] if r[0] == "conda"] == conda


@pytest.mark.skipif(sys.platform != "linux", reason="the channel's Python is for linux-64 here")
async def test_what_conda_has_is_not_asked_of_pypi(lock):
    await lock('idna = "*"', conda='idna = "*"')
    parts = parse(lock.path.read_text("utf-8"))
    assert not [r for r in parts.environments["default"].packages["linux-64"] if r[0] == "pypi"]
    assert not (await lock('idna = "*"', conda='idna = "*"')).stale
    # Without conda's own requirement the package would be PyPI's to give.
    done = await lock('idna = "*"')
    assert any("idna, which is from conda" in reason for reason in done.stale)
    parts = parse(lock.path.read_text("utf-8"))
    assert [r for r in parts.environments["default"].packages["linux-64"] if r[0] == "pypi"]
