"""A board game of two against a fixed opponent: Connect Four and chess.

The opponent moves at random among the legal moves, by the environment's own seed; who begins is
drawn at each reset. What one sees is always one's own side of the board. A win gives 1, a loss -1,
a draw and every move before the end 0. Only legal moves are taken, which `action_mask` names.

The rules are PettingZoo's, imported when a game is made; chess needs `chess`, which is GPL-3.0.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import gymnasium
import numpy as np
from numpy.typing import NDArray

Seen: TypeAlias = dict[str, Any]


# The opponent's choice among the legal moves.
Opponent: TypeAlias = Callable[[NDArray[np.intp], np.random.Generator], int]


def at_random(legal: NDArray[np.intp], chance: np.random.Generator) -> int:
    return int(chance.choice(legal))


class BoardGame(gymnasium.Env[Seen, np.int64]):
    """`game` is a two-player environment of PettingZoo whose observations have masks."""

    def __init__(self, game: Any) -> None:
        self.game = game
        self.opponent_move: Opponent = at_random
        self.me, self.opponent = game.possible_agents
        self.observation_space = game.observation_space(self.me)
        self.action_space = game.action_space(self.me)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Seen, dict[str, Any]]:
        super().reset(seed=seed, options=options)
        self.game.reset()
        seats = list(self.game.possible_agents)
        if self.np_random.integers(2):
            seats.reverse()
        self.me, self.opponent = seats
        self._let_opponent_move()
        return self._see(), {}

    def step(self, action: np.int64) -> tuple[Seen, float, bool, bool, dict[str, Any]]:
        if not self._see()["action_mask"][action]:
            raise ValueError(f"action {action} is not legal here")
        self.game.step(int(action))
        self._let_opponent_move()
        return self._see(), float(self.game.rewards[self.me]), self._over, False, {}

    def close(self) -> None:
        self.game.close()

    @property
    def _over(self) -> bool:
        return any(self.game.terminations.values())

    def _let_opponent_move(self) -> None:
        if not self._over and self.game.agent_selection == self.opponent:
            legal = np.flatnonzero(self.game.observe(self.opponent)["action_mask"])
            self.game.step(self.opponent_move(legal, self.np_random))

    def _see(self) -> Seen:
        seen: Seen = self.game.observe(self.me)
        return seen


def connect_four() -> BoardGame:
    from pettingzoo.classic.connect_four.connect_four import raw_env

    return BoardGame(raw_env())


def chess() -> BoardGame:
    from pettingzoo.classic.chess.chess import raw_env

    return BoardGame(raw_env())
