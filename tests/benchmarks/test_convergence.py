"""The figure and the table of the baselines are those of the curves in the tree."""

import json
from pathlib import Path

import pytest

from benchmarks.baselines import __main__ as figures
from benchmarks.baselines import results
from benchmarks.baselines.drawing import draw
from benchmarks.baselines.tasks import SEEDS, TASKS
from store.bootstrap import Estimated
from store.curves import GridPoint


def test_the_page_and_the_figure_are_up_to_date() -> None:
    runs = results.read()
    assert figures.page(runs) == (figures.FOLDER / "convergence.md").read_text()
    svg = figures.figure(runs)
    assert svg == (figures.FOLDER / "convergence.svg").read_text()
    assert len(svg) < 100_000


def test_every_task_is_there_with_every_algorithm() -> None:
    runs = results.read()
    assert [each.task for each in runs] == list(TASKS)
    for each in runs:
        assert {seed for curves in each.curves.values() for seed in curves} <= set(SEEDS)
        assert results.file_of(each.task).stat().st_size < 10_000


def test_what_is_missing_is_said() -> None:
    (first, *_) = results.read()
    first.curves["dqn"].pop(0, None)
    assert "FrozenLake-v1 DQN: 0" in "\n".join(figures.missing([first]))


def test_raw_runs_are_kept_and_read_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(results, "KEPT", tmp_path / "curves")
    task = TASKS[1]
    for algorithm, value in (("mrq", 0.25), ("dqn", 0.75)):
        raw = {
            "task": task.name,
            "algorithm": algorithm,
            "seed": 3,
            "cpu_seconds": 7,
            "python": "3",
            "versions": {"torch": "2"},
            "machine": "m",
            "commit": "c",
            "spec": {"hyperparameters": {"discount": value}},
            "evaluations": {"1000": [value, 1.0], "0": [0.0, 0.0]},
        }
        name = f"{task.name.replace(' ', '-')}-{algorithm}-seed-3.json"
        (tmp_path / name).write_text(json.dumps(raw))

    results.keep(tmp_path)
    (runs,) = results.read()

    assert runs.task == task
    assert runs.curves == {
        "mrq": {3: [(0, 0.0), (1000, 0.625)]},
        "dqn": {3: [(0, 0.0), (1000, 0.875)]},
        "q_learning": {},
    }
    assert runs.facts["settings"] == {"mrq": {"discount": 0.25}, "dqn": {"discount": 0.75}}


def test_a_line_ends_where_the_return_is() -> None:
    """Of two points: at the left edge on the bottom, at the right edge at the top."""
    task = TASKS[0]  # from 0 to 1, 3,000 steps
    sure = [
        GridPoint(step=step, n=1, iqm=Estimated(value=value, low=None, high=None))
        for step, value in ((0, 0.0), (3_000, 1.0))
    ]
    svg = draw("t", [(task, {"mrq": sure})])
    assert '<path d="M48.0 216.0L308.0 56.0" fill="none"' in svg
    below = [GridPoint(step=0, n=1, iqm=Estimated(value=-9.0, low=None, high=None))]
    assert '<path d="M48.0 216.0" fill="none"' in draw("t", [(task, {"mrq": below})])
