"""The pendulum of Gymnasium seen by a camera, `mrq/PixelPendulum-v0`.

Swing it up and hold it upright, by a torque too weak to lift it in one go; actions, rewards and
time limit are those of `Pendulum-v1`. Where that one tells angle and speed, this one shows a gray
frame: the rod from its pivot outwards in white, an equally long counterweight in black, on mid
gray. A single frame tells no speed: it takes two.
What uniformly random actions return: `python -m benchmarks.learning.random_policy PixelPendulum`.
"""

from __future__ import annotations

import numpy as np
from gymnasium import spaces
from gymnasium.envs.classic_control.pendulum import PendulumEnv
from numpy.typing import NDArray

SIDE = 42
REACH = 20  # pixels from the pivot, which is the middle of the frame
HALF_WIDTH = 4
BACKGROUND, ROD, COUNTERWEIGHT = 128, 255, 0

Frame = NDArray[np.uint8]


class PixelPendulum(PendulumEnv):
    """The observation is (SIDE, SIDE). `g` is gravity's acceleration, in m/s^2."""

    def __init__(self, render_mode: str | None = None, g: float = 10.0) -> None:
        super().__init__(render_mode=render_mode, g=g)
        self.observation_space = spaces.Box(0, 255, (SIDE, SIDE), np.uint8)
        middle = (SIDE - 1) / 2
        self._down, self._right = np.mgrid[:SIDE, :SIDE] - middle

    def _get_obs(self) -> Frame:
        """The angle is 0 upright and grows counterclockwise."""
        angle, _ = self.state
        along = -self._right * np.sin(angle) - self._down * np.cos(angle)
        across = self._right * np.cos(angle) - self._down * np.sin(angle)
        bar = (np.abs(across) <= HALF_WIDTH) & (np.abs(along) <= REACH)
        frame = np.full((SIDE, SIDE), BACKGROUND, np.uint8)
        frame[bar & (along > 0)] = ROD
        frame[bar & (along < 0)] = COUNTERWEIGHT
        return frame
