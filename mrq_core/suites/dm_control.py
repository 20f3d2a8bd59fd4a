"""DeepMind's control suite, `dm_control/TASK-v0`, through shimmy.

Without a word on how to draw, dm_control looks for a display at its import, and warns where there
is none. Nothing here is drawn.
"""

import os

os.environ.setdefault("MUJOCO_GL", "disable")

import shimmy  # noqa: F401  (registers the suite)
