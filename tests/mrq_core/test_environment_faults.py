"""Environments of every bad behaviour, and what is told about them."""

from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium import spaces

from mrq_core.environments import Environment
from mrq_core.errors import EnvironmentFault, NonFiniteError, TrainingError
from mrq_core.spaces import SpaceError
from tests.mrq_core.puppet import (
    ACTION,
    CHOICE,
    STEP,
    ZEROS,
    Puppet,
    SeedlessPuppet,
    environment,
    first_step,
    register,
    step_with,
)


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        (
            {"observation": np.array([0.0, np.nan])},
            NonFiniteError,
            "observation (nan at [1]) is not finite",
        ),
        (
            {"observation": np.array([np.inf, 0.0])},
            NonFiniteError,
            "observation (inf at [0]) is not finite",
        ),
        ({"observation": np.array([1e300, 0.0])}, NonFiniteError, "observation (1e+300 at [0])"),
        (
            {"observation": np.zeros(3)},
            EnvironmentFault,
            "observation: expected a list of 2 numbers, got an array of shape (3,)",
        ),
        (
            {"observation": np.zeros((1, 2))},
            EnvironmentFault,
            "observation: expected a list of 2 numbers, got an array of shape (1, 2)",
        ),
        ({"observation": {"x": ZEROS}}, EnvironmentFault, "got an object with ['x']"),
        ({"observation": "nowhere"}, EnvironmentFault, "got 'nowhere' (str)"),
        ({"observation": None}, EnvironmentFault, "got None (NoneType)"),
        ({"observation": np.array([True, False])}, EnvironmentFault, "shape (2,) and type bool"),
        ({"reward": float("nan")}, NonFiniteError, "the reward (nan) is not finite"),
        ({"reward": np.float32("-inf")}, NonFiniteError, "the reward (-inf) is not finite"),
        ({"reward": 1e39}, NonFiniteError, "the reward (1e+39) is not finite"),
        ({"reward": "much"}, EnvironmentFault, "the reward is no number but 'much' (str)"),
        ({"reward": None}, EnvironmentFault, "the reward is no number but None"),
        ({"reward": True}, EnvironmentFault, "the reward is no number but True (bool)"),
        ({"reward": np.bool_(True)}, EnvironmentFault, "the reward is no number but"),
        ({"reward": 1j}, EnvironmentFault, "the reward is no number but 1j (complex)"),
        ({"reward": np.zeros(1)}, EnvironmentFault, "no number but an array of shape (1,)"),
        ({"terminated": 1}, EnvironmentFault, "terminated is not true or false but 1 (int)"),
        ({"truncated": None}, EnvironmentFault, "truncated is not true or false but None"),
        ({"info": None}, EnvironmentFault, "info is no dictionary but None"),
    ],
)
def test_a_fault_names_the_step_and_what_is_wrong(
    changes: dict[str, Any], error: type[TrainingError], message: str
) -> None:
    with pytest.raises(error) as caught:
        first_step(step_with(**changes))

    assert message in str(caught.value)
    assert "at step 41" in str(caught.value)
    assert type(caught.value) is error


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (RuntimeError("broken joint"), "step: RuntimeError: broken joint"),
        ((ZEROS, 1.0, False, {}), "step gave 4 values, (observation, reward, done, info): this is"),
        ((ZEROS, 1.0, False), "step gave 3 values instead of 5"),
        (ZEROS, "step gave an array of shape (2,) and type float32 instead of (observation,"),
    ],
)
def test_a_step_that_is_no_step(answer: Any, message: str) -> None:
    with pytest.raises(EnvironmentFault) as caught:
        first_step(answer)

    assert message in str(caught.value)
    assert caught.value.step == 41
    assert ("old Gym API" in str(caught.value)) == (type(answer) is tuple and len(answer) == 4)


@pytest.mark.parametrize(
    ("start", "message"),
    [
        (RuntimeError("no reset today"), "reset: RuntimeError: no reset today"),
        (
            ZEROS,
            "reset gave an array of shape (2,) and type float32 instead of (observation, info)",
        ),
        ((ZEROS, 0.0), "reset gave a list of 2 instead of (observation, info)"),
        ((np.zeros(3), {}), "expected a list of 2 numbers, got an array of shape (3,)"),
    ],
)
def test_a_reset_that_is_no_reset(start: Any, message: str) -> None:
    with pytest.raises(EnvironmentFault) as caught:
        environment(start=start).reset(0, 17)

    assert message in str(caught.value)
    assert caught.value.step == 17


