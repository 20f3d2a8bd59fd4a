"""Small environments of our own. Importing this module registers them with Gymnasium, as does
naming it in the id: `mrq_core.tasks:mrq/Catch-v0`."""

import gymnasium

from mrq_core.tasks.catch import FALLS_PER_EPISODE, STEPS_PER_FALL
from mrq_core.tasks.logged import EPISODE_STEPS as LOGGED_STEPS
from mrq_core.tasks.trading import EPISODE_STEPS

gymnasium.register(
    id="mrq/Catch-v0",
    entry_point="mrq_core.tasks.catch:Catch",
    max_episode_steps=FALLS_PER_EPISODE * STEPS_PER_FALL,
)
gymnasium.register(
    id="mrq/PixelPendulum-v0",
    entry_point="mrq_core.tasks.pixel_pendulum:PixelPendulum",
    max_episode_steps=200,  # as Pendulum-v1
)
gymnasium.register(
    id="mrq/DroneAvoid-v0",
    entry_point="mrq_core.tasks.drone_avoid:DroneAvoid",
    max_episode_steps=400,
)
gymnasium.register(
    id="mrq/ConnectFour-v0",
    entry_point="mrq_core.tasks.board_game:connect_four",
    max_episode_steps=21,  # half of the 42 places are one's own
)
gymnasium.register(
    id="mrq/Chess-v0",
    entry_point="mrq_core.tasks.board_game:chess",
    max_episode_steps=300,
)
gymnasium.register(
    id="mrq/Trading-v0",
    entry_point="mrq_core.tasks.trading:Trading",
    max_episode_steps=EPISODE_STEPS,
)
gymnasium.register(
    id="mrq/Logged-v0",
    entry_point="mrq_core.tasks.logged:Logged",
    max_episode_steps=LOGGED_STEPS,
)
gymnasium.register(
    id="mrq/Recommend-v0",
    entry_point="mrq_core.tasks.recommend:Recommend",  # it ends by itself
)
