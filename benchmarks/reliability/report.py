"""The page of all campaigns whose results are kept."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

HEAD = """# Kill campaigns: what was measured

Generated from the files in the folder beside it. `make chaos KILLS=n SEED=s DB=sqlite|postgres`
repeats one: real server, reconcilers, workers, trainers, broker and database, killed by a plan
that the seed decides. Every job is compared with an undisturbed run of the same spec on the same
machine: weights, evaluations and every metric, value for value.

A job that is hit again and again before its next checkpoint waits twice as long each time, 300 s at
most: that, not a lost bell, is behind waits of minutes after a hit. It counts as waiting beside a
free worker only when that pause is over.
"""


def write_page(folder: Path) -> Path:
    results = [json.loads(path.read_text()) for path in sorted(folder.glob("*-seed-*.json"))]
    path = folder.with_suffix(".md")
    path.write_text("\n".join([HEAD, *(line for each in results for line in _section(each))]))
    return path


def _section(result: Mapping[str, Any]) -> Iterator[str]:
    yield f"## {result['database']}, {result['kills']} kills, seed {result['seed']}"
    yield ""
    yield (
        f"{result['date']}, commit {result['commit']}. {result['machine']}; load at the end "
        f"{result['load'][0]}. {', '.join(result['versions'])}."
    )
    yield ""
    yield "| what | measured |"
    yield "|---|---|"
    for what, measured in _facts(result):
        yield f"| {what} | {measured} |"
    yield ""
    yield "| hit | times | next attempt claimed after, median | most |"
    yield "|---|---|---|---|"
    for kind, count in result["faults"].items():
        resumed = result["resumed"].get(kind)
        times = "| - | - |" if resumed is None else _seconds(resumed)
        yield f"| {kind} | {count} {times}"
    yield ""
    for found in result["findings"]:
        yield f"- **{found['invariant']}**: {found['job_id']} {found['text']}"
    if result["findings"]:
        yield ""


def _seconds(resumed: Mapping[str, float]) -> str:
    return f"| {resumed['median']:.2f} s | {resumed['most']:.2f} s |"


def _facts(result: Mapping[str, Any]) -> Iterator[tuple[str, object]]:
    stops, samples = result["stops"], result["samples"]
    yield "findings", len(result["findings"])
    yield "jobs", _counts(result["jobs"])
    yield "attempts", _counts(result["attempts"])
    yield (
        "stopped workers that woke up while their successor worked",
        (
            f"{stops['woke up while the successor worked']} of {stops['all']}; stopped inside a "
            f"transaction on SQLite, where nobody else can write then: "
            f"{stops['inside a transaction on SQLite']}"
        ),
    )
    yield "metric rows stored", result["metric rows"]
    yield (
        "requests for the jobs' keys",
        (f"{result['submissions']['requests']} for {result['submissions']['keys']}"),
    )
    yield (
        "longest that a due job waited beside a free worker",
        (f"{result['longest wait with a free worker']} s"),
    )
    yield "looks at the invariants meanwhile", samples["taken"]
    yield "faults that this machine does not allow", len(result["impossible"])
    yield "seconds", _counts(result["seconds"])


def _counts(counts: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {count}" for name, count in counts.items())
