"""What one training run is asked to do."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal, TypeAlias

from mrq_core.baselines.settings import Baseline, name_of
from mrq_core.config import Hyperparameters

# Ages of frames are kept in a byte.
MAX_HISTORY = 255

ActionMode: TypeAlias = Literal["deterministic", "sample"]
# Which of its ends a run has come to.
End: TypeAlias = Literal["steps", "episodes", "target"]


Load: TypeAlias = Literal["weights", "all"]
# Of a dataset: what is learnt from, and what an evaluation sees.
Split: TypeAlias = Literal["train", "validation"]


@dataclass(frozen=True, kw_only=True)
class WarmStart:
    """What a run begins with: see `mrq_core.warm_start`. `sha256` is the checkpoint's."""

    sha256: str
    load: Load


@dataclass(frozen=True, kw_only=True)
class Offline:
    """Learning from a log alone. `alpha`: see `mrq_core.objectives.StayClose`."""

    alpha: float


@dataclass(frozen=True, kw_only=True)
class DatasetFile:
    """What an environment is given beside its kwargs. `path` is of this host. `choices`: of the
    discrete actions in a log, 0 if they are continuous; None of other datasets."""

    path: str
    sha256: str
    roles: Mapping[str, str]
    features: tuple[str, ...]
    choices: int | None = None

    def spec(self) -> dict[str, Any]:
        of_a_log = {} if self.choices is None else {"choices": self.choices}
        return {
            **of_a_log,
            "sha256": self.sha256,
            "roles": dict(self.roles),
            "features": list(self.features),
        }

    def kwargs(self, split: Split) -> dict[str, Any]:
        return {**self.spec(), "file": self.path, "split": split}


@dataclass(frozen=True, kw_only=True)
class TrainingRun:
    """`max_episode_steps` None: the environment's own limit. Steps are agent steps everywhere:
    one is `action_repeat` steps of the environment, whose rewards are summed. `history`: frames
    that make one input, None for as many as their kind needs. `limit_terminates`: the environment
    reports its own time limit as a termination; it is a truncation all the same. `baseline`: what
    learns instead of MR.Q, whose `hyperparameters` then mean nothing.

    `evaluation_epsilon`: how often an evaluation takes a random legal action.

    The run ends after `total_steps`, or before that at the end of episode `max_episodes`, or after
    the first evaluation whose mean return is `target_return` or more."""

    environment_id: str
    environment_kwargs: Mapping[str, Any] = field(default_factory=dict)
    dataset: DatasetFile | None = None
    max_episode_steps: int | None = None
    action_repeat: int = 1
    history: int | None = None
    limit_terminates: bool = False
    hyperparameters: Hyperparameters = field(default_factory=Hyperparameters)
    baseline: Baseline | None = None
    total_steps: int
    max_episodes: int | None = None
    target_return: float | None = None
    seed: int = 0
    warm_start: WarmStart | None = None
    offline: Offline | None = None
    evaluation_every: int = 1_000
    evaluation_episodes: int = 10
    evaluation_mode: ActionMode = "deterministic"
    evaluation_epsilon: float = 0.0
    checkpoint_every: int = 5_000
    log_every: int = 250
    device: str = "cpu"

    def __post_init__(self) -> None:
        for name in ("total_steps", "evaluation_every", "evaluation_episodes", "log_every"):
            _require_positive(name, getattr(self, name))
        _require_positive("checkpoint_every", self.checkpoint_every)
        _require_positive("action_repeat", self.action_repeat)
        most = MAX_HISTORY
        if self.baseline is None:
            most = min(most, self.hyperparameters.buffer_size - self.hyperparameters.horizon)
        if self.history is not None and not 1 <= self.history <= most:
            raise ValueError(
                f"history is {self.history}; it must be between 1 and {most}: the buffer holds it "
                "and a window of transitions"
            )
        if self.max_episode_steps is not None:
            _require_positive("max_episode_steps", self.max_episode_steps)
        if self.max_episodes is not None:
            _require_positive("max_episodes", self.max_episodes)
        if not 0 <= self.seed < 2**63:
            raise ValueError(f"seed is {self.seed}; it must be between 0 and 2**63 - 1")
        if self.evaluation_mode not in ("deterministic", "sample"):
            allowed = "'deterministic' or 'sample'"
            raise ValueError(f"evaluation_mode is {self.evaluation_mode!r}; it must be {allowed}")
        if not 0.0 <= self.evaluation_epsilon <= 1.0:
            raise ValueError(
                f"evaluation_epsilon is {self.evaluation_epsilon}; it must be between 0 and 1"
            )

    @property
    def settings(self) -> Hyperparameters | Baseline:
        """Of what learns."""
        return self.baseline or self.hyperparameters

    @property
    def device_type(self) -> str:
        return self.device.partition(":")[0]

    def end_at(self, step: int, episodes: int, best_return: float) -> End | None:
        """After so many, and the highest mean of an evaluation; None: there is more to do."""
        if self.target_return is not None and best_return >= self.target_return:
            return "target"
        if step >= self.total_steps:
            return "steps"
        if self.max_episodes is not None and episodes >= self.max_episodes:
            return "episodes"
        return None

    def spec(self) -> dict[str, Any]:
        """What decides the course of learning, so that a checkpoint fits only its own run.

        Length, evaluations, checkpoints and device are not part of it: a run may be continued
        for longer, watched differently, or on another machine.
        """
        # Named only where there is one: checkpoints of releases without it still fit.
        begins_with = {} if self.warm_start is None else {"warm_start": asdict(self.warm_start)}
        learns_from = {} if self.dataset is None else {"dataset": self.dataset.spec()}
        learns = {} if self.baseline is None else {"algorithm": name_of(self.baseline)}
        stays_close = {} if self.offline is None else {"offline": asdict(self.offline)}
        return {
            "environment_id": self.environment_id,
            "environment_kwargs": dict(self.environment_kwargs),
            "max_episode_steps": self.max_episode_steps,
            "action_repeat": self.action_repeat,
            "history": self.history,
            "limit_terminates": self.limit_terminates,
            "hyperparameters": asdict(self.settings),
            "seed": self.seed,
            **begins_with,
            **learns_from,
            **learns,
            **stays_close,
        }

    def spec_sha256(self) -> str:
        return hashlib.sha256(json.dumps(self.spec(), sort_keys=True).encode()).hexdigest()


def _require_positive(name: str, value: int) -> None:
    if value < 1:
        raise ValueError(f"{name} is {value}; it must be at least 1")
