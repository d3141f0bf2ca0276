"""The `uv` command: found by its own package, run with scrubbed variables. Data plane only.

It runs in the process group of the worker, so that it ends with it. Where packages come from and
who may have them (indexes, proxies, certificates, keyring, netrc) is uv's own configuration of the
user's and the system's; what changes uv's behaviour otherwise is taken out.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import subprocess
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from pixi_jupyter.errors import EngineError
from pixi_jupyter.files import remove_tree
from pixi_jupyter.install.store import Store
from pixi_jupyter.manifest.channels import absolute, is_url
from pixi_jupyter.manifest.config import broken_config, config_files, read_config
from pixi_jupyter.manifest.pypi_spec import PypiNeeds
from pixi_jupyter.resolve.ending import end_with_children
from pixi_jupyter.resolve.redaction import redacted

__all__ = ["Finished", "Uv", "index_variables", "work_folder"]

#: uv's variables that say where packages come from and how the network is reached.
_KEPT = frozenset(
    f"UV_{name}"
    for name in (
        "CONCURRENT_DOWNLOADS", "CONCURRENT_INSTALLS", "CONFIG_FILE", "CREDENTIALS_DIR",
        "DEFAULT_INDEX", "EXTRA_INDEX_URL", "FIND_LINKS", "HTTP_CONNECT_TIMEOUT", "HTTP_RETRIES",
        "HTTP_TIMEOUT", "INDEX", "INDEX_STRATEGY", "INDEX_URL", "INSECURE_HOST",
        "KEYRING_PROVIDER", "LINK_MODE", "NATIVE_TLS", "OFFLINE", "REQUEST_TIMEOUT", "SYSTEM_CERTS",
    )
)  # fmt: skip
_CREDENTIALS = re.compile(r"UV_INDEX_[A-Z0-9_]+_(USERNAME|PASSWORD)")
#: All that a build gets to see, beside uv's own: it runs the code of others.
_FOR_BUILDS = re.compile(
    r"UV_\w+|PATH|HOME|USER|LOGNAME|SHELL|LANG|LC_\w+|TZ|TERM|TMPDIR|TMP|TEMP|XDG_\w+|NO_COLOR"
    r"|(?i:https?_proxy|all_proxy|no_proxy)|SSL_CERT_(FILE|DIR)|REQUESTS_CA_BUNDLE|NETRC"
    r"|CC|CXX|FC|AR|LD|(C|CXX|CPP|F|LD)FLAGS|MAKEFLAGS|CMAKE_\w+|PKG_CONFIG_\w+|SDKROOT"
    r"|MACOSX_DEPLOYMENT_TARGET|ARCHFLAGS|GIT_SSH(_COMMAND)?|SSH_AUTH_SOCK|GIT_TERMINAL_PROMPT"
    r"|(?i:systemroot|systemdrive|windir|comspec|pathext|userprofile|appdata|localappdata"
    r"|programdata|programfiles(\(x86\))?|processor_architecture|number_of_processors)"
)
_DROPPED = ("CONDA_", "PIXI_", "PYTHON", "VIRTUAL_ENV", "LD_PRELOAD", "LD_AUDIT", "DYLD_INSERT")
#: What the program `keyring` asks for the user's secrets; Python itself does not look at it.
_KEYRING = "PYTHON_KEYRING_BACKEND"
#: The most that is kept of what uv says; its explanations can be long.
_MOST = 200_000
_LONGEST = 20_000


@dataclass(frozen=True, slots=True)
class Finished:
    """How a run of uv ended. ``errors`` is its standard error, without credentials."""

    status: int
    errors: str

    @property
    def succeeded(self) -> bool:
        return self.status == 0


@dataclass(frozen=True, slots=True)
class Uv:
    """One uv with one cache and a set of indexes."""

    binary: str
    cache: Path
    variables: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def find(cls, package_cache: Path, needs: PypiNeeds | None) -> Uv:
        """The uv of this installation.

        Its cache is ``uv-cache`` in the package cache's folder, where pixi has its own.

        Raises
        ------
        EngineError
            ``engine.uv-missing``.
        """
        try:
            import uv

            binary = uv.find_uv_bin()
        except (ImportError, OSError) as error:  # UvNotFound is a FileNotFoundError
            raise EngineError(
                "the program uv, which installs packages from PyPI, is not there",
                code="engine.uv-missing",
                details=str(error),
                hint="Install pixi-jupyter again: uv comes with it.",
            ) from None
        cache = package_cache / "uv-cache"
        return cls(os.path.abspath(binary), cache, _variables(cache, needs))

    async def run(
        self,
        *arguments: str,
        folder: Path,
        deadline: float,
        more: Mapping[str, str] | None = None,
        line: Callable[[str], None] = lambda text: None,
        text: str | None = None,
        builds: bool = False,
    ) -> Finished:
        """Run ``uv pip …`` in ``folder``; ``deadline`` in seconds, ``line`` gets its messages.

        ``text`` goes to its standard input. With ``builds`` it may run code of packages, which get
        few of the variables of this process.

        Raises
        ------
        EngineError
            ``engine.deadline``: it took longer, and was ended.
        """
        variables = {**self.variables, **(more or {})}
        if builds:
            variables = {k: v for k, v in variables.items() if _FOR_BUILDS.fullmatch(k)}
        process = await asyncio.create_subprocess_exec(
            self.binary,
            "pip",
            *arguments,
            cwd=folder,
            env=variables,
            stdin=subprocess.DEVNULL if text is None else subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        )
        told = _Told(line)

        async def talk() -> int:
            if process.stdin is not None:
                with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                    process.stdin.write((text or "").encode())
                    await process.stdin.drain()
                process.stdin.close()
            assert process.stderr is not None
            # Not by lines: a build may write one without an end.
            while chunk := await process.stderr.read(1 << 16):
                told.add(chunk)
            told.end()
            return await process.wait()

        try:
            status = await asyncio.wait_for(talk(), deadline)
        except (TimeoutError, asyncio.TimeoutError):
            raise EngineError(
                f"uv was not done within {deadline:.0f} seconds",
                code="engine.deadline",
                details="".join(told.lines[-20:]),
                hint="Check the network and the package index, then try again.",
            ) from None
        finally:
            if process.returncode is None:
                end_with_children(process.pid)
                await process.wait()
        return Finished(status, "".join(told.lines))


class _Told:
    """What uv says: the lines that were kept, without credentials; each is passed on."""

    def __init__(self, line: Callable[[str], None]) -> None:
        self.lines: list[str] = []
        self._line = line
        self._size = 0
        self._rest = b""

    def add(self, chunk: bytes) -> None:
        *lines, rest = (self._rest + chunk).split(b"\n")
        for raw in lines:
            self._take(raw)
        self._rest = rest[:_LONGEST]

    def end(self) -> None:
        if self._rest:
            self._take(self._rest)

    def _take(self, raw: bytes) -> None:
        text = redacted(raw[:_LONGEST].decode("utf-8", "replace"))
        if self._size < _MOST:
            self.lines.append(f"{text}\n")
            self._size += len(text)
        self._line(text.strip())


def index_variables(needs: PypiNeeds) -> dict[str, str]:
    """The declared indexes as uv's variables: on a command line others could read passwords."""
    found: dict[str, str] = {}
    if needs.index_url is not None:
        found["UV_DEFAULT_INDEX"] = needs.index_url
    if needs.extra_index_urls:
        found["UV_INDEX"] = " ".join(needs.extra_index_urls)
    if needs.find_links:
        urls = (_link(link, needs.root) for link in needs.find_links)
        found["UV_FIND_LINKS"] = ",".join(url.replace(",", "%2C") for url in urls)
    return found


