"""The table of a run, in Markdown."""

from __future__ import annotations

import platform
from collections.abc import Sequence
from datetime import UTC, datetime

from benchmarks.applications.rows import EPISODE_STEPS
from benchmarks.applications.running import Done
from benchmarks.provenance import git, machine, versions

# Of whose code the last commit is named: what runs here may be newer.
SERVICE = ("app", "store", "worker", "mrq_core", "migrations")

PAGE = """# Applications: does every area run through the whole service?

`make applications` on {day}, the service at commit {commit}, {machine},
Python {python}, {versions}.

Each row is one job over HTTP against `mrq up` with one worker: `POST /jobs` with the preset
`small`, training, evaluations, `POST /policies` with the best checkpoint, and an episode of at most
{steps} steps in the environment with actions from `POST /policies/{{id}}/act`; "acted" counts them.
"Return" is that of the job's last evaluation, one episode cut at {steps} steps too: after so few
steps it says nothing of what can be learnt. The trader learns on an uploaded table of made prices,
and acts on others, made by its environment. A log is learnt from and never acted in: actions are
asked for what was observed in it, and its "return" is an estimate.
{verdict}

| environment | area | steps | seconds | return | action | acted | ok |
|---|---|---|---|---|---|---|---|
"""


def row_of(done: Done) -> str:
    mean = "-" if done.episode_return is None else f"{done.episode_return:.2f}"
    cells = [
        f"`{done.row.environment_id}`",
        done.row.area,
        f"{done.row.total_steps:,}",
        f"{done.seconds:.1f}",
        mean,
        done.action or "-",
        str(done.acted),
        "yes" if done.ok else "NO: " + " ".join(done.wrong.replace("|", "/").split()),
    ]
    return "| " + " | ".join(cells) + " |"


def page(done: Sequence[Done]) -> str:
    head = PAGE.format(
        day=f"{datetime.now(UTC):%Y-%m-%d}",
        commit=git("log", "-1", "--format=%h", "--", *SERVICE),
        machine=f"{machine()}, one thread",
        python=platform.python_version(),
        versions=", ".join(f"{name} {number}" for name, number in versions().items()),
        steps=EPISODE_STEPS,
        verdict=verdict(done),
    )
    return head + "\n".join(row_of(each) for each in done) + "\n"


def verdict(done: Sequence[Done]) -> str:
    good = sum(each.ok for each in done)
    return f"{good} of {len(done)} rows are well, in {sum(d.seconds for d in done):.0f} seconds."
