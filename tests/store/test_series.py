"""What a reader sees of a job that was resumed, computed by hand."""

import math

import numpy as np
import pytest

from store.database import Database
from store.endings import finish
from store.jobs import get_job
from store.ownership import Claim, start_from
from store.series import effective_evaluations, metric_names, read_series, thin
from store.settings import Settings
from store.states import JobStatus, Reason
from tests.store.acting import checkpoint, claim, evaluate, progress, release, running, save


def series(database: Database, claimed: Claim, key: str = "loss", **limits: int) -> list[object]:
    with database.read() as session:
        return list(read_series(session, get_job(session, claimed.job_id), key, **limits).points)


def evaluations(database: Database, claimed: Claim) -> list[tuple[int, int, float]]:
    with database.read() as session:
        found = effective_evaluations(session, get_job(session, claimed.job_id))
        return [(e.attempt, e.step, e.return_mean) for e in found]


def resume(database: Database, settings: Settings, last: Claim, step: int | None) -> Claim:
    release(database, last)
    claimed = claim(database, settings)
    start_from(database, claimed, None if step is None else checkpoint(database, claimed, step))
    return claimed


def train(database: Database, claimed: Claim, *steps: int) -> None:
    """Values tell who wrote them: attempt * 1000 + step."""
    for step in steps:
        progress(database, claimed, step, loss=claimed.epoch * 1000 + step)
        evaluate(database, claimed, step, claimed.epoch * 1000 + step, keep=100)


def test_a_resumed_attempt_supersedes_what_lies_beyond_its_start(
    database: Database, settings: Settings
) -> None:
    first = running(database, settings)
    train(database, first, 100, 200)
    save(database, first, 200)
    train(database, first, 300, 400)
    second = resume(database, settings, first, 200)
    assert series(database, second) == [(100, 1100), (200, 1200)]
    train(database, second, 300)
    assert series(database, second) == [(100, 1100), (200, 1200), (300, 2300)]
    assert evaluations(database, second) == [(1, 100, 1100), (1, 200, 1200), (2, 300, 2300)]


def test_the_lowest_later_start_counts(database: Database, settings: Settings) -> None:
    """Attempt 2 went on from 300; attempt 3 found it corrupt and went back to 100."""
    first = running(database, settings)
    for step in (100, 200, 300):
        train(database, first, step)
        save(database, first, step, keep=5)
    second = resume(database, settings, first, 300)
    train(database, second, 400)
    third = resume(database, settings, second, 100)
    train(database, third, 200)
    fourth = resume(database, settings, third, 100)
    train(database, fourth, 200, 300)
    assert series(database, fourth) == [(100, 1100), (200, 4200), (300, 4300)]
    assert evaluations(database, fourth) == [(1, 100, 1100), (4, 200, 4200), (4, 300, 4300)]


def test_a_fresh_start_supersedes_everything(database: Database, settings: Settings) -> None:
    first = running(database, settings)
    train(database, first, 0, 100)
    second = resume(database, settings, first, None)
    assert series(database, second) == []
    assert evaluations(database, second) == []
    train(database, second, 0)
    assert series(database, second) == [(0, 2000)]


def test_an_attempt_that_has_not_started_hides_nothing(
    database: Database, settings: Settings
) -> None:
    """Between a claim and its start lies the check of gigabytes; it may die there too."""
    first = running(database, settings)
    train(database, first, 100)
    save(database, first, 100)
    train(database, first, 200)
    release(database, first)
    second = claim(database, settings)
    seen = [(100, 1100), (200, 1200)]
    assert series(database, second) == seen
    release(database, second)
    third = claim(database, settings)
    finish(database, third, JobStatus.FAILED, Reason.CHECKPOINT_CORRUPT)
    assert series(database, third) == seen
    assert len(evaluations(database, third)) == 2


def test_it_hides_nothing_before_the_first_step_either(
    database: Database, settings: Settings
) -> None:
    first = running(database, settings)
    evaluate(database, first, 0, 1000.0)
    save(database, first, 0)
    release(database, first)
    second = claim(database, settings)
    assert evaluations(database, second) == [(1, 0, 1000.0)]
    third = resume(database, settings, second, 0)
    assert evaluations(database, third) == [(1, 0, 1000.0)]


