"""Gymnasium environments, held to their contract."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from numbers import Real
from typing import Any

import gymnasium
import numpy as np
from gymnasium.wrappers import TimeLimit

from mrq_core.actions import action_codec
from mrq_core.errors import EnvironmentFault, NonFiniteError
from mrq_core.spaces import Floats, SpaceError, flatten, space_from_gymnasium

# For environments that set no limit: learning needs episodes that end.
DEFAULT_MAX_EPISODE_STEPS = 1000


def make_environment(
    environment_id: str,
    kwargs: Mapping[str, Any],
    max_episode_steps: int | None,
    action_repeat: int = 1,
) -> gymnasium.Env[Any, Any]:
    """The caller has made sure that this id may be made. `max_episode_steps` counts agent steps,
    and is the only time limit there is; the environment's own counts its own steps."""
    limit = None if max_episode_steps is None else max_episode_steps * action_repeat
    # Gymnasium's own checker costs time in every step and warns where we raise.
    env = gymnasium.make(
        environment_id, max_episode_steps=limit, disable_env_checker=True, **kwargs
    )
    if env.spec is None or env.spec.max_episode_steps is None:
        env = TimeLimit(env, DEFAULT_MAX_EPISODE_STEPS * action_repeat)
    return ActionRepeat(env, action_repeat) if action_repeat > 1 else env


class ActionRepeat(gymnasium.Wrapper[Any, Any, Any, Any]):
    """Each action is taken `repeat` times, or until the episode ends; the rewards add up."""

    def __init__(self, env: gymnasium.Env[Any, Any], repeat: int) -> None:
        super().__init__(env)
        self.repeat = repeat

    def step(self, action: Any) -> tuple[Any, Any, bool, bool, dict[str, Any]]:
        total: Any = 0.0
        for _ in range(self.repeat):
            observation, reward, terminated, truncated, info = self.env.step(action)
            total += reward
            if terminated or truncated:
                break
        return observation, total, terminated, truncated, info


@dataclass(frozen=True)
class Outcome:
    """Of one step; `observation` is flattened."""

    observation: Floats
    reward: float
    terminated: bool
    truncated: bool


class Environment:
    """Whatever the environment does wrong becomes an EnvironmentFault that names the step."""

    def __init__(
        self,
        environment_id: str,
        kwargs: Mapping[str, Any],
        max_episode_steps: int | None,
        action_repeat: int = 1,
    ) -> None:
        try:
            self.env = make_environment(environment_id, kwargs, max_episode_steps, action_repeat)
        except Exception as error:
            raise EnvironmentFault(0, f"not made: {_told(error)}") from error
        self.observation_space = space_from_gymnasium(self.env.observation_space)
        self.action_space = space_from_gymnasium(self.env.action_space)
        self.codec = action_codec(self.action_space)

    def reset(self, seed: int, step: int) -> Floats:
        """`step` is for the error only, here and below."""
        try:
            observation, _ = self.env.reset(seed=seed)
        except Exception as error:
            raise EnvironmentFault(step, f"reset: {_told(error)}") from error
        return self._flatten(observation, step)

    def step(self, action: Any, step: int) -> Outcome:
        """`action` is in the environment's own units."""
        try:
            observation, reward, terminated, truncated, _ = self.env.step(action)
        except Exception as error:
            raise EnvironmentFault(step, f"step: {_told(error)}") from error
        return Outcome(
            self._flatten(observation, step),
            _reward(reward, step),
            _flag("terminated", terminated, step),
            _flag("truncated", truncated, step),
        )

    def executable(self, network_action: Floats) -> Any:
        """The network's action (A,) in the environment's own units."""
        return self.codec.to_environment(network_action[None])[0]

    def close(self) -> None:
        self.env.close()

    def _flatten(self, observation: object, step: int) -> Floats:
        try:
            return flatten(self.observation_space, observation)
        except SpaceError as error:
            raise EnvironmentFault(step, str(error)) from error


def _reward(reward: object, step: int) -> float:
    if not isinstance(reward, Real) or isinstance(reward, bool):
        raise EnvironmentFault(step, f"the reward is no number but {repr(reward)[:80]}")
    with np.errstate(over="ignore"):
        finite = np.isfinite(np.float32(float(reward)))
    if not finite:
        raise NonFiniteError(step, f"the reward ({reward})")
    return float(reward)


def _flag(name: str, value: object, step: int) -> bool:
    if not isinstance(value, (bool, np.bool_)):
        raise EnvironmentFault(step, f"{name} is not true or false but {repr(value)[:80]}")
    return bool(value)


def _told(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"
