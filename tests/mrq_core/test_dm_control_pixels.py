"""DeepMind's control suite through a camera, as the paper's visual tasks are."""

import subprocess
import sys

import numpy as np
import pytest

from mrq_core.environments import Environment
from mrq_core.errors import EnvironmentFault

WALK = "mrq_core.suites.dm_control_pixels:dm_control_pixels/quadruped-walk-v0"
# In a process of its own, for it decides how dm_control draws.
COMPARED = """
import sys, numpy, gymnasium
import mrq_core.suites.dm_control_pixels
for task, camera in (("cartpole-swingup", 0), ("quadruped-walk", 2)):
    env = gymnasium.make(f"dm_control_pixels/{task}-v0", disable_env_checker=True)
    env.reset(seed=3)
    for _ in range(3):
        seen, *_ = env.step(env.action_space.sample())
    theirs = env.unwrapped._env.physics.render(84, 84, camera_id=camera)
    assert seen.std() > 10, "an empty picture"
    assert (seen == theirs).all(), task
    env.close()
"""


def test_the_pictures_are_those_of_the_suites_own_camera() -> None:
    run = subprocess.run(
        [sys.executable, "-c", COMPARED],
        env={"MUJOCO_GL": "egl", "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert run.returncode == 0, run.stderr[-2000:]


def test_three_pictures_make_the_papers_observation() -> None:
    environment = Environment(WALK, {}, 500, 2, history=3)
    assert environment.form.input_shape == (9, 84, 84)
    first = environment.reset(3, 0).observation
    outcome = environment.step(environment.executable(np.full(12, 0.5, np.float32)), 1)
    assert first.dtype == np.uint8
    assert first.shape == outcome.observation.shape == (3, 84, 84)
    assert not (first == outcome.observation).all()
    environment.close()


def test_a_machine_that_cannot_draw_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "mujoco.egl", None)
    with pytest.raises(EnvironmentFault, match="draws by EGL"):
        Environment(WALK, {}, 500, 2)
