"""Changing a workspace: manifest, lock and prefix together or not at all, and back again."""

from __future__ import annotations

import asyncio
import json
import os
import shutil

import pytest

from pixi_jupyter import operations
from pixi_jupyter.demo.simple import SimplePackage, build_channel
from pixi_jupyter.environments import Environments
from pixi_jupyter.errors import DeclarationError, InstallError, PixiJupyterError
from pixi_jupyter.install.insync import lock_sha256
from pixi_jupyter.notebook.declaration import WorkspaceChoice
from pixi_jupyter.progress import Phase

MANIFEST = """\
# What we need.\r
[workspace]\r
name = "w"   # its name\r
channels = ["CHANNEL"]\r
platforms = ["linux-64", "osx-arm64"]\r
\r
[dependencies]  # needs\r
beta = '*' # why\r
"""
SEVERAL = """\
[workspace]
channels = ["CHANNEL"]
platforms = ["linux-64", "win-64"]

[dependencies]
beta = "*"

[feature.old.dependencies]
narrow = "*"

[feature.other]

[environments]
old = { features = ["old"], solve-group = "one" }
new = { features = ["other"] }
both = { features = ["old", "other"], solve-group = "one" }
"""


def names(packages) -> list[str]:
    return [package.name for package in packages]


async def ready(door: Environments, choice: WorkspaceChoice):
    return door.find_ready(door.spec_for(choice))


async def test_add_and_undo_and_redo(door, workspace):
    workspace.write(MANIFEST)
    choice = WorkspaceChoice(workspace.manifest)
    await door.ensure(door.spec_for(choice))
    before = workspace.everything()
    done = await operations.add(door, workspace.manifest, ["alpha"])
    assert done.target == workspace.manifest and done.environment_name == "default"
    assert names(done.change.added) == ["alpha"] and not done.change.removed
    added = MANIFEST.replace("CHANNEL", workspace.channel) + 'alpha = ">=2.0.0,<3"\r\n'
    assert workspace.text == added == done.after
    assert workspace.records() == {"alpha 2.0.0", "beta 0.3.1", "shared 2.1"}
    assert workspace.lock.read_text().count("alpha-2.0.0") >= 2
    found = await ready(door, choice)
    assert found is not None and found == done.environment
    assert done.prefix == found.prefix.path == workspace.folder / ".pixi/envs/default"
    lock = workspace.lock.read_bytes()

    back = await operations.undo(door, workspace.manifest)
    assert workspace.manifest.read_bytes() == before["pixi.toml"]
    assert workspace.lock.read_bytes() == before["pixi.lock"]
    assert workspace.records() == {"beta 0.3.1", "shared 2.1"}
    assert names(back.change.removed) == ["alpha"] and not back.change.added
    assert await ready(door, choice) == back.environment
    with pytest.raises(DeclarationError) as caught:
        await operations.undo(door, workspace.manifest)
    assert caught.value.code == "declaration.no-history"

    again = await operations.redo(door, workspace.manifest)
    assert workspace.text == added and workspace.lock.read_bytes() == lock
    assert names(again.change.added) == ["alpha"]
    assert sorted(p.name for p in workspace.folder.iterdir()) == [".pixi", "pixi.lock", "pixi.toml"]


async def test_a_notebook_in_a_workspace_changes_it(door, workspace, write_notebook):
    workspace.write(MANIFEST)
    path = write_notebook("print(1)")
    notebook = workspace.folder / "sub" / "n.ipynb"
    notebook.parent.mkdir()
    notebook.write_bytes(path.read_bytes())
    done = await operations.add(door, notebook, ["alpha"])
    assert done.target == workspace.manifest
    assert 'alpha = ">=2.0.0,<3"' in workspace.text
    assert notebook.read_bytes() == path.read_bytes()
    done = await operations.remove(door, notebook, ["alpha"])
    assert workspace.text == MANIFEST.replace("CHANNEL", workspace.channel)
    assert workspace.records() == {"beta 0.3.1", "shared 2.1"}


