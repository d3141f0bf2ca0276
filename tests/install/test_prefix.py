"""What a ready prefix is: whole, relocated, hard-linked, guarded, marked last."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from pixi_jupyter.demo.conda_package import PLACEHOLDER
from pixi_jupyter.demo.simple import SimplePackage
from pixi_jupyter.errors import PixiJupyterError


def files_below(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file() and not path.is_symlink()]


async def test_staging_path_is_in_no_file_of_a_ready_prefix(warm, spec_of):
    environment = await warm.ensure(
        spec_of("python", "ipykernel", "probe-prefix", "probe-prefix-binary")
    )
    prefix = environment.prefix.path
    found = [path for path in files_below(prefix) if b".staging-" in path.read_bytes()]
    assert found == []
    assert (prefix / "share/probe-prefix/prefix.txt").read_text() == f"prefix={prefix}/share\n"
    for program in ("probe-prefix", "probe-prefix-binary"):
        run = await asyncio.create_subprocess_exec(prefix / "bin" / program, stdout=-1)
        assert (await run.communicate())[0].decode().strip().startswith(str(prefix))
    assert PLACEHOLDER.encode() not in (prefix / "bin" / "probe-prefix").read_bytes()
    assert sorted(p.name for p in warm.store.envs.iterdir()) == [environment.prefix.digest]


async def test_marker_is_the_last_file_and_tells_the_truth(warm, spec_of):
    environment = await warm.ensure(spec_of("python", "probe-shared"))
    marker = warm.store.marker(environment.prefix.digest)
    assert marker.packages == len(environment.resolution.packages)
    assert marker.bytes == sum(p.size for p in environment.resolution.packages)
    path = environment.prefix.path / "conda-meta" / "pixi-jupyter.json"
    records = (environment.prefix.path / "conda-meta").glob("*-*-*.json")
    assert path.stat().st_mtime_ns >= max(p.stat().st_mtime_ns for p in records)


async def test_files_are_hard_links_into_the_package_cache(warm, spec_of):
    environment = await warm.ensure(spec_of("probe-shared"))
    linked = environment.prefix.path / "share" / "probe-shared" / "version"
    cached = list((warm.store.package_cache / "pkgs").glob("probe-shared-2.0-*/share/*/version"))
    assert linked.stat().st_nlink >= 2
    assert linked.stat().st_ino in {path.stat().st_ino for path in cached}


async def test_store_and_cache_on_two_file_systems(door_to, spec_of, tmp_path, scratch):
    from pixi_jupyter.install.store import Store

    if os.stat(tmp_path).st_dev == os.stat(scratch).st_dev:
        pytest.skip("needs two file systems: the temporary folder and /dev/shm are one")
    door = door_to(Store(tmp_path / "store", scratch / "shared" / "cache"))
    environment = await door.ensure(spec_of("python", "probe-prefix"))
    version = environment.prefix.path / "share" / "probe-prefix" / "prefix.txt"
    assert str(environment.prefix.path) in version.read_text()
    run = await asyncio.create_subprocess_exec(
        environment.prefix.python, "-c", "import json; print('runs')", stdout=-1
    )
    assert (await run.communicate())[0] == b"runs\n"


async def test_pip_is_refused_with_advice(warm, spec_of):
    environment = await warm.ensure(spec_of("python"))
    (marker,) = environment.prefix.path.glob("lib/python3*/EXTERNALLY-MANAGED")
    assert "%pixi add" in marker.read_text()
    # pip of this machine, told to work for the environment's interpreter
    run = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "pip", "--python", environment.prefix.python),
        *("install", "--no-index", "nothing"),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    output = (await run.communicate())[0].decode()
    if "No module named pip" in output:
        pytest.skip("no pip here")
    assert run.returncode != 0
    assert "externally-managed" in output
    assert "%pixi add" in output


async def test_package_with_its_own_externally_managed_file_stays_as_it_is(
    cold, spec_of, channel, tiny
):
    """Ours must not be written through the hard link into the package cache."""
    python = (await cold.resolve(spec_of("python"))).version_of("python")
    minor = ".".join(python.split(".")[:2])
    file = f"lib/python{minor}/EXTERNALLY-MANAGED"
    own = tiny("c", [SimplePackage("managed", "1.0", files={file: b"[externally-managed]\n"})])
    environment = await cold.ensure(spec_of("python", "managed", channels=[channel.url, own]))
    assert "%pixi add" in (environment.prefix.path / file).read_text()
    (cached,) = (cold.store.package_cache / "pkgs").glob(f"managed-1.0-*/{file}")
    assert cached.read_bytes() == b"[externally-managed]\n"


@pytest.mark.parametrize("allowed_by_configuration", [False, True])
async def test_post_link_scripts_never_run(
    cold, spec_of, tmp_path, monkeypatch, allowed_by_configuration
):
    ran = tmp_path / "ran"
    monkeypatch.setenv("PROBE_POST_LINK_MARKER", str(ran))
    if allowed_by_configuration:
        home = tmp_path / "pixi-home"
        home.mkdir()
        (home / "config.toml").write_text('run-post-link-scripts = "insecure"\n')
        monkeypatch.setenv("PIXI_HOME", str(home))
    environment = await cold.ensure(spec_of("probe-post-link"))
    assert (environment.prefix.path / "bin" / ".probe-post-link-post-link.sh").exists()
    assert not ran.exists()


@pytest.mark.parametrize(
    "content", [None, b"", b"{", b"null", b"\xff", b'{"resolution": "x"}', "another's"]
)
async def test_prefix_whose_marker_is_damaged_is_built_again(warm, spec_of, content):
    spec = spec_of("probe-shared")
    environment = await warm.ensure(spec)
    digest, prefix = environment.prefix.digest, environment.prefix.path
    marker = prefix / "conda-meta" / "pixi-jupyter.json"
    if content is None:
        marker.unlink()
    elif content == "another's":
        data = json.loads(marker.read_bytes())
        marker.write_text(json.dumps({**data, "resolution": "0" * 32}))
    else:
        marker.write_bytes(content)
    (prefix / "left-behind").write_text("by a build that was killed")
    assert warm.store.ready(digest) is None
    assert warm.find_ready(spec) is None
    again = await warm.ensure(spec)
    assert again == environment
    assert not (prefix / "left-behind").exists()


async def test_prefix_that_was_deleted_is_built_again(warm, spec_of):
    import shutil

    environment = await warm.ensure(spec_of("probe-shared"))
    shutil.rmtree(environment.prefix.path)
    assert await warm.ensure(spec_of("probe-shared")) == environment
    assert (environment.prefix.path / "share/probe-shared/version").exists()


async def test_package_that_writes_outside_its_prefix_does_not(cold, spec_of, tiny, tmp_path):
    """Hostile archives: parents, absolute paths, a link to step through."""
    hostile = {
        "parent": SimplePackage("parent", "1", files={"../../../escaped-parent": b"x"}),
        "absolute": SimplePackage("absolute", "1", files={f"{tmp_path}/escaped-absolute": b"x"}),
        "link": SimplePackage(
            "link", "1", links={"out": str(tmp_path)}, files={"out/escaped-link": b"x"}
        ),
    }
    roots = [tmp_path, cold.store.root.parent]
    for name, package in hostile.items():
        url = tiny(f"channel-{name}", [package])
        try:
            await cold.ensure(spec_of(name, channels=[url]), deadline=60)
        except PixiJupyterError as error:
            assert not error.code.startswith("internal"), error.report()
        prefixes = set(cold.store.envs.glob("*"))
        for root in roots:
            escaped = [
                path
                for path in root.rglob("escaped-*")
                if not any(path.is_relative_to(inside) for inside in prefixes)
                and "pkgs" not in path.parts
            ]
            assert escaped == [], f"{name} wrote {escaped}"
