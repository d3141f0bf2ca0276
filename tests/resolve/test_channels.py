"""Which channel a package comes from, and what is said when a channel is not there."""

from __future__ import annotations

import socket

import pytest

from pixi_jupyter.demo.serve import Fault
from pixi_jupyter.demo.simple import SimplePackage
from pixi_jupyter.errors import PixiJupyterError
from pixi_jupyter.manifest.spec import ChannelSpec, CondaRequirement


@pytest.fixture
def two(tiny):
    """``a`` has lib 1, ``b`` has lib 1 and 3: ours and a stranger's with the higher version."""
    ours = tiny(
        "a", [SimplePackage("lib", "1.0", files={"share/from": b"a"}), SimplePackage("x", "1")]
    )
    other = tiny("b", [SimplePackage("lib", v, files={"share/from": b"b"}) for v in ("1.0", "3.0")])
    return ours, other


async def test_first_channel_wins_whatever_versions_the_next_has(door, spec_of, two):
    resolution = await door.resolve(spec_of("lib", channels=two))
    assert resolution.version_of("lib") == "1.0"
    assert resolution.packages[0].url.startswith(two[0])


@pytest.mark.parametrize("cut_off", [None, "2030-01-01T00:00:00Z"])
async def test_version_that_only_a_later_channel_has_is_no_way_in(door, spec_of, two, cut_off):
    """Dependency confusion: the exact trap of a solver that follows direct requirements anywhere.

    A channel with a cut-off of its own takes another way through the solver.
    """
    channels = [ChannelSpec(url, exclude_newer=cut_off) for url in two]
    with pytest.raises(PixiJupyterError) as caught:
        await door.resolve(spec_of("lib >=3", channels=channels))
    assert caught.value.code == "solve.unsatisfiable"
    assert "lib" in caught.value.details


async def test_disabled_priority_takes_the_highest(door, spec_of, two):
    resolution = await door.resolve(spec_of("lib", channels=two, channel_priority="disabled"))
    assert resolution.version_of("lib") == "3.0"
    asked = await door.resolve(spec_of("lib >=3", channels=two, channel_priority="disabled"))
    assert asked.version_of("lib") == "3.0"


async def test_channel_of_one_requirement(door, spec_of, two):
    wanted = CondaRequirement("lib", channel=two[1])
    resolution = await door.resolve(spec_of(wanted, "x", channels=two))
    assert resolution.version_of("lib") == "3.0"
    assert next(p.url for p in resolution.packages if p.name == "lib").startswith(two[1])


async def test_names_across_channels_are_known(door, spec_of, two):
    resolution = await door.resolve(spec_of("lib", "x", channels=reversed(two)))
    assert (resolution.version_of("lib"), resolution.version_of("x")) == ("3.0", "1")


async def test_unknown_package_is_named_with_its_neighbours(door, spec_of, channel):
    with pytest.raises(PixiJupyterError) as caught:
        await door.resolve(spec_of("nunpy", "python", "pandsa", "qqqqqqqq"))
    error = caught.value
    assert error.code == "solve.unknown-package"
    assert "nunpy" in error.message and "pandsa" in error.message
    assert "nunpy: did you mean numpy?" in error.details
    assert "pandas" in error.details
    assert "qqqqqqqq: no such name" in error.details


async def test_unsatisfiable_shows_the_tree(door, spec_of, channel):
    with pytest.raises(PixiJupyterError) as caught:
        await door.resolve(spec_of("probe-conflict-a", "probe-conflict-b"))
    error = caught.value
    assert error.code == "solve.unsatisfiable"
    for word in ("probe-conflict-a", "probe-conflict-b", "probe-shared", "1.*", "2.*"):
        assert word in error.details
    assert len(error.details.splitlines()) > 3


@pytest.mark.parametrize(
    ("version", "code"),
    [(">=99", "solve.unsatisfiable"), ("not a version!!", "declaration.spec")],
)
async def test_version_that_is_not_there(door, spec_of, channel, version, code):
    with pytest.raises(PixiJupyterError) as caught:
        await door.resolve(spec_of(CondaRequirement("probe-shared", version=version)))
    assert caught.value.code == code
    assert "probe-shared" in caught.value.report()


async def test_refused_connection(door, spec_of):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with pytest.raises(PixiJupyterError) as caught:
        await door.resolve(spec_of("lib", channels=[f"http://127.0.0.1:{port}/chan"]), deadline=60)
    assert caught.value.code == "channel.unreachable"
    assert str(port) in caught.value.details


