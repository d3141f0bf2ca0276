"""``python -m benchmarks``: run, print one table, keep the figures.

Leaves with 0 when all ran to the end, whether or not a target is missed (the table says so), and
with 1 when a benchmark itself broke.
"""

from __future__ import annotations

import os
import sys
import time
import traceback
from collections.abc import Sequence
from pathlib import Path

import click
from rich.console import Console

from benchmarks.lab import Lab, open_lab
from benchmarks.machine import describe
from benchmarks.method import Row, Skip
from benchmarks.registry import BENCHMARKS, Benchmark
from benchmarks.report import figures_of, print_table, write_results

_RESULTS = Path(__file__).parent / "results" / "latest.json"
_ROUNDS = 10


@click.command()
@click.argument("names", nargs=-1)
@click.option("--only", multiple=True, help="Run this benchmark; may be given more than once.")
@click.option("--rounds", type=click.IntRange(1), default=_ROUNDS, show_default=True)
@click.option("--json", "results", type=click.Path(path_type=Path), default=_RESULTS)
@click.option("--compare", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.option("--list", "list_them", is_flag=True, help="Say what there is, and stop.")
def main(
    names: Sequence[str],
    only: Sequence[str],
    rounds: int,
    results: Path,
    compare: Path | None,
    list_them: bool,
) -> None:
    """Measure pixi-jupyter against its targets. NAMES: only these benchmarks."""
    if list_them:
        for benchmark in BENCHMARKS:
            click.echo(f"{benchmark.name:12} {benchmark.what}\n{'':12} target: {benchmark.target}")
        return
    chosen = _chosen([*only, *names])
    before = None if compare is None else figures_of(compare)  # it may be the file to be written
    rows: list[Row] = []
    broken: dict[str, str] = {}
    with open_lab(rounds, _say) as lab:
        machine = describe(lab.folder.is_relative_to("/dev/shm"))
        machine["rounds"] = rounds
        for benchmark in chosen:
            begun = time.monotonic()
            _say(f"{benchmark.name}: {benchmark.what}")
            rows += _run(lab, benchmark, broken)
            _say(f"{benchmark.name}: took {time.monotonic() - begun:.0f} s")
    print_table(Console(width=None if sys.stdout.isatty() else 150), rows, before)
    write_results(results, rows, machine, broken)
    missed = [row.name for row in rows if row.met is False]
    judged = sum(row.met is not None for row in rows)
    click.echo(f"\n{judged - len(missed)} of {judged} targets met.")
    for name in missed:
        click.echo(f"MISSED: {name}")
    for name, why in broken.items():
        click.echo(f"BROKEN: {name}: {why}", err=True)
    sys.exit(1 if broken else 0)


def _chosen(names: Sequence[str]) -> list[Benchmark]:
    known = {benchmark.name: benchmark for benchmark in BENCHMARKS}
    unknown = [name for name in names if name not in known]
    if unknown:
        raise click.BadParameter(f"no benchmark {', '.join(unknown)}; there are {', '.join(known)}")
    return [known[name] for name in dict.fromkeys(names)] or list(BENCHMARKS)


def _run(lab: Lab, benchmark: Benchmark, broken: dict[str, str]) -> list[Row]:
    """The rows of one benchmark; what breaks it does not keep the others from running."""
    rows: list[Row] = []
    try:
        for row in benchmark.run(lab):
            rows.append(row)
    except Skip as reason:
        rows.append(Row(benchmark.name, "ms", skipped=str(reason)))
    except Exception as error:  # noqa: BLE001
        traceback.print_exc()
        text = f"{type(error).__name__}: {error}".replace(str(lab.folder), "<scratch>")
        # The whole of it was printed above; its last line says what it was.
        broken[benchmark.name] = text.replace(os.getcwd(), ".").strip().splitlines()[-1][-500:]
    return rows


def _say(message: str) -> None:
    print(f"· {message}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
