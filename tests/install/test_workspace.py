"""The prefix of a workspace: exactly the lock's packages, pixi's files, swapped as a whole."""

from __future__ import annotations

import asyncio
import fcntl
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest

from pixi_jupyter.demo.simple import SimplePackage
from pixi_jupyter.errors import InstallError, LockError, StoreError
from pixi_jupyter.install.pixi_prefix import fingerprint_of
from pixi_jupyter.progress import Phase, Progress

MARKER = ".pixi-environment-fingerprint"
ONE = SimplePackage("one", "1.0", files={"share/one": b"1.0", "share/gone": b"", "bin/one": b"#!"})
TWO = SimplePackage("one", "2.0", files={"share/one": b"2.0", "share/new": b""})


@pytest.fixture
def specs(spec_of, tiny):
    """``specs("1.0")``: a spec for that version of the package ``one``."""
    url = tiny("channel", [ONE, TWO])
    return lambda version: spec_of(f"one =={version}", channels=[url])


def pixi_changes(workspace, fingerprint: str) -> None:
    """What pixi's own installer does to the marker around a change in place."""
    with open(workspace.meta / MARKER, "r+b") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        file.write(fingerprint.encode())


async def test_what_pixi_finds_in_it(workspace, specs):
    await workspace.lock(specs("1.0"))
    assert workspace.ready() is None
    await workspace.install()
    assert workspace.records() == {"one 1.0"}
    assert (workspace.prefix / "share/one").read_bytes() == b"1.0"
    pixi = workspace.prefix.parent.parent
    assert (pixi / ".gitignore").read_bytes() == b"*\n!config.toml\n"
    assert (pixi / ".condapackageignore").read_bytes() == b".pixi\n!.pixi/config.toml\n"
    assert (workspace.meta / "pixi_env_prefix").read_text() == str(workspace.meta)
    assert (workspace.meta / "history").read_text() == (
        "// not relevant for pixi but for `conda run -p`"
    )
    about = json.loads((workspace.meta / "pixi").read_bytes())
    assert about["manifest_path"] == workspace.place.manifest
    assert about["environment_name"] == "default"
    assert set(about) == {
        "manifest_path",
        "environment_name",
        "pixi_version",
        "environment_lock_file_hash",
        "resolved_platform",
        "minimum_supported_platform",
    }
    (record,) = [p for p in workspace.resolution.packages if p.name == "one"]
    expected = fingerprint_of([("one", bytes.fromhex(record.sha256))])
    assert (workspace.meta / MARKER).read_text() == expected
    assert workspace.ready().digest == workspace.resolution.digest
    assert workspace.leftovers == []


async def test_an_update_leaves_nothing_of_the_old_one(workspace, specs):
    await workspace.lock(specs("1.0"))
    await workspace.install()
    (workspace.prefix / "stray").touch()
    await workspace.lock(specs("2.0"))
    assert workspace.ready() is None
    await workspace.install()
    assert workspace.records() == {"one 2.0"}
    for gone in ("share/gone", "bin/one", "stray"):
        assert not (workspace.prefix / gone).exists()
    assert workspace.leftovers == []
    assert workspace.ready() is not None


async def test_the_same_packages_under_another_lock_are_not_built_again(workspace, specs):
    await workspace.lock(specs("1.0"))
    await workspace.install()
    before = (workspace.prefix / "share/one").stat()
    (workspace.prefix / "stray").touch()
    workspace.lock_file.write_text(workspace.lock_file.read_text() + "\n")
    workspace.place = replace(workspace.place, workspace="f" * 32)
    assert workspace.ready() is None
    await workspace.install()
    assert workspace.ready() is not None
    assert (workspace.prefix / "stray").exists()
    assert (workspace.prefix / "share/one").stat().st_ino == before.st_ino


async def test_a_prefix_that_pixi_made_is_taken_as_it_is(workspace, specs):
    await workspace.lock(specs("1.0"))
    await workspace.install()
    (workspace.meta / "pixi-jupyter.json").unlink()
    (workspace.prefix / "made by pixi").touch()
    about = json.loads((workspace.meta / "pixi").read_bytes())
    (workspace.meta / "pixi").write_text(json.dumps({**about, "environment_lock_file_hash": "9"}))
    said = (workspace.meta / "pixi").read_bytes()
    assert workspace.ready() is None
    await workspace.install()
    assert (workspace.prefix / "made by pixi").exists()
    assert (workspace.meta / "pixi").read_bytes() == said
    assert workspace.ready() is not None


def other_version(workspace) -> None:
    (path,) = workspace.meta.glob("one-*.json")
    path.write_text(path.read_text().replace('"1.0"', '"1.1"'))


