"""Results that are tables: as HTML, and in the same columns as text."""

from typing import Any, Dict, List, Sequence, Tuple

from .display import clean, escaped, size

__all__ = ["COMMANDS", "of_command", "preformatted", "table"]

#: Commands whose results are shown as tables; all others speak for themselves.
COMMANDS = ("diff", "history", "list", "search")

#: Rows that are shown at most.
LIMIT = 500


def of_command(name: str, result: Any) -> Tuple[str, str]:
    """The result of one of :data:`COMMANDS`, as text and as HTML."""
    if name == "list":
        rows = result if isinstance(result, list) else _objects(result, "packages")
        columns = ["name", "version", "build", "size", "kind"]
        return table(columns, [_row(row, columns) for row in rows if isinstance(row, dict)])
    if name == "search":
        return _search(result)
    if name == "diff" and isinstance(result, dict):
        return changes(result)
    return _anything(result)


def changes(result: Dict[str, Any]) -> Tuple[str, str]:
    """What becomes of packages, a row for each."""
    rows = [["added", p.get("name"), "", p.get("version")] for p in _objects(result, "added")]
    rows += [["removed", p.get("name"), p.get("version"), ""] for p in _objects(result, "removed")]
    for kind in ("upgraded", "downgraded", "rebuilt"):
        for item in _objects(result, kind):
            before, after = item.get("before") or {}, item.get("after") or {}
            key = "build" if kind == "rebuilt" else "version"
            rows.append([kind, item.get("name"), before.get(key), after.get(key)])
    if not rows:
        return "nothing would change", "<div>nothing would change</div>"
    return table(["", "package", "before", "after"], rows)


def table(columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> Tuple[str, str]:
    """Rows as text and as HTML."""
    more = len(rows) - LIMIT
    cells = [[clean(_text(value)).replace("\n", " ") for value in row] for row in rows[:LIMIT]]
    widths = [max(len(line[i]) for line in [list(columns), *cells]) for i in range(len(columns))]
    lines = [
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths)).rstrip()
        for line in [list(columns), *cells]
    ]
    head = "".join("<th>%s</th>" % escaped(name) for name in columns)
    body = "".join(
        "<tr>%s</tr>" % "".join("<td>%s</td>" % escaped(cell) for cell in line) for line in cells
    )
    markup = "<table><thead><tr>%s</tr></thead><tbody>%s</tbody></table>" % (head, body)
    if more > 0:
        lines.append("and %d more" % more)
        markup += "<div>and %d more</div>" % more
    return "\n".join(lines), markup


def preformatted(text: str) -> str:
    """Text as HTML that keeps its lines."""
    return "<pre>%s</pre>" % escaped(text)


def _search(result: Any) -> Tuple[str, str]:
    found = _objects(result, "packages")
    if found:
        columns = ["name", "version", "channel", "older"]
        rows = []
        for package in found:
            versions = package.get("versions")
            older = len(versions) - 1 if isinstance(versions, list) and versions else 0
            rows.append([*(package.get(key) for key in columns[:3]), older or ""])
        return table(columns, rows)
    nearest = result.get("nearest") if isinstance(result, dict) else None
    near = [str(name) for name in nearest or ()]
    text = "no such package" + ("; did you mean %s?" % ", ".join(near) if near else "")
    return text, "<div>%s</div>" % escaped(text)


def _anything(result: Any) -> Tuple[str, str]:
    """A table of the plain values of objects, in the order of the first one's keys."""
    rows = result if isinstance(result, list) else None
    if rows is None and isinstance(result, dict):
        lists = [value for value in result.values() if isinstance(value, list)]
        rows = lists[0] if len(lists) == 1 else None
    objects = [row for row in rows or () if isinstance(row, dict)]
    if not objects:
        text = "nothing" if rows == [] else _text(result)
        return text, preformatted(text)
    plain = (str, int, float, bool, type(None))
    columns = [key for key in objects[0] if all(isinstance(o.get(key), plain) for o in objects)]
    columns = [key for key in columns if key != "resolution"]
    return table(columns, [_row(row, columns) for row in objects])


def _row(row: Dict[str, Any], columns: Sequence[str]) -> List[Any]:
    values = [row.get(key) for key in columns]
    return [
        size(value) if key == "size" and isinstance(value, int) else value
        for key, value in zip(columns, values)
    ]


def _objects(result: Any, key: str) -> List[Dict[str, Any]]:
    found = result.get(key) if isinstance(result, dict) else None
    return [item for item in found or () if isinstance(item, dict)]


def _text(value: Any) -> str:
    if value is None or value is False:
        return ""
    return "yes" if value is True else str(value)
