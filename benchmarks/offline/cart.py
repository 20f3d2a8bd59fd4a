"""A cart on a short rail, pushed left or right, and a clumsy driver whose runs are logged.

`python -m benchmarks.offline.cart > cart.csv` writes such a log: a push to the left is 0, none is
1, to the right is 2.

Place and speed are observed. The reward is how near to the middle the cart is; beyond the rail's
end the episode terminates, after STEPS it is truncated. Many carts at once: all arrays are (B).
"""

from __future__ import annotations

import argparse
import io
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Numbers: TypeAlias = NDArray[np.float64]
# (B, 2) -> (B): the push, from -1 to 1.
Driver: TypeAlias = Callable[[Numbers], Numbers]

STEPS = 40
RAIL = 2.0
PUSH = 0.12
JITTER = 0.02
HEADER = ("episode", "place", "speed", "action", "reward", "terminated", "truncated")


def starts(count: int, rng: np.random.Generator) -> Numbers:
    return np.column_stack([rng.uniform(-1.2, 1.2, count), rng.uniform(-0.2, 0.2, count)])


def step(
    state: Numbers, push: Numbers, rng: np.random.Generator
) -> tuple[Numbers, Numbers, NDArray[np.bool_]]:
    """(B, 2) and (B) -> what is next, the rewards, and who has left the rail."""
    speed = state[:, 1] + PUSH * push + rng.normal(0, JITTER, len(state))
    after = np.column_stack([state[:, 0] + speed, speed])
    return after, np.exp(-2 * np.square(after[:, 0])), np.abs(after[:, 0]) > RAIL


def clumsy(state: Numbers) -> Numbers:
    """Towards the middle with all its force, so that it swings."""
    return -np.sign(state[:, 0])


@dataclass(frozen=True)
class Logging:
    """`clumsy` with a share of uniform actions: of -1, 0 and 1, or of the numbers between."""

    discrete: bool
    chance: float = 0.4

    def act(self, state: Numbers, rng: np.random.Generator) -> tuple[Numbers, Numbers]:
        """The pushes and their probabilities; of a continuous one there is none: NaN."""
        meant = clumsy(state)
        by_chance = rng.random(len(state)) < self.chance
        if not self.discrete:
            pushes = np.where(by_chance, rng.uniform(-1, 1, len(state)), meant)
            return pushes, np.full(len(state), np.nan)
        pushes = np.where(by_chance, rng.integers(-1, 2, len(state)), meant)
        return pushes, np.where(pushes == meant, 1 - self.chance, 0.0) + self.chance / 3


def log_csv(episodes: int, logging: Logging, seed: int) -> bytes:
    """As it would be uploaded; a discrete action is 0, 1 or 2. An episode ends with a row of what
    was seen then."""
    rng = np.random.default_rng(seed)
    text = io.StringIO()
    header = (*HEADER, "propensity") if logging.discrete else HEADER
    text.write(",".join(header) + "\n")
    for episode in range(episodes):
        state = starts(1, rng)
        for moment in range(STEPS):
            push, probability = logging.act(state, rng)
            after, reward, gone = step(state, push, rng)
            action = int(push[0]) + 1 if logging.discrete else f"{push[0]:.6f}"
            place, speed = state[0]
            ends = bool(gone[0])
            cut = moment == STEPS - 1 and not ends
            cells = [episode, f"{place:.6f}", f"{speed:.6f}", action, f"{reward[0]:.6f}"]
            cells += [int(ends), int(cut)]
            cells += [f"{probability[0]:.6f}"] if logging.discrete else []
            text.write(",".join(map(str, cells)) + "\n")
            state = after
            if ends:
                break
        final = [episode, f"{state[0, 0]:.6f}", f"{state[0, 1]:.6f}"]
        text.write(",".join(map(str, final)) + "," * (len(header) - len(final)) + "\n")
    return text.getvalue().encode()


def true_value(driver: Driver, discount: float, *, runs: int = 4_000, seed: int = 0) -> float:
    """The mean discounted return, until nothing of it is left."""
    rng = np.random.default_rng(seed)
    state, alive = starts(runs, rng), np.ones(runs, np.bool_)
    total, moments = np.zeros(runs), int(np.ceil(np.log(1e-4) / np.log(discount)))
    for moment in range(moments):
        state, reward, gone = step(state, driver(state), rng)
        total += np.where(alive, reward * discount**moment, 0.0)
        alive &= ~gone
    return float(total.mean())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--episodes", type=int, default=240)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    sys.stdout.buffer.write(log_csv(options.episodes, Logging(True), options.seed))


if __name__ == "__main__":
    main()
