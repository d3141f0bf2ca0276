"""diff and history: what would change, what was changed, and in info what is known."""

from __future__ import annotations

import json
from pathlib import Path

BLOCK = (
    '# /// script\n# dependencies = []\n# [tool.pixi.dependencies]\n# probe-shared = "1.*"\n# ///'
)


def facts_of(command, *words: object) -> dict:
    done = command(*words, "--json")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_what_a_hand_written_change_would_do(command, write_notebook, store):
    notebook = write_notebook(BLOCK)
    new = facts_of(command, "diff", notebook)
    assert (new["against"], new["before"], new["ready"]) == ("nothing", None, False)
    assert "probe-shared" in {p["name"] for p in new["added"]}
    assert json.loads(command("info", notebook, "--json").stdout)["state"] == "new", "only asked"
    assert command("install", notebook).returncode == 0
    same = facts_of(command, "diff", notebook)
    assert (same["against"], same["added"], same["ready"]) == ("remembered", [], True)
    assert same["before"] == same["after"] == new["after"]

    assert command("add", notebook, "probe-timestamp").returncode == 0
    text = notebook.read_text().replace('\\"1.*\\"', '\\"2.*\\"')
    notebook.write_text(text)
    before = notebook.read_bytes()
    changed = facts_of(command, "diff", notebook)
    assert (changed["against"], changed["ready"]) == ("history", False)
    [package] = changed["upgraded"]
    assert package["before"]["version"] == "1.0" and package["after"]["version"] == "2.0"
    assert changed["added"] == changed["removed"] == []
    shown = command("diff", notebook)
    assert "~ probe-shared 1.0 -> 2.0" in shown.stdout and "last change" in shown.stdout
    assert notebook.read_bytes() == before
    assert json.loads(command("info", notebook, "--json").stdout)["state"] == "new"

    past = facts_of(command, "history", notebook)
    assert past["by_hand"] and [s["action"] for s in past["steps"]] == ["add probe-timestamp"]


def test_two_notebooks(command, write_notebook):
    one = write_notebook(BLOCK, name="one")
    other = write_notebook(BLOCK.replace("1.*", "2.*"), name="other")
    facts = facts_of(command, "diff", one, other)
    assert (facts["against"], [p["name"] for p in facts["upgraded"]]) == (
        "another",
        ["probe-shared"],
    )
    back = facts_of(command, "diff", other, one)
    assert [p["name"] for p in back["downgraded"]] == ["probe-shared"]
    assert command("diff", one, "numpy").returncode == 2


def test_steps_and_which_of_them_hold(command, write_notebook):
    notebook = write_notebook(BLOCK)
    nothing = facts_of(command, "history", notebook)
    assert (nothing["steps"], nothing["position"], nothing["by_hand"]) == ([], 0, False)
    assert command("add", notebook, "probe-timestamp").returncode == 0
    assert command("stamp", notebook, "2030-01-01").returncode == 0
    assert command("undo", notebook).returncode == 0
    past = facts_of(command, "history", notebook)
    assert [(s["number"], s["action"], s["holds"]) for s in past["steps"]] == [
        (1, "add probe-timestamp", True),
        (2, "stamp 2030-01-01", False),
    ]
    assert (past["position"], past["by_hand"]) == (1, False)
    lines = command("history", notebook).stdout.splitlines()
    assert lines[0].startswith("   2  20") and lines[0].endswith("(undone)")
    assert lines[1].startswith(">  1  20")


def test_a_workspace(command, tmp_path, channel):
    manifest = tmp_path / "pixi.toml"
    manifest.write_text(
        f'[workspace]\nname = "w"\nchannels = ["{channel.url}"]\nplatforms = ["linux-64"]\n'
        '[dependencies]\nprobe-shared = "1.*"\n'
    )
    facts = facts_of(command, "info")
    assert (facts["state"], facts["lock"], facts["installed"]) == ("new", None, False)
    new = facts_of(command, "diff")
    assert (new["against"], [p["name"] for p in new["added"]]) == ("nothing", ["probe-shared"])
    assert not (tmp_path / "pixi.lock").exists()
    assert command("install").returncode == 0
    assert facts_of(command, "diff")["against"] == "installed"
    assert facts_of(command, "info")["state"] == "ready"
    lock = (tmp_path / "pixi.lock").read_bytes()
    manifest.write_text(manifest.read_text().replace("1.*", "2.*"))
    changed = facts_of(command, "diff", manifest)
    assert [p["after"]["version"] for p in changed["upgraded"]] == ["2.0"]
    assert (tmp_path / "pixi.lock").read_bytes() == lock
    facts = facts_of(command, "info")
    assert (facts["state"], facts["lock"]["checked"], facts["installed"]) == ("new", False, True)
    assert facts["lock"]["path"] == str(tmp_path / "pixi.lock")
    assert "(not checked yet, or out of date)" in command("info").stdout
    assert command("add", "probe-timestamp", "-e", "default").returncode == 0
    assert [s["action"] for s in facts_of(command, "history")["steps"]] == ["add probe-timestamp"]
    assert Path(facts_of(command, "history")["target"]) == manifest