def test_a_reset_observation_that_is_not_finite() -> None:
    with pytest.raises(NonFiniteError, match=r"at step 17: observation \(nan at \[0\]\) is not"):
        environment(start=(np.array([np.nan, 0.0]), {})).reset(0, 17)


def test_the_place_of_a_wrong_number_is_told() -> None:
    space = spaces.Dict({"a": spaces.Discrete(2), "b": spaces.Box(-1, 1, (2, 2))})
    bad = {"a": 0, "b": np.array([[0, 0], [np.nan, 0]])}
    with pytest.raises(NonFiniteError, match=r"observation\.b \(nan at \[1, 0\]\) is not finite"):
        environment(observation_space=space, start=(bad, {})).reset(0, 0)


def test_a_reset_without_a_seed_is_refused_at_once() -> None:
    old = register("Seedless", SeedlessPuppet)
    with pytest.raises(EnvironmentFault) as caught:
        Environment(old, {}, None)

    told = "its reset takes no seed and no options: this is the old Gym API"
    assert told in str(caught.value)


def test_what_cannot_be_made_is_told() -> None:
    with pytest.raises(EnvironmentFault, match="not made: NameNotFound"):
        Environment("NoSuch-v0", {}, None)
    with pytest.raises(EnvironmentFault, match="not made: TypeError"):
        environment(colour="red")

    def broken() -> gymnasium.Env[Any, Any]:
        raise RuntimeError("no licence")

    with pytest.raises(EnvironmentFault, match="not made: RuntimeError: no licence"):
        Environment(register("Broken", broken), {}, None)


TEXT = spaces.Text(8)
GRAPH = spaces.Graph(spaces.Box(-1, 1, (2,)), None)
SEQUENCE = spaces.Sequence(spaces.Box(-1, 1, (2,)))


@pytest.mark.parametrize(
    ("space", "message"),
    [
        (TEXT, r"observation space: expected a Box, .* got Text\("),
        (GRAPH, r"observation space: expected a Box, .* got Graph\("),
        (SEQUENCE, r"observation space: expected a Box, .* got Sequence\("),
        (
            spaces.Dict({"image": spaces.Box(0, 1, (2,)), "mission": TEXT}),
            r"observation space\.mission: .* got Text\(",
        ),
        (spaces.Tuple([CHOICE, SEQUENCE]), r"observation space\[1\]: .* got Sequence\("),
        (spaces.Dict({}), "expected an observation space that holds a number"),
    ],
)
def test_an_observation_space_without_a_vector_is_refused(space: Any, message: str) -> None:
    with pytest.raises(SpaceError, match=message):
        environment(observation_space=space)


@pytest.mark.parametrize(
    ("space", "message"),
    [
        (spaces.Box(-np.inf, np.inf, (2,)), "action space: expected finite action bounds in dim"),
        (spaces.Dict({"a": CHOICE}), "action space: expected a Box, Discrete, MultiBinary or"),
        (spaces.Tuple([CHOICE]), "action space: expected a Box, Discrete, MultiBinary or"),
        (TEXT, r"action space: .* got Text\("),
    ],
)
def test_an_action_space_that_cannot_be_learned_is_refused(space: Any, message: str) -> None:
    with pytest.raises(SpaceError, match=message):
        environment(action_space=space)


def test_a_refused_environment_is_closed() -> None:
    made: list[Puppet] = []

    def make(**kwargs: Any) -> Puppet:
        made.append(Puppet(**kwargs))
        return made[-1]

    with pytest.raises(SpaceError):
        Environment(register("Kept", make), {"observation_space": TEXT}, None)
    with pytest.raises(EnvironmentFault):
        Environment("Kept-v0", {}, None, limit_terminates=True)

    assert [puppet.closed for puppet in made] == [True, True]


def test_a_fault_in_a_repeat_is_the_same_fault() -> None:
    for bad, error in (({"reward": "x"}, EnvironmentFault), ({"reward": np.nan}, NonFiniteError)):
        repeating = environment(repeat=2, answers=(step_with(**bad), STEP))
        repeating.reset(0, 0)
        with pytest.raises(error, match="the reward"):
            repeating.step(ACTION, 1)
