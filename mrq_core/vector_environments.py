"""A vector environment of one environment (AtariVectorEnv and the like) as a plain one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import gymnasium
import numpy as np
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import iterate


class OneOfVector(gymnasium.Env[Any, Any]):
    """Never shows a transition into the next episode. Such an environment resets itself in one of
    three ways: in the very step that ends the episode (the last observation is then in info), in
    the step after it (which nobody takes, for we reset), or not at all."""

    def __init__(self, vector: VectorEnv[Any, Any, Any]) -> None:
        if vector.num_envs != 1:
            raise ValueError(f"num_envs is {vector.num_envs}; it must be 1")
        self.vector = vector
        self.spec = vector.spec
        self.observation_space = vector.single_observation_space
        self.action_space = vector.single_action_space
        mode = vector.metadata.get("autoreset_mode")
        self.resets_at_once = mode in (AutoresetMode.SAME_STEP, AutoresetMode.SAME_STEP.value)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Any, dict[str, Any]]:
        observations, info = self.vector.reset(seed=seed, options=options)
        return self._only(observations), _only_info(info)

    def step(self, action: Any) -> tuple[Any, Any, Any, Any, dict[str, Any]]:
        observations, rewards, terminations, truncations, info = self.vector.step(
            np.asarray(action)[None]
        )
        observation, only_info = self._only(observations), _only_info(info)
        if self.resets_at_once and (terminations[0] or truncations[0]):
            observation, only_info = info["final_obs"][0], only_info.get("final_info", {})
        return observation, rewards[0], terminations[0], truncations[0], only_info

    def close(self) -> None:
        self.vector.close()

    def _only(self, observations: Any) -> Any:
        return next(iter(iterate(self.vector.observation_space, observations)))


def _only_info(info: Mapping[str, Any]) -> dict[str, Any]:
    """`_key` says which environments have a `key`."""
    return {
        key: _only_info(value) if isinstance(value, Mapping) else value[0]
        for key, value in info.items()
        if not key.startswith("_") and info.get(f"_{key}", (True,))[0]
    }
