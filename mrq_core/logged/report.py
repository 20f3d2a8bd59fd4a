"""What is to be known of a log before it is used."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from mrq_core.logged.columns import PROPENSITY, REWARD
from mrq_core.logged.log import Log
from mrq_core.markets.report import describe_column

# Of a column's spread beside that of the narrowest one: the networks see numbers as they are.
UNEQUAL = 100.0


def report_on(log: Log) -> dict[str, Any]:
    """JSON."""
    lengths = np.array([log.transitions(episode) for episode in range(log.episodes)])
    taken = log.actions[~log.is_final]
    ended = int(log.terminated.sum())
    return {
        "rows": len(log.rewards),
        "columns": [describe_column(*each) for each in _columns(log)],
        "episodes": {
            "count": log.episodes,
            "transitions": int(lengths.sum()),
            "shortest": int(lengths.min()),
            "longest": int(lengths.max()),
            "terminated": ended,
            "truncated": log.episodes - ended,
            "mean_return": float(log.rewards[~log.is_final].sum() / log.episodes),
        },
        "actions": {
            "kind": "discrete" if log.columns.choices else "continuous",
            "choices": log.columns.choices or None,
            "counts": _counts(log, taken),
        },
        "warnings": [*_warnings(log, taken)],
    }


def _columns(log: Log) -> list[tuple[str, str, NDArray[Any]]]:
    done = ~log.is_final
    columns = [
        *(
            (name, "observation", log.observations[:, i])
            for i, name in enumerate(log.columns.features)
        ),
        *((name, "action", log.actions[done, i]) for i, name in enumerate(log.columns.actions)),
        (log.columns.roles[REWARD], REWARD, log.rewards[done]),
    ]
    if log.propensities is not None:
        columns.append((log.columns.roles[PROPENSITY], PROPENSITY, log.propensities[done]))
    return columns


def _counts(log: Log, taken: NDArray[Any]) -> list[int] | None:
    if not log.columns.choices:
        return None
    counts: list[int] = np.bincount(taken[:, 0].astype(np.int64)).tolist()
    return counts


def _warnings(log: Log, taken: NDArray[Any]) -> list[str]:
    found = []
    spreads = log.observations.std(axis=0)
    for name, spread in zip(log.columns.features, spreads, strict=True):
        if spread == 0:
            found.append(f"column {name} is constant: it tells nothing.")
    if spreads.max() > UNEQUAL * min(spreads[spreads > 0], default=1.0):
        widest = log.columns.features[int(spreads.argmax())]
        found.append(
            f"column {widest} is spread over {UNEQUAL:g} times as much as another: scale the "
            "columns alike, and what the policy is given later in the same way."
        )
    counts = _counts(log, taken)
    if counts is not None and 0 in counts:
        unseen = ", ".join(str(n) for n, count in enumerate(counts) if count == 0)
        found.append(f"actions {unseen} never occur: nothing is known of them.")
    if without := _without_end(log):
        found.append(
            f"{without} episodes end without a termination and without a row for what was seen "
            "then: the last transition of each is not used."
        )
    return found


def _without_end(log: Log) -> int:
    last = log.starts[1:] - 1
    return int((~log.terminated[last] & ~log.is_final[last]).sum())
