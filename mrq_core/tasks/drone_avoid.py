"""A drone that flies to a goal between pillars which it only feels, `mrq/DroneAvoid-v0`.

A quadrotor of 1 kg on MuJoCo, in a hall of 10 by 8 m. An inner loop holds the attitude it is told,
as flight controllers do, so that an action is what a pilot's sticks say: thrust, tilt forwards,
tilt to the left, and how fast to turn. Twelve beams, a ring around the drone that turns with it,
measure the way to the nearest pillar or wall. Pillars stand elsewhere in every episode, far enough
apart to pass between.

The reward is twice the metres by which the goal came nearer, less a little for time and for being
close to something, 10 at the goal and -5 for a crash; both end the episode. The registered time
limit truncates it after 400 steps of 25 ms.
"""

from __future__ import annotations

from typing import Any, TypeAlias

import gymnasium
import mujoco
import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

Floats: TypeAlias = NDArray[np.float64]
Observation: TypeAlias = NDArray[np.float32]

BEAMS = 12
BEAM_RANGE = 10.0  # metres
MOST_PILLARS = 12
PILLAR_RADIUS = 0.35
HULL_RADIUS = 0.15
HALF_LENGTH, HALF_WIDTH, CEILING = 5.0, 4.0, 3.0
START_X, GOAL_X, ALTITUDE = -4.0, 4.0, 1.5
GOAL_RADIUS = 0.5
# Between the middles of two pillars, and from one to start or goal: a drone fits through.
LEAST_GAP = 1.3

SECONDS = 0.005  # of the physics
PHYSICS_STEPS = 5  # to an action
STEPS_PER_EPISODE = 400

GRAVITY = 9.81
THRUST_SPAN = 0.6  # of what holds it in the air, up and down
MOST_TILT = 0.4  # radians
MOST_TURN = 3.0  # radians a second
DRAG = 0.5  # newtons for each metre a second
# Of the inner loop: 7.7 radians a second, damped by 0.78.
STIFFNESS, DAMPING = 60.0, 12.0

NEAR = 0.6  # metres from which closeness costs
# Of goal, velocity, the drone's upward direction, angular velocity and beams.
HIGHEST = np.concatenate(
    [np.full(3, 20.0), np.full(3, 20.0), np.ones(3), np.full(3, 40.0), np.ones(BEAMS)]
).astype(np.float32)
LOWEST = np.concatenate([-HIGHEST[:-BEAMS], np.zeros(BEAMS, np.float32)])


