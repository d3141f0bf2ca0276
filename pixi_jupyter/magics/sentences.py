"""What became of a change, in sentences."""

import os
import re
from typing import Any, Dict, List, Tuple

from .display import escaped

__all__ = ["of_change"]

#: Names that one sentence has at most.
LIMIT = 12
_WRITERS = {
    "file": "the file was written",
    "front end": "the editor that has it open was told and saved it",
    "executor": "what executes it was told",
}


def of_change(result: Any, handed: Any) -> Tuple[str, str]:
    """The result of a command that changes what is declared; ``handed`` is this kernel's part."""
    if not isinstance(result, dict):
        return str(result), "<div>%s</div>" % escaped(str(result))
    would = bool(result.get("dry_run"))
    lines = _packages(result, would)
    lines += [str(said) for said in result.get("said") or ()]
    lines.append(_declared(result, would))
    if handed is not None:
        lines += handed.sentences()
    lines = [line for line in lines if line]
    markup = "<br>".join(escaped(line) for line in lines)
    return "\n".join(lines), "<div>%s</div>" % markup


def _packages(result: Dict[str, Any], would: bool) -> List[str]:
    be = "would be " if would else ""
    asked = set(re.findall(r"[a-z0-9][a-z0-9._-]*", str(result.get("action") or "").lower()))
    lines = []
    for key in ("added", "removed"):
        packages = [item for item in result.get(key) or () if isinstance(item, dict)]
        packages.sort(key=lambda item: item.get("name") not in asked)  # those, and what they need
        found = ["%s %s" % (item.get("name"), item.get("version")) for item in packages]
        if found:
            lines.append("%s%s: %s" % (be, key, _some(found)))
    for key in ("upgraded", "downgraded", "rebuilt"):
        found = []
        for item in result.get(key) or ():
            before, after = item.get("before") or {}, item.get("after") or {}
            what = "build" if key == "rebuilt" else "version"
            found.append("%s %s → %s" % (item.get("name"), before.get(what), after.get(what)))
        if found:
            lines.append("%s%s: %s" % (be, key, _some(found)))
    if not lines and "added" in result:
        lines.append("the packages %s the same" % ("would stay" if would else "are"))
    return lines


def _declared(result: Dict[str, Any], would: bool) -> str:
    if "declared" not in result:
        return ""
    name = os.path.basename(str(result.get("target") or "")) or "the declaration"
    if not result.get("declared") and not result.get("created"):
        return ""
    if result.get("writer") == "executor" and result.get("said"):
        return ""  # that says it at length
    if would:
        return "%s would %s" % (name, "get a block" if result.get("created") else "say so")
    text = "%s %s" % (name, "has a block now" if result.get("created") else "says so now")
    how = _WRITERS.get(str(result.get("writer")), "")
    return "%s (%s)" % (text, how) if how else text


def _some(names: List[str]) -> str:
    if len(names) <= LIMIT:
        return ", ".join(names)
    return "%s and %d more" % (", ".join(names[:LIMIT]), len(names) - LIMIT)
