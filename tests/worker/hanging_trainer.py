"""The real trainer with an environment that hangs where its job's kwargs say.

Started in place of `worker.trainer`, as a process of its own.
"""

import sys
import time
from typing import Any

import gymnasium
from gymnasium.envs.classic_control import PendulumEnv

from worker.trainer import main

# By g, the one number that Pendulum takes.
IN_INIT, IN_RESET, IN_STEP, IN_EVALUATION = 1.0, 2.0, 3.0, 4.0
HANGS = "hangs now"


class Hanging(PendulumEnv):
    made = 0

    def __init__(self, g: float = 10.0, **rest: Any) -> None:
        super().__init__(g=g, **rest)
        Hanging.made += 1
        # The first one is for training, the second for evaluations.
        self.hangs = {IN_INIT: IN_INIT, IN_EVALUATION: IN_STEP}.get(g, g)
        if (g == IN_EVALUATION) != (Hanging.made > 1):
            self.hangs = 0.0
        self.resets = 0
        if self.hangs == IN_INIT:
            hang()

    def reset(self, **arguments: Any) -> Any:
        self.resets += 1
        if self.hangs == IN_RESET and self.resets > 2:
            hang()
        return super().reset(**arguments)

    def step(self, action: Any) -> Any:
        if self.hangs == IN_STEP:
            hang()
        # Gymnasium's own class says nothing of types.
        return super().step(action)  # type: ignore[no-untyped-call]


def hang() -> None:
    print(HANGS, flush=True)  # noqa: T201 (goes to the attempt's log)
    time.sleep(600)


if __name__ == "__main__":
    gymnasium.registry["Pendulum-v1"].entry_point = Hanging
    sys.exit(main())
