"""The statistics of few runs, against SciPy's and against what can be worked out by hand."""

from collections.abc import Sequence

import numpy as np
import pytest
from scipy import stats

from store.bootstrap import RESAMPLES, aggregate, estimated, interquartile_mean

RUNS = [812.0, 640.5, 655.8, 879.1, 43.0, 843.6, 296.5, 834.7, 700.2]


@pytest.mark.parametrize("count", range(1, 10))
def test_the_interquartile_mean_is_scipys(count: int) -> None:
    values = np.array(RUNS[:count])
    assert interquartile_mean(values) == pytest.approx(stats.trim_mean(values, 0.25))


def test_a_quarter_at_each_end_does_not_count() -> None:
    assert interquartile_mean(np.array([-1e9, 1.0, 3.0, 1e9])) == 2.0
    assert interquartile_mean(np.array([1.0, 3.0, 8.0])) == 4.0  # of three, nothing is left out


@pytest.mark.parametrize("count", [3, 5, 9])
def test_the_interval_is_scipys_but_for_the_draw(count: int) -> None:
    values = np.array(RUNS[:count])
    theirs = stats.bootstrap(
        (values,),
        np.mean,
        confidence_level=0.95,
        n_resamples=RESAMPLES,
        method="percentile",
        rng=np.random.default_rng(1),
    ).confidence_interval
    ours = estimated(RUNS[:count], lambda x: x.mean(-1))
    tolerance = 0.05 * (theirs.high - theirs.low)
    assert ours.low == pytest.approx(theirs.low, abs=tolerance)
    assert ours.high == pytest.approx(theirs.high, abs=tolerance)


@pytest.mark.parametrize("values", [RUNS, RUNS[:2], [5.0, 5.0, 5.0]])
def test_the_value_lies_in_its_interval(values: Sequence[float]) -> None:
    found = aggregate(values)
    assert found is not None
    for part in (found.iqm, found.mean, found.median):
        assert part.low is not None
        assert part.high is not None
        assert found.least <= part.low <= part.value <= part.high <= found.most


def test_the_same_runs_have_the_same_figures() -> None:
    assert aggregate(RUNS) == aggregate(RUNS)


def test_one_run_has_no_interval_and_none_has_nothing() -> None:
    found = aggregate([7.0])
    assert found is not None
    assert (found.n, found.iqm.value, found.iqm.low, found.iqm.high) == (1, 7.0, None, None)
    assert aggregate([]) is None


def test_intervals_cover_the_truth_about_as_often_as_they_say() -> None:
    """Of ten normal runs the percentile bootstrap is known to be somewhat too narrow."""
    rng = np.random.default_rng(0)
    covered = 0
    for _ in range(100):
        found = estimated(list(rng.normal(3.0, 1.0, 10)), lambda x: x.mean(-1))
        assert found.low is not None
        assert found.high is not None
        covered += found.low <= 3.0 <= found.high
    assert 82 <= covered <= 99
