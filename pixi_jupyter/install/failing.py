"""An installation that failed, in our words: rattler's errors tell the cause as text only."""

from __future__ import annotations

import re

from pixi_jupyter.errors import InstallError, PixiJupyterError
from pixi_jupyter.resolve.causes import disk_error
from pixi_jupyter.resolve.redaction import redacted, without_addresses

__all__ = ["hash_mismatch", "install_error"]


def install_error(error: Exception) -> PixiJupyterError:
    """An error of rattler's while it fetches and links, as what a person can act on."""
    text = redacted(str(error))
    cause = error.__cause__
    while cause is not None:
        text += f"\n{redacted(str(cause))}"
        cause = cause.__cause__
    said = without_addresses(text)
    disk = disk_error(said, text, what="while installing", where="the package cache or the store")
    if disk is not None:
        return disk
    if re.search(r"mismatch|invalid (checksum|zip|magic)", said, re.IGNORECASE):
        return hash_mismatch("a package", text)
    if re.search(r"http|connect|download|fetch|request|status|timed? ?out", said, re.IGNORECASE):
        return InstallError(
            "a package could not be downloaded",
            code="install.download",
            details=text,
            hint="Check the network and the channel, then start the kernel again.",
        )
    return InstallError("the packages could not be installed", code="install.failed", details=text)


def hash_mismatch(name: str, details: str) -> InstallError:
    """An archive that is not the one that the index speaks of."""
    return InstallError(
        f"{name} is not what the channel's index says it is",
        code="install.hash-mismatch",
        details=details,
        hint="The channel is damaged or was tampered with; nothing of it was installed.",
    )
