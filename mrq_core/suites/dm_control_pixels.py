"""DeepMind's control suite through a camera, `dm_control_pixels/TASK-v0`: what the paper calls
visual tasks. An observation is one picture, 84 by 84, RGB; of the state nothing is shown.

Drawn without a display by EGL, on a GPU or, as Mesa does, on the CPU. dm_control would decide for
the whole process how to draw, and `mrq_core.suites.dm_control` has it draw nothing; so MuJoCo is
asked itself.
"""

from __future__ import annotations

import os
from typing import Any

os.environ.setdefault("MUJOCO_GL", "disable")

import gymnasium
import mujoco
import numpy as np
from dm_control import suite
from gymnasium import spaces
from numpy.typing import NDArray
from shimmy.dm_control_compatibility import DmControlCompatibilityV0

SIDE = 84
# Of an episode, in the suite's own steps.
MAX_EPISODE_STEPS = 1_000
# The first camera, but for the robot that it would lose sight of.
CAMERAS = {"quadruped": 2}
MAX_GEOMETRIES = 1_000


class Eye:
    """A camera of the model, and what it needs to draw. Of one thread."""

    def __init__(self, physics: Any, camera: int) -> None:
        self.physics = physics
        self.context = _context()
        self.context.make_current()
        model = physics.model.ptr
        self.buffers = mujoco.MjrContext(model, mujoco.mjtFontScale.mjFONTSCALE_100)
        mujoco.mjr_setBuffer(mujoco.mjtFramebuffer.mjFB_OFFSCREEN, self.buffers)
        self.scene = mujoco.MjvScene(model, MAX_GEOMETRIES)
        self.camera = mujoco.MjvCamera()
        self.camera.type, self.camera.fixedcamid = mujoco.mjtCamera.mjCAMERA_FIXED, camera
        self.shown = mujoco.MjvOption()
        self.all = mujoco.mjtCatBit.mjCAT_ALL
        self.frame = mujoco.MjrRect(0, 0, SIDE, SIDE)

    def see(self) -> NDArray[np.uint8]:
        """(SIDE, SIDE, 3)"""
        self.context.make_current()
        model, data = self.physics.model.ptr, self.physics.data.ptr
        mujoco.mjv_updateScene(model, data, self.shown, None, self.camera, self.all, self.scene)
        mujoco.mjr_render(self.frame, self.scene, self.buffers)
        picture = np.empty((SIDE, SIDE, 3), np.uint8)
        mujoco.mjr_readPixels(picture, None, self.frame, self.buffers)
        return np.ascontiguousarray(picture[::-1])  # OpenGL's rows begin at the bottom

    def close(self) -> None:
        self.buffers.free()
        self.context.free()


def _context() -> Any:
    try:
        from mujoco.egl import GLContext

        return GLContext(SIDE, SIDE)
    except Exception as error:  # by what it is missing: the library, or a device
        raise RuntimeError(
            "dm_control_pixels draws by EGL, which does not work on this machine: on Debian "
            "`apt-get install libegl1 libgl1-mesa-dri` makes it work without a GPU"
        ) from error


class Seen(gymnasium.ObservationWrapper[Any, Any, Any]):
    def __init__(self, state: DmControlCompatibilityV0, camera: int) -> None:
        super().__init__(state)
        self.observation_space = spaces.Box(0, 255, (SIDE, SIDE, 3), np.uint8)
        self.eye = Eye(state._env.physics, camera)

    def observation(self, observation: Any) -> NDArray[np.uint8]:  # noqa: ARG002  it is the state
        return self.eye.see()

    def close(self) -> None:
        self.eye.close()
        super().close()


def make(domain: str, task: str) -> gymnasium.Env[Any, Any]:
    return Seen(DmControlCompatibilityV0(suite.load(domain, task)), CAMERAS.get(domain, 0))


for _domain, _task in suite.ALL_TASKS:
    gymnasium.register(
        id=f"dm_control_pixels/{_domain}-{_task}-v0",
        entry_point="mrq_core.suites.dm_control_pixels:make",
        max_episode_steps=MAX_EPISODE_STEPS,
        kwargs={"domain": _domain, "task": _task},
    )
