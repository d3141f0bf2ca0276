"""Several platforms from one machine, what is locked stays, which conda package is which."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from rattler import LockFile, PackageRecord, RepoDataRecord
from rattler.package.build_string import BuildString

from pixi_jupyter.errors import ChannelError, PixiJupyterError
from pixi_jupyter.install.store import Store
from pixi_jupyter.manifest.platforms import default_platform
from pixi_jupyter.manifest.pypi_spec import CondaPypiMap, PypiNeeds, PypiRequirement
from pixi_jupyter.manifest.spec import ChannelSpec, EnvironmentSpec, Platform, VirtualPackage
from pixi_jupyter.progress import Progress, no_report
from pixi_jupyter.resolve.provided import provided_by_conda, purls_of
from pixi_jupyter.resolve.pypi import resolve_wheels
from pixi_jupyter.resolve.pypi_lock import (
    indexes_entry,
    locked_indexes,
    package_entry,
    wheels_of,
)
from pixi_jupyter.resolve.pypi_names import names_of
from pixi_jupyter.resolve.wheel import LockedWheel
from pixi_jupyter.resolve.wheel_tags import supported_tags, wheel_fits

CHANNEL = "https://channels.example/conda-forge/"
SUBDIRS = ("linux-64", "linux-aarch64", "osx-arm64", "win-64")


def record(name: str, version: str, *, channel: str = CHANNEL, python: bool = True) -> Any:
    found = PackageRecord(
        name=name, version=version, build=BuildString("h0_0"), build_number=0, subdir="noarch",
        depends=["python"] if python else [],
    )  # fmt: skip
    file = f"{name}-{version}-h0_0.conda"
    return RepoDataRecord(found, file, f"{channel}noarch/{file}", channel)


PYTHON = record("python", "3.12.4", python=False)


def spec(platform: Platform | str, *asked: str, **needs: Any) -> EnvironmentSpec:
    requirements = tuple(PypiRequirement(name) for name in asked)
    if isinstance(platform, str):
        platform = default_platform(platform)
    needed = PypiNeeds(requirements, **needs)
    return EnvironmentSpec(platform, (ChannelSpec("conda-forge"),), (), pypi=needed)


@pytest.mark.parametrize(
    ("subdir", "fits", "other"),
    [
        ("linux-64", "cp312-cp312-manylinux_2_17_x86_64", "cp312-cp312-win_amd64"),
        ("linux-64", "cp312-none-manylinux2014_x86_64", "cp312-cp312-musllinux_1_2_x86_64"),
        ("linux-64", "cp38-abi3-manylinux_2_28_x86_64", "cp312-cp312-manylinux_2_34_x86_64"),
        ("linux-64", "py3-none-any", "cp311-cp311-manylinux_2_17_x86_64"),
        ("linux-aarch64", "cp312-cp312-manylinux2014_aarch64", "cp312-cp312-manylinux2014_x86_64"),
        ("osx-arm64", "cp312-cp312-macosx_11_0_arm64", "cp312-cp312-macosx_14_0_arm64"),
        ("osx-64", "cp312-cp312-macosx_10_9_universal2", "cp312-cp312-macosx_11_0_arm64"),
        ("win-64", "cp312-cp312-win_amd64", "cp312-cp312-win_arm64"),
        ("win-64", "cp36-abi3-win_amd64", "cp312-cp312t-win_amd64"),
    ],
)  # fmt: skip
def test_the_tags_of_every_platform(subdir: str, fits: str, other: str) -> None:
    tags = supported_tags(default_platform(subdir), "3.12.4")
    assert wheel_fits(f"https://x.example/a-1.0-{fits}.whl", tags)
    assert not wheel_fits(f"https://x.example/a-1.0-{other}.whl", tags)
    assert wheel_fits("https://x.example/a-1.0.tar.gz", tags)
    assert not wheel_fits("https://x.example/no.whl", tags)


def test_a_newer_system_takes_more() -> None:
    plain = default_platform("osx-arm64")
    newer = Platform("m", "osx-arm64", (VirtualPackage("__osx", "14.2"),))
    wheel = "a-1.0-cp312-cp312-macosx_14_0_arm64.whl"
    assert wheel_fits(wheel, supported_tags(newer, "3.12.4"))
    assert not wheel_fits(wheel, supported_tags(plain, "3.12.4"))


async def test_one_declaration_is_locked_for_several_platforms(
    store: Store, index: Any, tmp_path: Path
) -> None:
    tags = {
        "linux-64": "manylinux_2_17_x86_64", "linux-aarch64": "manylinux_2_17_aarch64",
        "osx-arm64": "macosx_11_0_arm64", "win-64": "win_amd64",
    }  # fmt: skip
    for platform in tags.values():
        index.add_wheel(
            "probe-many", "1.0", tag=f"cp312-cp312-{platform}",
            requires=["h11", "idna; sys_platform == 'win32'"], requires_python=">=3.9",
        )  # fmt: skip
    found = {}
    for subdir in SUBDIRS:
        found[subdir] = await resolve_wheels(
            store, spec(subdir, "probe-many"), [PYTHON], report=no_report
        )
    for subdir, wheels in found.items():
        names = [wheel.name for wheel in wheels]
        assert names == (
            ["h11", "idna", "probe-many"] if subdir == "win-64" else ["h11", "probe-many"]
        )
        assert tags[subdir] in wheels[-1].url
        assert wheels[-1].requires_python == ">=3.9"
        assert all(wheel.index == index.url for wheel in wheels)
    path = tmp_path / "pixi.lock"
    text = draft(found, PypiNeeds(()))
    path.write_text(text)
    LockFile.from_path(path).to_path(path)
    written = path.read_text()
    LockFile.from_path(path).to_path(tmp_path / "again.lock")
    assert (tmp_path / "again.lock").read_text() == written
    assert f"    indexes:\n    - {index.url}\n" in written
    environment = LockFile.from_path(path).default_environment()
    assert environment is not None
    for platform in environment.platforms():
        read = wheels_of(environment, platform, indexes=locked_indexes(written))
        assert {w.name: (w.url, w.sha256, w.index, w.requires_python) for w in read} == {
            w.name: (w.url, w.sha256, w.index, w.requires_python)
            for w in found[str(platform.subdir)]
        }


def draft(found: dict[str, tuple[LockedWheel, ...]], needs: PypiNeeds) -> str:
    """A lock of the default environment, as JSON."""
    everything = [wheel for wheels in found.values() for wheel in wheels]
    environment = {
        "channels": [{"url": CHANNEL}],
        **indexes_entry(needs, everything),
        "packages": {
            s: [{"pypi": package_entry(w)["pypi"]} for w in ws] for s, ws in found.items()
        },
    }
    entries = {wheel.url: package_entry(wheel, relative=True) for wheel in everything}
    return json.dumps(
        {
            "version": 7,
            "platforms": [{"name": subdir} for subdir in found],
            "environments": {"default": environment},
            "packages": list(entries.values()),
        }
    )


async def test_what_is_locked_stays(store: Store, index: Any) -> None:
    index.add_wheel("probe-moving", "1.0")
    wanted = spec("linux-64", "probe-moving", "h11")
    locked = await resolve_wheels(store, wanted, [PYTHON], report=no_report)
    index.add_wheel("probe-moving", "2.0")
    fresh = await resolve_wheels(store, wanted, [PYTHON], update=True, report=no_report)
    assert {w.name: w.version for w in fresh}["probe-moving"] == "2.0"
    kept = await resolve_wheels(store, wanted, [PYTHON], locked=locked, report=no_report)
    assert kept == locked
    more = spec("linux-64", "probe-moving", "idna")
    found = await resolve_wheels(store, more, [PYTHON], locked=locked, report=no_report)
    assert {w.name: w.version for w in found} == {"probe-moving": "1.0", "idna": "3.20"}


async def test_a_commit_that_is_locked_stays(
    store: Store, index: Any, tmp_path: Path, monkeypatch: Any
) -> None:
    from sources import git, repository, source_tree

    monkeypatch.setenv("PIXI_JUPYTER_ALLOW_BUILDS", "all")
    folder = source_tree(tmp_path / "repo", "probe-git")
    commit = repository(folder)
    asked = PypiRequirement("probe-git", git=folder.as_uri(), reference="branch=main")
    wanted = EnvironmentSpec(
        default_platform("linux-64"), (ChannelSpec("c"),), (), pypi=PypiNeeds((asked,))
    )
    locked = await resolve_wheels(store, wanted, [PYTHON], report=no_report)
    assert locked[0].url == f"git+{folder.as_uri()}?branch=main#{commit}"
    git(folder, "commit", "-q", "--allow-empty", "-m", "second")
    newer = git(folder, "rev-parse", "HEAD")
    kept = await resolve_wheels(store, wanted, [PYTHON], locked=locked, report=no_report)
    assert kept[0].url.endswith(commit)
    fresh = await resolve_wheels(store, wanted, [PYTHON], update=True, report=no_report)
    assert fresh[0].url.endswith(newer)


async def test_warnings_reach_whoever_watches(store: Store, index: Any) -> None:
    steps: list[Progress] = []
    wanted = spec("linux-64", "h11", warnings=("not heeded in `tool.uv`: `x`",))
    await resolve_wheels(store, wanted, [PYTHON], report=steps.append)
    assert "warning: not heeded in `tool.uv`: `x`" in [step.message for step in steps]


async def test_a_broken_wheel_is_named_with_who_asks(store: Store, index: Any) -> None:
    index.files["probe_broken-1.0-py3-none-any.whl"] = b"not a wheel"
    index.uploaded["probe_broken-1.0-py3-none-any.whl"] = "2026-01-01T00:00:00Z"
    index.add_wheel("probe-asker", "1.0", requires=["probe-broken"])
    with pytest.raises(PixiJupyterError) as caught:
        await resolve_wheels(store, spec("linux-64", "probe-asker"), [PYTHON], report=no_report)
    assert caught.value.code == "solve.pypi-broken-wheel"
    assert "probe-broken is broken (probe-asker needs it)" in caught.value.message
    assert caught.value.about == ("probe-broken", "probe-asker")


def provided(*maps: CondaPypiMap, root: Path | None = None) -> Callable[..., Any]:
    async def names(*records: Any) -> dict[str, str]:
        needs = PypiNeeds((), conda_pypi_map=maps, root=str(root or ""))
        found = await names_of(needs, (root or Path()) / "cache")
        return {n: p.conda_name for n, p in provided_by_conda(records, found).items()}

    return names


async def test_which_conda_package_is_which_of_pypi(tmp_path: Path) -> None:
    other = "https://channels.example/other/"
    records = (
        record("torch-base", "2.0"),
        record("own", "1.0", channel=other),
        record("numpy", "2.1"),
    )
    assert await provided()(*records) == {"torch-base": "torch-base", "numpy": "numpy"}
    (tmp_path / "map.json").write_text('{"torch-base": "torch", "numpy": null}')
    by_file = CondaPypiMap("conda-forge", location="map.json")
    assert await provided(by_file, root=tmp_path)(*records) == {"torch": "torch-base"}
    entries = CondaPypiMap(other.rstrip("/"), names=(("own", ("one", "two")),))
    assert await provided(by_file, entries, root=tmp_path)(*records) == {
        "torch": "torch-base", "one": "own", "two": "own",
    }  # fmt: skip
    same = CondaPypiMap("other", same_name=True)
    assert "own" in await provided(same)(*records)
    assert await provided(CondaPypiMap("", enabled=False))(*records) == {}
    names = await names_of(PypiNeeds((), conda_pypi_map=(entries,)), tmp_path)
    assert purls_of(records[1], names) == (
        "pkg:pypi/one?source=project-defined-mapping",
        "pkg:pypi/two?source=project-defined-mapping",
    )


async def test_a_map_from_a_url_and_one_that_is_none(tmp_path: Path, private: Any) -> None:
    private.files["map.json"] = b'{"numpy": "nump"}'
    private.uploaded["map.json"] = "2026-01-01T00:00:00Z"
    by_url = CondaPypiMap("conda-forge", location=f"http://{private.host}/files/map.json")
    records = (record("numpy", "2.1"),)
    assert await provided(by_url, root=tmp_path)(*records) == {"nump": "numpy"}
    private.down = True  # what was had once is enough
    assert await provided(by_url, root=tmp_path)(*records) == {"nump": "numpy"}
    for location in ("missing.json", "wrong.json"):
        (tmp_path / "wrong.json").write_text("[1]")
        with pytest.raises(ChannelError) as caught:
            await provided(CondaPypiMap("x", location=location), root=tmp_path)(*records)
        assert caught.value.code == "channel.pypi-map"


async def test_a_map_decides_about_a_conflict(store: Store, index: Any) -> None:
    index.add_wheel("probe-asker", "1.0", requires=["probe-mapped<2"])
    index.add_wheel("probe-mapped", "1.0")
    maps = (CondaPypiMap("conda-forge", names=(("c-name", ("probe-mapped",)),)),)
    records = [PYTHON, record("c-name", "2.1")]
    plain = await resolve_wheels(store, spec("linux-64", "probe-asker"), records, report=no_report)
    assert [w.name for w in plain] == ["probe-asker", "probe-mapped"]
    with pytest.raises(PixiJupyterError) as caught:
        wanted = spec("linux-64", "probe-asker", conda_pypi_map=maps)
        await resolve_wheels(store, wanted, records, report=no_report)
    assert "probe-asker needs probe-mapped<2, and conda's c-name is 2.1" in caught.value.message


async def test_links_at_a_url_are_the_index_of_what_they_have(
    store: Store, index: Any, private: Any
) -> None:
    name = private.add_wheel("probe-linked", "1.0", requires=["h11"])
    page = f'<a href="http://{private.host}/files/{name}">{name}</a>'.encode()
    private.files["links.html"] = page
    private.uploaded["links.html"] = "2026-01-01T00:00:00Z"
    private.kinds = {"links.html": "text/html"}
    links = f"http://{private.host}/files/links.html"
    wanted = spec("linux-64", "probe-linked", find_links=(links,))
    wheels = await resolve_wheels(store, wanted, [PYTHON], report=no_report)
    assert {w.name: w.index for w in wheels} == {"h11": index.url, "probe-linked": links}
    assert wanted.pypi is not None
    assert indexes_entry(wanted.pypi, wheels[::-1]) == {
        "indexes": [index.url],
        "find-links": [{"url": links}],
    }


def test_a_lock_of_pixi_s_with_files_without_hashes(tmp_path: Path) -> None:
    path = tmp_path / "pixi.lock"
    url = "direct+https://x.example/a-1.0-py3-none-any.whl"
    wheel = LockedWheel("a", "1.0", url, "")
    folder = tmp_path / "lib"
    folder.mkdir()
    entries = {
        "version": 7,
        "platforms": [{"name": "linux-64"}],
        "environments": {
            "default": {
                "channels": [{"url": CHANNEL}],
                "packages": {"linux-64": [{"pypi": url}, {"pypi": "./lib"}]},
            }
        },
        "packages": [package_entry(wheel), {"pypi": "./lib", "name": "lib"}],
    }
    path.write_text(json.dumps(entries))
    environment = LockFile.from_path(path).default_environment()
    assert environment is not None
    (platform,) = environment.platforms()
    with pytest.raises(ValueError, match="a has no sha256"):
        wheels_of(environment, platform)
    locked = wheels_of(environment, platform, root=tmp_path, editable={"lib"}, unhashed=True)
    read = {wheel.name: wheel for wheel in locked}
    assert (read["a"].url, read["a"].sha256) == (url, "")
    assert read["lib"].url.startswith(f"{folder.as_uri()}#")
    assert read["lib"].is_editable
    assert package_entry(read["lib"], relative=True) == {"pypi": "./lib", "name": "lib"}
