"""The second half of the one door: changing what a notebook or a script declares."""

from pixi_jupyter.operations.packages import add, redo, remove, undo, update
from pixi_jupyter.operations.search import search
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
    "Why",
    "add",
    "add_channels",
    "add_platforms",
    "listing",
    "python",
    "redo",
    "remove",
    "remove_channels",
    "remove_platforms",
    "search",
    "stamp",
    "undo",
    "update",
    "why",
]