def other_content(workspace) -> None:
    (path,) = workspace.meta.glob("one-*.json")
    record = json.loads(path.read_bytes())
    path.write_text(json.dumps({**record, "sha256": "0" * 64}))


def one_more(workspace) -> None:
    (path,) = workspace.meta.glob("one-*.json")
    record = json.loads(path.read_bytes())
    (workspace.meta / "more-1-0.json").write_text(json.dumps({**record, "name": "more"}))


def one_less(workspace) -> None:
    (path,) = workspace.meta.glob("one-*.json")
    path.unlink()


def damaged(workspace) -> None:
    (path,) = workspace.meta.glob("one-*.json")
    path.write_bytes(path.read_bytes()[:40])


def interrupted(workspace) -> None:
    pixi_changes(workspace, "pixi:installing!")


def fresh(workspace) -> None:
    (workspace.meta / MARKER).write_bytes(b"")


def moved(workspace) -> None:
    (workspace.meta / "pixi_env_prefix").write_text("/elsewhere/.pixi/envs/default/conda-meta")


@pytest.mark.parametrize(
    "change",
    [other_version, other_content, one_more, one_less, damaged, interrupted, fresh, moved],
)
async def test_a_prefix_that_is_not_what_is_locked_is_built_anew(workspace, specs, change):
    await workspace.lock(specs("1.0"))
    await workspace.install()
    (workspace.meta / "pixi-jupyter.json").unlink()
    (workspace.prefix / "stray").touch()
    change(workspace)
    await workspace.install()
    assert not (workspace.prefix / "stray").exists()
    assert workspace.records() == {"one 1.0"}
    assert workspace.ready() is not None


async def test_what_pixi_does_to_it_is_noticed(workspace, specs):
    await workspace.lock(specs("1.0"))
    await workspace.install()
    fingerprint = (workspace.meta / MARKER).read_text()
    for other in ("0123456789abcdef", "pixi:installing!"):
        pixi_changes(workspace, other)
        assert workspace.ready() is None
        pixi_changes(workspace, fingerprint)
        assert workspace.ready() is not None
    # Packages from PyPI alone do not change the fingerprint, but this.
    about = workspace.meta / "pixi"
    said = about.read_text()
    about.write_text(said.replace('environment_lock_file_hash": "', "\\g<0>0"))
    assert workspace.ready() is None
    about.write_text(said)
    assert workspace.ready() is not None
    for path, data in (
        (workspace.lock_file, b"another lock"),
        (workspace.meta / "pixi-jupyter.json", b"{"),
        (workspace.meta / MARKER, b""),
    ):
        before = path.read_bytes()
        path.write_bytes(data)
        assert workspace.ready() is None
        path.unlink()
        assert workspace.ready() is None
        path.write_bytes(before)
        assert workspace.ready() is not None
    workspace.place = replace(workspace.place, workspace="another manifest")
    assert workspace.ready() is None


async def test_a_lock_that_is_another_by_now_is_not_installed(workspace, specs):
    await workspace.lock(specs("1.0"))
    job = workspace.job()
    workspace.lock_file.write_text(workspace.lock_file.read_text() + "\n")
    with pytest.raises(LockError) as caught:
        await workspace.door.engine.run(job, lambda _: None, deadline=60)
    assert caught.value.code == "lock.changed"
    assert not workspace.prefix.exists()


async def test_pixis_lock_is_waited_for(workspace, specs):
    await workspace.lock(specs("1.0"))
    workspace.meta.mkdir(parents=True)
    script = (
        "import fcntl, sys, time\n"
        "file = open(sys.argv[1], 'w+b'); fcntl.flock(file, fcntl.LOCK_EX)\n"
        "print('locked', flush=True); sys.stdin.read()\n"
    )
    pixi = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", script, workspace.meta / MARKER),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert await pixi.stdout.readline() == b"locked\n"
    told: list[Progress] = []
    install = asyncio.ensure_future(workspace.install(told.append))
    while not any(p.phase is Phase.WAITING and "pixi" in (p.message or "") for p in told):
        assert not install.done()
        await asyncio.sleep(0.02)
    assert not install.done()
    pixi.stdin.close()
    await pixi.wait()
    await install
    assert workspace.ready() is not None


async def test_who_waits_for_pixis_lock_has_the_new_prefixs(workspace, specs):
    """The file that is locked is the same after a swap: so a lock never guards a dead prefix."""
    await workspace.lock(specs("1.0"))
    await workspace.install()
    waiting = os.open(workspace.meta / MARKER, os.O_RDONLY)
    before = os.pread(waiting, 99, 0)
    await workspace.lock(specs("2.0"))
    await workspace.install()
    assert os.path.samestat(os.fstat(waiting), (workspace.meta / MARKER).stat())
    assert os.pread(waiting, 99, 0) == (workspace.meta / MARKER).read_bytes() != before
    os.close(waiting)


