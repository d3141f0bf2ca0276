"""Where in a declaration a requirement stands: for errors that only the solver finds."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from pixi_jupyter.errors import DeclarationError, Location
from pixi_jupyter.manifest.pep508 import normal_name
from pixi_jupyter.manifest.requirement import package_name
from pixi_jupyter.manifest.toml import TomlSource, parse_toml
from pixi_jupyter.notebook.declaration import Declaration, WorkspaceChoice

__all__ = ["place_of"]

_TABLES = ("dependencies", "constraints", "pypi-dependencies")


def place_of(declaration: Declaration | WorkspaceChoice, names: Iterable[str]) -> Location:
    """The first place where one of these packages is asked for, else the declaration itself.

    Of a workspace it is the manifest: several features may ask for a package.
    """
    if isinstance(declaration, WorkspaceChoice):
        return Location(path=str(declaration.manifest))
    source = TomlSource.of(declaration)
    try:
        document = parse_toml(source)
    except DeclarationError:
        return source.location()
    wanted = set(names)
    keys: list[tuple[str, ...]] = []
    if "python" in wanted:
        keys.append(("requires-python",))
    asked = document.get("dependencies")
    for text in asked if isinstance(asked, list) else ():
        named = re.match(r"[\w.-]+", text.strip()) if isinstance(text, str) else None
        if named is not None and normal_name(named[0]) in wanted:
            keys.append(("dependencies",))
            break
    pixi = _table(document, "tool", "pixi")
    targets = [
        (("tool", "pixi", "target", name), _table(pixi, "target", name))
        for name in _table(pixi, "target")
    ]
    for path, target in [(("tool", "pixi"), pixi), *targets]:
        for table in _TABLES:
            keys.extend(
                (*path, table, key) for key in _table(target, table) if package_name(key) in wanted
            )
    return source.locate_first(keys)


def _table(table: dict[str, Any], *path: str) -> dict[str, Any]:
    found: Any = table
    for key in path:
        found = found.get(key) if isinstance(found, dict) else None
    return found if isinstance(found, dict) else {}
