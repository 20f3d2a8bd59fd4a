"""Whatever way a vector environment resets itself, its episodes are those of the plain one."""

from functools import partial
from typing import Any

import numpy as np
import pytest
from gymnasium import spaces
from gymnasium.vector import AutoresetMode, SyncVectorEnv
from gymnasium.wrappers import TimeLimit

from mrq_core.environments import Environment
from mrq_core.vector_environments import OneOfVector
from tests.mrq_core.puppet import Puppet, register

# In both the first episode ends at its third step; the second begins at 100.
SPACE = spaces.Dict({"t": spaces.Box(-np.inf, np.inf, (1,)), "n": spaces.Discrete(9)})


class Counting(Puppet):
    """Of the second episode on, nothing looks like the first one. Masked, with a word in info."""

    def __init__(self, ends: str = "terminated") -> None:
        super().__init__(SPACE, spaces.Discrete(2))
        self.ends = ends
        self.episodes = 0

    def reset(self, **_: Any) -> Any:
        self.t = 0
        self.episodes += 1
        return self._seen(), self._info()

    def step(self, action: Any) -> Any:
        self.t += 1
        over = self.t == 3
        terminated, truncated = (
            over and self.ends == "terminated",
            over and self.ends == "truncated",
        )
        return self._seen(), 10.0 * self.t + float(action), terminated, truncated, self._info()

    def _seen(self) -> Any:
        at = 100.0 * (self.episodes - 1) + self.t
        return {"t": np.array([at], np.float32), "n": self.t}

    def _info(self) -> dict[str, Any]:
        return {"action_mask": np.array([1, self.t % 2], np.int8), "words": {"t": self.t}}


def vector_id(mode: AutoresetMode) -> str:
    def make(num_envs: int, **kwargs: Any) -> Any:
        makers = [lambda: Counting(**kwargs)] * num_envs
        return SyncVectorEnv(makers, autoreset_mode=mode)

    name = f"Vector{mode.value}"
    return register(name, None, vector_entry_point=make)


def episodes(environment: Environment, count: int) -> list[Any]:
    seen: list[Any] = []
    for episode in range(count):
        frame = environment.reset(episode, 0)
        assert frame.mask is not None
        seen.append((frame.observation.tolist(), frame.mask.tolist()))
        ended = False
        while not ended:
            outcome = environment.step(np.int64(len(seen) % 2), 0)
            assert outcome.mask is not None
            ended = outcome.terminated or outcome.truncated
            seen.append(
                (
                    outcome.observation.tolist(),
                    outcome.mask.tolist(),
                    outcome.reward,
                    outcome.terminated,
                    outcome.truncated,
                )
            )
    return seen


@pytest.mark.parametrize("mode", list(AutoresetMode))
@pytest.mark.parametrize("ends", ["terminated", "truncated"])
def test_no_step_leads_into_the_next_episode(mode: AutoresetMode, ends: str) -> None:
    plain = episodes(Environment(register("Counting", Counting), {"ends": ends}, None), 1)
    # One-hot of n, then t: keys in their order.
    assert [row[0][-1] for row in plain] == [0, 1, 2, 3]
    assert [row[2] for row in plain[1:]] == [11.0, 20.0, 31.0]
    vector = Environment(vector_id(mode), {"ends": ends}, None)

    first = episodes(vector, 1)
    second = episodes(vector, 1)

    assert first == plain
    # It has started anew, and it was not stepped through.
    assert [row[0][-1] % 100 for row in second] == [0, 1, 2, 3]
    assert second[0][0][-1] >= 100
    assert [row[2:] for row in second[1:]] == [row[2:] for row in plain[1:]]


@pytest.mark.parametrize("mode", list(AutoresetMode))
def test_our_time_limit_holds(mode: AutoresetMode) -> None:
    vector = Environment(vector_id(mode), {}, 2)

    both = episodes(vector, 2)

    assert [row[3:] for row in both if len(row) > 2] == [(False, False), (False, True)] * 2
    assert [row[0][-1] % 100 for row in both] == [0, 1, 2] * 2


def test_spaces_are_those_of_the_one_environment() -> None:
    vector = Environment(vector_id(AutoresetMode.SAME_STEP), {}, None)

    assert vector.form.input_size == 10
    assert (vector.codec.components, vector.masked) == ((2,), True)


def as_it_is(puppet: Puppet) -> Puppet:
    return puppet


def test_continuous_and_structured_actions_arrive() -> None:
    for space in (spaces.Box(-1, 1, (2,)), spaces.MultiDiscrete([2, 3]), spaces.MultiBinary(2)):
        puppet = Puppet(action_space=space)
        one = OneOfVector(SyncVectorEnv([partial(as_it_is, puppet)]))
        one.reset(seed=1)
        action: Any = space.sample()
        one.step(action)

        assert puppet.actions[0].tolist() == action.tolist()
        assert puppet.seeds == [1]


def test_more_than_one_environment_is_refused() -> None:
    with pytest.raises(ValueError, match="num_envs is 2; it must be 1"):
        OneOfVector(SyncVectorEnv([Puppet, Puppet]))


def test_our_time_limit_takes_the_place_of_the_registered_one() -> None:
    def make(num_envs: int, max_episode_steps: int) -> Any:
        limited = [lambda: TimeLimit(Counting(), max_episode_steps)] * num_envs
        return SyncVectorEnv(limited)

    name = register("VectorLimited", None, vector_entry_point=make, max_episode_steps=1)

    assert len(episodes(Environment(name, {}, None), 1)) == 2
    assert len(episodes(Environment(name, {}, 2), 1)) == 3
