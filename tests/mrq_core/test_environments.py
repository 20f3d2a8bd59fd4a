from typing import Any

import numpy as np
import pytest
from gymnasium.wrappers import TimeLimit

from mrq_core.environments import DEFAULT_MAX_EPISODE_STEPS, Environment, make_environment
from mrq_core.errors import EnvironmentFault, NonFiniteError, TrainingError


def scripted(**kwargs: Any) -> Environment:
    return Environment("Scripted-v0", kwargs, None)


def time_limits(environment_id: str, limit: int | None) -> list[int]:
    env: Any = make_environment(environment_id, {}, limit)
    limits = []
    while env is not env.unwrapped:
        if isinstance(env, TimeLimit):
            limits.append(env._max_episode_steps)
        env = env.env
    return limits


def test_there_is_always_one_time_limit() -> None:
    assert time_limits("CartPole-v1", None) == [500]
    assert time_limits("CartPole-v1", 20) == [20]
    assert time_limits("Scripted-v0", None) == [DEFAULT_MAX_EPISODE_STEPS]
    assert time_limits("Scripted-v0", 20) == [20]


def test_a_step_gives_flat_observation_and_plain_values() -> None:
    environment = scripted(length=2)
    assert environment.reset(0, 0).tolist() == [0, 0]
    action = environment.executable(np.array([-1, 1], np.float32))
    assert action.tolist() == [0, 6]

    first, last = (environment.step(action, step) for step in (1, 2))

    assert (first.observation.tolist(), first.reward, first.terminated) == ([1, 1], 1.0, False)
    assert (last.terminated, last.truncated) == (True, False)


def test_the_time_limit_truncates() -> None:
    environment = Environment("Scripted-v0", {"length": 9}, 2)
    environment.reset(0, 0)
    action = environment.executable(np.zeros(2, np.float32))
    environment.step(action, 1)

    assert environment.step(action, 2).truncated


@pytest.mark.parametrize(
    ("fault", "error", "message"),
    [
        ("NaN observation", EnvironmentFault, "expected finite float32 numbers, got nan"),
        ("wrong shape", EnvironmentFault, "expected a list of 2 numbers, got an array of shape"),
        ("NaN reward", NonFiniteError, r"the reward \(nan\) is not finite"),
        ("huge reward", NonFiniteError, r"the reward \(1e\+39\) is not finite"),
        ("text reward", EnvironmentFault, "the reward is no number but 'much'"),
        ("no reward", EnvironmentFault, "the reward is no number but None"),
        ("number for terminated", EnvironmentFault, "terminated is not true or false but 1"),
        ("raises", EnvironmentFault, "step: RuntimeError: broken joint"),
        ("four values", EnvironmentFault, "step: ValueError"),
    ],
)
def test_a_fault_names_the_step(fault: str, error: type[TrainingError], message: str) -> None:
    environment = scripted(fault=fault, fault_at=1)
    environment.reset(0, 0)

    with pytest.raises(error, match=message) as caught:
        environment.step(environment.executable(np.zeros(2, np.float32)), 41)
    assert "at step 41" in str(caught.value)


def test_a_failing_reset_and_an_unknown_id_are_faults() -> None:
    with pytest.raises(EnvironmentFault, match="reset: RuntimeError: no reset today"):
        scripted(fault="reset raises").reset(0, 3)
    with pytest.raises(EnvironmentFault, match="not made: NameNotFound"):
        Environment("NoSuch-v0", {}, None)
    with pytest.raises(EnvironmentFault, match="not made: TypeError"):
        scripted(colour="red")
