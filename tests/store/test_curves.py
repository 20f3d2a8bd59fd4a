"""Curves of several runs, against numbers computed by hand."""

import numpy as np
import pytest

from store.curves import (
    grid_of,
    on_grid,
    probability_of_improvement,
    reached,
    value_at,
    values_at,
)

SHORT = [(0, 0.0), (100, 10.0)]
LONG = [(0, 4.0), (50, 4.0), (200, 34.0)]


def test_between_two_evaluations_a_straight_line_and_nothing_beyond() -> None:
    assert [value_at(LONG, step) for step in (0, 25, 50, 100, 200)] == [4, 4, 4, 14, 34]
    assert value_at(LONG, 201) is None
    assert value_at([(50, 1.0)], 50) == 1.0
    assert value_at([(50, 1.0)], 49) is None
    assert value_at([], 0) is None


def test_a_run_counts_as_far_as_it_came() -> None:
    points = on_grid([SHORT, LONG], [0, 50, 100, 200, 300])
    assert [(p.step, p.n, p.iqm.value) for p in points] == [
        (0, 2, 2.0),
        (50, 2, 4.5),
        (100, 2, 12.0),
        (200, 1, 34.0),
    ]
    assert (points[1].iqm.low, points[1].iqm.high) == (4.0, 5.0)
    assert points[3].iqm.low is None
    assert values_at([SHORT, LONG], 150) == [24.0]


def test_the_grid_is_that_of_the_evaluations_and_never_long() -> None:
    assert grid_of([SHORT, LONG], 100) == [0, 50, 100]
    many = [(step, 0.0) for step in range(1_001)]
    grid = grid_of([many], 1_000)
    assert (len(grid), grid[0], grid[-1]) == (40, 0, 1_000)


def test_steps_to_a_return() -> None:
    found = reached([SHORT, LONG, []], 10.0)
    assert (found.steps, found.n, found.median) == ([100, 200, None], 2, 200.0)
    assert reached([SHORT, []], 10.0).median is None
    assert reached([SHORT, LONG], 35.0).steps == [None, None]


def test_probability_of_improvement_counts_pairs() -> None:
    # Of six pairs: 2 > 1, 4 > 1, 4 > 3 and 4 > 2 are won, 2 < 3 is lost, 2 = 2 is half.
    found = probability_of_improvement([2.0, 4.0], [1.0, 3.0, 2.0])
    assert found.value == pytest.approx(4.5 / 6)
    assert found.low is not None
    assert found.high is not None
    assert 0 <= found.low < found.value < found.high <= 1
    sure = probability_of_improvement([5.0, 6.0], [1.0, 2.0])
    assert (sure.value, sure.low, sure.high) == (1.0, 1.0, 1.0)
    assert probability_of_improvement([5.0], [1.0, 2.0]).low is None


def test_the_interval_is_that_of_a_plain_bootstrap() -> None:
    rng = np.random.default_rng(1)
    a, b = rng.normal(0.6, 1, 6), rng.normal(0, 1, 5)
    drawn = [np.mean(rng.choice(a, 6)[:, None] > rng.choice(b, 5)[None]) for _ in range(20_000)]
    found = probability_of_improvement(a.tolist(), b.tolist())
    assert found.low == pytest.approx(np.quantile(drawn, 0.025), abs=0.035)
    assert found.high == pytest.approx(np.quantile(drawn, 0.975), abs=0.035)
