"""`python -m benchmarks.offline.open_bandit FOLDER`: MR.Q on real clicks, judged with propensities.

The Open Bandit sample (Saito et al. 2020, arXiv 2008.07146): a shop showed one of 80 items at a
time, drawn evenly, and logged who saw it and whether it was clicked. It is taken out of the wheel
of `obp`, which is never installed or imported: it wants packages that no longer build. FOLDER is
outside of this tree, for the log is not ours to publish. Writes `open_bandit.md` beside this file.
"""

from __future__ import annotations

import argparse
import csv
import io
import subprocess
import sys
import time
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import torch
from scipy.stats import binomtest

from benchmarks.offline.uploaded import uploaded
from benchmarks.provenance import commit, machine
from mrq_core.config import PRESETS
from mrq_core.off_policy.estimate import OffPolicyEstimate
from mrq_core.off_policy.evaluator import OffPolicyEvaluator
from mrq_core.off_policy.resampling import Interval
from mrq_core.offline import OfflineSession
from mrq_core.policy import Policy, policy_of
from mrq_core.run import DatasetFile, Offline, TrainingRun

ROOT = Path(__file__).parents[2]
PAGE = Path(__file__).parent / "open_bandit.md"
WHEEL = "obp-0.4.1-py3-none-any.whl"
PINNED = (
    "obp==0.4.1 --hash=sha256:87dec9caf4283c25ab13036532e0a24566f1c7bdcad1653a8ded43b2f5ef8208\n"
)
LOG = "obp/dataset/obd/random/all/all.csv"
# What the shop knew of who was looking, and where on the page.
SEEN = ("user_feature_0", "user_feature_1", "user_feature_2", "user_feature_3", "position")
JUDGED = 0.5
ALPHA = 2.5


def downloaded(folder: Path) -> Path:
    """The wheel, by pip and its sha256, unless it is there."""
    if folder.resolve().is_relative_to(ROOT):
        raise SystemExit(f"FOLDER={folder} must lie outside of {ROOT}")
    folder.mkdir(parents=True, exist_ok=True)
    wanted = folder / "requirements.txt"
    wanted.write_text(PINNED)
    pip = [
        sys.executable,
        "-m",
        "pip",
        "download",
        "--quiet",
        "--no-deps",
        "--only-binary",
        ":all:",
    ]
    asked = ["--require-hashes", "--requirement", str(wanted), "--dest", str(folder)]
    subprocess.run([*pip, *asked], check=True)
    return folder / WHEEL


def log_csv(shown: Sequence[dict[str, str]]) -> bytes:
    """As it would be uploaded: an episode for each item that was shown, terminated at once.
    Observed is a column for each value that a feature has."""
    values = {name: sorted({row[name] for row in shown}) for name in SEEN}
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    seen = [f"{name}_{n}" for name in SEEN for n in range(len(values[name]))]
    writer.writerow(["episode", *seen, "action", "reward", "terminated", "propensity"])
    for number, row in enumerate(shown):
        flags = [int(row[name] == value) for name in SEEN for value in values[name]]
        outcome = [row["item_id"], row["click"], 1, row["propensity_score"]]
        writer.writerow([number, *flags, *outcome])
    return text.getvalue().encode()


def rows_of(wheel: Path) -> list[dict[str, str]]:
    with zipfile.ZipFile(wheel) as file:
        return list(csv.DictReader(io.StringIO(file.read(LOG).decode())))


@dataclass(frozen=True)
class Row:
    """`agreeing`: of the judged items those that the policy would have shown; `clicked` of them.
    Shown evenly, they are a fair sample, and their interval is exact (Clopper and Pearson)."""

    seed: int
    estimate: OffPolicyEstimate
    agreeing: int
    clicked: int
    items: int

    @property
    def cells(self) -> list[str]:
        found = self.estimate
        low, high = 0.0, 1.0
        if self.agreeing:
            low, high = binomtest(self.clicked, self.agreeing).proportion_ci(0.95, "exact")
        rate = self.clicked / max(1, self.agreeing)
        weighted = "none agrees" if found.weighted is None else _shown(found.weighted)
        return [
            str(self.seed),
            str(self.items),
            _shown(found.logged),
            _shown(found.fitted),
            "not known" if found.lead is None else _shown(found.lead),
            weighted,
            f"{found.effective_episodes or 0:.0f}",
            f"{self.clicked} of {self.agreeing}",
            _shown(Interval(rate, low, high)),
        ]


HEADER = [
    "seed",
    "items that it shows",
    "logging policy",
    "learnt, fitted Q",
    "lead, fitted Q",
    "learnt, importance weights",
    "effective episodes",
    "clicks where both agree",
    "click rate there, exact",
]


def _shown(interval: Interval) -> str:
    return f"{interval.value:.4f} ({interval.low:.4f} to {interval.high:.4f})"


