"""What a session stores of a step: the state it was taken in, never the one it led to."""

from collections.abc import Iterator

import numpy as np
import pytest
import torch

from mrq_core.errors import NonFiniteError
from mrq_core.session import Session
from tests.mrq_core.kinds import EPISODE, register
from tests.mrq_core.toys import tiny_run

MASKED = {"environment_kwargs": {"kind": "mask in info, action_mask"}, "max_episode_steps": None}


@pytest.fixture
def session() -> Iterator[Session]:
    register()
    session = Session(tiny_run("Kinds-v0", **MASKED))
    yield session
    session.environment.close()


def test_frames_masks_and_actions_are_those_of_the_same_moment(session: Session) -> None:
    frames, steps = [session.episode.observation], 2 * EPISODE
    for step in range(steps):
        session.advance()
        if step == EPISODE - 1:
            frames.append(np.full(3, np.nan, np.float32))  # the final one, looked at below
        frames.append(session.episode.observation)
    replay = session.replay

    # An episode of 12 steps takes 13 slots.
    times = [*range(EPISODE + 1), *range(EPISODE + 1)]
    assert replay.mask[: steps + 2].tolist() == [[i != t % 3 for i in range(3)] for t in times]
    for slot, t in enumerate(times):
        final = t == EPISODE
        assert replay.transition[slot] == (not final)
        assert replay.terminated[slot] == (t == EPISODE - 1)
        assert replay.action[slot].sum() == (0 if final else 1)
        assert not (replay.action[slot].astype(bool) & ~replay.mask[slot]).any()
        if not final:
            # The reward of action number n is n.
            assert replay.reward[slot] == replay.action[slot].argmax()
    kept = [slot for slot in range(steps + 1) if slot != EPISODE]
    assert replay.frame[kept].tolist() == [frames[slot].tolist() for slot in kept]


def test_a_policy_that_has_no_finite_weights_is_never_kept(session: Session) -> None:
    with torch.no_grad():
        session.agent.policy.output.bias[1] = torch.nan

    with pytest.raises(NonFiniteError, match=r"the policy's output\.bias is not finite"):
        session.require_finite()
