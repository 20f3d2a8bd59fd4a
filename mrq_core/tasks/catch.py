"""Catch: a pixel task that one CPU core can learn, `mrq/Catch-v0`.

Balls fall one after the other, each from a random column at the top with a random sideways speed,
and bounce off the walls. The paddle at the bottom moves left, stays or moves right. A ball that
lands on the paddle gives +1, one that misses it -1, and every other step 0. The next ball starts
with the step after; the paddle stays where it is.

A single frame does not tell where a ball is going: it takes two. A paddle that merely follows the
ball's column is too slow for the faster balls. Wherever ball and paddle are when a fall begins, the
ball can be caught, so that perfect play returns FALLS_PER_EPISODE and missing all its negative.
The task never terminates; the registered time limit truncates it after FALLS_PER_EPISODE balls.
"""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

SIDE = 42
BALL = 3
PADDLE = 9
PADDLE_HEIGHT = 3
FALL_SPEED = 3
PADDLE_SPEED = 4
SIDEWAYS_SPEEDS = (-6, -4, -2, 2, 4, 6)
FALLS_PER_EPISODE = 8

LANDING_ROW = SIDE - PADDLE_HEIGHT - BALL
STEPS_PER_FALL = LANDING_ROW // FALL_SPEED
RIGHTMOST_BALL = SIDE - BALL
RIGHTMOST_PADDLE = SIDE - PADDLE

LEFT, STAY, RIGHT = range(3)

Frame = NDArray[np.uint8]


class Catch(gymnasium.Env[Frame, np.int64]):
    """Columns and rows are those of the upper left pixel; the observation is (SIDE, SIDE)."""

    def __init__(self) -> None:
        self.observation_space = spaces.Box(0, 255, (SIDE, SIDE), np.uint8)
        self.action_space = spaces.Discrete(3)
        self.paddle = 0
        self.column = 0
        self.row = 0
        self.speed = 0  # sideways

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Frame, dict[str, Any]]:
        super().reset(seed=seed, options=options)
        self.paddle = int(self.np_random.integers(RIGHTMOST_PADDLE + 1))
        self._drop()
        return self._draw(), {}

    def step(self, action: np.int64) -> tuple[Frame, float, bool, bool, dict[str, Any]]:
        if self.row == LANDING_ROW:
            self._drop()
        self.paddle += PADDLE_SPEED * (int(action) - STAY)
        self.paddle = min(max(self.paddle, 0), RIGHTMOST_PADDLE)
        self._fall()
        return self._draw(), self._reward(), False, False, {}

    def _drop(self) -> None:
        self.row = 0
        self.column = int(self.np_random.integers(RIGHTMOST_BALL + 1))
        self.speed = SIDEWAYS_SPEEDS[self.np_random.integers(len(SIDEWAYS_SPEEDS))]

    def _fall(self) -> None:
        self.row += FALL_SPEED
        self.column += self.speed
        if not 0 <= self.column <= RIGHTMOST_BALL:
            wall = 0 if self.column < 0 else RIGHTMOST_BALL
            self.column = 2 * wall - self.column
            self.speed = -self.speed

    def _reward(self) -> float:
        if self.row < LANDING_ROW:
            return 0.0
        overlaps = self.paddle - BALL < self.column < self.paddle + PADDLE
        return 1.0 if overlaps else -1.0

    def _draw(self) -> Frame:
        frame = np.zeros((SIDE, SIDE), np.uint8)
        frame[SIDE - PADDLE_HEIGHT :, self.paddle : self.paddle + PADDLE] = 255
        frame[self.row : self.row + BALL, self.column : self.column + BALL] = 255
        return frame