def test_values_that_json_cannot_say(database: Database, settings: Settings) -> None:
    claimed = running(database, settings)
    for step, value in enumerate((1.5, math.nan, math.inf, -math.inf)):
        progress(database, claimed, step, loss=value)
    assert series(database, claimed) == [
        (0, 1.5),
        (1, "NaN"),
        (2, "Infinity"),
        (3, "-Infinity"),
    ]


def test_a_reader_asks_for_what_is_new(database: Database, settings: Settings) -> None:
    claimed = running(database, settings)
    for step in (0, 10, 20):
        progress(database, claimed, step, loss=step, other=1)
    assert series(database, claimed, after_step=0) == [(10, 10), (20, 20)]
    assert series(database, claimed, max_points=2) == [(0, 0), (20, 20)]
    for unknown in ("nope", "lo\x00ss\x00x", ""):
        assert series(database, claimed, unknown) == []


def test_names_are_those_of_this_job(database: Database, settings: Settings) -> None:
    claimed = running(database, settings)
    progress(database, claimed, 1, b=1.0, a=2.0)
    release(database, claimed)
    other = running(database, settings)
    assert other.job_id == claimed.job_id
    finish(database, other, JobStatus.FAILED, Reason.NON_FINITE)
    last = running(database, settings)
    progress(database, last, 1, c=1.0)
    with database.read() as session:
        assert metric_names(session, get_job(session, claimed.job_id)) == ["a", "b"]
        assert metric_names(session, get_job(session, last.job_id)) == ["c"]


# ---- thinning

Points = list[tuple[int, float | str]]


def curve(count: int) -> Points:
    return [(step, float(math.sin(step / 50))) for step in range(count)]


def test_few_points_stay_as_they_are() -> None:
    points = curve(500)
    assert thin(points, 500) is points


@pytest.mark.parametrize("max_points", [2, 3, 4, 5, 7, 100, 499])
@pytest.mark.parametrize("some_nan", [False, True])
def test_never_more_than_asked_for(max_points: int, some_nan: bool) -> None:
    points = curve(1000)
    if some_nan:
        points[3::7] = [(step, "NaN") for step, _ in points[3::7]]
    kept = thin(points, max_points)
    assert 2 <= len(kept) <= max_points
    assert (kept[0], kept[-1]) == (points[0], points[-1])
    assert list(kept) == sorted(kept, key=lambda point: point[0])
    assert set(kept) <= set(points)


def test_thinning_by_hand() -> None:
    """Six points: the ends, and the lowest and highest of two halves of 5 points each."""
    points: Points = list(enumerate([5.0, 9.0, 1.0, 4.0, 3.0, 2.0, 8.0, 7.0, 0.0, 6.0]))
    assert list(thin(points, 6)) == [(0, 5.0), (1, 9.0), (2, 1.0), (6, 8.0), (8, 0.0), (9, 6.0)]


@pytest.mark.parametrize("spike", [1e9, -1e9])
@pytest.mark.parametrize("at", [1, 777, 9_998])
def test_a_spike_of_one_point_stays(spike: float, at: int) -> None:
    points = curve(10_000)
    points[at] = (at, spike)
    assert (at, spike) in thin(points, 100)


def test_one_nan_among_thousands_stays() -> None:
    points = curve(10_000)
    points[4321] = (4321, "NaN")
    points[8000] = (8000, "Infinity")
    kept = thin(points, 100)
    assert (4321, "NaN") in kept
    assert (8000, "Infinity") in kept


def test_a_stretch_of_nan_stays_a_stretch() -> None:
    points = curve(10_000)
    points[2000:8000] = [(step, "NaN") for step in range(2000, 8000)]
    kept = thin(points, 100)
    steps = [step for step, value in kept if value == "NaN"]
    assert steps[0] <= 2400
    assert steps[-1] >= 7600
    assert np.diff(steps).max() <= 600
    assert not any(2000 <= step < 8000 for step, value in kept if value != "NaN")
