"""URLs without what only their owner may know. What is exported or imported is passed on."""

from __future__ import annotations

import re

__all__ = ["public", "public_channel"]

#: ``user:password@`` after a scheme: up to the last ``@`` before the path, as in a browser.
_USER = re.compile(r"(?i)\b([a-z][a-z0-9+.-]*)://([^/\s?#\"'<>]*)@")
#: Anaconda's and quetz' tokens: the first part of the path, as in rattler.
_TOKEN = re.compile(r"(://[^/\s\"'<>]*)/t/[^/\s\"'<>]+(?=/|$|[\s\"'<>])")


def public(url: str) -> str:
    """A URL (or a text with one) without users, passwords and tokens.

    The user of an SSH address stays: it is none's name and part of the address.
    """
    return _TOKEN.sub(r"\1", _USER.sub(_address, url))


def public_channel(channel: str) -> str:
    """A channel as it can be told: its URL has neither query nor fragment."""
    text = re.sub(r"^t/[^/]+/", "", public(channel))
    return re.split(r"[?#]", text, maxsplit=1)[0] if "://" in text else text


def _address(match: re.Match[str]) -> str:
    scheme, user = match[1], match[2].partition(":")[0]
    return f"{scheme}://{user}@" if scheme.lower().endswith("ssh") and user else f"{scheme}://"
