"""What an environment is asked for, and what becomes of its answers."""

from typing import Any

import numpy as np
import pytest
from gymnasium import spaces
from gymnasium.wrappers import TimeLimit

from mrq_core.environments import DEFAULT_MAX_EPISODE_STEPS, Environment, make_environment
from mrq_core.errors import EnvironmentFault
from tests.mrq_core.puppet import (
    ACTION,
    END,
    START,
    STEP,
    ZEROS,
    Puppet,
    environment,
    first_step,
    register,
    step_with,
    strings,
)


def scripted(**kwargs: Any) -> Environment:
    return Environment("Scripted-v0", kwargs, None)


def time_limits(environment_id: str, limit: int | None, repeat: int = 1) -> list[int]:
    env: Any = make_environment(environment_id, {}, limit, repeat)
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


def test_a_limit_in_agent_steps_is_as_many_repeats() -> None:
    assert time_limits("CartPole-v1", 20, 3) == [60]
    assert time_limits("CartPole-v1", None, 3) == [500]
    assert time_limits("Scripted-v0", None, 3) == [3 * DEFAULT_MAX_EPISODE_STEPS]


def test_a_step_gives_a_frame_and_plain_values() -> None:
    environment = scripted(length=2)
    start = environment.reset(0, 0)
    assert (start.observation.tolist(), start.mask) == ([0, 0], None)
    action = environment.executable(np.array([-1, 1], np.float32))
    assert action.tolist() == [0, 6]

    first, last = (environment.step(action, step) for step in (1, 2))

    assert (first.observation.tolist(), first.reward, first.terminated) == ([1, 1], 1.0, False)
    assert (last.terminated, last.truncated) == (True, False)
    assert first.mask is None


def test_the_time_limit_truncates() -> None:
    environment = Environment("Scripted-v0", {"length": 9}, 2)
    environment.reset(0, 0)
    action = environment.executable(np.zeros(2, np.float32))
    environment.step(action, 1)

    assert environment.step(action, 2).truncated


@pytest.mark.parametrize(
    ("limit_terminates", "length", "ended"),
    [
        # (terminated, truncated) of the episode's last step. At the limit of 3 the environment
        # may mean either; before it, it means what it says.
        (False, 3, (True, False)),
        (True, 3, (False, True)),
        (True, 2, (True, False)),
        (True, 9, (False, True)),
    ],
)
def test_an_environment_may_call_its_time_limit_a_termination(
    limit_terminates: bool, length: int, ended: tuple[bool, bool]
) -> None:
    environment = Environment(
        "Scripted-v0", {"length": length}, 3, limit_terminates=limit_terminates
    )
    environment.reset(0, 0)
    action = environment.executable(np.zeros(2, np.float32))
    outcomes = [environment.step(action, step) for step in range(min(length, 3))]

    assert (outcomes[-1].terminated, outcomes[-1].truncated) == ended
    assert not any(outcome.terminated or outcome.truncated for outcome in outcomes[:-1])


def test_a_limit_that_nobody_stated_cannot_be_told_from_a_termination() -> None:
    with pytest.raises(EnvironmentFault, match="limit_terminates needs max_episode_steps"):
        Environment("Scripted-v0", {}, None, limit_terminates=True)
    Environment("CartPole-v1", {}, None, limit_terminates=True).close()


def test_of_both_ends_at_once_the_termination_counts() -> None:
    outcome = first_step(step_with(terminated=True, truncated=True))

    assert (outcome.terminated, outcome.truncated) == (True, False)


@pytest.mark.parametrize(
    ("reward", "expected"),
    [
        (3, 3.0),
        (np.int64(-2), -2.0),
        (np.float32(0.5), 0.5),
        (np.float16(0.25), 0.25),
        (np.array(7), 7.0),
        (np.array(1.5, np.float32), 1.5),
        (np.uint8(255), 255.0),
    ],
)
def test_numbers_of_every_type_are_rewards(reward: Any, expected: float) -> None:
    outcome = first_step(step_with(reward=reward))

    assert outcome.reward == expected
    assert type(outcome.reward) is float


