"""Tabular Q-learning against numbers computed by hand."""

from typing import Any

import numpy as np
import pytest

from mrq_core.baselines.q_learning import QLearner, counts_of, strides_of
from mrq_core.baselines.session import BaselineSession
from mrq_core.baselines.settings import QLearning
from mrq_core.environments import Outcome
from mrq_core.run import TrainingRun
from mrq_core.spaces import Box, Discrete, Floats, MultiDiscrete, SpaceError, Tuple, flatten


def learner(environment_id: str = "FrozenLake-v1", **settings: Any) -> QLearner:
    run = TrainingRun(
        environment_id=environment_id,
        environment_kwargs={"is_slippery": False} if "Lake" in environment_id else {},
        baseline=QLearning(**settings),
        total_steps=10_000,
    )
    found = BaselineSession(run).learner
    assert isinstance(found, QLearner)
    return found


def one_hot(index: int, size: int) -> Floats:
    row: Floats = np.eye(size, dtype=np.float32)[index]
    return row


def test_target_cuts_at_a_termination_and_not_at_a_time_limit() -> None:
    q = learner(discount=0.5)
    q.values[3] = [1.0, 8.0, 2.0, 4.0]

    def outcome(**ends: bool) -> Outcome:
        ends = {"terminated": False, "truncated": False, **ends}
        return Outcome(one_hot(3, 16), None, 1.0, **ends)

    assert q._target(outcome()) == 1.0 + 0.5 * 8.0
    assert q._target(outcome(truncated=True)) == 1.0 + 0.5 * 8.0
    assert q._target(outcome(terminated=True)) == 1.0


def test_neither_target_nor_choice_looks_at_what_is_illegal() -> None:
    q = learner(discount=0.5, exploration_last=0.0, exploration_steps=1)
    q.values[3] = [1.0, 8.0, 2.0, 4.0]
    mask = np.array([True, False, True, True])

    assert q._target(Outcome(one_hot(3, 16), mask, 1.0, False, False)) == 1.0 + 0.5 * 4.0
    q.course.step = 100
    assert {q._choose(3, mask) for _ in range(50)} == {3}
    q.course.step = 1  # random ones
    assert {q._choose(3, mask) for _ in range(200)} == {0, 2, 3}


def test_one_step_moves_one_number() -> None:
    q = learner(learning_rate=0.25, initial_value=2.0, discount=0.5)
    q.course.step = 1
    q.step()

    changed = np.argwhere(q.values != 2.0)
    assert changed[:, 0].tolist() == [0], "in state 0"
    # 2 + 0.25 (0 + 0.5 x 2 - 2)
    assert q.values[0, changed[0, 1]] == 1.75


def test_random_actions_become_rarer() -> None:
    q = learner(exploration_steps=100, exploration_last=0.1)
    shares = []
    for q.course.step in (1, 51, 101, 10_000):
        shares.append(round(q.exploration, 6))
    assert shares == [1.0, 0.55, 0.1, 0.1]


def test_states_of_several_parts_are_counted_one_by_one() -> None:
    space = Tuple((Discrete(3), MultiDiscrete((2, 4), (0, 0), (2,), "int64")))
    strides = strides_of(counts_of(space))

    numbers = [
        float(flatten(space, (a, [b, c])) @ strides)
        for a in range(3)
        for b in range(2)
        for c in range(4)
    ]

    assert numbers == list(range(24))


def test_states_that_cannot_be_counted() -> None:
    with pytest.raises(SpaceError, match="states that can be counted"):
        counts_of(Box((0.0,), (1.0,), (1,)))


def test_it_learns_the_way_over_the_lake() -> None:
    """The known best values of the lake: discount to the power of the steps that are left."""
    q = learner(learning_rate=0.5, exploration_steps=6_000, discount=0.9)
    for q.course.step in range(1, 8_001):
        q.step()

    assert q.values[14].max() == pytest.approx(1.0, abs=1e-3)  # one step to the goal
    assert q.values[0].max() == pytest.approx(0.9**5, abs=1e-3)  # six steps
