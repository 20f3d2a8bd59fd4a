"""`mrq env check`: whether an environment can be trained in, and how fast it is.

It is made and stepped as training does it, with random legal actions. Findings are of three kinds:
`ok`; `note`, with which it can be trained; `FAIL`, with which a job would end or learn nonsense.
"""

import os
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import gymnasium
import numpy as np

from mrq_core.environments import DEFAULT_MAX_EPISODE_STEPS, Environment, Frame, Outcome
from mrq_core.errors import TrainingError
from mrq_core.spaces import SpaceError

ID = "mrq-env-check/Checked-v0"
# Steps that are taken again with the same seed.
REPEATED = 100
# More than this, while it is only stepped, is a leak that a long job would feel.
GROWTH_BYTES = 64 << 20

Kind = Literal["ok", "note", "FAIL"]


@dataclass(frozen=True)
class Finding:
    kind: Kind
    text: str


@dataclass
class Walk:
    """What random actions met."""

    steps: int = 0
    seconds: float = 0.0
    rewards: list[float] = field(default_factory=list)
    lengths: list[int] = field(default_factory=list)
    terminated: int = 0
    growth: int = 0
    trace: list[tuple[bytes, float, bool, bool]] = field(default_factory=list)


@dataclass(frozen=True, kw_only=True)
class Checked:
    entry_point: str
    kwargs: Mapping[str, Any]
    max_episode_steps: int | None

    def make(self) -> Environment:
        gymnasium.registry.pop(ID, None)
        gymnasium.register(id=ID, entry_point=self.entry_point)
        return Environment(ID, self.kwargs, self.max_episode_steps)


def check(checked: Checked, steps: int) -> Iterator[Finding]:
    """Ends with the first failure that leaves nothing to look at."""
    # An environment beside the operator's feet, as `python -m` would find it.
    if (here := str(Path.cwd())) not in sys.path:
        sys.path.insert(0, here)
    try:
        environment = checked.make()
        yield from _look(checked, environment, steps)
        yield from _close(environment)
    except (TrainingError, SpaceError) as error:
        yield Finding("FAIL", str(error))
    except Exception as error:  # the environment's code may raise anything, anywhere
        yield Finding("FAIL", f"{type(error).__name__}: {error}")


def _close(environment: Environment) -> Iterator[Finding]:
    try:
        environment.close()
    except Exception as error:
        yield Finding("FAIL", f"close: {type(error).__name__}: {error}")


def _look(checked: Checked, environment: Environment, steps: int) -> Iterator[Finding]:
    environment.reset(seed=0, step=0)  # held to its space, as `_is_outside` needs it
    yield Finding("ok", _spaces(environment))
    if _is_outside(environment):
        yield Finding("note", "the first observation is outside of its space's bounds")
    walk = take(environment, steps)
    yield Finding("ok", _told(walk))
    yield from _seeds(checked, environment, walk)
    yield from _ends(checked, walk)
    pace = walk.steps / max(walk.seconds, 1e-9)
    yield Finding("ok", f"{pace:,.0f} steps a second, resets included")
    text = f"{walk.growth / 2**20:+.1f} MiB of memory while it was stepped"
    yield Finding("note" if walk.growth > GROWTH_BYTES else "ok", text)


def _spaces(environment: Environment) -> str:
    form, codec = environment.form, environment.codec
    shape = " x ".join(map(str, form.frame_shape))
    choices = " and ".join(map(str, codec.components))
    actions = f"one of {choices}" if codec.components else f"{codec.action_dim} numbers"
    masked = ", with masks" if environment.masked else ""
    return f"observations: {form.kind}, {shape}; actions: {actions}{masked}"


def _is_outside(environment: Environment) -> bool:
    observation, _ = environment.env.reset(seed=0)
    space = environment.env.observation_space
    if not isinstance(space, gymnasium.spaces.Box):
        return False
    array = np.asarray(observation)
    return bool(((array < space.low) | (array > space.high)).any())


def take(environment: Environment, steps: int, seed: int = 0) -> Walk:
    chance = np.random.default_rng(1)
    walk, length = Walk(), 0
    before, begun = _memory(), time.perf_counter()
    seen: Frame | Outcome = environment.reset(seed, 0)
    walk.trace.append((seen.observation.tobytes(), 0.0, False, False))
    for step in range(1, steps + 1):
        action = environment.executable(environment.codec.uniform(chance, seen.mask))
        seen = outcome = environment.step(action, step)
        length += 1
        walk.rewards.append(outcome.reward)
        if step <= REPEATED:
            told = (outcome.reward, outcome.terminated, outcome.truncated)
            walk.trace.append((outcome.observation.tobytes(), *told))
        if outcome.terminated or outcome.truncated:
            walk.lengths.append(length)
            walk.terminated += outcome.terminated
            length, seen = 0, environment.reset(seed + step, step)
    walk.steps, walk.seconds = steps, time.perf_counter() - begun
    walk.growth = _memory() - before
    return walk


def _told(walk: Walk) -> str:
    ends = f"{len(walk.lengths)} episodes ended, {walk.terminated} of them terminated"
    low, high = min(walk.rewards), max(walk.rewards)
    return f"{walk.steps:,} steps; {ends}; rewards from {low:g} to {high:g}, all finite"


def _seeds(checked: Checked, environment: Environment, first: Walk) -> Iterator[Finding]:
    """In the same environment and in a new one, where a resumed job plays its episode again."""
    steps = min(REPEATED, first.steps)
    same = take(environment, steps).trace == first.trace[: steps + 1]
    other = checked.make()
    anew = take(other, steps).trace == first.trace[: steps + 1]
    yield from _close(other)
    if anew and same:
        yield Finding("ok", f"a seed decides {steps} steps, in this environment and in a new one")
    elif anew:
        text = "something outlives a reset: a seed decides only what happens in a new environment"
        yield Finding("note", f"{text}, so that evaluations differ and resuming cuts an episode")
    else:
        text = "the same seed gives something else: jobs are not reproducible"
        yield Finding("note", f"{text}, and resuming cuts the episode under way")


def _ends(checked: Checked, walk: Walk) -> Iterator[Finding]:
    if len(set(walk.rewards)) == 1:
        yield Finding("note", "every reward was the same: random actions show nothing to learn")
    if checked.max_episode_steps is None:
        text = f"no --max-episode-steps: an episode is cut after {DEFAULT_MAX_EPISODE_STEPS} steps"
        yield Finding("note", text)
    if walk.terminated and len(set(walk.lengths)) == 1 and len(walk.lengths) > 1:
        text = f"all {len(walk.lengths)} episodes end after {walk.lengths[0]} steps"
        yield Finding("note", f"{text}: if that is a time limit, limit_terminates belongs here")


def _memory() -> int:
    pages = Path("/proc/self/statm").read_text().split()[1]
    return int(pages) * os.sysconf("SC_PAGE_SIZE")