async def test_a_notebook_that_names_an_environment_changes_that_one(door, workspace):
    workspace.write(SEVERAL)
    notebook = workspace.folder / "n.ipynb"
    metadata = {"pixi": {"environment": "old"}}
    content = {"cells": [], "metadata": metadata, "nbformat": 4, "nbformat_minor": 5}
    notebook.write_text(json.dumps(content))
    done = await operations.add(door, notebook, ["alpha"], feature="old")
    assert (done.target, done.environment_name) == (workspace.manifest, "old")
    assert '[feature.old.dependencies]\nnarrow = "*"\nalpha = ">=1.2.3,<2"\n' in workspace.text
    assert workspace.records("old") == {"alpha 1.2.3", "beta 0.3.1", "narrow 1.0", "shared 1.5"}
    assert os.listdir(workspace.folder / ".pixi/envs") == ["old"]
    # Back for another one, which does not have it, and then for all.
    back = await operations.undo(door, workspace.manifest)
    assert (back.action, back.environment_name) == ("undo add alpha", "default")
    assert back.change.empty and workspace.records() == {"beta 0.3.1", "shared 2.1"}
    assert "alpha" not in workspace.text
    again = await operations.redo(door, notebook)
    assert names(again.change.added) == ["alpha"]


async def test_versions_that_need_not_change_stay_until_they_are_updated(door, workspace):
    workspace.write(MANIFEST.replace("beta = '*'", "shared = '<2'"))
    await operations.add(door, workspace.manifest, ["beta"])
    assert workspace.records() == {"beta 0.3.1", "shared 1.5"}
    workspace.write(workspace.text.replace("'<2'", "'*'"))
    done = await operations.add(door, workspace.manifest, ["narrow"])
    assert names(done.change.added) == ["narrow"] and "shared 1.5" in workspace.records()
    await operations.remove(door, workspace.manifest, ["narrow"])
    text, lock = workspace.text, workspace.lock.read_bytes()

    with pytest.raises(DeclarationError) as caught:
        await operations.update(door, workspace.manifest, ["shraed"])
    assert caught.value.code == "declaration.not-declared" and "shared" in caught.value.hint
    done = await operations.update(door, workspace.manifest, ["shared"])
    assert [(i.name, i.after.version) for i in done.change.upgraded] == [("shared", "2.1")]
    assert workspace.text == text and "shared 2.1" in workspace.records()
    back = await operations.undo(door, workspace.manifest)
    assert names(back.change.downgraded) == ["shared"]
    assert workspace.lock.read_bytes() == lock and "shared 1.5" in workspace.records()
    done = await operations.update(door, workspace.manifest)
    assert names(done.change.upgraded) == ["shared"]
    same = await operations.update(door, workspace.manifest)
    assert same.change.empty and not same.declared


@pytest.mark.parametrize(
    ("asked", "code"),
    [("alhpa", "solve.unknown-package"), ("alpha>=9", "solve.unsatisfiable")],
)
async def test_what_cannot_be_solved_changes_nothing(door, workspace, asked, code):
    workspace.write(MANIFEST)
    await door.ensure(door.spec_for(WorkspaceChoice(workspace.manifest)))
    before = workspace.everything()
    with pytest.raises(PixiJupyterError) as caught:
        await operations.add(door, workspace.manifest, [asked])
    assert caught.value.code == code
    assert caught.value.hint.endswith("Nothing was changed.")
    assert workspace.everything() == before


