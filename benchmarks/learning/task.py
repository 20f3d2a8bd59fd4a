"""What a learning run is: an environment, a preset, a length, and what is expected of it."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any

from mrq_core.config import PRESETS
from mrq_core.run import TrainingRun


@dataclass(frozen=True, kw_only=True)
class Task:
    """`wanted`: least mean return of the last evaluation. `published`: the name in the authors'
    results, whose spread is wanted instead. `registers`: module whose import makes the
    environment known. `changes`: hyperparameters in which the run differs from its preset."""

    name: str
    environment_id: str
    total_steps: int
    preset: str = "small"
    changes: Mapping[str, Any] = field(default_factory=dict)
    options: Mapping[str, Any] = field(default_factory=dict)  # further fields of the TrainingRun
    registers: str | None = None
    wanted: float | None = None
    published: str | None = None
    remark: str = ""

    def training_run(self, seed: int, changes: Mapping[str, Any] | None = None) -> TrainingRun:
        if self.registers is not None:
            import_module(self.registers)
        changed = {**self.changes, **(changes or {})}
        return TrainingRun(
            environment_id=self.environment_id,
            hyperparameters=dataclasses.replace(PRESETS[self.preset], **changed),
            total_steps=self.total_steps,
            seed=seed,
            **self.options,
        )
