"""DeepMind's control suite: the 28 tasks on which the paper reports, from states.

Their protocol is an action repeat of 2 (`suggested`), which makes 500 agent steps of an episode.
"""

from store.catalogue.entry import Area, EnvironmentEntry, Suggestion, reals

LIMIT = 1000

AREA = Area(
    name="dm_control",
    extra="dmc",
    licence="Apache-2.0",
    suggestion=Suggestion(total_steps=500_000, preset="paper", action_repeat=2),
    module="mrq_core.suites.dm_control",
)

# Numbers in an observation and in an action.
_SIZES = {
    "acrobot-swingup": (6, 1),
    "ball_in_cup-catch": (8, 2),
    "cartpole-balance": (5, 1),
    "cartpole-balance_sparse": (5, 1),
    "cartpole-swingup": (5, 1),
    "cartpole-swingup_sparse": (5, 1),
    "cheetah-run": (17, 6),
    "dog-run": (223, 38),
    "dog-stand": (223, 38),
    "dog-trot": (223, 38),
    "dog-walk": (223, 38),
    "finger-spin": (9, 2),
    "finger-turn_easy": (12, 2),
    "finger-turn_hard": (12, 2),
    "fish-swim": (24, 5),
    "hopper-hop": (15, 4),
    "hopper-stand": (15, 4),
    "humanoid-run": (67, 21),
    "humanoid-stand": (67, 21),
    "humanoid-walk": (67, 21),
    "pendulum-swingup": (3, 1),
    "quadruped-run": (78, 12),
    "quadruped-walk": (78, 12),
    "reacher-easy": (6, 2),
    "reacher-hard": (6, 2),
    "walker-run": (24, 6),
    "walker-stand": (24, 6),
    "walker-walk": (24, 6),
}

ENTRIES: list[EnvironmentEntry] = [
    AREA.row(f"dm_control/{task}-v0", (observed,), reals(done), LIMIT)
    for task, (observed, done) in _SIZES.items()
]
