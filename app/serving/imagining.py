"""What a policy's model predicts of sequences of actions: the heads that MR.Q learns its embedding
with (section 4.2 of the paper), unrolled as they are in training.

N is the number of sequences, H their length, A the numbers of an action in the network's units.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from app.refusals import ActRefused
from app.serving.details import embed, least, world_of
from app.serving.masks import told
from app.serving.observation import read_observation
from app.serving.policies import LivePolicy, LoadedPolicies
from mrq_core.actions import ActionCodec
from mrq_core.spaces import Floats, SpaceError

MAX_SEQUENCES = 256
MAX_LENGTH = 64
MAX_ACTIONS = 4096  # in all


@dataclass(frozen=True)
class Imagined:
    """Each (N, H), of the H actions of N sequences."""

    rewards: NDArray[Any]
    terminations: NDArray[Any]
    values: NDArray[Any]
    discount: float
    trained_horizon: int

    def returns(self) -> NDArray[Any]:
        """(N,): of discounted rewards, and of the value at the last action instead of its reward;
        each as likely as it is that nothing has ended before."""
        length = self.rewards.shape[1]
        goes_on = np.cumprod(1.0 - self.terminations, axis=1)
        lives = np.concatenate([np.ones((len(goes_on), 1)), goes_on[:, :-1]], axis=1)
        paid = np.concatenate([self.rewards[:, :-1], self.values[:, -1:]], axis=1)
        summed: NDArray[Any] = (self.discount ** np.arange(length) * lives * paid).sum(axis=1)
        return summed


async def imagine(
    policies: LoadedPolicies, policy: LivePolicy, observation: Any, sequences: list[Any]
) -> Imagined:
    rows = read_observation(policy.actor.observation_space, observation)
    actions = read_sequences(policy.actor.codec, sequences)
    world = await world_of(policies, policy, param="reference")
    zs = np.repeat(await embed(policy, rows), len(actions), axis=0)
    rewards, terminations, values = [], [], []
    for step in range(actions.shape[1]):
        outcome = await world.ask(zs, actions[:, step])
        rewards.append(outcome.reward)
        terminations.append(outcome.termination)
        values.append(least(outcome))
        zs = outcome.next_zs
    imagined = Imagined(
        rewards=np.stack(rewards, axis=1),
        terminations=np.stack(terminations, axis=1),
        values=np.stack(values, axis=1),
        discount=world.discount,
        trained_horizon=world.trained_horizon,
    )
    if not np.isfinite(imagined.returns()).all():
        text = "The model has no finite prediction for these values: they are too large for it."
        raise ActRefused("observation_out_of_range", text, param="observation")
    return imagined


def read_sequences(codec: ActionCodec, sequences: list[Any]) -> Floats:
    """Actions in the environment's units -> (N, H, A) in the network's."""
    for index, sequence in enumerate(sequences):
        if not isinstance(sequence, list) or len(sequence) != len(sequences[0]):
            got = f"{len(sequence)} actions" if isinstance(sequence, list) else "no list"
            expected = f"as many actions as the first sequence ({_length(sequences[0])})"
            mistake = told(f"sequences[{index}]", expected, got)
            raise ActRefused("sequence_ragged", **mistake)
    length = _length(sequences[0])
    if not 1 <= length <= MAX_LENGTH or length * len(sequences) > MAX_ACTIONS:
        expected = f"1 to {MAX_LENGTH} actions, and at most {MAX_ACTIONS} in all sequences"
        mistake = told("sequences", expected, f"{len(sequences)} of {length} actions")
        raise ActRefused("sequence_length", **mistake)
    return np.array([_read_all(codec, number, each) for number, each in enumerate(sequences)])


def _read_all(codec: ActionCodec, number: int, sequence: list[Any]) -> list[Floats]:
    try:
        return [
            codec.from_environment(action, f"sequences[{number}][{step}]")
            for step, action in enumerate(sequence)
        ]
    except SpaceError as error:
        raise ActRefused("action_invalid", **told(error.path, error.expected, error.got)) from None


def _length(sequence: Any) -> int:
    return len(sequence) if isinstance(sequence, list) else 0
