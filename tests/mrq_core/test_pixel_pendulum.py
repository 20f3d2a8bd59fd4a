"""PixelPendulum: what its frames show, and that it is Pendulum-v1 otherwise."""

from __future__ import annotations

import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

import mrq_core.tasks  # noqa: F401  (registers it)
from mrq_core.tasks.pixel_pendulum import BACKGROUND, COUNTERWEIGHT, ROD, SIDE, PixelPendulum

ID = "mrq/PixelPendulum-v0"
UP, LEFT, DOWN, RIGHT = np.pi * np.array([0.0, 0.5, 1.0, 1.5])
# (row, column) of pixels that lie on that side of the pivot
PLACES = {UP: (5, 20), LEFT: (20, 5), DOWN: (36, 20), RIGHT: (20, 36)}


def frame_at(angle: float) -> np.ndarray:
    env = PixelPendulum()
    env.reset(seed=0)
    env.state = np.array([angle, 0.0])
    return env._get_obs()


@pytest.mark.filterwarnings("ignore:.*symmetric and normalized space")  # Pendulum's own actions
def test_gymnasium_finds_nothing_wrong() -> None:
    check_env(gymnasium.make(ID).unwrapped, skip_render_check=True)


@pytest.mark.parametrize("angle", PLACES)
def test_the_rod_points_along_the_angle_and_the_counterweight_away(angle: float) -> None:
    frame = frame_at(angle)
    assert frame[PLACES[angle]] == ROD
    assert frame[PLACES[(angle + np.pi) % (2 * np.pi)]] == COUNTERWEIGHT
    assert frame[0, 0] == BACKGROUND


def test_angles_that_look_alike_are_alike() -> None:
    frames = [frame_at(angle).tobytes() for angle in np.linspace(0, 2 * np.pi, 64, endpoint=False)]
    assert len(set(frames)) == 64
    assert frame_at(1.0).tobytes() == frame_at(1.0 + 2 * np.pi).tobytes()


def test_rewards_and_time_limit_are_those_of_the_pendulum_that_tells_its_angle() -> None:
    envs = [gymnasium.make(ID), gymnasium.make("Pendulum-v1")]
    shapes = [env.reset(seed=4)[0].shape for env in envs]
    assert shapes == [(SIDE, SIDE), (3,)]
    actions = np.random.default_rng(0).uniform(-2, 2, (200, 1)).astype(np.float32)
    for action in actions:
        seen, told = (env.step(action)[1:4] for env in envs)
        assert seen == told
    assert seen[2], "truncated after 200 steps"
