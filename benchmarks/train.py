"""Training steps a second, ours beside a plain eager step: `python -m benchmarks.train`.

A round is one period of the target networks, shortened to the workload's number of steps: the
targets' update, as many encoder updates, as many value and policy updates, batches included, on one
thread.
Rounds of the two alternate in one process, so that a busy machine slows both. The environment
takes no part. The plain step, `benchmarks.plain_step`, makes the same update.
"""

from __future__ import annotations

import argparse
import dataclasses
import statistics
import time
from collections.abc import Callable, Mapping

import torch

from benchmarks.plain_step import PlainAgent, PlainReplay
from benchmarks.workload import WORKLOADS, Workload, filled_replay
from mrq_core.agent import Agent
from mrq_core.config import PRESETS, Hyperparameters

Step = Callable[[], object]


def training_steps(workload: Workload, h: Hyperparameters) -> Mapping[str, Step]:
    replay = filled_replay(workload, h, seed=0)
    shape, actions = workload.form.input_shape, workload.action_dim
    ours = Agent(h, shape, actions, components=workload.components, seed=0)
    plain = PlainAgent(h, shape, actions, discrete=workload.discrete)
    plain_replay = PlainReplay(replay)
    return {"plain": lambda: plain.train(plain_replay), "ours": lambda: ours.train(replay)}


def measure(steps: Mapping[str, Step], rounds: int, steps_each: int) -> dict[str, list[float]]:
    """Steps a second, by round. The first round warms up and does not count."""
    rates: dict[str, list[float]] = {name: [] for name in steps}
    for index in range(rounds + 1):
        for name, step in steps.items():
            begun = time.perf_counter()
            for _ in range(steps_each):
                step()
            if index:
                rates[name].append(steps_each / (time.perf_counter() - begun))
    return rates


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--preset", choices=PRESETS, default="small")
    parser.add_argument("--workloads", nargs="+", choices=WORKLOADS, default=list(WORKLOADS))
    parser.add_argument("--rounds", type=int, default=7)
    options = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    print(f"preset {options.preset}, training steps a second, medians of {options.rounds} rounds:")
    print(f"{'workload':10s} {'plain':>9s} {'ours':>9s}  ratio (least to most of the rounds)")
    for name in options.workloads:
        workload = WORKLOADS[name]
        h = dataclasses.replace(PRESETS[options.preset], target_update_every=workload.steps)
        rates = measure(training_steps(workload, h), options.rounds, workload.steps)
        plain, ours = (statistics.median(rates[kind]) for kind in ("plain", "ours"))
        ratios = [a / b for a, b in zip(rates["ours"], rates["plain"], strict=True)]
        print(
            f"{name:10s} {plain:7.1f}/s {ours:7.1f}/s  {statistics.median(ratios):5.2f} "
            f"({min(ratios):.2f} to {max(ratios):.2f})",
            flush=True,
        )


if __name__ == "__main__":
    main()