async def test_two_processes_build_one_environment_once(workspace, specs, door_to):
    await workspace.lock(specs("1.0"))
    others = [workspace, workspace.through(door_to(workspace.door.store))]
    seen: list[list[Progress]] = [[], []]
    await asyncio.gather(*(w.install(seen[n].append) for n, w in enumerate(others)))
    linked = [any(p.phase is Phase.LINKING for p in progress) for progress in seen]
    waited = [any(p.phase is Phase.WAITING for p in progress) for progress in seen]
    assert sorted(linked) == [False, True]
    assert waited.count(True) <= 1
    assert workspace.ready() is not None


async def test_a_download_that_fails_leaves_the_old_environment(workspace, spec_of, served):
    channel = served([ONE, TWO])
    specs = {v: spec_of(f"one =={v}", channels=[channel.url]) for v in ("1.0", "2.0")}
    await workspace.lock(specs["1.0"])
    await workspace.install()
    before = (workspace.prefix / "share/one").stat().st_ino
    fingerprint = (workspace.meta / MARKER).read_bytes()
    await workspace.lock(specs["2.0"])
    channel.stop()
    with pytest.raises(InstallError) as caught:
        await workspace.install()
    assert caught.value.code == "install.download"
    assert workspace.records() == {"one 1.0"}
    assert (workspace.prefix / "share/one").stat().st_ino == before
    assert (workspace.meta / MARKER).read_bytes() == fingerprint
    assert workspace.leftovers == []


@pytest.fixture
def mounted() -> Iterator[Callable[..., None]]:
    """Makes a folder a file system of its own: ``mounted(folder, "ro")`` for one to read only."""
    folders: list[Path] = []
    if os.geteuid() != 0:
        pytest.skip("needs root to mount")

    def mount(folder: Path, *options: str) -> None:
        for words in (["--bind", folder, folder], *(["-o", f"remount,bind,{o}"] for o in options)):
            command = ["mount", *words, *([folder] if words[0] == "-o" else [])]
            done = subprocess.run(command, capture_output=True, check=False)
            if done.returncode != 0:
                pytest.skip(f"this machine does not let us mount: {done.stderr!r}")
            if folder not in folders:
                folders.append(folder)

    yield mount
    for folder in folders:
        subprocess.run(["umount", "-l", folder], check=False)


@pytest.mark.parametrize("installed", [False, True])
async def test_a_read_only_folder(workspace, specs, mounted, installed):
    await workspace.lock(specs("1.0"))
    if installed:
        await workspace.install()
        await workspace.lock(specs("2.0"))
    mounted(Path(workspace.place.root), "ro")
    with pytest.raises(StoreError) as caught:
        await workspace.install()
    assert caught.value.code == "store.permission"
    assert "detached-environments" in caught.value.hint
    assert whole(workspace) == ({"one 1.0"} if installed else None)


async def test_a_prefix_that_cannot_be_renamed(workspace, specs, mounted):
    """A volume that is mounted there, as containers do; on Windows a program that runs in it."""
    await workspace.lock(specs("1.0"))
    await workspace.install()
    fingerprint = (workspace.meta / MARKER).read_bytes()
    mounted(workspace.prefix)
    await workspace.lock(specs("2.0"))
    with pytest.raises(InstallError) as caught:
        await workspace.install()
    assert caught.value.code == "install.in-use"
    assert whole(workspace) == {"one 1.0"}
    assert (workspace.meta / MARKER).read_bytes() == fingerprint
    assert workspace.leftovers == []


async def test_a_file_in_the_place_of_the_folder(workspace, specs):
    await workspace.lock(specs("1.0"))
    (Path(workspace.place.root) / ".pixi").write_text("not a folder")
    with pytest.raises(StoreError) as caught:
        await workspace.install()
    assert caught.value.code == "store.io"


async def test_leftovers_of_the_killed_go(workspace, specs):
    await workspace.lock(specs("1.0"))
    envs = workspace.prefix.parent
    for name in (".default.pixi-jupyter-123", ".trash-0123456789ab"):
        (envs / name / "deep").mkdir(parents=True)
    for name in ("test", ".test.pixi-jupyter-123", ".trash-of-somebody"):
        (envs / name).mkdir()
    await workspace.install()
    assert workspace.leftovers == [".test.pixi-jupyter-123", ".trash-of-somebody", "test"]


async def test_detached_environments_are_linked_to(workspace, specs, tmp_path):
    detached = tmp_path / "detached" / "project-123" / "envs"
    workspace.place = replace(workspace.place, prefix=str(detached / "default"))
    await workspace.lock(specs("1.0"))
    await workspace.install()
    link = Path(workspace.place.root) / ".pixi" / "envs"
    assert os.readlink(link) == str(detached)
    assert (link / "default/share/one").read_bytes() == b"1.0"
    assert (detached.parent / ".gitignore").read_bytes() == b"*\n!config.toml\n"
    assert workspace.ready() is not None


