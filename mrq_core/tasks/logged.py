"""A log of transitions as an environment that nobody can act in, `mrq/Logged-v0`: its spaces are
what a policy that is learnt from the log sees and does.

Observations are the log's columns. A discrete action is one of those that occur, or lies between
them; a continuous one lies in the range of those that occur, for nothing is known beyond it.
Without a `file` the log is a made one, the same each time.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces

from mrq_core.logged.columns import EPISODE, REWARD, TERMINATED, Columns
from mrq_core.logged.log import Log, split_episodes
from mrq_core.logged.reading import open_log
from mrq_core.spaces import Floats

EPISODE_STEPS = 1_000  # a number that the catalogue needs; nothing is stepped


class Logged(gymnasium.Env[Floats, Any]):
    def __init__(
        self,
        file: str | None = None,
        sha256: str = "",
        roles: Mapping[str, str] | None = None,
        features: Sequence[str] = (),
        choices: int = 0,
        split: str = "train",  # noqa: ARG002  it is said of every dataset
        validation_fraction: float = 0.25,
    ) -> None:
        if file is None:
            self.log = made_log()
        else:
            columns = Columns(roles=dict(roles or {}), features=tuple(features), choices=choices)
            self.log = open_log(Path(file), sha256, columns)
        self.is_judged = split_episodes(self.log.episodes, validation_fraction)
        self.observation_space = spaces.Box(
            -np.inf, np.inf, self.log.observations.shape[1:], np.float32
        )
        self.action_space = _actions(self.log)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Floats, dict[str, Any]]:
        super().reset(seed=seed, options=options)
        return self.log.observations[0].copy(), {}

    def step(
        self,
        action: Any,  # noqa: ARG002
    ) -> tuple[Floats, float, bool, bool, dict[str, Any]]:
        raise RuntimeError("a log cannot be acted in")


def made_log(episodes: int = 40, steps: int = 10, seed: int = 0) -> Log:
    """One number that drifts by the action, -1, 0 or 1; the reward is how near to 0 it is."""
    rng = np.random.default_rng(seed)
    count = episodes * steps
    actions = rng.integers(0, 3, count)
    places = np.zeros(count)
    for row in range(count):
        begins = row % steps == 0
        before = rng.uniform(-2, 2) if begins else places[row - 1] + actions[row - 1] - 1
        places[row] = before + rng.normal(0, 0.1)
    ends = np.arange(count) % steps == steps - 1
    roles = {EPISODE: "episode", REWARD: "reward", TERMINATED: "terminated", "action": "action"}
    return Log(
        Columns(roles=roles, features=("place",), choices=3),
        places[:, None].astype(np.float32),
        actions[:, None].astype(np.float32),
        -np.abs(places).astype(np.float32),
        ends,
        np.zeros(count, np.bool_),
        np.full(count, 1 / 3),
        np.arange(0, count + 1, steps),
    )


def _actions(log: Log) -> spaces.Space[Any]:
    if log.columns.choices:
        return spaces.Discrete(log.columns.choices)
    return spaces.Box(*log.bounds, dtype=np.float32)
