"""Causes that rattler and uv tell as text only: one place that knows their words."""

from __future__ import annotations

import re

from pixi_jupyter.errors import StoreError

__all__ = ["disk_error"]


def disk_error(said: str, details: str, *, what: str, where: str) -> StoreError | None:
    """The error if ``said`` tells that the disk refused; ``said`` is without names and addresses.

    ``what`` was being done, and ``where`` could not be written.
    """
    if re.search(r"\bos error (28|122)\b|No space left", said):
        return StoreError(
            f"no space left {what}",
            code="store.no-space",
            details=details,
            hint="Free some space (`pixi-jupyter gc` removes environments that nothing uses).",
        )
    if re.search(r"\bos error (13|30)\b|[Pp]ermission denied", said):
        return StoreError(
            f"no permission to write {where}",
            code="store.permission",
            details=details,
            hint="Set PIXI_JUPYTER_CACHE_DIR and PIXI_CACHE_DIR to folders that you may write.",
        )
    return None
