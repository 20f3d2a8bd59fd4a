"""What is run: one short job for each row."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from store.catalogue.entry import EnvironmentEntry

# Long enough for some hundred updates of the real algorithm, and far too short to learn.
STEPS = 300
WARMUP = 100
# Convolutions take a hundred times as long.
PIXEL_STEPS = 120
PIXEL_CHANGES: Mapping[str, int] = {"batch_size": 16, "target_update_every": 20}
# Of one episode, in evaluations and when the policy acts: some would last half an hour.
EPISODE_STEPS = 60

# Every area, and what is special about one of its environments: several kinds of action, masks,
# pixels, goals, rewards that come only with success.
APPLICATIONS = (
    "CartPole-v1",
    "Pendulum-v1",
    "FrozenLake-v1",
    "Taxi-v4",
    "LunarLander-v3",
    "CarRacing-v3",
    "mrq/Catch-v0",
    "HalfCheetah-v5",
    "Ant-v5",
    "dm_control/cartpole-swingup-v0",
    "dm_control/quadruped-walk-v0",
    "dm_control_pixels/cartpole-swingup-v0",
    "FetchReachDense-v4",
    "FetchPickAndPlace-v4",
    "highway-fast-v0",
    "parking-v0",
    "racetrack-v1",
    "mrq/DroneAvoid-v0",
    "MinAtar/Breakout-v1",
    "MinAtar/SpaceInvaders-v1",
    "Atari/Pong-v5",
    "Atari/Breakout-v5",
    "mrq/ConnectFour-v0",
    "mrq/Chess-v0",
    "glucosim/BasalControl-v0",
    "glucosim/ClosedLoop-v0",
    "Sepsis/ICU-Sepsis-v2",
    "mrq/Trading-v0",
    "mrq/Logged-v0",
    "mrq/Recommend-v0",
)


@dataclass(frozen=True, kw_only=True)
class Row:
    """`changes`: hyperparameters in which the job differs from its preset. `dataset_role`: of the
    data that it needs, none if empty."""

    environment_id: str
    area: str
    total_steps: int
    dataset_role: str = ""
    changes: Mapping[str, Any] = field(default_factory=dict)

    @property
    def is_offline(self) -> bool:
        return self.dataset_role == "transitions"

    def job(self, name: str, dataset_id: str | None) -> dict[str, Any]:
        """The body of `POST /jobs`."""
        half = self.total_steps // 2
        environment = {"id": self.environment_id, "max_episode_steps": EPISODE_STEPS}
        mode = {"mode": "offline"} if self.is_offline else {}
        return {
            "name": name,
            "environment": environment | ({} if dataset_id is None else {"dataset_id": dataset_id}),
            "algorithm": {**mode, "preset": "small", "hyperparameters": dict(self.changes)},
            "budget": {"total_steps": self.total_steps},
            "evaluation": {"every_steps": half, "episodes": 1},
            "checkpointing": {"every_steps": half, "keep": 1},
            "seed": 0,
        }


def row_of(entry: EnvironmentEntry) -> Row:
    pixels = entry.observation_kind == "pixels"
    return Row(
        environment_id=entry.id,
        area=entry.area,
        total_steps=PIXEL_STEPS if pixels else STEPS,
        dataset_role=entry.dataset_role,
        changes={"warmup_steps": WARMUP, **(PIXEL_CHANGES if pixels else {})},
    )
