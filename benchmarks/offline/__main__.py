"""`python -m benchmarks.offline`: policies that are learnt from logs, judged by logs and in truth.

For each seed a log of the clumsy driver, a run on it that never acts, and then, in the simulator,
what the learnt policy and the driver are really worth. Writes `table.md` beside this file.
"""

from __future__ import annotations

import argparse
import platform
import subprocess
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import numpy as np
import torch

from benchmarks.offline.cart import Logging, log_csv, true_value
from benchmarks.offline.driving import driver_of
from benchmarks.offline.uploaded import uploaded
from mrq_core.config import PRESETS
from mrq_core.off_policy.estimate import OffPolicyEstimate
from mrq_core.off_policy.evaluator import OffPolicyEvaluator
from mrq_core.off_policy.resampling import Interval
from mrq_core.offline import OfflineSession
from mrq_core.policy import policy_of
from mrq_core.run import DatasetFile, Offline, TrainingRun

TABLE = Path(__file__).parent / "table.md"
EPISODES = 240
DISCOUNT = 0.95
ALPHA = 2.5


@dataclass(frozen=True)
class Row:
    actions: str
    seed: int
    logging: float
    learnt: float
    estimate: OffPolicyEstimate

    @property
    def cells(self) -> list[str]:
        found = self.estimate.fitted
        holds = found.low <= self.learnt <= found.high
        return [
            self.actions,
            str(self.seed),
            f"{self.logging:.2f}",
            _shown(self.estimate.logged),
            f"{self.learnt:.2f}",
            _shown(found),
            "yes" if holds else "no",
            "yes" if self.learnt > self.logging else "no",
        ]


HEADER = [
    "actions",
    "seed",
    "driver, in truth",
    "driver, by the log",
    "learnt, in truth",
    "learnt, by the log",
    "truth within",
    "learnt beats driver",
]


def _shown(interval: Interval) -> str:
    return f"{interval.value:.2f} ({interval.low:.2f} to {interval.high:.2f})"


def measured(discrete: bool, seed: int, steps: int) -> Row:
    logging = Logging(discrete)
    with tempfile.TemporaryDirectory() as folder:
        run = _run(uploaded(log_csv(EPISODES, logging, seed), Path(folder)), seed, steps)
        session, evaluator = OfflineSession(run), OffPolicyEvaluator(run)
    while session.end is None:
        session.advance()
    policy = policy_of(session.agent)
    rng = np.random.default_rng(seed)
    estimate = evaluator.evaluate(policy, session.step).estimate
    assert estimate is not None
    return Row(
        "3 choices" if discrete else "a number",
        seed,
        true_value(lambda state: logging.act(state, rng)[0], DISCOUNT),
        true_value(driver_of(policy, session.codec), DISCOUNT),
        estimate,
    )


def _run(dataset: DatasetFile, seed: int, steps: int) -> TrainingRun:
    return TrainingRun(
        environment_id="mrq_core.tasks:mrq/Logged-v0",
        dataset=dataset,
        hyperparameters=replace(PRESETS["small"], discount=DISCOUNT),
        total_steps=steps,
        seed=seed,
        offline=Offline(alpha=ALPHA),
    )


def table(rows: Sequence[Row], steps: int, seconds: float) -> str:
    lines = [HEADER, ["---"] * len(HEADER), *(row.cells for row in rows)]
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=True
    ).stdout.strip()
    versions = ", ".join(f"{name} {version(name)}" for name in ("torch", "numpy"))
    within, beats = (sum(row.cells[at] == "yes" for row in rows) for at in (6, 7))
    counts = f"{within} of {len(rows)} runs"
    body = "\n".join(f"| {' | '.join(line)} |" for line in lines)
    return f"""# Learnt from a log, judged by a log

`python -m benchmarks.offline`, {datetime.now(UTC):%Y-%m-%d}: {EPISODES} logged episodes of a
cart that is driven clumsily (`benchmarks/offline/cart.py`), a quarter of them kept to judge by;
preset `small` with a discount of {DISCOUNT}, `alpha` {ALPHA}, {steps:,} steps of training, none in
the simulator. Returns are discounted. The truth is the mean of 4,000 simulated runs; intervals are
of 95 %.

The truth lies within the interval of the learnt policy in {counts}, and the learnt
policy beats the driver in {beats} of {len(rows)}.

{body}

{seconds:,.0f} s on one thread of a busy {platform.machine()}; {versions}; commit {commit}.
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=300)
    options = parser.parse_args()
    torch.set_num_threads(1)
    began, rows = time.monotonic(), []
    for discrete in (True, False):
        for seed in range(options.seeds):
            rows.append(measured(discrete, seed, options.steps))
            print(*rows[-1].cells, sep="  ", flush=True)
    TABLE.write_text(table(rows, options.steps, time.monotonic() - began))


if __name__ == "__main__":
    main()
