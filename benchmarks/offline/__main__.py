"""`python -m benchmarks.offline`: policies that are learnt from logs, judged by logs and in truth.

For each seed a log of the clumsy driver, a run on it that never acts, and then, in the simulator,
what the learnt policy and the driver are really worth. Writes `table.md` beside this file, or
`--into` another one: other seeds or steps than the page has must be told where to go.
"""

from __future__ import annotations

import argparse
import platform
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import torch

from benchmarks.offline.cart import Logging, log_csv, true_value
from benchmarks.offline.driving import driver_of
from benchmarks.offline.uploaded import uploaded
from benchmarks.provenance import commit, machine, versions
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
SEEDS = 5
STEPS = 300


@dataclass(frozen=True)
class Row:
    actions: str
    seed: int
    logging: float
    learnt: float
    estimate: OffPolicyEstimate

    @property
    def within(self) -> bool:
        return _holds(self.estimate.fitted, self.learnt)

    @property
    def lead_within(self) -> bool:
        lead = self.estimate.lead
        return lead is not None and _holds(lead, self.learnt - self.logging)

    @property
    def beats(self) -> bool:
        return self.learnt > self.logging

    @property
    def cells(self) -> list[str]:
        lead = self.estimate.lead
        return [
            self.actions,
            str(self.seed),
            f"{self.logging:.2f}",
            _shown(self.estimate.logged),
            f"{self.learnt:.2f}",
            _shown(self.estimate.fitted),
            _answer(self.within),
            f"{self.learnt - self.logging:.2f}",
            "not known" if lead is None else _shown(lead),
            _answer(self.lead_within),
            _answer(self.beats),
        ]


HEADER = [
    "actions",
    "seed",
    "driver, in truth",
    "driver, gained in the log",
    "learnt, in truth",
    "learnt, by the log",
    "truth within",
    "lead, in truth",
    "lead, by the log",
    "lead within",
    "learnt beats driver",
]


def _holds(interval: Interval, truth: float) -> bool:
    return interval.low <= truth <= interval.high


def _answer(yes: bool) -> str:
    return "yes" if yes else "no"


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


def table(rows: Sequence[Row], steps: int, seconds: float, code: str) -> str:
    lines = [HEADER, ["---"] * len(HEADER), *(row.cells for row in rows)]
    known = ", ".join(f"{name} {number}" for name, number in versions().items())
    of = len(rows)
    within = sum(row.within for row in rows)
    leads = sum(row.lead_within for row in rows)
    beats = sum(row.beats for row in rows)
    body = "\n".join(f"| {' | '.join(line)} |" for line in lines)
    return f"""# Learnt from a log, judged by a log

`python -m benchmarks.offline`, {datetime.now(UTC):%Y-%m-%d}, commit {code}; {machine()}, one
thread; Python {platform.python_version()}, {known}. {seconds:,.0f} s.

{EPISODES} logged episodes of a cart that is driven clumsily (`benchmarks/offline/cart.py`), a
quarter of them kept to judge by; preset `small` with a discount of {DISCOUNT}, `alpha` {ALPHA},
{steps:,} steps of training, none in the simulator. Returns are discounted. The truth is the mean of
4,000 simulated runs; intervals are of 95 %. What the driver gained in the log stops where an
episode was cut off; the truths, `learnt, by the log` and `lead, by the log` go on.

The truth lies within the interval of the learnt policy in {within} of {of} runs, the true lead over
the driver within that of the lead in {leads}, and the learnt policy beats the driver in {beats}.

{body}
"""


def where(into: Path | None, seeds: int, steps: int) -> Path:
    """SystemExit if other seeds or steps than those of the committed page would overwrite it."""
    page = TABLE if into is None else into
    if page.resolve() == TABLE.resolve() and (seeds, steps) != (SEEDS, STEPS):
        raise SystemExit(
            f"--seeds {seeds} --steps {steps}: {TABLE.name} is of {SEEDS} seeds and {STEPS} steps; "
            "say --into another file"
        )
    return page


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=SEEDS)
    parser.add_argument("--steps", type=int, default=STEPS)
    parser.add_argument("--into", type=Path, help="where the page is written")
    options = parser.parse_args(arguments)
    page = where(options.into, options.seeds, options.steps)
    code = commit()  # of what runs, whatever is committed meanwhile
    torch.set_num_threads(1)
    began, rows = time.monotonic(), []
    for discrete in (True, False):
        for seed in range(options.seeds):
            rows.append(measured(discrete, seed, options.steps))
            print(*rows[-1].cells, sep="  ", flush=True)
    page.write_text(table(rows, options.steps, time.monotonic() - began, code))


if __name__ == "__main__":
    main()
