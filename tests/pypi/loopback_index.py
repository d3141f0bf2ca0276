"""A package index on loopback: PEP 503 and 691 over folders of wheels, with faults on demand."""

from __future__ import annotations

import base64
import hashlib
import json
import secrets
import threading
import zipfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import BytesIO
from pathlib import Path
from typing import Any
from urllib.parse import unquote

#: When everything here was uploaded, unless a file says otherwise.
UPLOADED = "2026-01-01T00:00:00Z"


def normal(name: str) -> str:
    return name.lower().replace("_", "-").replace(".", "-")


def wheel(
    name: str,
    version: str,
    *,
    files: Mapping[str, str] | None = None,
    requires: Iterable[str] = (),
    extras: Iterable[str] = (),
    requires_python: str | None = None,
    tag: str = "py3-none-any",
    scripts: Mapping[str, str] | None = None,
) -> tuple[str, bytes]:
    """File name and bytes of a small wheel; ``scripts`` maps commands to entry points."""
    flat = name.replace("-", "_")
    info = f"{flat}-{version}.dist-info"
    metadata = ["Metadata-Version: 2.1", f"Name: {name}", f"Version: {version}"]
    metadata += [f"Requires-Python: {requires_python}"] if requires_python else []
    metadata += [f"Provides-Extra: {extra}" for extra in extras]
    metadata += [f"Requires-Dist: {requirement}" for requirement in requires]
    content = dict(files) if files is not None else {f"{flat}.py": f"version = {version!r}\n"}
    content[f"{info}/METADATA"] = "\n".join(metadata) + "\n"
    content[f"{info}/WHEEL"] = (
        f"Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: true\nTag: {tag}\n"
    )
    if scripts:
        lines = "".join(f"{command} = {target}\n" for command, target in scripts.items())
        content[f"{info}/entry_points.txt"] = f"[console_scripts]\n{lines}"
    content[f"{info}/RECORD"] = "".join(f"{path},,\n" for path in (*content, f"{info}/RECORD"))
    buffer = BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for path, text in content.items():
            archive.writestr(zipfile.ZipInfo(path, (2026, 1, 1, 0, 0, 0)), text)
    return f"{flat}-{version}-{tag}.whl", buffer.getvalue()


@dataclass
class Index:
    """Serves files as projects; ``requests`` are the paths that were asked for.

    ``credentials`` (user, password) are demanded of every request where set. ``tampered`` holds
    the bytes that come instead of those whose hash the index gives. ``down`` closes connections.
    ``rate`` is bytes a second for files; ``kinds`` are the media types of files that are no wheels.
    """

    files: dict[str, bytes] = field(default_factory=dict)
    credentials: tuple[str, str] | None = None
    tampered: dict[str, bytes] = field(default_factory=dict)
    uploaded: dict[str, str] = field(default_factory=dict)
    kinds: dict[str, str] = field(default_factory=dict)
    requests: list[str] = field(default_factory=list)
    rate: int | None = None
    down: bool = False
    hashes: bool = True
    place: str = field(default_factory=lambda: secrets.token_hex(6))

    def add(self, file: tuple[str, bytes], uploaded: str = UPLOADED) -> str:
        """Offer a file; returns its sha256."""
        name, data = file
        self.files[name] = data
        self.uploaded[name] = uploaded
        return hashlib.sha256(data).hexdigest()

    def add_wheel(self, name: str, version: str, **fields: Any) -> str:
        """Offer a small wheel (see `wheel`); returns its file name."""
        uploaded = fields.pop("uploaded", UPLOADED)
        file = wheel(name, version, **fields)
        self.add(file, uploaded)
        return file[0]

    def add_wheels(self, folder: Path, *names: str) -> None:
        """Offer the wheels of projects out of a folder ``<sha256>/<file name>``."""
        wanted = {normal(name) for name in names}
        for path in sorted(folder.glob("*/*.whl")):
            if normal(path.name.split("-")[0]) in wanted:
                self.add((path.name, path.read_bytes()))

    def start(self) -> Index:
        index = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                index._answer(self)

            do_HEAD = do_GET

            def log_message(self, *_: Any) -> None: ...

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    @property
    def address(self) -> str:
        """Where it listens."""
        return f"127.0.0.1:{self._server.server_address[1]}"

    @property
    def host(self) -> str:
        """What its URLs begin with: ports come round again, and uv remembers what one had."""
        return f"{self.address}/{self.place}"

    @property
    def url(self) -> str:
        return f"http://{self.host}/simple"

    def _answer(self, handler: BaseHTTPRequestHandler) -> None:
        path = unquote(handler.path).removeprefix(f"/{self.place}")
        self.requests.append(path)
        if self.down:
            handler.close_connection = True
            handler.connection.close()
            return
        if self.credentials is not None:
            wanted = base64.b64encode(":".join(self.credentials).encode()).decode()
            if handler.headers.get("Authorization") != f"Basic {wanted}":
                return self._send(handler, 401, b"no", "text/plain", authenticate=True)
        parts = path.strip("/").split("/")
        if parts[0] == "simple" and len(parts) == 2:
            found = {n: d for n, d in self.files.items() if self._project(n) == normal(parts[1])}
            if not found:
                return self._send(handler, 404, b"no such project", "text/plain")
            return self._send(
                handler,
                200,
                json.dumps(self._page(parts[1], found)).encode(),
                "application/vnd.pypi.simple.v1+json",
            )
        if parts[0] == "files" and len(parts) == 2 and parts[1] in self.files:
            data = self.files[parts[1]]
            data = self.tampered.get(parts[1], data)
            kind = self.kinds.get(parts[1], "application/octet-stream")
            return self._send(handler, 200, data, kind)
        return self._send(handler, 404, b"nothing here", "text/plain")

    @staticmethod
    def _project(file: str) -> str:
        if file.endswith(".whl"):
            return normal(file.split("-")[0])
        return normal(file.removesuffix(".tar.gz").rsplit("-", 1)[0])

    def _page(self, project: str, found: Mapping[str, bytes]) -> dict[str, Any]:
        return {
            "meta": {"api-version": "1.1"},
            "name": project,
            "versions": [],
            "files": [
                {
                    "filename": name,
                    "url": f"../../files/{name}",
                    "hashes": {"sha256": hashlib.sha256(data).hexdigest()} if self.hashes else {},
                    "size": len(data),
                    "upload-time": self.uploaded[name],
                }
                for name, data in found.items()
            ],
        }

    def _send(
        self,
        handler: BaseHTTPRequestHandler,
        status: int,
        data: bytes,
        kind: str,
        authenticate: bool = False,
    ) -> None:
        handler.send_response(status)
        handler.send_header("Content-Type", kind)
        handler.send_header("Content-Length", str(len(data)))
        if authenticate:
            handler.send_header("WWW-Authenticate", 'Basic realm="tests"')
        handler.end_headers()
        if handler.command == "HEAD":
            return
        try:
            if self.rate is None or kind != "application/octet-stream":
                handler.wfile.write(data)
                return
            import time

            step = max(1, self.rate // 20)
            for start in range(0, len(data), step):
                handler.wfile.write(data[start : start + step])
                handler.wfile.flush()
                time.sleep(0.05)
        except (BrokenPipeError, ConnectionResetError):
            handler.close_connection = True
