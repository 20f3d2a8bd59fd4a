"""Written-out episodes, with what must be eligible and drawn worked out by hand.

Tests of an item of docs/decisions/mrq-reference-fixes.md are named after it.
"""

from dataclasses import replace

import numpy as np
import pytest
import torch

from mrq_core.agent import Agent, Noise
from mrq_core.config import replay_bytes
from mrq_core.observations import ObservationForm
from mrq_core.replay import Replay
from tests.mrq_core.replays import add, add_episode, eligible, make_replay


def test_a_slot_is_eligible_once_the_horizons_last_observation_is_stored() -> None:
    replay = make_replay()
    seen = []
    for number in range(8):
        add(replay, number)
        seen.append(eligible(replay))

    assert seen == [[], [], [], [], [], [0], [0, 1], [0, 1, 2]]


def test_a_termination_makes_the_last_starts_eligible() -> None:
    replay = make_replay()
    add_episode(replay, 0, 8, terminated=True)

    assert eligible(replay) == list(range(8))
    assert replay.size == 9  # with the final observation
    assert replay.frame[:9, 0].tolist() == list(range(9))


def test_a10_a_truncation_leaves_the_last_starts_ineligible() -> None:
    replay = make_replay()
    add_episode(replay, 0, 8, truncated=True)
    add_episode(replay, 20, 8)

    assert eligible(replay) == [0, 1, 2, 9, 10, 11]


def test_a11_termination_wins_over_truncation() -> None:
    replay = make_replay()
    add_episode(replay, 0, 8, terminated=True, truncated=True)

    assert eligible(replay) == list(range(8))


def test_episodes_shorter_than_the_horizon() -> None:
    replay = make_replay()
    add_episode(replay, 0, 3, truncated=True)
    assert eligible(replay) == []
    assert not replay.has_eligible

    add_episode(replay, 10, 2, terminated=True)
    assert eligible(replay) == [4, 5]
    assert replay.has_eligible


def test_a10_with_truncated_short_episodes_only_nothing_is_eligible() -> None:
    """The published code then draws slot 0 every time."""
    replay = make_replay(buffer_size=100)
    for number in range(60):
        add_episode(replay, number, 5, truncated=True)

    assert replay.size == 100
    assert eligible(replay) == []
    assert not replay.has_eligible
    add_episode(replay, 0, 6)
    assert replay.has_eligible


def test_an_overwritten_slot_is_no_start_any_more() -> None:
    replay = make_replay(buffer_size=100)
    add_episode(replay, 0, 99, terminated=True)
    assert eligible(replay) == list(range(99))
    assert (replay.size, replay.cursor) == (100, 0)

    add_episode(replay, 200, 7)

    assert eligible(replay) == [0, 1, *range(7, 99)]
    assert replay.size == 100


def test_the_final_observation_may_be_stored_in_the_first_slot_again() -> None:
    replay = make_replay(buffer_size=100)
    add_episode(replay, 0, 97, terminated=True)
    add_episode(replay, 200, 2, terminated=True)  # slots 98, 99; the final observation in 0

    assert replay.frame[0, 0] == 202
    assert eligible(replay) == [*range(1, 97), 98, 99]
    replay.tree.fill(np.eye(100)[98])
    batch = replay.sample_encoder()
    assert batch.next_state[0, :2, 0].tolist() == [201, 202]


def test_windows_hold_what_was_stored_across_wrap_and_growth() -> None:
    replay = make_replay(buffer_size=5000)
    add_episode(replay, 0, 6000)

    batch = replay.sample_encoder()
    first = batch.state[:, 0]
    assert first.min() >= 1000
    assert first.max() <= 5994  # the last with 5 further observations
    steps = torch.arange(5)
    assert torch.equal(batch.next_state[..., 0], first[:, None] + 1 + steps)
    assert torch.equal(batch.action[..., 0], first[:, None] + steps)
    assert torch.equal(batch.reward, first[:, None] + steps)
    _, value = replay.sample_value()
    assert torch.equal(value.next_state, value.state + 3)
    assert torch.equal(value.action, value.state)
    assert torch.equal(value.reward, value.state + torch.arange(3))


def test_b6_memory_grows_with_what_is_stored() -> None:
    replay = make_replay(buffer_size=10_000_000)
    assert replay.slots == 1024
    add_episode(replay, 0, 1025)
    assert replay.slots == 2048


def test_b3_a_pixel_is_a_byte_and_a_number_four() -> None:
    """The published code counts four bytes for a whole vector. Here it is one slot: the frame, a
    float32 action of 6 and reward, three bytes of flags and age, and two float64 of priority."""
    h = replace(make_replay().h, buffer_size=1_000_000)
    pixels = ObservationForm("pixels", (1, 84, 84), 4)
    humanoid = ObservationForm("vector", (376,), 1)

    rest = 6 * 4 + 4 + 3 + 16
    assert replay_bytes(h, pixels.frame_bytes, 6, 2_500_000) == 1_000_000 * (84 * 84 + rest)
    assert replay_bytes(h, humanoid.frame_bytes, 6, 1_000_000) == 1_000_000 * (376 * 4 + rest)
    masked = replay_bytes(h, pixels.frame_bytes, 6, 2_500_000, masked=True)
    assert masked == 1_000_000 * (84 * 84 + rest + 6)


