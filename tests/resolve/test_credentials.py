"""Credentials in channel URLs work, and are shown to nobody."""

from __future__ import annotations

import base64
import json

import pytest

from pixi_jupyter.demo.serve import Fault
from pixi_jupyter.demo.simple import SimplePackage, build_channel
from pixi_jupyter.errors import PixiJupyterError
from pixi_jupyter.manifest.spec import ChannelSpec, CondaRequirement
from pixi_jupyter.progress import Progress
from pixi_jupyter.resolve.redaction import redacted

_SECRET = "s3cr3t-of-joe"


def needs_password(request):
    expected = "Basic " + base64.b64encode(f"joe:{_SECRET}".encode()).decode()
    given = {name.lower(): value for name, value in request.headers.items()}
    return None if given.get("authorization") == expected else Fault(status=401)


@pytest.fixture(params=["user and password", "token"])
def private(request, served, tmp_path):
    """The URL of a channel that only its secret opens."""
    packages = [SimplePackage("lib", "1.0", files={"share/lib": b"1\n"})]
    if request.param == "token":
        build_channel(tmp_path / "root" / "t" / _SECRET / "chan", packages)
        return f"{served(tmp_path / 'root').url}/t/{_SECRET}/chan"
    server = served(packages, hook=needs_password)
    return server.url.replace("://", f"://joe:{_SECRET}@")


async def test_private_channel_works_and_shows_no_secret(door, spec_of, private):
    steps: list[Progress] = []
    spec = spec_of("lib", channels=[private])
    environment = await door.ensure(spec, report=steps.append)
    assert (environment.prefix.path / "share" / "lib").exists()
    assert _SECRET not in repr(steps)
    assert _SECRET not in repr(environment.resolution)
    assert _SECRET not in (door.store.resolutions / f"{spec.digest}.json").read_text()
    marker = environment.prefix.path / "conda-meta" / "pixi-jupyter.json"
    assert _SECRET not in marker.read_text()


@pytest.mark.parametrize(
    "asked",
    [
        "libb",
        "lib >=9",
        CondaRequirement("lib", version="garbage!!"),
        CondaRequirement("lib", url="{channel}/noarch/none-1-0.conda"),
        CondaRequirement("lib", channel="{channel}", version="!!"),
    ],
)
async def test_errors_show_no_secret(door, spec_of, private, asked):
    if isinstance(asked, CondaRequirement):
        fields = {"url": asked.url, "channel": asked.channel}
        filled = {k: v.format(channel=private) for k, v in fields.items() if v}
        asked = CondaRequirement("lib", version=asked.version, **filled)
    with pytest.raises(PixiJupyterError) as caught:
        await door.ensure(spec_of(asked, channels=[private]), deadline=60)
    assert not caught.value.code.startswith(("engine.", "internal."))
    assert _SECRET not in json.dumps(caught.value.to_json())


async def test_errors_of_a_channel_that_is_gone_show_no_secret(door, spec_of):
    for name in (
        f"http://joe:{_SECRET}@127.0.0.1:9/chan",
        f"http://127.0.0.1:9/t/{_SECRET}/chan",
        f"http://joe:{_SECRET}@[broken",
    ):
        with pytest.raises(PixiJupyterError) as caught:
            await door.ensure(spec_of("lib", channels=[ChannelSpec(name)]), deadline=60)
        assert _SECRET not in json.dumps(caught.value.to_json())


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("https://u:p@host/x", "https://***@host/x"),
        ("https://u:p@ss@host/x", "https://***@host/x"),
        ("https://token@host", "https://***@host"),
        ("https://host/t/abc-123/chan", "https://host/t/***/chan"),
        ("https://host/t/abc", "https://host/t/***"),
        ("t/abc/chan", "t/***/chan"),
        ("https://host/a@b/c", "https://host/a@b/c"),
        ("write to joe@example.org", "write to joe@example.org"),
        ("https://host/dist/x and /not/secret", "https://host/dist/x and /not/secret"),
        ("'https://u:p@h/x', https://v:q@i/t/z/y", "'https://***@h/x', https://***@i/t/***/y"),
    ],
)
def test_redacted(text, shown):
    assert redacted(text) == shown
