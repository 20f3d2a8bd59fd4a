"""The log of a policy's actions as a table of transitions: what a job learns from without a further
hand. See docs/reference/logs.md for what its columns mean."""

import csv
from collections.abc import Iterable, Iterator
from itertools import groupby
from pathlib import Path
from typing import Any

from store.tables import LoggedAction


def write_table(path: Path, actions: Iterable[LoggedAction]) -> None:
    """Of actions without feedback nobody knows what came of them: they are left out, and what
    followed in their episode is an episode of its own."""
    writer: Any = None
    with path.open("w", newline="", encoding="utf-8") as stream:
        for number, run in enumerate(_runs(actions)):
            if run[0].feedback_at is None:
                continue
            for action in run:
                row = _row(number, action)
                if writer is None:
                    writer = csv.DictWriter(stream, list(row), lineterminator="\n")
                    writer.writeheader()
                writer.writerow(row)


def _runs(actions: Iterable[LoggedAction]) -> Iterator[list[LoggedAction]]:
    """Actions that follow one another in an episode, all with feedback or all without."""
    for _, of_episode in groupby(actions, lambda a: a.episode or a.id):
        run: list[LoggedAction] = []
        for action in of_episode:
            if run and not _follows(run[-1], action):
                yield run
                run = []
            run.append(action)
        yield run


def _follows(before: LoggedAction, action: LoggedAction) -> bool:
    assert before.t is not None
    assert action.t is not None
    alike = (before.feedback_at is None) == (action.feedback_at is None)
    ended = before.terminated or before.truncated
    return alike and not ended and action.t == before.t + 1


def _row(number: int, action: LoggedAction) -> dict[str, Any]:
    """A decision of no episode is one of its own, and ends with it."""
    alone = action.episode is None and action.terminated is None
    acted = action.action
    named = {"action": acted[0]} if len(acted) == 1 else dict(_numbered("action", acted))
    told = {} if action.propensity is None else {"propensity": action.propensity}
    return {
        "episode": number,
        **dict(_numbered("observation", action.observation)),
        **named,
        "reward": action.reward,
        "terminated": int(alone or bool(action.terminated)),
        "truncated": int(bool(action.truncated)),
        **told,
    }


def _numbered(name: str, values: list[Any]) -> Iterator[tuple[str, Any]]:
    for index, value in enumerate(values):
        yield f"{name}_{index}", value
