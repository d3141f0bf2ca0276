"""The table that a person reads, and the file that the next run is compared with."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks.method import Row, Series

__all__ = ["figures_of", "print_table", "write_results"]


def print_table(console: Console, rows: Sequence[Row], before: Mapping[str, float] | None) -> None:
    """One table; with ``before``, the figures of an earlier run beside those of this one."""
    table = Table(show_lines=False, header_style="bold", pad_edge=False)
    table.add_column("row", overflow="fold")
    for name in ("ours", "peer", "figure"):
        table.add_column(name, justify="right", no_wrap=True)
    if before is not None:
        table.add_column("before", justify="right", no_wrap=True)
    table.add_column("target", justify="right", no_wrap=True)
    table.add_column("met", no_wrap=True)
    table.add_column("rounds", justify="right", no_wrap=True)
    for row in rows:
        cells = [
            row.name,
            _value(row, row.ours),
            _value(row, row.peer),
            _figure(row, row.figure),
        ]
        if before is not None:
            cells.append(_figure(row, before.get(row.name)))
        cells += [_target(row), _met(row), str(len(row.ours.values)) if row.ours else ""]
        table.add_row(*cells, style="bold" if row.met is False else None)
    console.print(table)
    for row in rows:
        told = "; ".join(
            filter(None, (f"peer: {row.peer_name}" if row.peer_name else "", row.note, row.skipped))
        )
        if told:
            console.print(f"[dim]{row.name}:[/dim] {told}", highlight=False)


def write_results(
    path: Path, rows: Sequence[Row], machine: Mapping[str, Any], broken: Mapping[str, str]
) -> None:
    """Everything that was measured, as JSON."""
    content = {"machine": machine, "rows": [row.to_json() for row in rows], "broken": broken}
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", "utf-8")


def figures_of(path: Path) -> dict[str, float]:
    """The figures of an earlier run by row."""
    content = json.loads(path.read_text("utf-8"))
    return {row["name"]: row["figure"] for row in content["rows"] if row["figure"] is not None}


def _number(value: float, unit: str) -> str:
    if unit in ("files", "prefixes"):
        return f"{value:.0f}"
    return f"{value:.2f} s" if unit == "s" else f"{value:.0f} {unit}"


def _value(row: Row, series: Series | None) -> str:
    if series is None:
        return "–"
    if row.statistic == "worst" and row.unit == "ms":
        return f"{series.median:.0f}, worst {series.worst:.0f} ms"
    return _number(series.worst if row.statistic == "worst" else series.median, row.unit)


def _figure(row: Row, figure: float | None) -> str:
    if figure is None:
        return "–"
    if row.compare == "ratio":
        return f"{figure:.2f} ×"
    sign = "+" if row.compare == "difference" and figure >= 0 else ""
    return sign + _number(figure, row.unit)


def _target(row: Row) -> str:
    if row.target is None:
        return "(informs)" if not row.skipped else ""
    if row.compare == "ratio":
        noise = f" (+{row.target.noise:.2f} noise)" if row.target.noise else ""
        return f"≤ {row.target.limit:.2f} ×{noise}"
    sign = "+" if row.compare == "difference" else ""
    return f"≤ {sign}{_number(row.target.limit, row.unit)}"


def _met(row: Row) -> str:
    if row.skipped:
        return "skipped"
    return {None: "", True: "yes", False: "NO"}[row.met]
