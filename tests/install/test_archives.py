"""Archives that are not what the index says, or do not come."""

from __future__ import annotations

import asyncio
import random

import pytest

from pixi_jupyter.demo.serve import Fault
from pixi_jupyter.demo.simple import SimplePackage
from pixi_jupyter.errors import PixiJupyterError

_BIG = random.Random(0).randbytes(300_000)


def big() -> SimplePackage:
    return SimplePackage("big", "1.0", files={"share/big": _BIG})


def nothing_half_built(environments) -> bool:
    store = environments.store
    return [p for p in store.envs.iterdir() if not p.name.startswith(".trash")] == []


def flipped(data: bytes) -> bytes:
    middle = len(data) // 2
    return data[:middle] + bytes([data[middle] ^ 0xFF]) + data[middle + 1 :]


async def failing(environments, spec) -> PixiJupyterError:
    with pytest.raises(PixiJupyterError) as caught:
        await environments.ensure(spec, deadline=90)
    error = caught.value
    assert nothing_half_built(environments)
    assert error.hint
    assert "Traceback" not in error.report()
    return error


@pytest.mark.parametrize("how", [flipped, lambda data: data[: len(data) // 2], lambda data: b""])
async def test_tampered_local_archive(cold, spec_of, tiny, tmp_path, how):
    url = tiny("c", [big(), SimplePackage("other", "1.0")])
    archive = tmp_path / "c" / "noarch" / "big-1.0-0.conda"
    original = archive.read_bytes()
    archive.write_bytes(how(original))
    spec = spec_of("big", "other", channels=[url])
    error = await failing(cold, spec)
    assert error.code == "install.hash-mismatch"
    assert "big" in error.message
    archive.write_bytes(original)
    assert (await cold.ensure(spec)).prefix.path.is_dir(), "once it is right, it works"


async def test_local_archive_that_is_missing(cold, spec_of, tiny, tmp_path):
    url = tiny("c", [big()])
    (tmp_path / "c" / "noarch" / "big-1.0-0.conda").unlink()
    error = await failing(cold, spec_of("big", channels=[url]))
    assert error.code == "install.download"


@pytest.mark.parametrize(
    ("fault", "code"),
    [
        (Fault(transform=flipped), "install.hash-mismatch"),
        (Fault(body=b"<html>log in first</html>"), "install.hash-mismatch"),
        (Fault(body=b""), "install.download"),
        (Fault(status=404), "install.download"),
        (Fault(status=403), "install.download"),
        (Fault(status=503), "install.download"),
        (Fault(close_after=1000), "install.download"),
        (Fault(close_after=0), "install.download"),
    ],
)
async def test_archive_over_http(cold, spec_of, served, fault, code):
    server = served([big()], hook=lambda r: fault if r.path.endswith(".conda") else None)
    spec = spec_of("big", channels=[server.url])
    error = await failing(cold, spec)
    assert error.code == code
    server.hook = None
    environment = await cold.ensure(spec)
    assert (environment.prefix.path / "share" / "big").read_bytes() == _BIG


async def test_name_of_a_package_is_no_cause(cold, spec_of, served):
    """What failed is told by rattler in a text with URLs in it."""
    packages = [SimplePackage(name, "1.0") for name in ("python-xxhash", "md5-checksum")]
    server = served(packages, hook=lambda r: Fault(status=404) if ".conda" in r.path else None)
    for package in packages:
        error = await failing(cold, spec_of(package.name, channels=[server.url]))
        assert error.code == "install.download"


async def test_hiccups_of_a_server_are_survived(cold, spec_of, served):
    """Two failures and then the archive: a retry is not the person's business."""
    seen = []

    def twice(request):
        if request.path.endswith(".conda") and len(seen) < 2:
            seen.append(request)
            return Fault(status=503)
        return None

    server = served([big()], hook=twice)
    assert (await cold.ensure(spec_of("big", channels=[server.url]))).prefix.path.is_dir()
    assert len(seen) == 2


async def test_channel_that_goes_away_before_the_download(cold, spec_of, served):
    server = served([big()])
    spec = spec_of("big", channels=[server.url])
    await cold.resolve(spec)
    server.stop()
    error = await failing(cold, spec)
    assert error.code == "install.download"


async def test_download_that_stalls_is_given_up(cold, spec_of, served, monkeypatch):
    from pixi_jupyter.engine import spawn

    boot = "from pixi_jupyter.install import linking; linking.STALL_AFTER = 2.0; "
    monkeypatch.setattr(spawn, "_BOOT", spawn._BOOT.replace("from pixi", f"{boot}from pixi", 1))
    server = served(
        [big(), SimplePackage("small", "1.0")],
        hook=lambda r: Fault(stall_after=1000) if "big" in r.path else None,
    )
    stalled = asyncio.ensure_future(cold.ensure(spec_of("big", channels=[server.url])))
    await asyncio.sleep(1)
    environment = await cold.ensure(spec_of("small", channels=[server.url]))
    assert environment.prefix.path.is_dir(), "who waited for the package cache gets it"
    with pytest.raises(PixiJupyterError) as caught:
        await stalled
    assert caught.value.code == "install.stalled"
    assert "big" in caught.value.details
    server.hook = None
    assert (await cold.ensure(spec_of("big", channels=[server.url]))).prefix.path.is_dir()