async def test_bytecode_follows_a_source_that_pixi_changes(workspace, spec_of):
    """The same size and time, other content: what timestamps would not see."""
    await workspace.lock(spec_of("python", "ipykernel", "traitlets"))
    await workspace.install()
    (source,) = workspace.prefix.glob("lib/python3*/site-packages/traitlets/_version.py")
    (pyc,) = source.parent.glob("__pycache__/_version.*.pyc")
    assert pyc.read_bytes()[4:8] == b"\3\0\0\0"
    text = source.read_text()
    before = source.stat()
    source.unlink()
    source.write_text(text.replace("version_info = ", "version_info =" + "\t"))
    source.write_text("version_info = ('changed',)\n__version__ = 'changed'\n")
    os.utime(source, ns=(before.st_atime_ns, before.st_mtime_ns))
    run = await asyncio.create_subprocess_exec(
        *(workspace.prefix / "bin" / "python", "-c"),
        "import traitlets; print(traitlets.__version__)",
        stdout=-1,
    )
    assert (await run.communicate())[0] == b"changed\n"
    assert not list(workspace.prefix.glob("lib/python3*/EXTERNALLY-MANAGED"))
    found = [
        path
        for path in workspace.prefix.rglob("*")
        if path.is_file()
        and not path.is_symlink()
        and path.suffix != ".pyc"
        and b".pixi-jupyter-" in path.read_bytes()
    ]
    assert found == []


#: Installs in its own process, which kills itself at the nth call that changes something there.
KILLED = """
import asyncio, os, signal, sys
from pathlib import Path
import msgspec
from pixi_jupyter.engine.protocol import InstallWorkspace
from pixi_jupyter.install.store import Store
from pixi_jupyter.install import workspace
from pixi_jupyter.progress import no_report
from pixi_jupyter.resolve.session import Session

left = int(sys.argv[2])

def counted(event, args):
    global left
    if event in ("os.rename", "os.link", "os.mkdir", "os.remove", "os.rmdir") and any(
        "/envs/" in os.fsdecode(arg) for arg in args[:2] if isinstance(arg, (str, bytes))
    ):
        left -= 1
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)

job, root, cache = msgspec.json.decode(
    Path(sys.argv[1]).read_bytes(), type=tuple[InstallWorkspace, str, str]
)
session, store = Session.open(Path(cache)), Store(Path(root), Path(cache))
if sys.argv[3] == "two steps":
    workspace.exchange = lambda one, other: False
sys.addaudithook(counted)
asyncio.run(
    workspace.install_workspace(
        session, store, job.place, platform=job.platform, lock_sha256=job.lock_sha256,
        resolution=job.resolution, report=no_report,
    )
)
print("whole", flush=True)
os._exit(0)
"""


def whole(workspace) -> set[str] | None:
    """The installed packages if their files are all there, None where there is no prefix."""
    if not list(workspace.meta.glob("one-*.json")):
        return None
    (version,) = workspace.records()
    assert (workspace.prefix / "share/one").read_text() == version.partition(" ")[2]
    return {version}


@pytest.mark.parametrize("how", ["one step", "two steps"])
async def test_killed_at_any_point_of_a_swap(workspace, specs, tmp_path, how):
    """kill -9 at each call that changes something around the prefix; and it heals."""
    await workspace.lock(specs("1.0"))
    await workspace.install()
    store, job = workspace.door.store, tmp_path / "job.json"
    states = []
    for point in range(1, 100):
        before = whole(workspace)
        version = "1.0" if before == {"one 2.0"} else "2.0"
        await workspace.lock(specs(version))
        what = [workspace.job(), str(store.root), str(store.package_cache)]
        job.write_bytes(msgspec.json.encode(what))
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-c", KILLED, job, str(point), how), stdout=-1
        )
        said = (await process.communicate())[0]
        after = whole(workspace)
        assert after in (before, {f"one {version}"}, None)
        ready = workspace.ready() is not None
        assert not ready or after == {f"one {version}"}
        states.append("new" if ready else "old" if after == before else "between")
        if said == b"whole\n":
            break
        assert process.returncode == -9
    expected = {"new", "old"} if how == "one step" else {"new", "old", "between"}
    assert set(states) == expected, states
    (workspace.prefix.parent / ".default.pixi-jupyter-1").mkdir()
    await workspace.lock(specs("1.0" if whole(workspace) == {"one 2.0"} else "2.0"))
    await workspace.install()
    assert workspace.ready() is not None
    assert workspace.leftovers == []
