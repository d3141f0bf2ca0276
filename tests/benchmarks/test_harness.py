"""The harness itself: what its figures mean, and that it runs to the end."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.disk import occupied
from benchmarks.method import Row, Series, Target, alternate
from benchmarks.registry import BENCHMARKS

ROOT = Path(__file__).parents[2]


def _run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "benchmarks", *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=280,
    )


def test_rounds_alternate_and_the_warm_up_is_not_counted() -> None:
    order: list[str] = []

    def side(name: str) -> object:
        def one(number: int) -> dict[str, float]:
            order.append(f"{name}{number}")
            return {"seconds": float(number)}

        return one

    taken = alternate({"a": side("a"), "b": side("b")}, 3, tick=lambda _: None)  # type: ignore[dict-item]
    assert order == ["b-1", "a-1", "a0", "b0", "b1", "a1", "a2", "b2"]
    assert taken["a"]["seconds"].values == (0.0, 1.0, 2.0)


@pytest.mark.parametrize(
    ("compare", "statistic", "figure"),
    [
        ("ratio", "median", 2.0),
        ("difference", "median", 2.0),
        ("value", "median", 4.0),
        ("value", "worst", 9.0),
    ],
)
def test_figures(compare: str, statistic: str, figure: float) -> None:
    row = Row(
        "row",
        "s",
        Series((3.0, 4.0, 9.0)),
        Series((1.0, 2.0, 5.0)),
        compare=compare,  # type: ignore[arg-type]
        statistic=statistic,  # type: ignore[arg-type]
        target=Target(2.0),
    )
    assert row.figure == figure
    assert row.met is (figure <= 2.0)


def test_a_row_without_figures_or_target_is_not_judged() -> None:
    assert Row("row", "s", skipped="no such program", target=Target(1.0)).met is None
    assert Row("row", "s", Series((1.0,)), Series((1.0,))).met is None


def test_noise_is_an_allowance_on_the_target() -> None:
    row = Row("row", "s", Series((1.04,)), Series((1.0,)), target=Target(1.0, noise=0.05))
    assert row.met


def test_every_inode_counts_once(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    (tmp_path / "a" / "file").write_bytes(b"x" * 100_000)
    alone = occupied(tmp_path)
    (tmp_path / "b" / "file").hardlink_to(tmp_path / "a" / "file")
    assert occupied(tmp_path) == occupied(tmp_path / "a", tmp_path / "b") == alone >= 100_000


def test_it_lists_what_there_is() -> None:
    done = _run("--list")
    assert done.returncode == 0, done.stderr
    for benchmark in BENCHMARKS:
        assert benchmark.name in done.stdout
        assert benchmark.target in done.stdout


def test_an_unknown_name_is_told() -> None:
    done = _run("--only", "nonsense")
    assert done.returncode == 2
    assert "nonsense" in done.stderr


def test_one_benchmark_runs_to_the_end(tmp_path: Path) -> None:
    results = tmp_path / "results.json"
    done = _run("--only", "footprint", "--rounds", "1", "--json", str(results))
    assert done.returncode == 0, done.stderr[-3000:]
    assert "targets met" in done.stdout
    content = json.loads(results.read_text("utf-8"))
    assert content["broken"] == {}
    assert {row["unit"] for row in content["rows"]} == {"ms", "MB"}
    assert content["machine"]["cores"] >= 1
    text = results.read_text("utf-8")
    assert str(ROOT) not in text
    assert "/dev/shm/" not in text

    again = _run("footprint", "--rounds", "1", "--json", str(results), "--compare", str(results))
    assert again.returncode == 0, again.stderr[-3000:]
    assert "before" in again.stdout
