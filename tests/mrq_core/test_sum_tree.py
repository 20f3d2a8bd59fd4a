import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from mrq_core.sum_tree import WIDTH, SumTree

CAPACITIES = [1, 5, WIDTH, WIDTH + 1, WIDTH**2, WIDTH**2 + 1]


def oracle(leaves: NDArray[np.float64], targets: NDArray[np.float64]) -> NDArray[np.int64]:
    return np.searchsorted(leaves.cumsum(), targets, side="right")


@pytest.mark.parametrize("capacity", CAPACITIES)
def test_slots_are_found_as_by_a_plain_cumulative_sum(capacity: int) -> None:
    rng = np.random.default_rng(capacity)
    # Whole numbers, so that the plain sum has no rounding of its own.
    leaves = rng.integers(0, 4, capacity).astype(np.float64)
    leaves[rng.integers(capacity)] = 3.0
    tree = SumTree(capacity)
    tree.fill(leaves)
    targets = np.concatenate([[0.0], rng.random(300) * leaves.sum(), leaves.cumsum()[:-1][:50]])

    assert tree.total == leaves.sum()
    assert tree.find(targets).tolist() == oracle(leaves, targets).tolist()


@pytest.mark.parametrize("capacity", CAPACITIES)
def test_updates_leave_the_same_sums_as_a_tree_made_anew(capacity: int) -> None:
    rng = np.random.default_rng(capacity)
    tree = SumTree(capacity)
    for _ in range(30):
        tree.set(rng.integers(capacity, size=20), rng.random(20))
    anew = SumTree(capacity)
    anew.fill(tree.leaves)

    for level, expected in zip(tree.levels, anew.levels, strict=True):
        assert level.tobytes() == expected.tobytes()


@given(st.lists(st.sampled_from([0.0, 0.0, 1e-12, 0.1, 1.7, 1e9]), min_size=1, max_size=300))
def test_a_slot_without_priority_is_never_drawn(priorities: list[float]) -> None:
    priorities.append(0.3)
    tree = SumTree(len(priorities))
    tree.fill(np.array(priorities))
    ends = np.array([0.0, np.nextafter(tree.total, 0.0), tree.total, tree.total * (1 + 1e-9)])
    drawn = [*tree.find(ends), *tree.sample(np.random.default_rng(0), 50)]

    assert all(priorities[slot] > 0 for slot in drawn)


def test_shares_are_those_of_the_priorities() -> None:
    tree = SumTree(1000)
    tree.set(np.array([3, 500, 999]), np.array([1.0, 2.0, 5.0]))

    drawn = tree.sample(np.random.default_rng(0), 80_000)

    slots, counts = np.unique(drawn, return_counts=True)
    assert slots.tolist() == [3, 500, 999]
    # 5 standard deviations of the widest share.
    assert (counts / 80_000).tolist() == pytest.approx([1 / 8, 2 / 8, 5 / 8], abs=0.009)


def test_the_last_of_two_priorities_for_one_slot_holds() -> None:
    tree = SumTree(4)
    tree.set(np.array([2, 2]), np.array([5.0, 1.0]))

    assert tree.total == 1.0
