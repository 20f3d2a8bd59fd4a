"""`python -m benchmarks.learning.sepsis`: exact survival in ICU-Sepsis, from the package's tables.

The reward is 1 for survival and 0 for everything else, so the undiscounted value of a policy,
averaged over the first states, is the share of patients who survive under it. The environment's
limit of 500 steps is left out: nearly all episodes end long before it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

import gymnasium
import numpy as np
from numpy.typing import NDArray

Table: TypeAlias = NDArray[np.float64]
# Sweeps go on until no value changes by more than this.
TOLERANCE = 1e-10


@dataclass(frozen=True)
class Tables:
    """S states and A actions. `moves`: (S, A, S) probabilities; `rewards`: (S, A), expected;
    `begins`: (S,); `legal`: (S, A); `experts`: (S, A), what clinicians did. No reward comes after
    death or survival."""

    moves: Table
    rewards: Table
    begins: Table
    legal: NDArray[np.bool_]
    experts: Table

    @property
    def uniform(self) -> Table:
        """(S, A): every legal action alike."""
        counts = self.legal.sum(axis=1, keepdims=True)
        uniform: Table = self.legal / counts
        return uniform

    def survival(self, policy: Table) -> float:
        """Of a policy (S, A)."""
        return self._settled(lambda values: (policy * values).sum(axis=1))

    def best_survival(self) -> float:
        """Of the best policy, by value iteration."""
        return self._settled(lambda values: np.where(self.legal, values, -np.inf).max(axis=1))

    def _settled(self, choose: Callable[[Table], Table]) -> float:
        """`choose`: what (S, A) values of actions make of a state, (S,)."""
        value, change = np.zeros(len(self.begins)), np.inf
        while change > TOLERANCE:
            new = choose(self.rewards + self.moves @ value)
            value, change = new, float(np.abs(new - value).max())
        return float(self.begins @ value)


def read_tables() -> Tables:
    import mrq_core.suites.icu_sepsis  # noqa: F401  (registers it)

    env: Any = gymnasium.make("Sepsis/ICU-Sepsis-v2", disable_env_checker=True).unwrapped
    known = env.dynamics
    moves, given = known["tx_mat"], known["r_mat"]
    legal = np.zeros(moves.shape[:2], np.bool_)
    for state, actions in enumerate(known["admissible_actions"]):
        legal[state, list(actions)] = True
    return Tables(moves, (moves * given).sum(axis=2), known["d_0"], legal, env.expert_policy)


def main() -> None:
    tables = read_tables()
    print(f"every legal action alike: {tables.survival(tables.uniform):.4f}")
    print(f"what clinicians did:      {tables.survival(tables.experts):.4f}")
    print(f"the best policy:          {tables.best_survival():.4f}")


if __name__ == "__main__":
    main()