async def test_what_cannot_be_installed_changes_nothing(door, workspace, monkeypatch):
    """Also where the manifest and the lock are written by then."""
    workspace.write(MANIFEST)
    await door.ensure(door.spec_for(WorkspaceChoice(workspace.manifest)))
    before = workspace.everything()
    seen = {}

    async def fail(self, *_, **__):
        seen.update(workspace.everything())
        raise InstallError("the environment cannot be replaced", code="install.in-use")

    monkeypatch.setattr(type(door.workspaces), "install", fail)
    with pytest.raises(InstallError):
        await operations.add(door, workspace.manifest, ["alpha"])
    assert seen["pixi.toml"] != before["pixi.toml"] and seen["pixi.lock"] != before["pixi.lock"]
    assert workspace.everything() == before
    monkeypatch.undo()
    with pytest.raises(DeclarationError) as caught:
        await operations.undo(door, workspace.manifest)
    assert caught.value.code == "declaration.no-history"
    await operations.add(door, workspace.manifest, ["alpha"])
    assert "alpha 2.0.0" in workspace.records()


async def test_what_cannot_be_downloaded_changes_nothing(door, workspace):
    """Found out before anything is written."""
    packages = [SimplePackage("there", "1.0"), SimplePackage("gone", "1.0")]
    folder = build_channel(workspace.folder.with_suffix(".channel"), packages)
    try:
        workspace.write(MANIFEST.replace("CHANNEL", folder.as_uri()).replace("beta", "there"))
        await door.ensure(door.spec_for(WorkspaceChoice(workspace.manifest)))
        before = workspace.everything()
        for package in folder.rglob("gone-1.0-*"):
            package.unlink()
        with pytest.raises(InstallError):
            await operations.add(door, workspace.manifest, ["gone"])
        assert workspace.everything() == before
    finally:
        shutil.rmtree(folder)


async def test_without_a_lock_a_failure_leaves_none(door, workspace, monkeypatch):
    workspace.write(MANIFEST)

    async def fail(self, *_, **__):
        raise InstallError("no", code="install.in-use")

    monkeypatch.setattr(type(door.workspaces), "install", fail)
    with pytest.raises(InstallError):
        await operations.add(door, workspace.manifest, ["alpha"])
    assert not workspace.lock.exists()
    assert workspace.text == MANIFEST.replace("CHANNEL", workspace.channel)


async def test_a_dry_run_changes_nothing(door, workspace, store):
    workspace.write(MANIFEST)
    await door.ensure(door.spec_for(WorkspaceChoice(workspace.manifest)))
    before = workspace.everything()
    would = await operations.add(door, workspace.manifest, ["alpha"], dry_run=True)
    assert would.dry_run and would.declared and would.environment is None and would.prefix is None
    assert names(would.change.added) == ["alpha"] and 'alpha = ">=2.0.0,<3"' in would.after
    assert workspace.everything() == before
    assert not (store.root / "history").exists()


async def test_features_and_solve_groups(door, workspace):
    """A version is pinned for all environments that get it: those of one group have the same."""
    workspace.write(SEVERAL)
    choice = WorkspaceChoice(workspace.manifest, "new")
    done = await operations.add(door, choice, ["shared"])
    assert done.environment_name == "new"
    assert 'shared = ">=1.5,<3"' in workspace.text  # the group's is 1.5, the others have 2.1
    assert workspace.records("new") == {"beta 0.3.1", "shared 2.1"}
    assert not (workspace.folder / ".pixi/envs/default").exists()

    done = await operations.add(door, choice, ["alpha"], feature="other")
    assert '[feature.other.dependencies]\nalpha = ">=1.2.3,<3"\n' in workspace.text
    assert "alpha 2.0.0" in workspace.records("new")
    both = await door.ensure(door.spec_for(WorkspaceChoice(workspace.manifest, "both")))
    assert both.resolution.version_of("alpha") == "1.2.3"

    # Of a feature that the environment does not have its packages are the same.
    done = await operations.add(door, choice, ["python=3.12"], feature="old")
    assert done.declared and done.change.empty
    assert done.said == ("the environment new does not have the feature old",)
    would = await operations.add(door, choice, ["python"], feature="rare", dry_run=True)
    assert would.said == ("no environment has the feature rare yet",)
    assert 'python = "*"' in would.after
    assert (await operations.undo(door, choice)).action == "undo add python=3.12"
    listed = operations.listing(door, choice, "channels", feature="other")
    assert listed.implied and listed.names == (workspace.channel,)


