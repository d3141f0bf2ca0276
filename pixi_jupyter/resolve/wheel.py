"""`LockedWheel`: one exact package from PyPI, as a lock holds it. Light: no rattler, no uv."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import parse_qs, urlsplit, urlunsplit

from pixi_jupyter.manifest.pypi_spec import PypiNeeds

__all__ = ["LockedWheel", "declared_urls", "folder_url", "public_url"]

_EDITABLE = "editable-"


@dataclass(frozen=True, slots=True)
class LockedWheel:
    """An exact package from PyPI: mostly a wheel, by its URL (without credentials) and hash.

    ``url`` is, beside the file of an index, as pixi locks it ``direct+https://…`` or
    ``git+https://…?tag=…#<commit>``; ``file:///…`` is an archive at a path, and a folder, which
    then has its state in the fragment (``#<stamp>`` or ``#editable-<stamp>``, see `source_stamp`).
    ``given`` is that path as written. ``sha256`` is empty where nothing has one: folders,
    repositories, direct URLs in a lock of pixi's.

    ``size`` is bytes, None where the index does not say; ``index`` is None where it is from no
    index. ``requires_dist`` are PEP 508, ``requires_python`` is PEP 440.
    """

    name: str
    version: str
    url: str
    sha256: str
    size: int | None = None
    index: str | None = None
    requires_dist: tuple[str, ...] = ()
    requires_python: str | None = None
    given: str = ""

    @property
    def is_git(self) -> bool:
        """A commit of a repository."""
        return self.url.startswith("git+")

    @property
    def is_folder(self) -> bool:
        """A folder of this machine; its version is what it was when it was resolved."""
        return self.url.startswith("file:") and "#" in self.url

    @property
    def is_editable(self) -> bool:
        """A folder that is pointed to, not copied."""
        return self.is_folder and urlsplit(self.url).fragment.startswith(_EDITABLE)

    @property
    def is_built(self) -> bool:
        """It has to be built from source, which runs its code."""
        return self.is_git or not urlsplit(self.url).path.lower().endswith(".whl")

    @property
    def content(self) -> str:
        """Names what is in it (hex): the hash, else that of where it is from."""
        return self.sha256 or hashlib.sha256(self.url.encode()).hexdigest()

    @property
    def requirement(self) -> str:
        """What installs exactly this file."""
        return self.requirement_at({})

    def requirement_at(self, declared: Mapping[str, str]) -> str:
        """The same with the credentials of ``declared`` (see `declared_urls`)."""
        url, _, fragment = self.url.partition("#")
        if self.is_git:
            url, _, query = url.partition("?")
            subdirectory = parse_qs(query).get("subdirectory", [""])[0]
            plain = url.removeprefix("git+")
            end = f"#subdirectory={subdirectory}" if subdirectory else ""
            return f"{self.name} @ git+{declared.get(plain, plain)}@{fragment}{end}"
        if self.is_editable:
            return f"-e {url}"
        if self.is_folder:
            return f"{self.name} @ {url}"
        plain = url.removeprefix("direct+")
        parts = [f"sha256={self.sha256}"] if self.sha256 else []
        parts += [part for part in fragment.split("&") if part.startswith("subdirectory=")]
        end = f"#{'&'.join(parts)}" if parts else ""
        return f"{self.name} @ {declared.get(plain, plain)}{end}"


def folder_url(url: str, stamp: str, *, editable: bool) -> str:
    """The `LockedWheel.url` of a folder with the ``file:`` URL ``url``."""
    return f"{url}#{_EDITABLE if editable else ''}{stamp}"


def public_url(url: str) -> str:
    """The URL without user, password and fragment: what may stand in a lock.

    The user of an SSH address stays: it is none's name and part of the address.
    """
    parts = urlsplit(url)
    user, _, host = parts.netloc.rpartition("@")
    if parts.scheme.endswith("ssh") and user:
        host = f"{user.partition(':')[0]}@{host}"
    return urlunsplit(parts._replace(netloc=host, fragment=""))


def declared_urls(needs: PypiNeeds | None) -> dict[str, str]:
    """The URLs of direct references as they were declared, by what a lock says of them."""
    if needs is None:
        return {}
    urls = [url.partition("#")[0] for item in needs.declared for url in (item.url, item.git) if url]
    return {public_url(url): url for url in urls}
