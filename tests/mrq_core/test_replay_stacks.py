"""Frames and masks of written-out windows: which ones the networks get to see."""

import numpy as np
import torch

from mrq_core.observations import ObservationForm
from tests.mrq_core.replays import add, add_episode, eligible, make_replay

# One pixel a frame: enough to see which frames a stack is made of.
THREE_PIXELS = ObservationForm("pixels", (1, 1, 1), 3)


def test_a2_the_next_state_of_a_terminating_transition_is_the_final_observation() -> None:
    """The window's start is 7, 6, 5, 4 or 3: every place that the termination can have in it."""
    replay = make_replay()
    add_episode(replay, 100, 98, truncated=True)  # so that the ring is full of other frames
    add_episode(replay, 0, 8, terminated=True)
    add_episode(replay, 50, 8)
    seen = set()
    for first in (7, 6, 5, 4, 3):
        slot = int(np.flatnonzero(replay.frame[:, 0] == first)[0])
        replay.tree.fill(np.eye(100)[slot])
        batch = replay.sample_encoder()
        at = 7 - first
        assert batch.terminated[0].int().argmax() == at
        assert batch.next_state[0, : at + 1, 0].tolist() == list(range(first + 1, 9))
        seen.add(at)

    assert seen == {0, 1, 2, 3, 4}


def test_a2_the_final_observation_is_seen_with_the_frames_before_it() -> None:
    replay = make_replay(THREE_PIXELS)
    add_episode(replay, 10, 7, terminated=True)
    add_episode(replay, 90, 8)
    replay.tree.fill(np.eye(100)[6])

    batch = replay.sample_encoder()

    assert batch.state[0].flatten().tolist() == [14, 15, 16]
    assert batch.next_state[0, 0].flatten().tolist() == [15, 16, 17]
    assert batch.terminated[0, 0]


def test_an_episodes_first_frame_is_repeated() -> None:
    replay = make_replay(THREE_PIXELS)
    add_episode(replay, 40, 6, terminated=True)
    add_episode(replay, 10, 9)  # in slots 7 to 15, behind frames of the other episode
    stacks = []
    for slot in (7, 8, 9):
        replay.tree.fill(np.eye(100)[slot])
        stacks.append(replay.sample_value()[1])

    assert [s.state[0].flatten().tolist() for s in stacks] == [
        [10, 10, 10],
        [10, 10, 11],
        [10, 11, 12],
    ]
    assert [s.next_state[0].flatten().tolist() for s in stacks] == [
        [11, 12, 13],
        [12, 13, 14],
        [13, 14, 15],
    ]
    assert stacks[0].state.dtype == torch.uint8
    assert stacks[0].state.shape == (200, 3, 1, 1)


def test_a_stack_that_loses_a_frame_to_the_ring_starts_no_window() -> None:
    """Slots 0 to 9 hold one episode, slots 10 to 99 another. The overwriting of slot 0 takes the
    stacks of 0, 1 and 2; of slot 8 those of 8 and 9 but not the next episode's."""
    replay = make_replay(THREE_PIXELS)
    add_episode(replay, 0, 9, terminated=True)
    add_episode(replay, 10, 90)
    replay.tree.fill(np.ones(100))  # also the slots that a window cannot start at
    lost = []
    for number in range(100, 111):
        before = eligible(replay)
        add(replay, number)
        lost.append(sorted(set(before) - set(eligible(replay))))

    assert lost == [[0, 1, 2], [3], [4], [5], [6], [7], [8], [9], [], [], [10, 11, 12]]


def test_a_history_never_reaches_past_the_write_head() -> None:
    """Two frames are behind the head for each slot that is overwritten."""
    replay = make_replay(THREE_PIXELS, batch_size=5_000)
    add_episode(replay, 0, 230)
    drawn = replay.sample_encoder().state.flatten(1)

    # Frames 130 to 229 are stored; 132 is the first with two before it, 224 has five behind it.
    assert sorted({int(stack[2]) for stack in drawn}) == [*range(132, 225)]
    assert torch.equal(drawn[:, 0] + 2, drawn[:, 2])


def test_masks_are_those_at_the_state_and_where_the_value_window_ends() -> None:
    replay = make_replay(action_dim=3, masked=True)
    legal = [np.array(row, bool) for row in np.eye(3)[[0, 1, 2, 0, 1, 2, 0]]]
    for step in range(6):
        frame = np.full(1, step, np.float32)
        replay.add(
            frame,
            np.eye(3, dtype=np.float32)[0],
            0.0,
            frame + 1,
            terminated=step == 5,
            truncated=False,
            mask=legal[step],
            next_mask=legal[step + 1],
        )
    ends = {}
    for slot in range(6):
        replay.tree.fill(np.eye(100)[slot])
        _, batch = replay.sample_value()
        assert batch.mask is not None
        assert batch.next_mask is not None
        assert batch.mask[0].tolist() == legal[slot].tolist()
        ends[slot] = batch.next_mask[0].tolist()

    # After three steps. From slot 4 on that is past the end, where all is legal and ignored.
    assert [ends[slot] for slot in range(4)] == [legal[slot].tolist() for slot in (3, 4, 5, 6)]
    assert [ends[slot] for slot in (4, 5)] == [[True] * 3] * 2


def test_without_a_mask_everything_is_legal() -> None:
    replay = make_replay(action_dim=3, masked=True)
    zeros = np.zeros(3, np.float32)
    replay.add(zeros[:1], zeros, 0.0, zeros[:1], terminated=True, truncated=False)

    _, batch = replay.sample_value()
    assert batch.mask is not None
    assert batch.next_mask is not None
    assert batch.mask.all()
    assert batch.next_mask.all()
    assert make_replay()._masks(np.zeros(1, np.int64)) is None