def test_numpys_truth_values_end_an_episode() -> None:
    outcome = first_step(step_with(terminated=np.bool_(True), truncated=np.bool_(False)))

    assert outcome.terminated is True
    assert outcome.truncated is False


def test_an_environment_may_reuse_its_array() -> None:
    shared = np.zeros(2, np.float32)

    def moved() -> tuple[Any, ...]:
        shared[:] += 1
        return (shared, 1.0, False, False, {})

    reusing = environment(start=(shared, {}), answers=(moved, moved))
    first = reusing.reset(0, 0)
    second = reusing.step(ACTION, 1)
    third = reusing.step(ACTION, 2)

    seen = [first.observation.tolist(), second.observation.tolist(), third.observation.tolist()]
    assert seen == [[0, 0], [1, 1], [2, 2]]


def test_an_environment_may_write_into_its_image() -> None:
    space = spaces.Box(0, 255, (40, 40), np.uint8)
    shared = np.zeros((40, 40), np.uint8)

    def painted() -> tuple[Any, ...]:
        shared[:] = 9
        return (shared, 1.0, False, False, {})

    reusing = environment(observation_space=space, start=(shared, {}), answers=(painted,))
    first = reusing.reset(0, 0).observation
    second = reusing.step(ACTION, 1).observation

    assert (first.shape, str(first.dtype)) == ((1, 40, 40), "uint8")
    assert (int(first.max()), int(second.max())) == (0, 9)


@pytest.mark.parametrize("repeat", [1, 2])
def test_an_environment_may_write_into_the_action(repeat: int) -> None:
    class Clipping(Puppet):
        def step(self, action: Any) -> Any:
            seen.append(action.tolist())
            action[:] = 7
            return super().step(action)

    seen: list[Any] = []
    box = spaces.Box(-1, 1, (2,))
    kwargs = {"action_space": box, "answers": (STEP, STEP)}
    clipping = Environment(register("Clipping", Clipping), kwargs, None, repeat)
    clipping.reset(0, 0)
    action = np.ones(2, np.float32)
    clipping.step(action, 1)

    assert seen == [[1, 1]] * repeat
    assert action.tolist() == [1, 1]


def test_a_repeated_action_adds_the_rewards_up_until_the_end() -> None:
    steps = (step_with(reward=1), step_with(reward=10), step_with(reward=np.float32(100)), END)
    repeating = environment(repeat=3, answers=steps)
    repeating.reset(0, 0)

    first, second = repeating.step(ACTION, 1), repeating.step(ACTION, 2)

    assert (first.reward, first.terminated) == (111.0, False)
    assert (second.reward, second.terminated) == (1.0, True)
    assert strings(repeating).actions == [5, 5, 5, 5]


def test_the_seed_reaches_the_environment() -> None:
    told = environment()
    told.reset(123, 0)

    assert strings(told).seeds == [123]


def test_images_and_histories_are_understood() -> None:
    space = spaces.Box(0, 255, (48, 40, 3), np.uint8)
    image = np.zeros((48, 40, 3), np.uint8)
    image[1, 2, 0] = 255
    seen = environment(observation_space=space, start=(image, {}), history=2)

    assert (seen.form.frame_shape, seen.form.input_shape) == ((3, 48, 40), (6, 48, 40))
    assert np.argwhere(seen.reset(0, 0).observation).tolist() == [[0, 1, 2]]


def test_a_masked_and_an_unmasked_environment_are_told_apart() -> None:
    assert not environment().masked
    assert environment(start=(ZEROS, {"action_mask": [1, 0, 1]})).masked


def test_only_actions_with_a_choice_are_asked_for_masks() -> None:
    box = spaces.Box(-1, 1, (2,))
    start = (ZEROS, {"action_mask": [1, 0]})
    continuous = environment(action_space=box, start=start)

    assert not continuous.masked
    assert strings(continuous).seeds == []
    assert continuous.reset(0, 0).mask is None


def test_an_environment_is_asked_once_whether_it_has_masks() -> None:
    told = environment(start=START)
    assert (told.masked, told.masked) == (False, False)
    assert strings(told).seeds == [0]