class DroneAvoid(gymnasium.Env[Observation, NDArray[np.float32]]):
    """`pillars`: how many stand in the way."""

    def __init__(self, pillars: int = 8) -> None:
        if not 0 <= pillars <= MOST_PILLARS:
            raise ValueError(f"pillars is {pillars}; it must be between 0 and {MOST_PILLARS}")
        self.pillars = pillars
        self.observation_space = spaces.Box(LOWEST, HIGHEST, dtype=np.float32)
        self.action_space = spaces.Box(-1.0, 1.0, (4,), np.float32)
        self.model = mujoco.MjModel.from_xml_string(_hall())
        self.data = mujoco.MjData(self.model)
        self.drone = self.model.body("drone").id
        self.mass = float(self.model.body_subtreemass[self.drone])
        self.inertia: Floats = self.model.body_inertia[self.drone].copy()
        self.goal: Floats = np.zeros(3)
        self.beams: Floats = np.full(BEAMS, BEAM_RANGE)
        self.distance = 0.0

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Observation, dict[str, Any]]:
        super().reset(seed=seed, options=options)
        mujoco.mj_resetData(self.model, self.data)
        sides = self.np_random.uniform(-2.0, 2.0, 2)
        self.data.qpos[:3] = START_X, sides[0], ALTITUDE
        self.goal = np.array([GOAL_X, sides[1], ALTITUDE])
        self._place_pillars()
        mujoco.mj_forward(self.model, self.data)
        self.distance = self._distance()
        return self._observe(), {}

    def step(
        self, action: NDArray[np.float32]
    ) -> tuple[Observation, float, bool, bool, dict[str, Any]]:
        sticks = np.clip(np.asarray(action, np.float64), -1.0, 1.0)
        for _ in range(PHYSICS_STEPS):
            self._push(sticks)
            mujoco.mj_step(self.model, self.data)
        # Of the new place: a step leaves the poses where its forces were taken.
        mujoco.mj_forward(self.model, self.data)
        observation = self._observe()
        crashed, arrived = self._crashed(), self._distance() < GOAL_RADIUS
        reward = self._reward(crashed=crashed, arrived=arrived)
        info = {"is_success": arrived and not crashed, "crashed": crashed}
        return observation, reward, crashed or arrived, False, info

    def _place_pillars(self) -> None:
        taken = [self.data.qpos[:2].copy(), self.goal[:2]]
        for pillar in range(MOST_PILLARS):
            place = self._free_place(taken) if pillar < self.pillars else None
            if place is None:  # below the floor, out of the way
                self.data.mocap_pos[pillar] = 0.0, 0.0, -10.0
            else:
                taken.append(place)
                self.data.mocap_pos[pillar] = *place, CEILING / 2

    def _free_place(self, taken: list[Floats]) -> Floats | None:
        """None: the hall is full, which some draws make it."""
        for _ in range(100):
            place = self.np_random.uniform((-3.0, -3.0), (3.0, 3.0))
            if min(float(np.linalg.norm(place - other)) for other in taken) >= LEAST_GAP:
                return place
        return None

    def _push(self, sticks: Floats) -> None:
        """Forces of the rotors, which turn it as the inner loop wants, and drag."""
        thrust, forwards, leftwards, turn = sticks
        turned = self._rotation()
        up, spin = turned[:, 2], self.data.qvel[3:6]
        wanted = self._to_hall(np.array([forwards, leftwards, 0.0]) * np.sin(MOST_TILT))
        wanted[2] = np.sqrt(1.0 - wanted[0] ** 2 - wanted[1] ** 2)
        lacking = turned.T @ np.cross(up, wanted)
        rates = np.array([0.0, 0.0, turn * MOST_TURN])
        torque = turned @ (self.inertia * (STIFFNESS * lacking + DAMPING * (rates - spin)))
        lift = self.mass * GRAVITY * (1.0 + THRUST_SPAN * thrust)
        force = up * lift - DRAG * self.data.qvel[:3]
        self.data.xfrc_applied[self.drone] = np.concatenate([force, torque])

    def _observe(self) -> Observation:
        self.beams = self._measure()
        parts = (
            self._from_hall(self.goal - self.data.qpos[:3]),
            self._from_hall(self.data.qvel[:3]),
            self._from_hall(self._rotation()[:, 2]),
            self.data.qvel[3:6],
            self.beams / BEAM_RANGE,
        )
        return np.clip(np.concatenate(parts).astype(np.float32), LOWEST, HIGHEST)

    def _measure(self) -> Floats:
        """Metres to what each beam hits; the first points ahead, the others follow to the left."""
        hit = np.zeros(1, np.int32)
        found = np.empty(BEAMS)
        for beam in range(BEAMS):
            angle = self._heading() + 2.0 * np.pi * beam / BEAMS
            direction = np.array([np.cos(angle), np.sin(angle), 0.0])
            found[beam] = mujoco.mj_ray(
                self.model, self.data, self.data.qpos[:3], direction, None, 1, self.drone, hit
            )
        return np.where(found < 0.0, BEAM_RANGE, np.minimum(found, BEAM_RANGE))

    def _reward(self, *, crashed: bool, arrived: bool) -> float:
        distance = self._distance()
        nearer, self.distance = self.distance - distance, distance
        closeness = max(0.0, NEAR - float(self.beams.min()))
        end = -5.0 if crashed else 10.0 if arrived else 0.0
        return 2.0 * nearer - 0.01 - 0.05 * closeness + end

    def _crashed(self) -> bool:
        return bool(self.data.ncon > 0 or self.data.qpos[2] > CEILING)

    def _distance(self) -> float:
        return float(np.linalg.norm(self.goal - self.data.qpos[:3]))

    def _rotation(self) -> Floats:
        matrix: Floats = self.data.xmat[self.drone].reshape(3, 3)
        return matrix

    def _heading(self) -> float:
        ahead = self._rotation()[:, 0]
        return float(np.arctan2(ahead[1], ahead[0]))

    def _to_hall(self, vector: Floats) -> Floats:
        """From the drone's level axes: ahead, to the left, up."""
        cos, sin = np.cos(self._heading()), np.sin(self._heading())
        return np.array(
            [cos * vector[0] - sin * vector[1], sin * vector[0] + cos * vector[1], vector[2]]
        )

    def _from_hall(self, vector: Floats) -> Floats:
        cos, sin = np.cos(self._heading()), np.sin(self._heading())
        return np.array(
            [cos * vector[0] + sin * vector[1], cos * vector[1] - sin * vector[0], vector[2]]
        )


def _hall() -> str:
    """In MuJoCo's own language. Only the hull touches anything."""
    walls = "".join(
        f'<geom type="box" pos="{x} {y} {CEILING / 2}" size="{dx} {dy} {CEILING / 2}"/>'
        for x, y, dx, dy in (
            (HALF_LENGTH + 0.1, 0, 0.1, HALF_WIDTH),
            (-HALF_LENGTH - 0.1, 0, 0.1, HALF_WIDTH),
            (0, HALF_WIDTH + 0.1, HALF_LENGTH, 0.1),
            (0, -HALF_WIDTH - 0.1, HALF_LENGTH, 0.1),
        )
    )
    pillars = "".join(
        f'<body mocap="true"><geom type="cylinder" size="{PILLAR_RADIUS} {CEILING / 2}"/></body>'
        for _ in range(MOST_PILLARS)
    )
    rotors = "".join(
        f'<geom type="cylinder" pos="{x} {y} 0.02" size="0.06 0.01" mass="0.05" '
        'contype="0" conaffinity="0"/>'
        for x in (-0.12, 0.12)
        for y in (-0.12, 0.12)
    )
    return f"""
    <mujoco>
      <option timestep="{SECONDS}" gravity="0 0 -{GRAVITY}"/>
      <worldbody>
        <geom type="plane" size="{HALF_LENGTH} {HALF_WIDTH} 0.1"/>
        {walls}
        {pillars}
        <body name="drone" pos="0 0 {ALTITUDE}">
          <freejoint/>
          <geom type="sphere" size="{HULL_RADIUS}" mass="0.8"/>
          {rotors}
        </body>
      </worldbody>
    </mujoco>"""