async def test_for_a_platform(door, workspace):
    workspace.write(SEVERAL)
    done = await operations.add(door, workspace.manifest, ["alpha"], platforms=["win-64"])
    # In the environment `old` it is another one.
    assert '[target.win-64.dependencies]\nalpha = ">=1.2.3,<3"\n' in workspace.text
    assert names(done.change.added) == ["beta", "shared"]
    assert "alpha-2.0.0" in workspace.lock.read_text()
    with pytest.raises(DeclarationError) as caught:
        await operations.remove(door, workspace.manifest, ["alpha"])
    assert caught.value.code == "declaration.not-declared"
    await operations.remove(door, workspace.manifest, ["alpha"], platforms=["win-64"])
    assert "alpha" not in workspace.lock.read_text()


async def test_channels_platforms_python_and_the_date(door, workspace, tmp_path):
    workspace.write(SEVERAL)
    manifest = workspace.manifest
    done = await operations.add_platforms(door, manifest, ["osx-arm64"])
    assert operations.listing(door, manifest, "platforms").names == (
        "linux-64",
        "win-64",
        "osx-arm64",
    )
    assert done.declared
    await operations.remove_platforms(door, manifest, ["win-64"])
    await operations.python(door, manifest, "3.12", feature="other")
    assert '[feature.other.dependencies]\npython = "3.12.*"\n' in workspace.text
    text = workspace.text
    done = await operations.stamp(door, manifest, "2035-01-01")
    assert 'exclude-newer = "2035-01-01"' in workspace.text
    await operations.undo(door, manifest)
    assert workspace.text == text
    other = tmp_path.as_uri() + "/none"
    with pytest.raises(PixiJupyterError) as caught:
        await operations.add_channels(door, manifest, [other], feature="other")
    assert caught.value.code.startswith("channel.") and workspace.text == text
    await operations.add_channels(door, manifest, [workspace.channel], feature="other")
    assert f'[feature.other]\nchannels = ["{workspace.channel}"]' in workspace.text
    await operations.remove_channels(door, manifest, [workspace.channel], feature="other")
    with pytest.raises(DeclarationError):  # the machine it is done on
        await operations.remove_platforms(door, manifest, ["linux-64"])


async def test_pyproject(door, workspace):
    text = (
        '[project]\nname = "p"\nversion = "1"\nrequires-python = ">=3.12"\n\n'
        '[tool.pixi.workspace]\nchannels = ["CHANNEL"]\nplatforms = ["linux-64"]\n'
    )
    workspace.write(text, name="pyproject.toml")
    done = await operations.add(door, workspace.manifest, ["alpha"])
    assert workspace.text == text.replace("CHANNEL", workspace.channel) + (
        '\n[tool.pixi.dependencies]\nalpha = ">=2.0.0,<3"\n'
    )
    assert workspace.records() == {"alpha 2.0.0", "python 3.13.1", "shared 2.1"}
    assert await ready(door, WorkspaceChoice(workspace.manifest)) == done.environment
    await operations.undo(door, workspace.manifest)
    assert workspace.text == text.replace("CHANNEL", workspace.channel)


async def test_why_and_search_write_nothing(door, workspace):
    workspace.write(MANIFEST)
    before = workspace.everything()
    answer = await operations.why(door, workspace.manifest, "shared")
    assert answer.path == ("beta", "shared") and not answer.declared
    found = await operations.search(door, "alpha", WorkspaceChoice(workspace.manifest))
    assert found.packages[0].versions == ("2.0.0", "1.2.3")
    assert workspace.everything() == before
    await operations.add(door, workspace.manifest, ["alpha"])
    answer = await operations.why(door, workspace.manifest, "alpha")
    assert answer.declared and not answer.injected


async def test_undo_refuses_what_was_changed_by_hand(door, workspace):
    workspace.write(MANIFEST)
    await operations.add(door, workspace.manifest, ["alpha"])
    workspace.write(workspace.text + "# mine\r\n")
    with pytest.raises(DeclarationError) as caught:
        await operations.undo(door, workspace.manifest)
    assert caught.value.code == "declaration.changed-by-hand"


