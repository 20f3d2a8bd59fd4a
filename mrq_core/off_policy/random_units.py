"""A second opinion on which functions of state and action a value may be: fixed random units."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mrq_core.spaces import Floats

Numbers = NDArray[np.float64]

UNITS = 256
SPREAD = 0.7
SHIFT = 2.0
_NARROWEST = 1e-6


class RandomUnits:
    """tanh of random directions of the state, in units of its spread, and the action."""

    def __init__(self, states: Floats, actions: int) -> None:
        rng = np.random.default_rng(0)  # the same in every run: part of the method
        self.centre = states.mean(axis=0, dtype=np.float64)
        self.spread = np.maximum(states.std(axis=0, dtype=np.float64), _NARROWEST)
        inputs = states.shape[1] + actions
        self.weights = rng.normal(0.0, SPREAD, (inputs, UNITS))
        self.shifts = rng.uniform(-SHIFT, SHIFT, UNITS)

    def __call__(self, states: Floats, actions: Floats) -> Numbers:
        """(N, S) and (N, A) -> (N, UNITS)"""
        scaled = (states - self.centre) / self.spread
        found: Numbers = np.tanh(np.column_stack([scaled, actions]) @ self.weights + self.shifts)
        return found
