"""A very short training in one environment of every area whose package is not ours."""

from __future__ import annotations

import warnings

import pytest

from mrq_core.events import Evaluated, Finished
from mrq_core.training import train
from store.catalogue import CATALOGUE
from tests.mrq_core.toys import tiny_run

ONE_OF_EACH = {
    "dm_control": "dm_control/quadruped-walk-v0",
    "dm_control pixels": "dm_control_pixels/cartpole-swingup-v0",
    "robotics": "FetchReachDense-v4",
    "driving": "parking-v0",
    "drone": "mrq/DroneAvoid-v0",
    "minatar": "MinAtar/Breakout-v1",
    "atari": "Atari/Pong-v5",
    "strategy games": "mrq/ConnectFour-v0",
    "health": "Sepsis/ICU-Sepsis-v2",
    "markets": "mrq/Trading-v0",
    "recommendation": "mrq/Recommend-v0",
}
ELSEWHERE = {"classic control", "toy text", "box2d", "pixels", "mujoco", "markets", "logs"}


def test_no_area_is_left_out() -> None:
    assert {entry.area for entry in CATALOGUE.values()} == set(ONE_OF_EACH) | ELSEWHERE


@pytest.mark.parametrize(
    "environment_id", [*ONE_OF_EACH.values(), "mrq/Chess-v0", "glucosim/BasalControl-v0"]
)
def test_it_is_trained_in_and_evaluated(environment_id: str) -> None:
    entry = CATALOGUE[environment_id]
    run = tiny_run(
        entry.gymnasium_id,
        max_episode_steps=min(20, entry.max_episode_steps),
        limit_terminates=entry.limit_terminates,
        evaluation_epsilon=entry.evaluation_epsilon,
        evaluation_every=60,
        evaluation_episodes=1,
        total_steps=60,
        checkpoint_every=60,
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what environments' own imports deprecate
        events = list(train(run))
    assert [event.step for event in events if isinstance(event, Evaluated)] == [0, 60]
    assert isinstance(events[-1], Finished)
