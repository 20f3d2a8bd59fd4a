"""Short runs of every baseline, one of each kind of action and observation that it takes."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

from mrq_core.baselines.settings import DQN, PPO, SAC, TD3, QLearning
from mrq_core.events import CheckpointDue, Event
from mrq_core.run import TrainingRun

STEPS = 120
_SMALL = {"hidden_dim": 8, "batch_size": 8}
# The replay wraps around at step 100; the first update comes mid-episode.
_REPLAY = {**_SMALL, "buffer_size": 100, "warmup_steps": 30}
_DQN = DQN(**_REPLAY, target_update_every=20, exploration_steps=60, train_every=3, updates=2)
_PPO = PPO(**_SMALL, rollout_steps=32, epochs=2)
KINDS = "Kinds-v0"  # tests/mrq_core/kinds.py

RUNS: Mapping[str, Mapping[str, Any]] = MappingProxyType(
    {
        "dqn": {"environment_id": "CartPole-v1", "baseline": _DQN},
        "dqn, pixels": {
            "environment_id": "mrq_core.tasks:mrq/Catch-v0",
            "baseline": replace(_DQN, warmup_steps=70),
            "history": 2,
        },
        "td3": {"environment_id": "Pendulum-v1", "baseline": TD3(**_REPLAY)},
        "sac": {"environment_id": "Pendulum-v1", "baseline": SAC(**_REPLAY)},
        "ppo, continuous": {"environment_id": "Pendulum-v1", "baseline": _PPO},
        "ppo, discrete": {"environment_id": "CartPole-v1", "baseline": _PPO},
        "ppo, two choices at once": {
            "environment_id": KINDS,
            "environment_kwargs": {"kind": "action MultiDiscrete"},
            "baseline": _PPO,
        },
        "q_learning": {
            "environment_id": "CliffWalking-v1",
            "baseline": QLearning(exploration_steps=60),
        },
        "q_learning, masked": {"environment_id": "Taxi-v4", "baseline": QLearning()},
    }
)


def a_run(name: str, **changes: Any) -> TrainingRun:
    defaults: dict[str, Any] = {
        "total_steps": STEPS,
        "max_episode_steps": 25,
        "evaluation_every": 45,
        "evaluation_episodes": 1,
        "checkpoint_every": 10**9,
        "log_every": 7,
        "seed": 7,
    }
    return TrainingRun(**{**defaults, **RUNS[name], **changes})


def follow(events: Iterator[Event], folder: Path) -> list[Event]:
    """All events; checkpoints are saved into folders named by their step."""
    seen = []
    for event in events:
        seen.append(event)
        if isinstance(event, CheckpointDue):
            (folder / str(event.step)).mkdir(parents=True, exist_ok=True)
            event.state.save(folder / str(event.step))
    return seen
