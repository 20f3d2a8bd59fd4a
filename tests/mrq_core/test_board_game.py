"""Games against a fixed opponent: seats, rewards, masks, and chance that follows from the seed."""

from __future__ import annotations

from collections.abc import Callable

import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

from mrq_core.tasks.board_game import BoardGame, chess, connect_four

GAMES = pytest.mark.parametrize("make", [connect_four, chess])
COLUMN = 6


def a_random_game(env: BoardGame, seed: int) -> tuple[float, int]:
    chance = np.random.default_rng(1000 + seed)  # with the opponent's seed it would mirror him
    seen, _ = env.reset(seed=seed)
    total, moves, over = 0.0, 0, False
    while not over:
        legal = np.flatnonzero(seen["action_mask"])
        assert legal.size > 0
        seen, reward, over, truncated, _ = env.step(chance.choice(legal))
        assert not truncated
        assert reward == 0 or over
        total, moves = total + reward, moves + 1
    return total, moves


@GAMES
def test_what_is_seen_is_in_its_space(make: Callable[[], BoardGame]) -> None:
    env = make()
    seen, _ = env.reset(seed=0)
    assert env.observation_space.contains(seen)


def test_gymnasium_finds_nothing_wrong_with_one_that_takes_only_legal_actions() -> None:
    """The checker takes one action, in an empty board: all are legal there."""
    check_env(connect_four(), skip_render_check=True)


@GAMES
def test_a_seed_decides_the_game(make: Callable[[], BoardGame]) -> None:
    env = make()
    games = [a_random_game(env, seed) for seed in (1, 1)]
    assert games[0] == games[1]


def test_both_seats_are_drawn_and_both_sides_win() -> None:
    env = connect_four()
    results, seats = [], set()
    for seed in range(40):
        results.append(a_random_game(env, seed)[0])
        seats.add(env.me)
    assert seats == {"player_0", "player_1"}
    assert {-1.0, 1.0} <= set(results) <= {-1.0, 0.0, 1.0}
    assert abs(np.mean(results)) < 0.5  # two random players are equals


def test_in_the_second_seat_the_opponent_has_moved_already() -> None:
    env = connect_four()
    stones = {}
    for seed in range(10):
        seen, _ = env.reset(seed=seed)
        stones[env.me] = seen["observation"].sum(axis=(0, 1)).tolist()
    # One's own, and the opponent's.
    assert stones == {"player_0": [0, 0], "player_1": [0, 1]}


def _with_the_opponent_in_column(env: BoardGame, columns: list[int]) -> None:
    """Plays on, whatever the seed would have drawn: the opponent's moves are given."""
    moves = iter(columns)
    env.opponent_move = lambda *_: next(moves)


def first_seat(env: BoardGame) -> None:
    for seed in range(20):
        env.reset(seed=seed)
        if env.me == "player_0":
            return
    raise AssertionError


def test_four_in_a_row_win_and_four_of_the_opponents_lose() -> None:
    env = connect_four()
    first_seat(env)
    _with_the_opponent_in_column(env, [1, 1, 1])
    answers = [env.step(np.int64(0)) for _ in range(4)]
    assert [answer[1] for answer in answers] == [0, 0, 0, 1]
    assert [answer[2] for answer in answers] == [False, False, False, True]

    env = connect_four()
    first_seat(env)
    _with_the_opponent_in_column(env, [3, 3, 3, 3])
    answers = [env.step(np.int64(column)) for column in (0, 0, 0, 5)]
    assert [answer[1] for answer in answers] == [0, 0, 0, -1]
    assert answers[-1][2]


def test_a_full_column_is_masked_and_refused() -> None:
    env = connect_four()
    first_seat(env)
    _with_the_opponent_in_column(env, [0, 0, 0])
    for _ in range(3):
        seen = env.step(np.int64(0))[0]
    assert seen["action_mask"].tolist() == [0, 1, 1, 1, 1, 1, 1]
    with pytest.raises(ValueError, match="action 0 is not legal here"):
        env.step(np.int64(0))


def test_mate_in_chess_is_a_win_for_the_one_who_gives_it() -> None:
    """Fool's mate, with the pieces of whoever has the second seat."""
    from pettingzoo.classic.chess.chess_utils import action_to_move

    env = chess()
    for seed in range(20):
        env.reset(seed=seed)
        if env.me == "player_1":
            break
    env.game.reset()
    white = iter(["f2f3", "g2g4"])

    def move(name: str, side: int) -> int:
        legal = np.flatnonzero(env.game.observe(env.game.agent_selection)["action_mask"])
        found = [a for a in legal if str(action_to_move(env.game.board, a, side)) == name]
        return int(found[0])

    env.opponent_move = lambda *_: move(next(white), 0)
    env._let_opponent_move()
    assert env.step(np.int64(move("e7e5", 1)))[1:3] == (0.0, False)
    assert env.step(np.int64(move("d8h4", 1)))[1:3] == (1.0, True)


def test_the_names_alone_register_them() -> None:
    for name, steps in (("ConnectFour", 21), ("Chess", 300)):
        spec = gymnasium.make(f"mrq_core.tasks:mrq/{name}-v0").spec
        assert spec is not None
        assert spec.max_episode_steps == steps
