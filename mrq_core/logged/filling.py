"""A log as the networks see it: into a replay to learn from, or as arrays to judge by."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mrq_core.actions import ActionCodec
from mrq_core.errors import EnvironmentFault
from mrq_core.logged.log import Log
from mrq_core.observations import FrameHistory, ObservationForm
from mrq_core.replay import Replay
from mrq_core.spaces import Floats

# More say little more, and each evaluation reads all of them.
MOST_JUDGED = 20_000


@dataclass(frozen=True)
class _Step:
    row: int
    frame: Floats  # (D)
    action: Floats  # (A) of the network
    next_frame: Floats  # (D)
    truncated: bool


def _steps(log: Log, episode: int, codec: ActionCodec) -> Iterator[_Step]:
    """Of a termination without a row for what was seen then, the last observation stands for it:
    no value is taken there, only the model is told."""
    start, stop = int(log.starts[episode]), int(log.starts[episode + 1])
    end = start + log.transitions(episode)
    for row in range(start, end):
        following = row + 1 if row + 1 < stop else row
        yield _Step(
            row,
            log.observations[row],
            codec.from_environment(_action(log, row)),
            log.observations[following],
            row + 1 == end and not bool(log.terminated[row]),
        )


def _action(log: Log, row: int) -> Any:
    return int(log.actions[row, 0]) if log.columns.choices else log.actions[row]


def fill(replay: Replay, log: Log, episodes: Iterable[int], codec: ActionCodec) -> None:
    for episode in episodes:
        for step in _steps(log, episode, codec):
            replay.add(
                step.frame,
                step.action,
                float(log.rewards[step.row]),
                step.next_frame,
                terminated=bool(log.terminated[step.row]),
                truncated=step.truncated,
            )
    if replay.head > replay.h.buffer_size:
        raise EnvironmentFault(
            0,
            f"the dataset has {replay.head} observations to learn from; buffer_size is "
            f"{replay.h.buffer_size}",
        )


@dataclass(frozen=True)
class Judged:
    """N transitions of E episodes, in their order. S as the network's input, A its action."""

    states: Floats  # (N, S)
    actions: Floats  # (N, A)
    rewards: NDArray[np.float64]  # (N)
    next_states: Floats  # (N, S)
    terminated: NDArray[np.bool_]  # (N)
    episode: NDArray[np.int64]  # (N)
    moment: NDArray[np.int64]  # (N): steps since its episode's start
    propensities: NDArray[np.float64] | None  # (N)

    @property
    def episodes(self) -> int:
        return int(self.episode[-1]) + 1

    @property
    def first(self) -> NDArray[np.int64]:
        """(E): of each episode."""
        return np.flatnonzero(self.moment == 0)


def judged(
    log: Log, episodes: NDArray[np.int64], form: ObservationForm, codec: ActionCodec
) -> Judged:
    """Those without a transition are left out."""
    lengths = np.array([log.transitions(int(episode)) for episode in episodes])
    episodes, lengths = episodes[lengths > 0], lengths[lengths > 0]
    every = max(1, -(-int(lengths.sum()) // MOST_JUDGED))
    states, next_states, steps, episode_of, moments = [], [], [], [], []
    for index, episode in enumerate(episodes[::every]):
        history = FrameHistory(form)
        for moment, step in enumerate(_steps(log, int(episode), codec)):
            if moment == 0:
                history.begin(step.frame)
            states.append(history.input())
            history.append(step.next_frame)
            next_states.append(history.input())
            steps.append(step)
            episode_of.append(index)
            moments.append(moment)
    rows = np.array([step.row for step in steps])
    return Judged(
        np.stack(states),
        np.stack([step.action for step in steps]),
        log.rewards[rows].astype(np.float64),
        np.stack(next_states),
        log.terminated[rows],
        np.array(episode_of),
        np.array(moments),
        None if log.propensities is None else log.propensities[rows],
    )