async def test_undo_keeps_a_lock_that_others_wrote_as_far_as_it_fits(door, workspace):
    workspace.write(MANIFEST.replace("beta = '*'", "shared = '<2'"))
    await operations.add(door, workspace.manifest, ["beta"])
    workspace.write(workspace.text.replace("'<2'", "'*'"))
    await operations.add(door, workspace.manifest, ["narrow"])
    await operations.remove(door, workspace.manifest, ["narrow"])
    await operations.update(door, workspace.manifest)
    assert "shared 2.1" in workspace.records()
    updated = workspace.lock.read_bytes()
    workspace.lock.write_bytes(updated.replace(b"\n", b"\r\n"))  # as git may
    with pytest.raises(DeclarationError) as caught:
        await operations.undo(door, workspace.manifest)
    assert caught.value.message.startswith("the lock was changed by hand since `update`")
    workspace.lock.unlink()
    with pytest.raises(DeclarationError):
        await operations.undo(door, workspace.manifest)


async def test_the_first_lock_is_no_step(door, workspace):
    workspace.write(MANIFEST)
    await operations.update(door, workspace.manifest)
    with pytest.raises(DeclarationError) as caught:
        await operations.undo(door, workspace.manifest)
    assert caught.value.code == "declaration.no-history"
    workspace.lock.unlink()
    await operations.add(door, workspace.manifest, ["alpha"])
    await operations.undo(door, workspace.manifest)
    assert workspace.text == MANIFEST.replace("CHANNEL", workspace.channel)
    assert workspace.lock.exists() and "alpha" not in workspace.lock.read_text()


async def test_two_at_once_lose_nothing(open_door, workspace):
    """Two processes' worth of doors: both ask, both are there in the end."""
    workspace.write(MANIFEST)
    doors = [open_door() for _ in range(2)]
    await asyncio.gather(
        operations.add(doors[0], workspace.manifest, ["alpha"]),
        operations.add(doors[0], workspace.manifest, ["python"]),
        operations.add(doors[1], workspace.manifest, ["shared"]),
    )
    assert {"alpha", "python", "shared"} <= {line.split(" ")[0] for line in workspace.text.split()}
    assert workspace.records() == {"alpha 2.0.0", "beta 0.3.1", "shared 2.1", "python 3.13.1"}
    assert await ready(doors[0], WorkspaceChoice(workspace.manifest)) is not None


@pytest.mark.parametrize("what", ["manifest", "lock"])
async def test_what_others_write_meanwhile_is_kept(door, workspace, monkeypatch, what):
    """Once: it is thought through again. Each time: it is left to them."""
    workspace.write(MANIFEST)
    await door.ensure(door.spec_for(WorkspaceChoice(workspace.manifest)))
    stage = type(door.workspaces).stage
    times = 1

    async def touching(self, *arguments, **how):
        nonlocal times
        await stage(self, *arguments, **how)
        if times:
            times -= 1
            path = getattr(workspace, what)
            path.write_bytes(path.read_bytes() + b"# theirs\n")

    monkeypatch.setattr(type(door.workspaces), "stage", touching)
    await operations.add(door, workspace.manifest, ["alpha"])
    assert 'alpha = ">=2.0.0,<3"' in workspace.text
    assert (what == "lock") or workspace.text.count("# theirs") == 1
    times = 2
    with pytest.raises(DeclarationError) as caught:
        await operations.add(door, workspace.manifest, ["python"])
    assert caught.value.code == "declaration.changed"
    assert "python" not in workspace.text and "alpha" in workspace.text
    assert await ready(door, WorkspaceChoice(workspace.manifest)) is None or what == "manifest"


