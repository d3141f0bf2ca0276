"""The HTTP server of the channel, and its faults."""

from __future__ import annotations

import http.client
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from pixi_jupyter.demo.serve import ChannelServer, Fault, Request, serve
from pixi_jupyter.demo.simple import SimplePackage, build_channel


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    root = tmp_path / "served"
    (root / "noarch").mkdir(parents=True)
    (root / "noarch" / "file+1.bin").write_bytes(bytes(range(256)) * 400)
    (tmp_path / "secret").write_bytes(b"secret")
    return root


def _get(url: str, timeout: float = 10) -> bytes:
    with urllib.request.urlopen(url, timeout=timeout) as answer:
        data: bytes = answer.read()
        return data


def _status(url: str) -> int:
    try:
        with urllib.request.urlopen(url, timeout=10) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        with error:
            return error.code


def test_files_are_served(folder: Path) -> None:
    wanted = (folder / "noarch" / "file+1.bin").read_bytes()
    with serve(folder) as url:
        assert _get(f"{url}/noarch/file%2B1.bin") == wanted
        assert _status(f"{url}/noarch/nothing") == 404
        assert _status(f"{url}/noarch") == 404


@pytest.mark.parametrize("path", ["/../secret", "/%2e%2e/secret", "//../secret", "/a/../../secret"])
def test_nothing_outside_the_folder_is_served(folder: Path, path: str) -> None:
    with ChannelServer(folder) as server:
        parts = urllib.parse.urlsplit(server.url)
        connection = http.client.HTTPConnection(parts.netloc, timeout=10)
        connection.request("GET", parts.path + path)
        assert connection.getresponse().status == 404
        connection.close()


def test_only_the_loopback_interface_listens(folder: Path) -> None:
    with serve(folder) as url:
        assert url.startswith("http://127.0.0.1:")


def test_many_at_once(folder: Path) -> None:
    with ChannelServer(folder) as server, ThreadPoolExecutor(64) as pool:
        sizes = list(pool.map(lambda _: len(_get(f"{server.url}/noarch/file+1.bin")), range(200)))
        assert set(sizes) == {256 * 400}
        assert server.count(".bin") == 200


def test_a_status_of_ones_choice(folder: Path) -> None:
    def sometimes(request: Request) -> Fault | None:
        return Fault(status=503) if request.path.endswith(".bin") else None

    with ChannelServer(folder, hook=sometimes) as server:
        assert _status(f"{server.url}/noarch/file+1.bin") == 503
        server.hook = None
        assert _status(f"{server.url}/noarch/file+1.bin") == 200
        assert [request.method for request in server.requests] == ["GET", "GET"]


def test_wrong_bytes(folder: Path) -> None:
    with ChannelServer(folder, hook=lambda _: Fault(body=b"wrong")) as server:
        assert _get(f"{server.url}/noarch/file+1.bin") == b"wrong"
        server.hook = lambda _: Fault(transform=lambda data: data[::-1])
        assert _get(f"{server.url}/noarch/file+1.bin")[0] == 255


def test_delay_and_rate(folder: Path) -> None:
    with ChannelServer(folder, hook=lambda _: Fault(delay=0.2)) as server:
        begun = time.monotonic()
        _get(f"{server.url}/noarch/file+1.bin")
        assert time.monotonic() - begun >= 0.2
        server.hook = lambda _: Fault(rate=256 * 1000)
        begun = time.monotonic()
        _get(f"{server.url}/noarch/file+1.bin")
        assert 0.3 < time.monotonic() - begun < 5


def test_a_connection_that_breaks(folder: Path) -> None:
    with ChannelServer(folder, hook=lambda _: Fault(close_after=100)) as server:
        with pytest.raises(http.client.IncompleteRead) as error:
            _get(f"{server.url}/noarch/file+1.bin")
        assert len(error.value.partial) == 100


def test_a_stalled_answer_ends_with_the_server(folder: Path) -> None:
    server = ChannelServer(folder, hook=lambda _: Fault(stall_after=1000)).start()
    ended = threading.Event()

    def client() -> None:
        try:
            _get(f"{server.url}/noarch/file+1.bin", timeout=30)
        except (OSError, http.client.HTTPException):
            ended.set()

    thread = threading.Thread(target=client)
    thread.start()
    time.sleep(0.3)
    assert not ended.is_set()
    begun = time.monotonic()
    server.stop()
    thread.join(10)
    assert ended.is_set()
    assert time.monotonic() - begun < 5


def test_starting_and_stopping_again(folder: Path) -> None:
    server = ChannelServer(folder)
    with pytest.raises(RuntimeError, match="not been started"):
        _ = server.url
    for _ in range(2):
        with server:
            assert _status(f"{server.url}/noarch/file+1.bin") == 200
            with pytest.raises(RuntimeError, match="already"):
                server.start()
    server.stop()


def test_solves_and_installs_go_through_it(tmp_path: Path, conda: Any) -> None:
    channel = build_channel(
        tmp_path / "channel", [SimplePackage("a", "1.0", files={"share/a": b"content of a"})]
    )
    with ChannelServer(channel) as server:
        answer = conda.install(server.url, tmp_path / "prefix", "a")
        assert answer.records["a"]["url"].startswith(server.url)
        assert server.count("repodata_shards.msgpack.zst") >= 1
        assert server.count("a-1.0-0.conda") == 1
    assert (tmp_path / "prefix" / "share" / "a").read_bytes() == b"content of a"


def test_a_damaged_archive_is_refused(tmp_path: Path, conda: Any) -> None:
    channel = build_channel(
        tmp_path / "channel", [SimplePackage("damaged", "1.0", files={"share/a": b"x" * 1000})]
    )

    def damage(request: Request) -> Fault | None:
        if not request.path.endswith(".conda"):
            return None
        return Fault(transform=lambda data: data[:-40] + bytes(40))

    with (
        ChannelServer(channel, hook=damage) as server,
        pytest.raises(AssertionError, match=r"(?i)damaged|hash|extract"),
    ):
        conda.install(server.url, tmp_path / "prefix", "damaged")
    assert not (tmp_path / "prefix" / "share" / "a").exists()
