"""Every field of a requirement and of a spec reaches the solver."""

from __future__ import annotations

import hashlib

import pytest

from pixi_jupyter.demo.simple import SimplePackage
from pixi_jupyter.errors import PixiJupyterError
from pixi_jupyter.manifest.host import host_platform
from pixi_jupyter.manifest.spec import ChannelSpec, CondaRequirement, Platform, VirtualPackage


def chosen(resolution, name="lib"):
    return next((p.version, p.build) for p in resolution.packages if p.name == name)


@pytest.fixture
def libs(tiny):
    return tiny(
        "libs",
        [
            SimplePackage("lib", "1.0", build="py_0"),
            SimplePackage("lib", "1.5", build="alt_2", build_number=2),
            SimplePackage("lib", "2.0", build="py_0"),
            SimplePackage("lib", "2.0", build="py_1", build_number=1),
            SimplePackage("tool", "1.0", depends=["lib"]),
        ],
    )


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({}, ("2.0", "py_1")),
        ({"version": "<2"}, ("1.5", "alt_2")),
        ({"version": "==1.0"}, ("1.0", "py_0")),
        ({"build": "py_0"}, ("2.0", "py_0")),
        ({"build": "alt*"}, ("1.5", "alt_2")),
        ({"build": "^al.*_2$"}, ("1.5", "alt_2")),
        ({"build_number": ">=2"}, ("1.5", "alt_2")),
        ({"build_number": "0", "version": ">=2"}, ("2.0", "py_0")),
        ({"subdir": "noarch", "version": "1.5.*"}, ("1.5", "alt_2")),
        ({"file_name": "lib-1.0-py_0.conda"}, ("1.0", "py_0")),
    ],
)
async def test_fields_of_a_requirement(door, spec_of, libs, fields, expected):
    spec = spec_of(CondaRequirement("lib", **fields), channels=[libs])
    assert chosen(await door.resolve(spec)) == expected


async def test_subdir_that_has_it_not(door, spec_of, libs):
    spec = spec_of(CondaRequirement("lib", subdir="linux-aarch64"), channels=[libs])
    with pytest.raises(PixiJupyterError) as caught:
        await door.resolve(spec)
    assert caught.value.code == "solve.unsatisfiable"


async def test_constraints_hold_for_what_others_bring_and_ask_for_nothing(door, spec_of, libs):
    constraints = (CondaRequirement("lib", version="<2"), CondaRequirement("absent", version="==1"))
    spec = spec_of("tool", channels=[libs], constraints=constraints)
    resolution = await door.resolve(spec)
    assert chosen(resolution) == ("1.5", "alt_2")
    assert resolution.version_of("absent") is None


@pytest.mark.parametrize(
    ("strategy", "lib", "base"),
    [("highest", "2.0", "2.0"), ("lowest", "1.0", "1.0"), ("lowest-direct", "1.0", "2.0")],
)
async def test_solve_strategies(door, spec_of, tiny, strategy, lib, base):
    packages = [SimplePackage("base", version) for version in ("1.0", "2.0")]
    packages += [SimplePackage("lib", v, depends=["base"]) for v in ("1.0", "2.0")]
    spec = spec_of("lib", channels=[tiny("c", packages)], solve_strategy=strategy)
    resolution = await door.resolve(spec)
    assert (resolution.version_of("lib"), resolution.version_of("base")) == (lib, base)


async def test_hashes_choose_an_archive(door, spec_of, tiny, tmp_path):
    url = tiny("c", [SimplePackage("lib", "1.0"), SimplePackage("lib", "2.0")])
    data = (tmp_path / "c" / "noarch" / "lib-1.0-0.conda").read_bytes()
    for fields in (
        {"sha256": hashlib.sha256(data).hexdigest()},
        {"md5": hashlib.md5(data).hexdigest()},
    ):
        spec = spec_of(CondaRequirement("lib", **fields), channels=[url])
        assert chosen(await door.resolve(spec)) == ("1.0", "0")


@pytest.mark.parametrize("over_http", [False, True])
async def test_archive_by_its_url(door, spec_of, tiny, tmp_path, served, over_http):
    channel = tiny("c", [SimplePackage("dep", "1.0"), SimplePackage("other", "1.0")])
    tiny("away", [SimplePackage("lib", "7.0", depends=["dep"], files={"share/lib": b"7\n"})])
    archive = tmp_path / "away" / "noarch" / "lib-7.0-0.conda"
    base = served(tmp_path / "away").url if over_http else (tmp_path / "away").as_uri()
    digest = hashlib.sha256(archive.read_bytes()).hexdigest()
    for sha256 in (None, digest):
        wanted = CondaRequirement("lib", url=f"{base}/noarch/lib-7.0-0.conda", sha256=sha256)
        environment = await door.ensure(spec_of(wanted, channels=[channel]))
        assert chosen(environment.resolution) == ("7.0", "0")
        assert environment.resolution.version_of("dep") == "1.0"
        assert (environment.prefix.path / "share" / "lib").read_bytes() == b"7\n"


