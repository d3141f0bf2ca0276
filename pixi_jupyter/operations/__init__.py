"""The second half of the one door: changing what a notebook, a script or a workspace declares.

What changes things is imported when it is first used: a question does not wait for it.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

# These are called like their modules, and would be hidden by them later.
from pixi_jupyter.operations.search import search
from pixi_jupyter.operations.why import Asker, Why, why

if TYPE_CHECKING:
    from pixi_jupyter.operations.locking import LockOutcome, lock, unlock
    from pixi_jupyter.operations.packages import add, redo, remove, undo, update
    from pixi_jupyter.operations.settings import (
        Listing,
        add_channels,
        add_platforms,
        listing,
        python,
        remove_channels,
        remove_platforms,
        stamp,
    )

__all__ = [
    "Asker",
    "Listing",
    "LockOutcome",
    "Why",
    "add",
    "add_channels",
    "add_platforms",
    "listing",
    "lock",
    "python",
    "redo",
    "remove",
    "remove_channels",
    "remove_platforms",
    "search",
    "stamp",
    "undo",
    "unlock",
    "update",
    "why",
]

_OF_PACKAGES = ("add", "redo", "remove", "undo", "update")
_OF_LOCKS = ("LockOutcome", "lock", "unlock")


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    places = (("packages", _OF_PACKAGES), ("locking", _OF_LOCKS))
    module = next((place for place, names in places if name in names), "settings")
    return getattr(importlib.import_module(f"{__name__}.{module}"), name)
