"""Atari games by the paper's protocol, `Atari/GAME-v5`; the bare ones are ale-py's `ALE/GAME-v5`.

An action is held for 4 frames, and with a probability of 0.25 a frame goes on with the last action
instead ("sticky"). An observation is the maximum of the last two frames, gray, 84 by 84. Rewards
are the game's own, an episode is the whole game and not a life, and nothing is done at its start:
chance comes from the sticky actions. ale-py is GPL-2.0, and imported only when a game is made.
"""

from __future__ import annotations

from typing import Any

import gymnasium
from gymnasium.wrappers import AtariPreprocessing

SIDE = 84
FRAMES_PER_ACTION = 4
# 108,000 frames: half an hour of play.
MAX_EPISODE_STEPS = 27_000

# The 57 games of the benchmark.
GAMES = (
    "Alien",
    "Amidar",
    "Assault",
    "Asterix",
    "Asteroids",
    "Atlantis",
    "BankHeist",
    "BattleZone",
    "BeamRider",
    "Berzerk",
    "Bowling",
    "Boxing",
    "Breakout",
    "Centipede",
    "ChopperCommand",
    "CrazyClimber",
    "Defender",
    "DemonAttack",
    "DoubleDunk",
    "Enduro",
    "FishingDerby",
    "Freeway",
    "Frostbite",
    "Gopher",
    "Gravitar",
    "Hero",
    "IceHockey",
    "Jamesbond",
    "Kangaroo",
    "Krull",
    "KungFuMaster",
    "MontezumaRevenge",
    "MsPacman",
    "NameThisGame",
    "Phoenix",
    "Pitfall",
    "Pong",
    "PrivateEye",
    "Qbert",
    "Riverraid",
    "RoadRunner",
    "Robotank",
    "Seaquest",
    "Skiing",
    "Solaris",
    "SpaceInvaders",
    "StarGunner",
    "Surround",
    "Tennis",
    "TimePilot",
    "Tutankham",
    "UpNDown",
    "Venture",
    "VideoPinball",
    "WizardOfWor",
    "YarsRevenge",
    "Zaxxon",
)


def make(
    game: str, render_mode: str | None = None, repeat_action_probability: float = 0.25
) -> gymnasium.Env[Any, Any]:
    import ale_py

    # It prints its version to standard error, at each game.
    ale_py.ALEInterface.setLoggerMode(ale_py.LoggerMode.Error)
    name = gymnasium.spec(f"ALE/{game}-v5").kwargs["game"]
    console = ale_py.AtariEnv(
        game=name,
        frameskip=1,
        repeat_action_probability=repeat_action_probability,
        render_mode=render_mode,
    )
    return AtariPreprocessing(
        console, noop_max=0, frame_skip=FRAMES_PER_ACTION, screen_size=SIDE, grayscale_obs=True
    )


for _game in GAMES:
    gymnasium.register(
        id=f"Atari/{_game}-v5",
        entry_point="mrq_core.suites.atari:make",
        max_episode_steps=MAX_EPISODE_STEPS,
        kwargs={"game": _game},
    )