def measured(dataset: DatasetFile, seed: int, steps: int) -> Row:
    run = TrainingRun(
        environment_id="mrq_core.tasks:mrq/Logged-v0",
        environment_kwargs={"validation_fraction": JUDGED},
        dataset=dataset,
        hyperparameters=PRESETS["small"],
        total_steps=steps,
        seed=seed,
        offline=Offline(alpha=ALPHA),
    )
    session, evaluator = OfflineSession(run), OffPolicyEvaluator(run)
    while session.end is None:
        session.advance()
    policy = policy_of(session.agent)
    estimate = evaluator.evaluate(policy, session.step).estimate
    assert estimate is not None
    return _with_agreement(evaluator, policy, seed, estimate)


def _with_agreement(
    evaluator: OffPolicyEvaluator, policy: Policy, seed: int, estimate: OffPolicyEstimate
) -> Row:
    log = evaluator.judged
    assert log is not None
    shown = policy.act(log.states, "deterministic", torch.Generator())
    same = (shown == log.actions).all(axis=1)
    return Row(
        seed,
        estimate,
        int(same.sum()),
        int(log.rewards[same].sum()),
        len(np.unique(shown.argmax(axis=1))),
    )


def page(rows: Sequence[Row], shown: Sequence[dict[str, str]], steps: int, seconds: float) -> str:
    clicks = sum(int(row["click"]) for row in shown)
    lines = [HEADER, ["---"] * len(HEADER), *(row.cells for row in rows)]
    body = "\n".join(f"| {' | '.join(line)} |" for line in lines)
    judged = rows[0].estimate.episodes
    leads = [row.estimate.lead for row in rows if row.estimate.lead is not None]
    apart = sum(lead.low > 0 or lead.high < 0 for lead in leads)
    exact = [binomtest(r.clicked, max(1, r.agreeing)).proportion_ci(0.95, "exact") for r in rows]
    widest = max(found.high for found in exact)
    differ = sum(not found.low <= clicks / len(shown) <= found.high for found in exact)
    agreeing = sorted(row.agreeing for row in rows)
    return f"""# Real clicks: the Open Bandit sample

`python -m benchmarks.offline.open_bandit FOLDER`, {datetime.now(UTC):%Y-%m-%d}: `{LOG}` of
`obp` 0.4.1 (Apache-2.0), {len(shown):,} items that were shown one at a time, each of 80 with
probability 1/80; {clicks} were clicked. An episode is one item: observed are four features of the
user and the position, one-hot; the action is the item, the reward the click. Half of the episodes,
spread evenly, are not learnt from and judge the policy ({judged:,}). Preset `small`, `alpha`
{ALPHA:g}, {steps:,} steps of training. Intervals are of 95 %.

{body}

What this says, and what it does not:

- The learnt policy shows one item where the log shows any of 80, so one judged episode in 80 tells
  anything of it by importance weights: {agreeing[0]} to {agreeing[-1]} of {judged:,}.
- With so few, and one click in {len(shown) / clicks:.0f}, the exact intervals reach up to
  {widest:.3f}, {widest * len(shown) / clicks:.0f} times the click rate of the log. They leave that
  rate out for {differ} of {len(rows)} policies: no more are shown to be better, or worse.
- Where no episode that agrees was clicked, importance weights give 0 with an interval of 0 to 0: a
  resample of nothing but zeros has no other. It is no certainty; read the exact interval instead.
- Fitted Q shares what it knows between items and users, so its intervals are narrower. They trust
  that the value is linear in the features, which nothing here can check. By them {apart} of
  {len(rows)} policies differ from the logging one.
- To tell a click rate of 0.005 from one of 0.004 by an evenly shown log of 80 items would take
  some {_needed(0.004, 0.005):,.0f} episodes to judge by. The sample shows that real feedback with
  propensities goes through the offline path, not that a policy is good.

{seconds:,.0f} s on one thread, {machine()}; commit {commit()}.
"""


def _needed(one: float, other: float, actions: int = 80) -> float:
    """Logged episodes until the difference of two rates is 1.96 + 0.84 standard errors of it."""
    spread = one * (1 - one) + other * (1 - other)
    return float(actions * spread * ((1.96 + 0.84) / (other - one)) ** 2)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="for the wheel and the log")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=300)
    options = parser.parse_args()
    torch.set_num_threads(1)
    began, shown = time.monotonic(), rows_of(downloaded(options.folder))
    dataset = uploaded(log_csv(shown), options.folder)
    rows = []
    for seed in range(options.seeds):
        rows.append(measured(dataset, seed, options.steps))
        print(*rows[-1].cells, sep="  ", flush=True)
    PAGE.write_text(page(rows, shown, options.steps, time.monotonic() - began))


if __name__ == "__main__":
    main()
