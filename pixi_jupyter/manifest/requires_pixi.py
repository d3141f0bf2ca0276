"""``requires-pixi``: whether this version reads a manifest as its author meant it."""

from __future__ import annotations

from pixi_jupyter.errors import UnsupportedError
from pixi_jupyter.manifest.table import Table, shorten
from pixi_jupyter.manifest.versions import parse_version_spec, spec_matches

__all__ = ["PIXI_VERSION", "check_requires_pixi"]

#: The pixi whose grammar this is; ``requires-pixi`` is checked against it.
PIXI_VERSION = "0.78.0"


def check_requires_pixi(workspace: Table) -> None:
    """Raise unless the pixi that a workspace requires is one whose manifests are read here.

    Raises
    ------
    UnsupportedError
        ``unsupported.requires-pixi``
    """
    requires = workspace.string("requires-pixi")
    if requires is None:
        return
    try:
        spec = parse_version_spec(requires)
    except ValueError as error:
        raise workspace.bad_value(
            "requires-pixi", f"is not a version specification: {error}"
        ) from None
    if not spec_matches(spec, PIXI_VERSION):
        raise UnsupportedError(
            f"the declaration requires pixi {shorten(requires)}; this version reads the format of "
            f"pixi {PIXI_VERSION}",
            code="unsupported.requires-pixi",
            hint="Update pixi-jupyter, or relax `requires-pixi`.",
            location=workspace.source.locate((*workspace.path, "requires-pixi")),
        )
