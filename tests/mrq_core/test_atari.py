"""The paper's protocol, step by step, beside the bare game of ale-py."""

from __future__ import annotations

from typing import Any

import ale_py
import gymnasium
import numpy as np
import pytest

from mrq_core.environments import Environment
from mrq_core.suites import atari
from store.catalogue import CATALOGUE


def bare(**kwargs: Any) -> Any:
    options = {"game": "pong", "frameskip": 1, "repeat_action_probability": 0.0} | kwargs
    return ale_py.AtariEnv(**options)


@pytest.fixture(scope="module")
def pong() -> Any:
    return gymnasium.make("Atari/Pong-v5", repeat_action_probability=0.0)


def test_the_games_are_those_of_the_catalogue() -> None:
    assert {f"Atari/{game}-v5" for game in atari.GAMES} == {
        entry.id for entry in CATALOGUE.values() if entry.area == "atari"
    }


def test_an_action_is_four_frames_and_their_rewards_add_up(pong: Any) -> None:
    pong.reset(seed=1)
    console = bare()
    console.reset(seed=1)
    for action in [0, 2, 3] * 40:
        rewards = [console.step(action)[1] for _ in range(4)]
        _, reward, *_, info = pong.step(action)
        assert reward == sum(rewards)
    assert info["episode_frame_number"] == 4 * 120


def test_an_observation_is_the_brighter_of_the_last_two_frames(pong: Any) -> None:
    import cv2

    pong.reset(seed=1)
    console = bare(obs_type="grayscale")
    console.reset(seed=1)
    for step in range(30):
        frames = [console.step(step % 6)[0] for _ in range(4)]
        seen = pong.step(step % 6)[0]
        wanted = cv2.resize(
            np.maximum(frames[2], frames[3]), (84, 84), interpolation=cv2.INTER_AREA
        )
        np.testing.assert_array_equal(seen, wanted)


def test_four_frames_make_an_input_and_nothing_happens_before_the_first() -> None:
    environment = Environment("mrq_core.suites.atari:Atari/Pong-v5", {}, None)
    environment.reset(0, 0)
    assert environment.form.input_shape == (4, 84, 84)
    console: Any = environment.env.unwrapped
    assert console.ale.getEpisodeFrameNumber() == 0
    assert console.ale.getFloat("repeat_action_probability") == 0.25
    environment.close()


def test_a_lost_life_ends_no_episode() -> None:
    env = gymnasium.make("Atari/Breakout-v5")
    *_, info = env.reset(seed=0)
    lives, over = info["lives"], False
    chance = np.random.default_rng(0)
    while info["lives"] == lives:
        assert not over
        *_, over, _, info = env.step(chance.integers(4))
    assert not over
    env.close()
