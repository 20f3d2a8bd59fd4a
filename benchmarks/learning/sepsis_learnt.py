"""`python -m benchmarks.learning.sepsis_learnt FOLDER`: exact survival under what is learnt.

Trains ICU-Sepsis with tabular Q-learning, as a job with `algorithm.name: q_learning` does, and asks
each evaluation's policy for its treatment of all states; the package's tables then give the
survival under it without a sampled patient (`benchmarks.learning.sepsis`). Writes
FOLDER/sepsis.json.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import torch

from benchmarks.learning.sepsis import Table, Tables, read_tables
from benchmarks.provenance import commit, machine, versions
from mrq_core.baselines.settings import QLearning
from mrq_core.events import Evaluated
from mrq_core.run import TrainingRun
from mrq_core.training import train

# The outcome comes at an episode's end, and is 0 or 1 and mostly luck: no discount, small steps,
# much exploration, and a first guess of the right size.
SETTINGS = QLearning(
    learning_rate=0.02,
    discount=1.0,
    initial_value=0.8,
    exploration_steps=400_000,
    exploration_last=0.2,
)
EVALUATION_EVERY = 50_000


def training_run(seed: int, steps: int) -> TrainingRun:
    return TrainingRun(
        environment_id="Sepsis/ICU-Sepsis-v2",
        baseline=SETTINGS,
        total_steps=steps,
        seed=seed,
        evaluation_every=EVALUATION_EVERY,
        evaluation_episodes=1,
        checkpoint_every=steps,
    )


def greedy(onnx: bytes, legal: np.ndarray[Any, np.dtype[np.bool_]]) -> Table:
    """(S, A), 1 for the policy's treatment of each state, which it sees as one of S inputs."""
    session = onnxruntime.InferenceSession(onnx, providers=["CPUExecutionProvider"])
    states = len(legal)
    (logits,) = session.run(["policy"], {"observation": np.eye(states, dtype=np.float32)})
    chosen = np.zeros(legal.shape)
    chosen[np.arange(states), np.where(legal, logits, -np.inf).argmax(axis=1)] = 1.0
    return chosen


def learned(tables: Tables, seed: int, steps: int) -> dict[int, float]:
    """Survival by step."""
    curve = {}
    for event in train(training_run(seed, steps)):
        if isinstance(event, Evaluated):
            policy = greedy(event.export_policy().onnx, tables.legal)
            curve[event.step] = round(tables.survival(policy), 4)
            print(f"seed {seed} step {event.step}: {curve[event.step]:.4f}", flush=True)
    return curve


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--steps", type=int, default=500_000)
    options = parser.parse_args()
    torch.set_num_threads(1)
    tables = read_tables()
    curves = {seed: learned(tables, seed, options.steps) for seed in options.seeds}
    result = {
        "steps": options.steps,
        "algorithm": "q_learning",
        "settings": dataclasses.asdict(SETTINGS),
        "every legal action alike": round(tables.survival(tables.uniform), 4),
        "clinicians": round(tables.survival(tables.experts), 4),
        "best": round(tables.best_survival(), 4),
        "curves": curves,
        "commit": commit(),
        "machine": machine(),
        "versions": versions(),
    }
    options.folder.mkdir(parents=True, exist_ok=True)
    (options.folder / "sepsis.json").write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
