"""`make figures`: MR.Q beside the baselines, from the curves that are kept in the tree.

With a folder of raw runs (`python -m benchmarks.baselines FOLDER`) these are kept first. Writes
`convergence.svg` and `convergence.md` beside this file.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from benchmarks.baselines.drawing import NAMES, draw
from benchmarks.baselines.results import KEPT, Runs, keep, read
from benchmarks.baselines.tasks import SEEDS
from store.bootstrap import Aggregate, Estimated, aggregate
from store.curves import grid_of, on_grid, probability_of_improvement, reached, values_at

FOLDER = Path(__file__).parent
TITLE = "MR.Q vs standard Q-learning: convergence speed"


def table(runs: Runs) -> Iterator[str]:
    task = runs.task
    end = task.total_steps
    of_mrq = values_at(list(runs.curves["mrq"].values()), end)
    yield (
        f"| {task.name} | seeds | IQM at {end:,} [95 %] | reached {task.reached:g} | at step, "
        "median | P(MR.Q better) [95 %] |"
    )
    yield "|---|---|---|---|---|---|"
    for algorithm, by_seed in runs.curves.items():
        curves = list(by_seed.values())
        values = values_at(curves, end)
        found = aggregate(values)
        came = reached(curves, task.reached)
        median = "-" if came.median is None else f"{came.median:,.0f}"
        better = "-"
        if algorithm != "mrq" and values and of_mrq:
            better = _interval(probability_of_improvement(of_mrq, values))
        yield (
            f"| {NAMES[algorithm]} | {len(curves)} | {_iqm(found)} | {came.n} of {len(curves)} "
            f"| {median} | {better} |"
        )


def _iqm(found: Aggregate | None) -> str:
    return "-" if found is None else _interval(found.iqm)


def _interval(found: Estimated) -> str:
    if found.low is None or found.high is None:
        return _short(found.value)
    return f"{_short(found.value)} [{_short(found.low)}, {_short(found.high)}]"


def _short(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def missing(all_runs: Sequence[Runs]) -> Iterator[str]:
    for runs in all_runs:
        for algorithm, by_seed in runs.curves.items():
            gone = [seed for seed in SEEDS if seed not in by_seed]
            if gone:
                yield f"{runs.task.name} {NAMES[algorithm]}: {', '.join(map(str, gone))}"


def page(all_runs: Sequence[Runs]) -> str:
    facts = all_runs[0].facts
    versions = ", ".join(f"{name} {number}" for name, number in facts["versions"].items())
    commits = sorted({commit for runs in all_runs for commit in runs.facts["commits"]})
    lines = [
        f"# {TITLE}",
        "",
        (FOLDER / "notes.md").read_text().strip(),
        "",
        f"Commits {', '.join(commits)}; {facts['machine']}; Python {facts['python']}, {versions}.",
        "",
        f"![{TITLE}](convergence.svg)",
        "",
        "Lines: interquartile mean over the seeds of an evaluation's mean return; bands: its 95 %",
        "bootstrap interval. The dotted line is the return that counts as reached in the tables.",
        "",
    ]
    for runs in all_runs:
        lines += [*table(runs), ""]
    gone = list(missing(all_runs))
    lines.append("## Runs that are missing")
    lines.append("")
    lines += [f"- {each}" for each in gone] or ["None."]
    return "\n".join(lines) + "\n"


def figure(all_runs: Sequence[Runs]) -> str:
    panels = []
    for runs in all_runs:
        lines = {}
        for algorithm, by_seed in runs.curves.items():
            curves = list(by_seed.values())
            if curves:
                lines[algorithm] = on_grid(curves, grid_of(curves, runs.task.total_steps))
        panels.append((runs.task, lines))
    return draw(TITLE, panels)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, nargs="?", help="of raw runs, to be kept first")
    if (folder := parser.parse_args().folder) is not None:
        keep(folder)
    all_runs = read()
    if not all_runs:
        print(f"no curves in {KEPT}", file=sys.stderr)
        return 1
    (FOLDER / "convergence.svg").write_text(figure(all_runs))
    (FOLDER / "convergence.md").write_text(page(all_runs))
    for line in page(all_runs).splitlines():
        if line.startswith("|"):
            print(line)
    return 0


if __name__ == "__main__":
    sys.exit(main())
