"""An episode by whatever chooses the actions, in the environment as training sees it."""

from __future__ import annotations

from collections.abc import Callable

from mrq_core.actions import Mask
from mrq_core.environments import Environment
from mrq_core.spaces import Floats


def play(environment: Environment, seed: int, choose: Callable[[Mask | None], Floats]) -> float:
    """The return. `choose` is told what is legal, and gives the network's action (A,)."""
    mask = environment.reset(seed, 0).mask
    total, ended = 0.0, False
    while not ended:
        outcome = environment.step(environment.executable(choose(mask)), 0)
        mask = outcome.mask
        total += outcome.reward
        ended = outcome.terminated or outcome.truncated
    return total
