"""Robots of the Farama Foundation on MuJoCo.

The import tells of changes in other tasks on standard error, and silences the sound of pygame for
the whole process: the first is of no use in a job's log.
"""

import contextlib
import io

with contextlib.redirect_stderr(io.StringIO()):
    import gymnasium_robotics  # noqa: F401  (registers them)
