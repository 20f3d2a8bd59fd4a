"""The drone: what it feels, and that it flies as a thing of one kilogram does."""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env
from numpy.typing import NDArray

from mrq_core.tasks.drone_avoid import (
    ALTITUDE,
    BEAM_RANGE,
    BEAMS,
    DRAG,
    GOAL_RADIUS,
    GRAVITY,
    HALF_LENGTH,
    HALF_WIDTH,
    HULL_RADIUS,
    LEAST_GAP,
    MOST_TILT,
    PILLAR_RADIUS,
    START_X,
    THRUST_SPAN,
    DroneAvoid,
)

ID = "mrq_core.tasks:mrq/DroneAvoid-v0"
STAY = np.zeros(4, np.float32)
AHEAD = np.array([0, 1, 0, 0], np.float32)
STEP_SECONDS = 0.025


def drone(*, pillars: int = 0, seed: int = 0) -> DroneAvoid:
    env = DroneAvoid(pillars=pillars)
    env.reset(seed=seed)
    return env


def fly(env: DroneAvoid, action: NDArray[np.float32], steps: int) -> tuple[Any, ...]:
    """The last answer; every one before it leaves the episode open."""
    for step in range(steps):
        answer = env.step(action)
        if step < steps - 1:
            assert not answer[2], f"it ended at step {step}"
    return answer


def put_pillar(env: DroneAvoid, x: float, y: float) -> None:
    env.data.mocap_pos[0] = x, y, 1.5


def test_gymnasium_finds_nothing_wrong() -> None:
    check_env(gymnasium.make(ID).unwrapped)


def test_its_time_limit_is_ten_seconds() -> None:
    env = gymnasium.make(ID)
    env.reset(seed=0)
    ends = [env.step(STAY)[2:4] for _ in range(400)]
    assert ends == [(False, False)] * 399 + [(False, True)]


def test_it_stands_in_the_air_when_told_nothing() -> None:
    env = drone()
    start = env.data.qpos[:7].copy()
    fly(env, STAY, 200)
    np.testing.assert_allclose(env.data.qpos[:7], start, atol=1e-6)


@pytest.mark.parametrize("thrust", [1.0, -1.0])
def test_thrust_accelerates_as_newton_says(thrust: float) -> None:
    """Half a second, with the drag of the speed that it gains."""
    env = drone()
    fly(env, np.array([thrust, 0, 0, 0], np.float32), 8)
    seconds = 8 * STEP_SECONDS
    expected = thrust * THRUST_SPAN * GRAVITY / DRAG * (1 - np.exp(-DRAG * seconds))
    assert env.data.qvel[2] == pytest.approx(expected, rel=0.03)
    assert env.data.qvel[:2] == pytest.approx([0, 0], abs=1e-9)


def test_leaning_ahead_it_gains_speed_ahead_and_no_more_than_physics_gives() -> None:
    env = drone()
    fly(env, AHEAD, 40)
    forwards, sideways = env.data.qvel[:2]
    assert 1.0 < forwards < GRAVITY * np.tan(MOST_TILT) / DRAG
    assert sideways == pytest.approx(0, abs=1e-6)
    # What lifts it is now aslant, so it also sinks.
    assert env.data.qvel[2] < 0


def test_the_inner_loop_holds_the_tilt_that_is_asked() -> None:
    env = drone()
    fly(env, AHEAD, 20)
    up = env.data.xmat[env.drone].reshape(3, 3)[:, 2]
    assert np.arcsin(up[0]) == pytest.approx(MOST_TILT, abs=0.02)
    fly(env, np.array([0, 0, 1, 0], np.float32), 20)
    up = env.data.xmat[env.drone].reshape(3, 3)[:, 2]
    assert np.arcsin(up[1]) == pytest.approx(MOST_TILT, abs=0.02)
    assert up[0] == pytest.approx(0, abs=0.02)


def test_what_it_sees_turns_with_it_and_ahead_is_where_it_looks() -> None:
    env = drone()
    before = env.step(STAY)[0]
    turning = np.array([0, 0, 0, 1], np.float32)
    while env._heading() < np.pi / 2:
        seen = env.step(turning)[0]
    ahead, left = before[:2]
    cos, sin = np.cos(env._heading()), np.sin(env._heading())
    turned = [cos * ahead + sin * left, cos * left - sin * ahead]
    np.testing.assert_allclose(seen[:2], turned, atol=1e-3)
    wall = (HALF_WIDTH - env.data.qpos[1]) / sin
    assert env.beams[0] == pytest.approx(wall, rel=1e-2), "the first beam looks ahead"
    fly(env, STAY, 30)
    fly(env, AHEAD, 20)
    along = env.data.qvel[:2] @ [np.cos(env._heading()), np.sin(env._heading())]
    assert along == pytest.approx(np.linalg.norm(env.data.qvel[:2]), rel=1e-3)