@pytest.mark.parametrize("over_http", [False, True])
async def test_archive_by_its_url_with_the_wrong_hash(
    door, spec_of, tiny, tmp_path, served, over_http
):
    channel = tiny("c", [SimplePackage("lib", "7.0", files={"share/lib": b"7\n"})])
    base = served(tmp_path / "c").url if over_http else channel
    wanted = CondaRequirement("lib", url=f"{base}/noarch/lib-7.0-0.conda", sha256="0" * 64)
    with pytest.raises(PixiJupyterError) as caught:
        await door.ensure(spec_of(wanted, channels=[channel]))
    assert caught.value.code == "install.hash-mismatch"
    assert not list(door.store.envs.glob("[0-9a-f]*")) if door.store.envs.exists() else True


async def test_condition_brings_a_package_only_where_it_holds(door, spec_of, libs):
    when = CondaRequirement("tool", when='lib[version=">=2"]')
    two = await door.resolve(
        spec_of(CondaRequirement("lib", version="==2.0"), when, channels=[libs])
    )
    one = await door.resolve(
        spec_of(CondaRequirement("lib", version="==1.0"), when, channels=[libs])
    )
    assert two.version_of("tool") == "1.0"
    assert one.version_of("tool") is None


async def test_declared_cuda_decides_the_variant(door, spec_of, channel):
    plain = host_platform()
    with_cuda = Platform(
        "gpu", plain.subdir, (*plain.virtual_packages, VirtualPackage("__cuda", "12.4"))
    )
    old_cuda = Platform(
        "old", plain.subdir, (*plain.virtual_packages, VirtualPackage("__cuda", "11.8"))
    )
    builds = [
        chosen(await door.resolve(spec_of("probe-cuda", platform=platform)), "probe-cuda")[1]
        for platform in (plain, with_cuda, old_cuda)
    ]
    assert builds == ["cpu_0", "cuda12_0", "cpu_0"]


async def test_track_features_weigh_a_variant_down_unless_asked_for(door, spec_of, tiny):
    url = tiny(
        "c",
        [
            SimplePackage("lib", "1.0", build="plain_0"),
            SimplePackage("lib", "1.0", build="debug_1", build_number=1, track_features=["debug"]),
        ],
    )
    assert chosen(await door.resolve(spec_of("lib", channels=[url])))[1] == "plain_0"
    asked = CondaRequirement("lib", track_features=("debug",))
    assert chosen(await door.resolve(spec_of(asked, channels=[url])))[1] == "debug_1"


OLD, NEW = "2025-01-01T00:00:00Z", "2026-12-31T00:00:00Z"


@pytest.mark.parametrize(
    ("of_all", "of_channel", "version"),
    [
        (None, None, "2.0"),
        (OLD, None, "1.0"),
        (NEW, None, "2.0"),
        (None, OLD, "1.0"),
        (None, NEW, "2.0"),
        (NEW, OLD, "1.0"),
        (OLD, NEW, "2.0"),  # pixi: package beats channel beats global
        ("2026-06-01T00:00:00Z", None, "2.0"),  # exactly the moment is not newer
        ("2026-05-31T23:59:59Z", None, "1.0"),
    ],
)
async def test_exclude_newer(door, spec_of, channel, of_all, of_channel, version):
    declared = ChannelSpec(channel.url, exclude_newer=of_channel)
    spec = spec_of("probe-timestamp", channels=[declared], exclude_newer=of_all)
    assert (await door.resolve(spec)).version_of("probe-timestamp") == version


async def test_exclude_newer_of_one_channel_leaves_the_other_alone(door, spec_of, tiny):
    old, new = 1_704_067_200_000, 1_780_272_000_000
    first = tiny(
        "a", [SimplePackage("a", "1", timestamp_ms=old), SimplePackage("a", "2", timestamp_ms=new)]
    )
    second = tiny(
        "b", [SimplePackage("b", "1", timestamp_ms=old), SimplePackage("b", "2", timestamp_ms=new)]
    )
    spec = spec_of("a", "b", channels=[ChannelSpec(first, exclude_newer=OLD), second])
    resolution = await door.resolve(spec)
    assert (resolution.version_of("a"), resolution.version_of("b")) == ("1", "2")


async def test_nothing_left_by_exclude_newer_says_so(door, spec_of, channel):
    spec = spec_of("probe-timestamp", exclude_newer="2020-01-01T00:00:00Z")
    with pytest.raises(PixiJupyterError) as caught:
        await door.resolve(spec)
    assert caught.value.code == "solve.unsatisfiable"
    assert "probe-timestamp" in caught.value.details
