"""Five Atari games on planes of 10 by 10, `MinAtar/GAME-v1`, with the actions that a game has."""

import gymnasium
from minatar.gym import register_envs

# Its own call registers anew, with a warning, whatever is there already.
if "MinAtar/Breakout-v1" not in gymnasium.registry:
    register_envs()
