"""A log as the networks see it: into a replay to learn from, or as arrays to judge by."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mrq_core.actions import ActionCodec
from mrq_core.errors import EnvironmentFault
from mrq_core.logged.log import FEWEST_EPISODES, Log
from mrq_core.observations import FrameHistory, ObservationForm
from mrq_core.progress import Alive, unheard
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


def _next_action(log: Log, episode: int, row: int, codec: ActionCodec) -> Floats | None:
    """None: the episode ends there, or what was done next is not in the log."""
    following = row + 1
    if following == log.starts[episode + 1] or log.is_final[following]:
        return None
    return codec.from_environment(_action(log, following))


def fill(
    replay: Replay,
    log: Log,
    episodes: NDArray[np.int64],
    codec: ActionCodec,
    alive: Alive = unheard,
) -> None:
    """`alive` is called for every step. EnvironmentFault, before any is added, if they are more
    than the replay holds: it would forget the first ones."""
    _require_room(replay, log, episodes)
    for episode in episodes:
        for step in _steps(log, int(episode), codec):
            alive()
            replay.add(
                step.frame,
                step.action,
                float(log.rewards[step.row]),
                step.next_frame,
                terminated=bool(log.terminated[step.row]),
                truncated=step.truncated,
            )


def _require_room(replay: Replay, log: Log, episodes: NDArray[np.int64]) -> None:
    lengths = _lengths(log, episodes)
    needed = int((lengths[lengths > 0] + 1).sum())  # an episode also has a last observation
    if needed > replay.h.buffer_size:
        raise EnvironmentFault(
            0,
            f"the dataset has {needed} observations to learn from; buffer_size is "
            f"{replay.h.buffer_size}",
        )


def _lengths(log: Log, episodes: NDArray[np.int64]) -> NDArray[np.int64]:
    return np.array([log.transitions(int(episode)) for episode in episodes], np.int64)


@dataclass(frozen=True)
class Judged:
    """N transitions of E episodes, in their order. S as the network's input, A its action."""

    states: Floats  # (N, S)
    actions: Floats  # (N, A)
    rewards: NDArray[np.float64]  # (N)
    next_states: Floats  # (N, S)
    terminated: NDArray[np.bool_]  # (N)
    next_actions: Floats  # (N, A): what was done next in the log; zeros where there is none
    followed: NDArray[np.bool_]  # (N): terminated, or what was done next is known
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


def usable(log: Log, episodes: NDArray[np.int64]) -> NDArray[np.int64]:
    """Those with a transition."""
    return episodes[_lengths(log, episodes) > 0]


def thinned(log: Log, episodes: NDArray[np.int64], most: int = MOST_JUDGED) -> NDArray[np.int64]:
    """Every so many of them that about `most` steps are left; two at least, if there are two, for
    of one alone there is no interval."""
    every = max(1, -(-int(_lengths(log, episodes).sum()) // most))
    kept = episodes[::every]
    return kept if len(kept) >= FEWEST_EPISODES else episodes[[0, -1]][: len(episodes)]


def judged(
    log: Log, episodes: NDArray[np.int64], form: ObservationForm, codec: ActionCodec
) -> Judged:
    """Those without a transition are left out. EnvironmentFault if fewer than two have any."""
    found = usable(log, episodes)
    if len(found) < FEWEST_EPISODES:
        raise EnvironmentFault(
            0,
            f"of the {len(episodes)} episodes to judge by {len(found)} have a transition with a "
            f"known outcome; at least {FEWEST_EPISODES} are needed, or validation_fraction 0 for "
            "no judgement",
        )
    return lived(log, thinned(log, found), form, codec)


def lived(
    log: Log, episodes: NDArray[np.int64], form: ObservationForm, codec: ActionCodec
) -> Judged:
    """As they are: each has a transition, and there is one at least."""
    states, next_states, steps, next_actions, episode_of, moments = [], [], [], [], [], []
    for index, episode in enumerate(episodes):
        history = FrameHistory(form)
        for moment, step in enumerate(_steps(log, int(episode), codec)):
            if moment == 0:
                history.begin(step.frame)
            states.append(history.input())
            history.append(step.next_frame)
            next_states.append(history.input())
            steps.append(step)
            next_actions.append(_next_action(log, int(episode), step.row, codec))
            episode_of.append(index)
            moments.append(moment)
    rows = np.array([step.row for step in steps])
    actions = np.stack([step.action for step in steps])
    nothing = np.zeros_like(actions[0])
    return Judged(
        states=np.stack(states),
        actions=actions,
        rewards=log.rewards[rows].astype(np.float64),
        next_states=np.stack(next_states),
        terminated=log.terminated[rows],
        next_actions=np.stack([nothing if each is None else each for each in next_actions]),
        followed=log.terminated[rows] | np.array([each is not None for each in next_actions]),
        episode=np.array(episode_of),
        moment=np.array(moments),
        propensities=None if log.propensities is None else log.propensities[rows],
    )
