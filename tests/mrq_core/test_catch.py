"""Catch: its rules on written-out falls, and what kinds of play return."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

import mrq_core.tasks  # noqa: F401  (registers it)
from mrq_core.tasks.catch import (
    BALL,
    LANDING_ROW,
    LEFT,
    PADDLE,
    RIGHT,
    RIGHTMOST_BALL,
    STAY,
    STEPS_PER_FALL,
    Catch,
)

ID = "mrq/Catch-v0"


def placed(*, paddle: int, column: int, row: int, speed: int) -> Catch:
    game = Catch()
    game.reset(seed=0)
    game.paddle, game.column, game.row, game.speed = paddle, column, row, speed
    return game


def test_gymnasium_finds_nothing_wrong() -> None:
    check_env(gymnasium.make(ID).unwrapped)


def test_its_name_alone_registers_it() -> None:
    env = gymnasium.make(f"mrq_core.tasks:{ID}")
    assert env.spec is not None
    assert env.spec.max_episode_steps == 96  # 8 falls of 12 steps


def test_the_frame_shows_ball_and_paddle_and_nothing_else() -> None:
    game = placed(paddle=10, column=4, row=0, speed=2)
    frame, *_ = game.step(np.int64(STAY))
    wanted = np.zeros((42, 42), np.uint8)
    wanted[39:42, 10:19] = 255
    wanted[3:6, 6:9] = 255
    np.testing.assert_array_equal(frame, wanted)


@pytest.mark.parametrize(("action", "paddle"), [(LEFT, 6), (STAY, 10), (RIGHT, 14)])
def test_the_paddle_moves_four_columns(action: int, paddle: int) -> None:
    game = placed(paddle=10, column=4, row=0, speed=2)
    game.step(np.int64(action))
    assert game.paddle == paddle


@pytest.mark.parametrize(("start", "action", "end"), [(2, LEFT, 0), (31, RIGHT, 33)])
def test_the_paddle_stops_at_the_walls(start: int, action: int, end: int) -> None:
    game = placed(paddle=start, column=4, row=0, speed=2)
    game.step(np.int64(action))
    assert game.paddle == end


@pytest.mark.parametrize(
    ("column", "speed", "column_after", "speed_after"),
    [(1, -4, 3, 4), (37, 6, 35, -6), (4, -4, 0, -4), (37, 2, 39, 2)],
)
def test_the_ball_bounces(column: int, speed: int, column_after: int, speed_after: int) -> None:
    game = placed(paddle=10, column=column, row=0, speed=speed)
    game.step(np.int64(STAY))
    assert (game.column, game.speed) == (column_after, speed_after)


@pytest.mark.parametrize(
    ("landing", "reward"),
    # The paddle covers columns 10 to 18, the ball three columns from `landing` on.
    [(7, -1.0), (8, 1.0), (12, 1.0), (18, 1.0), (19, -1.0)],
)
def test_a_ball_that_touches_the_paddle_is_caught(landing: int, reward: float) -> None:
    game = placed(paddle=10, column=landing - 2, row=33, speed=2)
    _, got, terminated, truncated, _ = game.step(np.int64(STAY))
    assert (got, terminated, truncated) == (reward, False, False)


def test_a_fall_takes_twelve_steps_and_only_its_last_is_rewarded() -> None:
    game = Catch()
    game.reset(seed=3)
    rewards = [game.step(np.int64(STAY))[1] for _ in range(3 * STEPS_PER_FALL)]
    assert STEPS_PER_FALL == 12
    assert [i for i, reward in enumerate(rewards, 1) if reward] == [12, 24, 36]


def test_a_seed_decides_the_whole_game() -> None:
    games = [Catch(), Catch()]
    frames = [[game.reset(seed=5)[0]] for game in games]
    for game, seen in zip(games, frames, strict=True):
        seen += [game.step(np.int64(step % 3))[0] for step in range(40)]
    np.testing.assert_array_equal(frames[0], frames[1])
    other = Catch().reset(seed=6)[0]
    assert (other != frames[0][0]).any()


def test_frames_are_not_drawn_over() -> None:
    game = Catch()
    first, _ = game.reset(seed=0)
    before = first.copy()
    game.step(np.int64(RIGHT))
    np.testing.assert_array_equal(first, before)


def towards(game: Catch, column: int) -> int:
    distance = (column + BALL // 2) - (game.paddle + PADDLE // 2)
    return STAY if abs(distance) <= 1 else LEFT if distance < 0 else RIGHT


def follow(game: Catch) -> int:
    return towards(game, game.column)


def foresee(game: Catch) -> int:
    """Knows the ball's direction; of the next ball it knows nothing before seeing it."""
    if game.row == LANDING_ROW:
        return STAY
    column, speed = game.column, game.speed
    for _ in range((LANDING_ROW - game.row) // 3):
        column += speed
        if not 0 <= column <= RIGHTMOST_BALL:
            column = -column if column < 0 else 2 * RIGHTMOST_BALL - column
            speed = -speed
    return towards(game, column)


def returns_of(play: Callable[[Catch], int], episodes: int) -> list[float]:
    env: gymnasium.Env[Any, Any] = gymnasium.make(ID, disable_env_checker=True)
    game = env.unwrapped
    assert isinstance(game, Catch)
    returns = []
    for seed in range(episodes):
        env.reset(seed=seed)
        total, truncated = 0.0, False
        while not truncated:
            _, reward, _, truncated, _ = env.step(np.int64(play(game)))
            total += float(reward)
        returns.append(total)
    return returns


def test_foresight_catches_every_ball_and_following_does_not() -> None:
    assert set(returns_of(foresee, 100)) == {8.0}
    following = np.mean(returns_of(follow, 100))
    assert 2.2 < following < 5.0
