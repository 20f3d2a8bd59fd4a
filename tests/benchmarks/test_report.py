"""The learning report, from a small made-up set of results; every expected cell by hand."""

from __future__ import annotations

import csv
import json
from dataclasses import asdict
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from benchmarks.learning.published import PublishedPoint, published_points
from benchmarks.learning.report import grouped, main, paper_page, small_page, write_curves
from benchmarks.learning.result import Evaluation, read_result, read_results
from mrq_core.config import PRESETS

PUBLISHED = """suite,env,step,mean,std,ci95_lo,ci95_hi,n_seeds
dmc,Dmc-reacher-easy,10000,300.0,50.0,0,0,10
dmc,Dmc-reacher-easy,25000,700.0,100.0,0,0,10
dmc,Dmc-reacher-easy,50000,900.0,10.0,0,0,10
dmc,Dmc-reacher-hard,25000,1.0,1.0,0,0,10
"""


def write_result(
    folder: Path,
    name: str,
    seed: int,
    evaluations: dict[str, list[float]],
    *,
    preset: str = "small",
    **changes: Any,
) -> Path:
    stored = {
        "action_mode": "deterministic",
        "machine": "a machine",
        "commit": "abc1234",
        "python": "3.11.7",
        "versions": {"torch": "2.13.0"},
        "spec": {"hyperparameters": {**asdict(PRESETS[preset]), **changes}},
        "evaluations": evaluations,
    }
    path = folder / f"{name}-seed-{seed}.json"
    path.write_text(json.dumps(stored))
    return path


@pytest.fixture
def published(tmp_path: Path) -> Path:
    path = tmp_path / "published.csv"
    path.write_text(PUBLISHED)
    return path