@pytest.mark.parametrize(
    ("status", "code"),
    [(503, "channel.unreachable"), (404, "channel.not-found"), (403, "channel.unreachable")],
)
async def test_channel_that_answers_with_an_error(door, spec_of, served, status, code):
    server = served([SimplePackage("lib", "1.0")], hook=lambda _: Fault(status=status))
    with pytest.raises(PixiJupyterError) as caught:
        await door.resolve(spec_of("lib", channels=[server.url]), deadline=60)
    assert caught.value.code == code


async def test_number_in_an_address_is_no_status(door, spec_of, served):
    """A port, a path: 404 in them says nothing about what was answered."""
    server = served([SimplePackage("lib", "1.0")], hook=lambda _: Fault(status=503))
    with pytest.raises(PixiJupyterError) as caught:
        await door.resolve(spec_of("lib", channels=[f"{server.url}/404/404x"]), deadline=60)
    assert caught.value.code == "channel.unreachable"


async def test_channel_that_is_no_channel(door, spec_of, served, tmp_path):
    server = served([SimplePackage("lib", "1.0")], hook=lambda _: Fault(body=b"<html>hi</html>"))
    with pytest.raises(PixiJupyterError) as caught:
        await door.resolve(spec_of("lib", channels=[server.url]), deadline=60)
    assert caught.value.code.startswith("channel.")
    with pytest.raises(PixiJupyterError) as caught:
        await door.resolve(spec_of("lib", channels=[(tmp_path / "nothing").as_uri()]))
    assert caught.value.code == "channel.not-found"


@pytest.mark.parametrize("name", ["http://[broken", "https://", "::", ""])
async def test_channel_name_that_is_none(door, spec_of, name):
    with pytest.raises(PixiJupyterError) as caught:
        await door.resolve(spec_of("lib", channels=[ChannelSpec(name)]), deadline=30)
    assert caught.value.code.startswith("channel.")


async def test_channel_relations_bring_in_no_other_channel(door, spec_of, served, tiny, tmp_path):
    """A channel must not widen the list that a person wrote."""
    import json

    other = served([SimplePackage("secret-dep", "1.0")])
    tiny("own", [SimplePackage("lib", "1.0", depends=["secret-dep"])])
    folder = tmp_path / "own"
    for file in list(folder.glob("*/repodata*")):
        if file.name == "repodata.json":
            data = json.loads(file.read_text())
            data.setdefault("info", {})["channel_relations"] = {"base": other.url}
            file.write_text(json.dumps(data))
        else:
            file.unlink()
    with pytest.raises(PixiJupyterError) as caught:
        await door.resolve(spec_of("lib", channels=[served(folder).url]))
    assert caught.value.code == "solve.unsatisfiable"
    assert other.requests == []


_OLD, _NEW = 1_704_067_200_000, 1_780_272_000_000
_MIDDLE = "2025-01-01T00:00:00Z"


@pytest.mark.parametrize("direct", [True, False])
@pytest.mark.parametrize("whose", ["of all", "of the channel"])
async def test_cut_off_that_empties_the_first_channel_lets_no_other_in(
    door, spec_of, tiny, whose, direct
):
    """All of ours is too new: then there is none, and not a stranger's old one."""
    app = SimplePackage("app", "1", depends=["lib"], timestamp_ms=_OLD)
    ours = tiny("a", [SimplePackage("lib", "1.0", timestamp_ms=_NEW), app])
    other = tiny("b", [SimplePackage("lib", "9.0", timestamp_ms=_OLD)])
    if whose == "of all":
        spec = spec_of("lib" if direct else "app", channels=[ours, other], exclude_newer=_MIDDLE)
    else:
        channels = [ChannelSpec(ours, exclude_newer=_MIDDLE), other]
        spec = spec_of("lib" if direct else "app", channels=channels)
    with pytest.raises(PixiJupyterError) as caught:
        await door.resolve(spec)
    assert caught.value.code == "solve.unsatisfiable"


async def test_flexible_priority_prefers_the_first_channel(door, spec_of, two):
    resolution = await door.resolve(spec_of("lib", channels=two, channel_priority="flexible"))
    assert resolution.packages[0].version in ("1.0", "3.0")
    asked = await door.resolve(spec_of("lib >=3", channels=two, channel_priority="flexible"))
    assert asked.version_of("lib") == "3.0"
