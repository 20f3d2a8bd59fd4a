"""`python -m benchmarks.learning.report [FOLDER ...]`: curves and tables of result files.

Keeps the result files in `results`, and of all that are there writes one CSV and one SVG per task,
and the pages `tasks.md` (small tasks) and `paper.md`; beside this file, or into `--into`.
"""

from __future__ import annotations

import argparse
import csv
import shutil
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

from benchmarks.learning.drawing import Curve, Whisker, draw
from benchmarks.learning.published import PUBLISHED, PublishedPoint, published_points
from benchmarks.learning.result import Result, read_results
from benchmarks.learning.task import Task

SMALL = """# Small tasks, preset `small`: what MR.Q learns

`python -m benchmarks.learning.suite FOLDER --tasks TASK --seeds SEED`: each row is one
`mrq_core.train`. "Last" is the mean return of the run's last evaluation, whatever came before it,
and "worst" its least return; "best" is the highest mean of any evaluation, and its step. "Wanted"
is what the last mean has to reach.
{facts}
| task | steps | seed | changed in the preset | last | worst | best | wanted | reached | commit |
|---|---|---|---|---|---|---|---|---|---|
"""
PAPER = """# The paper's protocol at its first published budget, preset `paper`

`python -m benchmarks.learning.paper TASK SEED FOLDER`: each row is one `mrq_core.train`. "Last" is
the mean return of the run's last evaluation, "best" the highest mean of any, and its step. The
published spread is the mean of the authors' ten seeds at the last step, minus and plus twice their
standard deviation: the grey bar in the figure. They used Gymnasium 0.29.1, MuJoCo 3.2.2 and PyTorch
2.4.1.
{facts}
| task | steps | seed | last | best | published mean | published spread | ours | commit |
|---|---|---|---|---|---|---|---|---|
"""
FACTS = """
Machine: {machines}; one thread per run. {versions}. Actions at evaluation: {modes}; episodes in
each: {episodes}. Curves: the CSV and SVG files in `curves`. Written by
`python -m benchmarks.learning.report FOLDER`.
"""


@dataclass(frozen=True)
class TaskResults:
    task: Task
    results: Sequence[Result]
    published: Sequence[PublishedPoint]

    @property
    def stem(self) -> str:
        return self.task.name.lower()


def grouped(results: Sequence[Result], published: Path) -> list[TaskResults]:
    groups = []
    for task, found in groupby(results, key=lambda result: result.task):
        name = task.published
        points = [] if name is None else published_points(published, name, task.total_steps)
        groups.append(TaskResults(task, list(found), points))
    return groups


def write_curves(group: TaskResults, folder: Path) -> None:
    with (folder / f"{group.stem}.csv").open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["seed", "step", "return_mean", "return_min", "return_max", "episodes"])
        for result in group.results:
            for e in result.evaluations:
                numbers = [round(x, 3) for x in (e.mean, e.least, e.most)]
                writer.writerow([result.seed, e.step, *numbers, e.episodes])
    curves = [
        Curve(f"seed {r.seed}", [(e.step, e.mean) for e in r.evaluations]) for r in group.results
    ]
    whiskers = [Whisker(p.step, p.low, p.mean, p.high) for p in group.published]
    title = f"{group.task.name}, preset {group.task.preset}, mean return of an evaluation"
    drawn = draw(title, curves, wanted=group.task.wanted, whiskers=whiskers)
    (folder / f"{group.stem}.svg").write_text(drawn)


def small_page(groups: Sequence[TaskResults]) -> str:
    rows = [small_row(result) for group in groups for result in group.results]
    return "".join([SMALL.format(facts=facts(groups)), *rows, *figures(groups)])


def paper_page(groups: Sequence[TaskResults]) -> str:
    rows = [paper_row(result, group.published) for group in groups for result in group.results]
    return "".join([PAPER.format(facts=facts(groups)), *rows, *figures(groups)])


def facts(groups: Sequence[TaskResults]) -> str:
    results = [result for group in groups for result in group.results]
    return FACTS.format(
        machines=_all(result.machine for result in results),
        versions=_versions(results),
        modes=_all(result.action_mode for result in results),
        episodes=_all(str(result.last.episodes) for result in results),
    )


def _versions(results: Sequence[Result]) -> str:
    """Not every task needs every package, and a package may have been another on another day."""
    names = dict.fromkeys(name for result in results for name in result.versions)
    numbers = {
        name: _all(r.versions[name] for r in results if name in r.versions) for name in names
    }
    return ", ".join(f"{name} {number}" for name, number in numbers.items())


def small_row(result: Result) -> str:
    task, last, best = result.task, result.last, result.best
    assert task.wanted is not None, f"{task.name} says neither what is wanted nor published"
    changed = ", ".join(f"`{name}` {value:,}" for name, value in result.changes.items())
    cells = [
        task.name,
        f"{last.step:,}",
        str(result.seed),
        changed or "nothing",
        f"{last.mean:.2f}",
        f"{last.least:.2f}",
        f"{best.mean:.2f} at {best.step:,}",
        f"{task.wanted:g}",
        "yes" if last.mean >= task.wanted else "NO",
        result.commit,
    ]
    return _row(cells)


def paper_row(result: Result, published: Sequence[PublishedPoint]) -> str:
    last, best = result.last, result.best
    same = next((point for point in published if point.step == last.step), None)
    cells = [result.task.name, f"{last.step:,}", str(result.seed), f"{last.mean:.1f}"]
    cells.append(f"{best.mean:.1f} at {best.step:,}")
    if same is None:
        cells += ["not at hand", "not at hand", "not compared"]
    else:
        cells += [f"{same.mean:.1f}", f"{same.low:.1f} to {same.high:.1f}", _place(last.mean, same)]
    return _row([*cells, result.commit])


def figures(groups: Sequence[TaskResults]) -> list[str]:
    lines = ["\n"]
    for group in groups:
        remark = f": {group.task.remark}" if group.task.remark else ""
        lines.append(f"{group.task.name}{remark}.\n\n")
        lines.append(f"![Learning curves of {group.task.name}](curves/{group.stem}.svg)\n\n")
    lines[-1] = lines[-1].rstrip("\n") + "\n"
    return lines


def _place(mean: float, point: PublishedPoint) -> str:
    if mean < point.low:
        return "BELOW"
    return "within" if mean <= point.high else "above"


def _row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |\n"


def _all(values: Iterable[str]) -> str:
    """Each value once, in the order of their first appearance."""
    return " or ".join(dict.fromkeys(values))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folders", type=Path, nargs="*", metavar="FOLDER")
    parser.add_argument("--into", type=Path, default=Path(__file__).parent)
    parser.add_argument("--published", type=Path, default=PUBLISHED)
    options = parser.parse_args()
    kept: Path = options.into / "results"
    kept.mkdir(parents=True, exist_ok=True)
    for path in [path for folder in options.folders for path in folder.glob("*-seed-*.json")]:
        shutil.copyfile(path, kept / path.name)
    groups = grouped(read_results([kept]), options.published)
    if not groups:
        parser.error("no result files there")
    curves: Path = options.into / "curves"
    curves.mkdir(parents=True, exist_ok=True)
    for group in groups:
        write_curves(group, curves)
    small = [group for group in groups if group.task.published is None]
    paper = [group for group in groups if group.task.published is not None]
    if small:
        (options.into / "tasks.md").write_text(small_page(small))
    if paper:
        (options.into / "paper.md").write_text(paper_page(paper))


if __name__ == "__main__":
    main()