def rows(text: str) -> list[list[str]]:
    """The cells of the tables' bodies."""
    lines = [line for line in text.splitlines() if line.startswith("| ")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def test_the_band_is_two_standard_deviations_to_each_side(published: Path) -> None:
    points = published_points(published, "Dmc-reacher-easy", up_to=25_000)
    assert points == [PublishedPoint(10_000, 300.0, 50.0), PublishedPoint(25_000, 700.0, 100.0)]
    assert [(point.low, point.high) for point in points] == [(200.0, 400.0), (500.0, 900.0)]


def test_without_the_published_file_there_is_no_band(tmp_path: Path) -> None:
    assert published_points(tmp_path / "missing.csv", "Dmc-reacher-easy", 25_000) == []


def test_steps_are_numbers_not_words(tmp_path: Path) -> None:
    evaluations = {"9000": [1.0], "500": [0.0], "10000": [0.0, 3.0]}
    result = read_result(write_result(tmp_path, "CartPole-v1", 0, evaluations))
    assert [evaluation.step for evaluation in result.evaluations] == [500, 9_000, 10_000]
    assert result.last.mean == 1.5


def test_a_small_task_is_judged_by_its_last_evaluation(tmp_path: Path, published: Path) -> None:
    write_result(tmp_path, "FrozenLake-4x4", 1, {"0": [0.0, 0.0], "500": [1.0, 1.0]})
    worse = {"0": [0.0, 0.0], "500": [1.0, 1.0], "1000": [1.0, 0.0]}
    write_result(tmp_path, "FrozenLake-4x4", 0, worse, warmup_steps=4000, discount=0.9)
    header, first, second = rows(small_page(grouped(read_results([tmp_path]), published)))
    changed = "`discount` 0.9, `warmup_steps` 4,000"
    name = "FrozenLake-4x4"
    assert first == [
        name, "1,000", "0", changed, "0.50", "0.00", "1.00 at 500", "0.95", "NO", "abc1234",
    ]  # fmt: skip
    assert second == [
        name, "500", "1", "nothing", "1.00", "1.00", "1.00 at 500", "0.95", "yes", "abc1234",
    ]  # fmt: skip
    assert len(header) == len(first)


@pytest.mark.parametrize(
    ("last", "verdict"),
    [(499.0, "BELOW"), (500.0, "within"), (900.0, "within"), (901.0, "above")],
)
def test_a_paper_run_is_placed_in_the_published_spread(
    tmp_path: Path, published: Path, last: float, verdict: str
) -> None:
    evaluations = {"0": [10.0], "20000": [950.0], "25000": [last - 5.0, last + 5.0]}
    write_result(tmp_path, "reacher-easy", 0, evaluations, preset="paper")
    _, row = rows(paper_page(grouped(read_results([tmp_path]), published)))
    told = [f"{last:.1f}", "950.0 at 20,000", "700.0", "500.0 to 900.0", verdict, "abc1234"]
    assert row == ["reacher-easy", "25,000", "0", *told]


def test_what_was_not_published_is_not_compared(tmp_path: Path, published: Path) -> None:
    write_result(tmp_path, "cartpole-swingup", 0, {"25000": [800.0]}, preset="paper")
    _, row = rows(paper_page(grouped(read_results([tmp_path]), published)))
    assert row[5:8] == ["not at hand", "not at hand", "not compared"]


def test_the_first_result_files_are_read(tmp_path: Path) -> None:
    path = write_result(tmp_path, "reacher-easy", 1, {"0": [1.0]}, preset="paper")
    stored = json.loads(path.read_text())
    del stored["action_mode"], stored["machine"]
    path.write_text(json.dumps(stored))
    result = read_result(path)
    assert (result.seed, result.action_mode, result.changes) == (1, "deterministic", {})


def test_the_first_runs_kept_only_what_their_curves_show(tmp_path: Path) -> None:
    path = write_result(tmp_path, "reacher-easy", 1, {}, preset="paper")
    stored = json.loads(path.read_text())
    del stored["evaluations"]
    summaries = {"25000": [5.0, 1.0, 9.0, 10], "0": [2.0, 2.0, 2.0, 10]}
    path.write_text(json.dumps(stored | {"summaries": summaries}))
    result = read_result(path)
    assert [e.step for e in result.evaluations] == [0, 25_000]
    assert result.last == Evaluation(25_000, 5.0, 1.0, 9.0, 10)


def test_runs_of_another_day_stay_in_the_pages(
    tmp_path: Path, published: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    into = tmp_path / "into"
    for day, seed in (("monday", 0), ("tuesday", 1)):
        folder = tmp_path / day
        folder.mkdir()
        write_result(folder, "reacher-easy", seed, {"25000": [600.0]}, preset="paper")
        arguments = ["report", str(folder), "--into", str(into), "--published", str(published)]
        monkeypatch.setattr("sys.argv", arguments)
        main()
    _, *runs = rows((into / "paper.md").read_text())
    assert [run[2] for run in runs] == ["0", "1"]
    assert "Python 3.11.7, torch 2.13.0. Actions" in (into / "paper.md").read_text()
    kept = sorted(path.name for path in (into / "results").iterdir())
    assert kept == ["reacher-easy-seed-0.json", "reacher-easy-seed-1.json"]


def test_curves_hold_every_evaluation(tmp_path: Path, published: Path) -> None:
    write_result(tmp_path, "reacher-easy", 0, {"0": [1.0, 2.0], "25000": [600.0]}, preset="paper")
    (group,) = grouped(read_results([tmp_path]), published)
    write_curves(group, tmp_path)
    with (tmp_path / "reacher-easy.csv").open() as file:
        header, *lines = csv.reader(file)
    assert header == ["seed", "step", "return_mean", "return_min", "return_max", "episodes"]
    assert lines == [["0", "0", "1.5", "1.0", "2.0", "2"], ["0", "25000", *["600.0"] * 3, "1"]]


def test_the_figure_shows_the_band_at_its_place(tmp_path: Path, published: Path) -> None:
    write_result(tmp_path, "reacher-easy", 0, {"0": [0.0], "25000": [600.0]}, preset="paper")
    (group,) = grouped(read_results([tmp_path]), published)
    write_curves(group, tmp_path)
    svg = ElementTree.parse(tmp_path / "reacher-easy.svg")
    dots = svg.findall(".//{http://www.w3.org/2000/svg}circle")
    # x from 64 to 624 over 25,000 steps, y from 32 to 280 over returns of 900 down to 0.
    assert [(dot.get("cx"), dot.get("cy")) for dot in dots] == [
        ("288.0", "197.3"),
        ("624.0", "87.1"),
    ]
