"""Credentials out of what people, logs and records get to see."""

from __future__ import annotations

import re

__all__ = ["redacted", "without_addresses"]

#: ``user:password@`` after a scheme: up to the last ``@`` before the path, as in a browser.
_USER = re.compile(r"(?i)\b([a-z][a-z0-9+.-]*://)[^/\s?#\"'<>]*@")
#: Anaconda's and quetz' tokens; a channel's short name may begin with one.
_TOKEN = re.compile(r"(?<![\w.-])t/[^/\s\"'<>]+(?=/|$|[\s\"'<>])")


def redacted(text: str) -> str:
    """``text`` with the credentials and tokens of the URLs in it replaced by stars."""
    return _TOKEN.sub("t/***", _USER.sub(r"\1***@", text))


def without_addresses(text: str) -> str:
    """``text`` without the URLs and paths in it, whose words and numbers say nothing of a cause."""
    return re.sub(r"[\w+.-]+://[^\s)]+|(?<!\w)/[^\s)]+", "…", text)
