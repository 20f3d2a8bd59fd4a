"""Atari by the paper's protocol: what it does to a game is in mrq_core/suites/atari.py."""

from store.catalogue.entry import (
    Area,
    EnvironmentEntry,
    Kwargs,
    Probability,
    Suggestion,
    one_of,
)

LIMIT = 27_000
FRAME = (1, 84, 84)
# Of actions in an evaluation, by the paper's protocol.
EPSILON = 0.001


class AtariKwargs(Kwargs):
    repeat_action_probability: Probability = 0.25


AREA = Area(
    name="atari",
    extra="atari",
    licence="GPL-2.0-only",
    suggestion=Suggestion(total_steps=2_500_000, preset="paper"),
    module="mrq_core.suites.atari",
)

# How many actions each game knows.
_ACTIONS = {
    "Alien": 18,
    "Amidar": 10,
    "Assault": 7,
    "Asterix": 9,
    "Asteroids": 14,
    "Atlantis": 4,
    "BankHeist": 18,
    "BattleZone": 18,
    "BeamRider": 9,
    "Berzerk": 18,
    "Bowling": 6,
    "Boxing": 18,
    "Breakout": 4,
    "Centipede": 18,
    "ChopperCommand": 18,
    "CrazyClimber": 9,
    "Defender": 18,
    "DemonAttack": 6,
    "DoubleDunk": 18,
    "Enduro": 9,
    "FishingDerby": 18,
    "Freeway": 3,
    "Frostbite": 18,
    "Gopher": 8,
    "Gravitar": 18,
    "Hero": 18,
    "IceHockey": 18,
    "Jamesbond": 18,
    "Kangaroo": 18,
    "Krull": 18,
    "KungFuMaster": 14,
    "MontezumaRevenge": 18,
    "MsPacman": 9,
    "NameThisGame": 6,
    "Phoenix": 8,
    "Pitfall": 18,
    "Pong": 6,
    "PrivateEye": 18,
    "Qbert": 6,
    "Riverraid": 18,
    "RoadRunner": 18,
    "Robotank": 18,
    "Seaquest": 18,
    "Skiing": 3,
    "Solaris": 18,
    "SpaceInvaders": 6,
    "StarGunner": 18,
    "Surround": 5,
    "Tennis": 18,
    "TimePilot": 10,
    "Tutankham": 8,
    "UpNDown": 6,
    "Venture": 18,
    "VideoPinball": 9,
    "WizardOfWor": 10,
    "YarsRevenge": 18,
    "Zaxxon": 18,
}

ENTRIES: list[EnvironmentEntry] = [
    AREA.row(
        f"Atari/{game}-v5", FRAME, one_of(actions), LIMIT, AtariKwargs, evaluation_epsilon=EPSILON
    )
    for game, actions in _ACTIONS.items()
]