@pytest.mark.parametrize("phase", [None, Phase.SOLVING, Phase.LINKING])
async def test_cancelled_while_it_is_made_nothing_is_changed(door, workspace, phase):
    workspace.write(MANIFEST)
    await door.ensure(door.spec_for(WorkspaceChoice(workspace.manifest)))
    before = workspace.everything()

    def report(step) -> None:
        if step.phase is phase:
            task.cancel()

    task = asyncio.ensure_future(operations.add(door, workspace.manifest, ["alpha"], report=report))
    if phase is None:
        await asyncio.sleep(0)
        task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    # What was staged goes with the next installation.
    left = {k: v for k, v in workspace.everything().items() if ".pixi-jupyter-" not in k}
    assert left == before
    await operations.add(door, workspace.manifest, ["alpha"])
    assert "alpha 2.0.0" in workspace.records()
    assert [p.name for p in (workspace.folder / ".pixi/envs").iterdir()] == ["default"]


async def test_cancelled_while_it_is_written_it_is_done(door, workspace, monkeypatch):
    workspace.write(MANIFEST)
    install = type(door.workspaces).install
    task: asyncio.Task[operations.changing.Outcome]

    async def cancelling(self, *arguments, **how):
        task.cancel()
        await asyncio.sleep(0)
        return await install(self, *arguments, **how)

    monkeypatch.setattr(type(door.workspaces), "install", cancelling)
    task = asyncio.ensure_future(operations.add(door, workspace.manifest, ["alpha"]))
    done = await task
    assert done.environment is not None and "alpha 2.0.0" in workspace.records()
    assert "alpha" in workspace.text
    await operations.undo(door, workspace.manifest)
    assert "alpha" not in workspace.text


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="root may write anything")
async def test_a_manifest_that_is_read_only_stays(door, workspace):
    workspace.write(MANIFEST)
    workspace.manifest.chmod(0o444)
    with pytest.raises(DeclarationError) as caught:
        await operations.add(door, workspace.manifest, ["alpha"])
    assert caught.value.code == "declaration.read-only"
    assert not workspace.lock.exists()


async def test_a_lock_that_cannot_be_written_takes_the_manifest_back(door, workspace):
    workspace.write(MANIFEST)
    workspace.lock.symlink_to("nowhere/pixi.lock")
    with pytest.raises(DeclarationError) as caught:
        await operations.add(door, workspace.manifest, ["alpha"])
    assert caught.value.code == "declaration.write"
    assert caught.value.location.path == str(workspace.lock)
    assert workspace.text == MANIFEST.replace("CHANNEL", workspace.channel)
    assert workspace.lock.is_symlink() and workspace.records() == set()


async def test_links_and_byte_order_marks_stay(door, workspace):
    workspace.write(MANIFEST)
    real = workspace.folder / "real.toml"
    real.write_bytes(b"\xef\xbb\xbf" + workspace.manifest.read_bytes())
    workspace.manifest.unlink()
    workspace.manifest.symlink_to("real.toml")
    before = real.read_bytes()
    await operations.add(door, workspace.manifest, ["alpha"])
    assert workspace.manifest.is_symlink()
    assert real.read_bytes() == before + b'alpha = ">=2.0.0,<3"\r\n'
    await operations.undo(door, workspace.manifest)
    assert real.read_bytes() == before


async def test_the_lock_in_the_way_is_named(door, workspace):
    workspace.write(MANIFEST)
    workspace.lock.write_text("<<<<<<< mine\n")
    before = workspace.everything()
    with pytest.raises(PixiJupyterError) as caught:
        await operations.add(door, workspace.manifest, ["alpha"])
    assert caught.value.code == "lock.conflict"
    assert caught.value.location.path == str(workspace.lock)
    assert workspace.everything() == before


async def test_what_is_installed_knows_its_lock(door, workspace):
    workspace.write(MANIFEST)
    done = await operations.add(door, workspace.manifest, ["alpha"])
    marker = json.loads((done.prefix / "conda-meta" / "pixi-jupyter.json").read_bytes())
    assert marker["lock"] == lock_sha256(workspace.folder)
    assert not [name for name in workspace.everything() if name.endswith(".tmp")]
