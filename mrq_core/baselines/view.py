"""A course as Stable-Baselines3 wants to see it: a Gymnasium environment with plain spaces."""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np
from gymnasium.spaces import Box, Discrete, MultiDiscrete, Space
from numpy.typing import NDArray

from mrq_core.actions import ActionCodec
from mrq_core.baselines.course import Course
from mrq_core.observations import ObservationForm
from mrq_core.spaces import Floats


class View(gymnasium.Env[Any, Any]):
    """Seeds are the course's own, so that an episode begins as it does for MR.Q."""

    def __init__(self, course: Course) -> None:
        self.course = course
        self.observation_space = _observations(course.environment.form)
        self.action_space = _actions(course.environment.codec)

    def reset(
        self,
        *,
        seed: int | None = None,  # noqa: ARG002
        options: dict[str, Any] | None = None,  # noqa: ARG002
    ) -> tuple[NDArray[Any], dict[str, Any]]:
        if self.course.episode.actions:
            return self.course.go_on(), {}
        return self.course.episode.history.input(), {}

    def step(self, action: Any) -> tuple[NDArray[Any], float, bool, bool, dict[str, Any]]:
        outcome = self.course.take(self._network_action(action))
        seen = self.course.episode.history.input()
        return seen, outcome.reward, outcome.terminated, outcome.truncated, {}

    def _network_action(self, action: Any) -> Floats:
        components = self.course.environment.codec.components
        if not components:
            return np.asarray(action, np.float32).reshape(-1)
        chosen = np.asarray(action).reshape(-1)
        parts = [np.eye(n, dtype=np.float32)[i] for n, i in zip(components, chosen, strict=True)]
        return np.concatenate(parts)


def _observations(form: ObservationForm) -> Box:
    low, high = (0, 255) if form.kind == "pixels" else (-np.inf, np.inf)
    return Box(low, high, form.input_shape, form.dtype)


def _actions(codec: ActionCodec) -> Space[Any]:
    if not codec.components:
        return Box(-1.0, 1.0, (codec.action_dim,), np.float32)
    if len(codec.components) == 1:
        return Discrete(codec.components[0])
    return MultiDiscrete(list(codec.components))
