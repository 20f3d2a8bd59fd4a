"""DeepMind's control suite as Gymnasium environments, as the paper's protocol takes them."""

from typing import Any

import numpy as np
import pytest
from dm_control import suite
from dm_control.rl import control
from dm_control.suite import cartpole
from shimmy.dm_control_compatibility import DmControlCompatibilityV0

from mrq_core.environments import Environment


@pytest.fixture(autouse=True)
def _registered() -> None:
    import shimmy  # noqa: F401  (registers the suite)


def test_an_episode_of_the_papers_protocol_is_500_actions_and_ends_truncated() -> None:
    environment = Environment("dm_control/cartpole-swingup-v0", {}, 500, 2)
    environment.reset(3, 0)
    action = environment.executable(np.zeros(1, np.float32))

    outcomes = [environment.step(action, step) for step in range(500)]

    assert environment.form.input_shape == (5,)
    assert [o.truncated for o in outcomes] == [False] * 499 + [True]
    assert not any(o.terminated for o in outcomes)
    environment.close()


def test_two_steps_to_an_action_are_two_of_the_suites() -> None:
    ours = Environment("dm_control/cartpole-swingup-v0", {}, 500, 2)
    start = ours.reset(3, 0).observation
    theirs = suite.load("cartpole", "swingup", task_kwargs={"random": 3})
    first = theirs.reset()
    np.testing.assert_allclose(start, flat(first), rtol=1e-6)

    outcome = ours.step(ours.executable(np.full(1, 0.5, np.float32)), 1)

    steps = [theirs.step(np.array([0.5])) for _ in range(2)]
    assert outcome.reward == pytest.approx(sum(step.reward for step in steps))
    np.testing.assert_allclose(outcome.observation, flat(steps[-1]), rtol=1e-5, atol=1e-7)
    ours.close()


def flat(step: Any) -> Any:
    return np.concatenate([np.ravel(part) for part in step.observation.values()])


class Ending(cartpole.Balance):  # type: ignore[misc]  # dm_control has no types
    """Over at its first step, as a task with an end of its own tells it: no discount."""

    def get_termination(self, _: Any) -> float:
        return 0.0


def test_b15_a_last_step_without_discount_is_a_termination() -> None:
    physics = cartpole.Physics.from_xml_string(*cartpole.get_model_and_assets())
    task = Ending(swing_up=True, sparse=False, random=3)
    environment = DmControlCompatibilityV0(control.Environment(physics, task))
    environment.reset(seed=0)

    _, _, terminated, truncated, _ = environment.step(np.array([0.0]))

    assert (terminated, truncated) == (True, False)
