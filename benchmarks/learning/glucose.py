"""`python -m benchmarks.learning.glucose FOLDER`: what a job would serve, on patients it never met.

Trains the task `Glucose` as the suite does and keeps what a job keeps, the policy of the best
evaluation. That number flatters it, for it is the highest of many; so the policy is played again on
fresh patients, beside the best fixed rate for everybody on the same ones: return, and share of the
day between 70 and 180 mg/dL by the sensor. Writes FOLDER/glucose.json; intervals are 95 % bootstrap
over patients, paired.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import torch
from numpy.typing import NDArray

from benchmarks.learning.small_tasks import SMALL_TASKS
from benchmarks.provenance import commit, machine, versions
from mrq_core.environments import Environment, environment_of
from mrq_core.events import Evaluated
from mrq_core.spaces import Floats
from mrq_core.training import train

TASK = SMALL_TASKS["Glucose"]
# Of 13 rates in [-1, 1] the best of `benchmarks.learning.fixed_action Glucose`: 1 unit an hour.
BEST_FIXED = -1.0 / 3.0
FIRST_FRESH_SEED = 1_000_000
LOW, HIGH = 70.0, 180.0  # mg/dL
RESAMPLES = 10_000

Choose = Callable[[Floats], Floats]
Figures = NDArray[np.float64]


def kept_policy(seed: int) -> tuple[bytes, int, float]:
    """ONNX, step and mean return of the best evaluation; of equals the later one, as in a job."""
    best: tuple[bytes, int, float] | None = None
    for event in train(TASK.training_run(seed)):
        if isinstance(event, Evaluated):
            mean = float(np.mean(event.returns))
            print(f"seed {seed} step {event.step}: {mean:.1f}", flush=True)
            if best is None or mean >= best[2]:
                best = event.export_policy().onnx, event.step, mean
    assert best is not None
    return best


def by_policy(onnx: bytes) -> Choose:
    session = onnxruntime.InferenceSession(onnx, providers=["CPUExecutionProvider"])

    def choose(observation: Floats) -> Floats:
        (action,) = session.run(["policy"], {"observation": observation.reshape(1, -1)})
        chosen: Floats = action[0]
        return chosen

    return choose


def days(environment: Environment, choose: Choose, patients: int) -> tuple[Figures, Figures]:
    """(patients,): returns, and shares of decisions with glucose in range."""
    returns, shares = [], []
    for patient in range(patients):
        seen: Any = environment.reset(FIRST_FRESH_SEED + patient, 0)
        total, inside, ended = 0.0, [], False
        while not ended:
            action = environment.executable(choose(np.asarray(seen.observation, np.float32)))
            seen = environment.step(action, 0)
            total += seen.reward
            inside.append(LOW <= float(seen.observation[0]) <= HIGH)
            ended = seen.terminated or seen.truncated
        returns.append(total)
        shares.append(float(np.mean(inside)))
    return np.array(returns), np.array(shares)


def told(values: Figures) -> dict[str, float]:
    chance = np.random.default_rng(0)
    means = chance.choice(values, (RESAMPLES, len(values))).mean(axis=1)
    low, high = np.quantile(means, [0.025, 0.975])
    return {
        "mean": round(float(values.mean()), 4),
        "low": round(float(low), 4),
        "high": round(float(high), 4),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--patients", type=int, default=100)
    options = parser.parse_args()
    torch.set_num_threads(1)
    environment = environment_of(TASK.training_run(seed=0))
    fixed = days(environment, lambda _: np.array([BEST_FIXED], np.float32), options.patients)
    rows: dict[str, Any] = {"fixed": {"return": told(fixed[0]), "in_range": told(fixed[1])}}
    for seed in options.seeds:
        onnx, step, mean = kept_policy(seed)
        returns, shares = days(environment, by_policy(onnx), options.patients)
        rows[f"seed {seed}"] = {
            "kept_from_step": step,
            "its_evaluation": round(mean, 1),
            "return": told(returns),
            "in_range": told(shares),
            "return_above_fixed": told(returns - fixed[0]),
            "in_range_above_fixed": told(shares - fixed[1]),
        }
        print(json.dumps(rows[f"seed {seed}"]), flush=True)
    result = {"patients": options.patients, "rows": rows, "commit": commit(), "machine": machine()}
    options.folder.mkdir(parents=True, exist_ok=True)
    text = json.dumps(result | {"versions": versions()}, indent=1)
    (options.folder / "glucose.json").write_text(text + "\n")


if __name__ == "__main__":
    main()