def test_b4_what_was_never_written_and_final_observations_have_no_priority() -> None:
    poison = [np.full(1024, np.nan) for _ in range(100)]
    del poison  # memory that is not set to zero would now hold this
    replay = make_replay(buffer_size=10_000)
    assert replay.priority.tobytes() == replay.tree.leaves.tobytes() == bytes(8 * 1024)
    add_episode(replay, 0, 3, terminated=True)
    assert replay.priority[:5].tolist() == [1, 1, 1, 0, 0]

    full = make_replay(buffer_size=100)
    add_episode(full, 0, 99, terminated=True)
    full.update_priorities(np.arange(99), np.full(99, 2.5))
    add_episode(full, 200, 3, terminated=True)  # its final frame overwrites slot 3
    assert full.priority[3] == full.tree.leaves[3] == 0
    assert full.tree.total == 3 * 2.5 + 95 * 2.5


def test_b5_a_million_equal_priorities_are_drawn_alike() -> None:
    """In float32 the last sums would grow by 1.625 or 1.75 where 1.7 is added."""
    replay = make_replay(buffer_size=1_000_000)
    replay._allocate(1_000_000)
    replay.tree.fill(np.full(1_000_000, 1.7))
    slots = np.arange(999_000, 1_000_000, dtype=np.float64)

    assert replay.tree.find((slots + 0.001) * 1.7).tolist() == slots.tolist()
    assert replay.tree.find((slots + 0.999) * 1.7).tolist() == slots.tolist()


def test_b5_a_draw_of_exactly_zero_is_no_masked_slot() -> None:
    replay = make_replay()
    add_episode(replay, 0, 8, terminated=True)
    replay.tree.set(np.array([0, 1]), 0.0)

    assert replay.tree.find(np.zeros(1)).tolist() == [2]


def test_uniform_replay_ignores_priorities() -> None:
    replay = make_replay(prioritized=False, batch_size=30_000)
    add_episode(replay, 0, 8)
    slots, _ = replay.sample_value()
    assert np.bincount(slots).tolist() == pytest.approx([10_000] * 3, abs=500)

    replay.update_priorities(slots, np.linspace(1.0, 9.0, len(slots)))
    add_episode(replay, 8, 3)

    assert replay.tree.leaves[:7].tolist() == [1, 1, 1, 1, 1, 1, 0]
    assert replay.max_priority == 1.0


def test_a13_both_batches_are_drawn_by_priority() -> None:
    replay = make_replay()
    add_episode(replay, 0, 12, terminated=True)
    replay.update_priorities(np.array([4]), np.array([1e12]))

    slots, values = replay.sample_value()
    assert set(slots.tolist()) == {4}
    assert torch.equal(replay.sample_encoder().state, values.state)


def n_step_returns(replay: Replay, slots: list[int], q_horizon: int = 3) -> list[float]:
    """Of windows that start at these slots, as the value update computes them."""
    h = replace(replay.h, batch_size=1, discount=0.99, q_horizon=q_horizon)
    agent = Agent(h, (1,), 1, seed=0)
    replay.h = h
    returns = []
    for slot in slots:
        replay.tree.fill(np.eye(100)[slot])
        _, batch = replay.sample_value()
        zeros = torch.zeros(1, 1)
        statistics = agent.update_value(batch, Noise(zeros, zeros, zeros))
        returns.append(statistics.n_step_return.item())
    return returns


def test_returns_around_a_termination_ignore_the_next_episode() -> None:
    replay = make_replay()
    for step in range(1, 7):
        add(replay, step, reward=step, terminated=step == 6)
    for step in range(8):
        add(replay, 50 + step, reward=1001 + step)

    # Starting at the termination, one and two steps before it, and three, where it is not reached.
    assert n_step_returns(replay, [5, 4, 3, 2]) == pytest.approx(
        [6.0, 5 + 0.99 * 6, 4 + 0.99 * 5 + 0.99**2 * 6, 3 + 0.99 * 4 + 0.99**2 * 5]
    )
    assert n_step_returns(replay, [4]) == pytest.approx([10.94])


def test_returns_before_a_truncation_stay_in_the_episode() -> None:
    replay = make_replay()
    for step in range(1, 8):
        add(replay, step, reward=step, truncated=step == 7)
    for step in range(8):
        add(replay, 50 + step, reward=1001 + step)
    starts = [slot for slot in eligible(replay) if slot < 8]

    assert starts == [0, 1]
    assert n_step_returns(replay, starts) == pytest.approx(
        [1 + 0.99 * 2 + 0.99**2 * 3, 2 + 0.99 * 3 + 0.99**2 * 4]
    )


def test_a_longer_return_horizon_shifts_eligibility() -> None:
    replay = make_replay(q_horizon=7)
    add_episode(replay, 0, 9)

    assert eligible(replay) == [0, 1]


def test_new_transitions_get_the_greatest_priority_so_far() -> None:
    replay = make_replay()
    add_episode(replay, 0, 8)
    replay.update_priorities(np.array([0, 1]), np.array([2.5, 0.5]))
    add(replay, 8)
    add_episode(replay, 9, 6)

    assert replay.tree.leaves[:4].tolist() == [2.5, 0.5, 1.0, 1.0]
    assert replay.tree.leaves[8:10].tolist() == [2.5, 2.5]

    replay.update_priorities(np.arange(10), np.full(10, 1.5))
    assert replay.max_priority == 2.5
    replay.reset_max_priority()
    assert replay.max_priority == 1.5


def test_a8_the_mean_reward_is_over_transitions_only() -> None:
    replay = make_replay()
    for _ in range(3):
        for step in range(9):
            add(replay, step, reward=-1.0, terminated=step == 8)

    assert replay.size == 30
    assert replay.mean_abs_reward() == 1.0


def test_terminations_are_remembered_after_they_are_overwritten() -> None:
    replay = make_replay()
    add_episode(replay, 0, 3, truncated=True)
    assert not replay.terminations_seen
    add_episode(replay, 0, 3, terminated=True)
    add_episode(replay, 0, 200)

    assert replay.terminations_seen
    assert replay.sample_encoder().terminations_seen