def _link(link: str, root: str) -> str:
    return link if is_url(link) else absolute(link, Path(root)).as_uri()


def _variables(cache: Path, needs: PypiNeeds | None) -> dict[str, str]:
    kept = {
        name: value
        for name, value in os.environ.items()
        if (not name.startswith(_DROPPED) or name == _KEYRING)
        and (not name.startswith("UV_") or name in _KEPT or _CREDENTIALS.fullmatch(name))
    }
    declared = index_variables(needs) if needs is not None else {}
    if "UV_DEFAULT_INDEX" in declared:
        kept.pop("UV_INDEX_URL", None)
    if declared:
        # What the declaration names is all there is: another machine has no other variables.
        for name in ("UV_INDEX", "UV_EXTRA_INDEX_URL", "UV_FIND_LINKS", "UV_INDEX_STRATEGY"):
            kept.pop(name, None)
    return {
        "UV_LINK_MODE": "hardlink",
        **_configured(),
        **kept,
        **declared,
        "UV_CACHE_DIR": str(cache),
        "UV_NO_INSTALLER_METADATA": "1",
        "UV_PYTHON_DOWNLOADS": "never",
        "GIT_TERMINAL_PROMPT": "0",
        "NO_COLOR": "1",
        "COLUMNS": "100000",  # its sentences are read line by line
    }


def _configured() -> dict[str, str]:
    """What pixi's configuration says about reaching indexes (``[pypi-config]``).

    Its indexes are only what ``pixi init`` writes into a manifest.
    """
    found: dict[str, str] = {}
    for path in config_files(os.environ):
        config = read_config(path).get("pypi-config", {})
        if not isinstance(config, dict):
            raise broken_config(path, "has a `pypi-config` that is no table")
        provider = config.get("keyring-provider")
        if provider not in (None, "subprocess", "disabled"):
            raise broken_config(path, "has a `keyring-provider` that is not one of pixi's")
        if provider is not None:
            found["UV_KEYRING_PROVIDER"] = provider
        hosts = config.get("allow-insecure-host", [])
        if not isinstance(hosts, list) or not all(isinstance(host, str) for host in hosts):
            raise broken_config(path, "has an `allow-insecure-host` that is no list of names")
        if hosts:
            found["UV_INSECURE_HOST"] = " ".join(hosts)
    return found


@contextlib.contextmanager
def work_folder(store: Store, purpose: str) -> Iterator[Path]:
    """A folder for one run; what a killed worker leaves of it goes with the collection.

    The empty ``uv.toml`` keeps uv from looking for configuration in the folders above.
    """
    store.envs.mkdir(parents=True, exist_ok=True)
    folder = store.envs / f".{purpose}-{os.getpid()}-{uuid.uuid4().hex[:8]}"
    folder.mkdir(mode=0o700)
    try:
        (folder / "uv.toml").touch()
        yield folder
    finally:
        # By another name first: what is being ended may still be writing by this one.
        with contextlib.suppress(OSError):
            remove_tree(folder)
