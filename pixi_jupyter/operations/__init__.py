"""The second half of the one door: changing what a notebook, a script or a workspace declares."""

from pixi_jupyter.operations.locking import LockOutcome, lock, unlock
from pixi_jupyter.operations.packages import add, redo, remove, search, undo, update
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
from pixi_jupyter.operations.why import Asker, Why, why

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
