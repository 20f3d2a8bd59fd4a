"""What learning runs are compared with: random actions, fixed ones, and exact survival."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.learning import fixed_action, random_policy
from benchmarks.learning.sepsis import Tables, read_tables
from benchmarks.learning.small_tasks import SMALL_TASKS
from mrq_core.environments import environment_of


def test_survival_of_a_patient_of_two_states_is_as_by_hand() -> None:
    """Ill and over. Waiting stays ill with 0.5, else survives with 0.4 of the rest, else dies;
    treating survives with 0.7 at once. A third action would always save, and is not legal."""
    moves = np.zeros((2, 3, 2))
    moves[0, 0] = [0.5, 0.5]
    moves[0, 1:] = [0.0, 1.0]
    moves[1, :] = [0.0, 1.0]
    rewards = np.array([[0.2, 0.7, 1.0], [0.0, 0.0, 0.0]])
    legal = np.array([[True, True, False], [True, True, True]])
    clinicians = np.array([[1.0, 0.0, 0.0], [1.0, 0.0, 0.0]])
    tables = Tables(moves, rewards, np.array([1.0, 0.0]), legal, clinicians)
    # v = 0.2 + 0.5 v = 0.4 by waiting; v = 0.5 (0.2 + 0.5 v) + 0.5 * 0.7 = 0.6 by chance.
    assert tables.survival(tables.experts) == pytest.approx(0.4, abs=1e-8)
    assert tables.survival(tables.uniform) == pytest.approx(0.6, abs=1e-8)
    assert tables.best_survival() == pytest.approx(0.7, abs=1e-8)


def test_the_package_s_tables_are_probabilities_and_their_survivals_are_those_we_state() -> None:
    tables = read_tables()
    assert np.allclose(tables.moves.sum(axis=2), 1.0)
    acts = tables.experts.sum(axis=1)
    assert np.allclose(acts[:-3], 1.0)
    assert not acts[-3:].any(), "nobody acts after the end"
    found = (
        tables.survival(tables.uniform),
        tables.survival(tables.experts),
        tables.best_survival(),
    )
    assert [round(share, 4) for share in found] == [0.7801, 0.7818, 0.8751]


def test_random_actions_are_legal_ones() -> None:
    """An illegal move raises."""
    returns = random_policy.returns_of(SMALL_TASKS["ConnectFour"], 10)
    assert set(returns) <= {-1.0, 0.0, 1.0}
    assert len(set(returns)) > 1
    assert random_policy.returns_of(SMALL_TASKS["ConnectFour"], 10) == returns


def test_each_action_is_held_through_the_episodes() -> None:
    """Pushed to one side only, the pole falls within about ten steps."""
    found = dict(fixed_action.returns_of(SMALL_TASKS["CartPole-v1"], 3))
    assert list(found) == ["0", "1"]
    assert all(8 <= length <= 11 for returns in found.values() for length in returns)


def test_doses_are_tried_from_the_least_to_the_most() -> None:
    pendulum = environment_of(SMALL_TASKS["Pendulum-v1"].training_run(seed=0))
    tried = [float(action[0]) for action in fixed_action.actions(pendulum)]
    assert (tried[0], tried[6], tried[-1], len(tried)) == (-1.0, 0.0, 1.0, 13)
    assert tried == sorted(tried)


def test_of_several_numbers_the_middle_is_tried() -> None:
    drone = environment_of(SMALL_TASKS["Drone"].training_run(seed=0))
    (hovering,) = fixed_action.actions(drone)
    assert hovering.tolist() == [0.0, 0.0, 0.0, 0.0]


def test_no_fixed_action_where_there_are_masks() -> None:
    with pytest.raises(SystemExit, match="ConnectFour has masks"):
        next(fixed_action.returns_of(SMALL_TASKS["ConnectFour"], 1))