def test_beams_measure_the_way_to_walls() -> None:
    env = drone()
    env.data.qpos[:3] = 0.0, 0.0, ALTITUDE
    observation = env.step(STAY)[0]
    beams = observation[-BEAMS:] * BEAM_RANGE
    quarter = BEAMS // 4
    expected = [HALF_LENGTH, HALF_WIDTH, HALF_LENGTH, HALF_WIDTH]
    np.testing.assert_allclose(beams[::quarter], expected, atol=1e-3)
    assert beams[1] == pytest.approx(HALF_LENGTH / np.cos(np.pi / 6), abs=1e-3)


def test_beams_measure_the_way_to_a_pillar_and_see_nothing_of_the_drone() -> None:
    env = drone()
    env.data.qpos[:3] = 0.0, 0.0, ALTITUDE
    put_pillar(env, 2.0, 0.0)
    env.step(STAY)
    assert env.beams[0] == pytest.approx(2.0 - PILLAR_RADIUS, abs=1e-3)
    assert env.beams.min() > HULL_RADIUS


def test_whoever_flies_into_a_pillar_has_crashed() -> None:
    env = drone()
    put_pillar(env, env.data.qpos[0] + 1.5, env.data.qpos[1])
    rewards = []
    for _ in range(100):
        *_, reward, terminated, truncated, info = env.step(AHEAD)
        rewards.append(reward)
        if terminated:
            break
    assert terminated
    assert not truncated
    assert info == {"is_success": False, "crashed": True}
    assert rewards[-1] < -4
    assert env.data.qpos[0] < START_X + 1.5 - PILLAR_RADIUS


@pytest.mark.parametrize("action", [[1, 0, 0, 0], [-1, 0, 0, 0], [0, 0, 1, 0], [0, -1, 0, 0]])
def test_ceiling_floor_and_walls_end_it(action: list[float]) -> None:
    env = drone()
    for _ in range(400):
        *_, terminated, _, info = env.step(np.array(action, np.float32))
        if terminated:
            break
    assert info == {"is_success": False, "crashed": True}


def test_a_plain_pilot_reaches_the_goal_where_nothing_stands_in_the_way() -> None:
    for seed in range(3):
        env = drone(seed=seed)
        observation, total, terminated = env.step(STAY)[0], 0.0, False
        start = env.distance
        while not terminated:
            goal, velocity = observation[:3], observation[3:6]
            wanted = np.clip(0.4 * goal - 0.5 * velocity, -1, 1)
            action = np.array([wanted[2], wanted[0], wanted[1], 0], np.float32)
            observation, reward, terminated, _, info = env.step(action)
            total += reward
        assert info == {"is_success": True, "crashed": False}
        # What comes nearer, counted twice, and ten for being there.
        assert total == pytest.approx(2 * (start - GOAL_RADIUS) + 10, abs=3)


def test_pillars_leave_room_to_pass_and_differ_from_seed_to_seed() -> None:
    layouts = []
    for seed in range(20):
        env = drone(pillars=8, seed=seed)
        places = env.data.mocap_pos[env.data.mocap_pos[:, 2] > 0][:, :2]
        assert 5 <= len(places) <= 8
        taken = [*places, env.data.qpos[:2], env.goal[:2]]
        gaps = [np.linalg.norm(a - b) for i, a in enumerate(taken) for b in taken[:i]]
        assert min(gaps) >= LEAST_GAP
        layouts.append(places.tobytes())
    assert len(set(layouts)) == 20


def test_a_seed_decides_the_whole_flight() -> None:
    actions = np.random.default_rng(0).uniform(-0.3, 0.3, (60, 4)).astype(np.float32)
    flights = []
    env = DroneAvoid()
    for _ in range(2):
        seen = [env.reset(seed=3)[0], *(env.step(action)[0] for action in actions)]
        flights.append(np.stack(seen))
    np.testing.assert_array_equal(flights[0], flights[1])


def test_more_pillars_than_there_are_is_refused() -> None:
    with pytest.raises(ValueError, match="pillars is 13; it must be between 0 and 12"):
        DroneAvoid(pillars=13)
