"""Which actions are legal: read in every spelling, respected in every choice, missed if absent."""

from typing import Any

import numpy as np
import pytest
from gymnasium import spaces as gym
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from mrq_core.actions import ActionCodec, action_codec
from mrq_core.environments import Environment
from mrq_core.errors import EnvironmentFault
from mrq_core.spaces import Box, Discrete, MultiBinary, MultiDiscrete, SpaceError
from tests.mrq_core.puppet import ZEROS, environment, strings

THREE = action_codec(Discrete(3, start=5))
GRID = action_codec(MultiDiscrete((2, 3), (0, 10), (2,)))
SQUARE = action_codec(MultiDiscrete((2, 3, 1, 2), (0, 0, 0, 0), (2, 2)))
PAIR = action_codec(MultiBinary((2,)))


def codecs() -> st.SearchStrategy[ActionCodec]:
    sizes = st.lists(st.integers(1, 4), min_size=1, max_size=4).map(tuple)
    return sizes.map(lambda n: action_codec(MultiDiscrete(n, (-1,) * len(n), (len(n),))))


def masks(codec: ActionCodec) -> st.SearchStrategy[NDArray[np.bool_]]:
    """Of every component something is legal."""
    parts = [
        st.lists(st.booleans(), min_size=size, max_size=size).filter(any)
        for size in codec.components
    ]
    return st.tuples(*parts).map(lambda rows: np.concatenate(rows).astype(bool))


@pytest.mark.parametrize(
    ("codec", "value", "mask"),
    [
        (THREE, [1, 0, 1], [1, 0, 1]),
        (THREE, [True, False, True], [1, 0, 1]),
        (THREE, (0, 0, 1), [0, 0, 1]),
        (THREE, np.array([0, 1, 1], np.int8), [0, 1, 1]),
        (THREE, np.array([False, True, True]), [0, 1, 1]),
        (THREE, np.array([0.0, 1.0, 1.0], np.float32), [0, 1, 1]),
        (THREE, [np.True_, np.False_, np.True_], [1, 0, 1]),
        (GRID, [1, 0, 0, 1, 1], [1, 0, 0, 1, 1]),
        (GRID, np.array([1, 0, 0, 1, 1], bool), [1, 0, 0, 1, 1]),
        (GRID, (np.array([1, 0], np.int8), np.array([0, 1, 1], np.int8)), [1, 0, 0, 1, 1]),
        (GRID, [[1, 0], [0, 1, 1]], [1, 0, 0, 1, 1]),
        (SQUARE, (([1, 0], [0, 1, 1]), ([1], [0, 1])), [1, 0, 0, 1, 1, 1, 0, 1]),
        (PAIR, [[0, 1], [1, 1]], [0, 1, 1, 1]),
        (PAIR, np.array([[0, 1], [1, 1]]), [0, 1, 1, 1]),
    ],
)
def test_a_mask_in_every_form(codec: ActionCodec, value: object, mask: list[int]) -> None:
    read = codec.read_mask(value)

    assert read.dtype == np.bool_
    assert read.tolist() == [bool(flag) for flag in mask]


def test_the_mask_that_gymnasium_samples_with_is_read() -> None:
    space = gym.MultiDiscrete(np.array([[2, 3], [1, 2]]))
    mask: Any = tuple(
        tuple(np.array(part, np.int8) for part in row)
        for row in (([0, 1], [0, 0, 1]), ([1], [1, 0]))
    )
    assert space.sample(mask=mask).tolist() == [[1, 2], [0, 0]]

    read = SQUARE.read_mask(mask)

    assert SQUARE.to_environment(np.zeros((1, 8), np.float32), read[None])[0].tolist() == [
        [1, 2],
        [0, 0],
    ]


@pytest.mark.parametrize(
    ("codec", "value", "kind", "message"),
    [
        (THREE, [1, 0], "shape", "action_mask: expected a list of 3 numbers, got a list of 2"),
        (THREE, np.ones(4), "shape", "expected a list of 3 numbers, got an array of shape (4,)"),
        (THREE, [], "shape", "got a list of 0"),
        (THREE, 1, "shape", "expected a list of 3 numbers, got 1 (int)"),
        (THREE, "101", "dtype", "got '101' (str)"),
        (THREE, [1, 0, "x"], "dtype", "got 'x' (str) in it"),
        (THREE, [1, 0, 2], "range", "expected zeros and ones"),
        (THREE, np.array([1, 0.5, 0]), "range", "expected zeros and ones"),
        (THREE, [0, 0, 0], "range", "action_mask: expected at least one legal value, got none"),
        (GRID, [1, 0, 1, 1], "shape", "expected a list of 5 numbers, got a list of 4"),
        (GRID, [[1, 0], [1, 1]], "shape", "action_mask[1]: expected a list of 3 numbers"),
        (GRID, np.array(1), "shape", "expected masks for components of shape (2,), got 1 (int)"),
        (GRID, [[1, 0]], "shape", "expected masks for components of shape (2,), got a list of 1"),
        (GRID, [0, 0, 0, 1, 1], "range", "at least one legal value of component 0, got none"),
        (GRID, [1, 1, 0, 0, 0], "range", "at least one legal value of component 1, got none"),
    ],
)
def test_what_is_no_mask_is_told(
    codec: ActionCodec, value: object, kind: str, message: str
) -> None:
    with pytest.raises(SpaceError) as caught:
        codec.read_mask(value)
    assert message in str(caught.value)
    assert caught.value.kind == kind


def test_a_continuous_action_has_no_mask() -> None:
    codec = action_codec(Box((-1.0,), (1.0,), (1,)))
    with pytest.raises(SpaceError, match="expected no mask, for the actions are continuous"):
        codec.read_mask([1])


def test_a_terminal_state_frees_what_has_nothing_left() -> None:
    assert THREE.read_mask([0, 0, 0], terminal=True).all()
    assert GRID.read_mask([0, 0, 0, 1, 0], terminal=True).tolist() == [
        True,
        True,
        False,
        True,
        False,
    ]
    with pytest.raises(SpaceError, match="got a list of 2"):
        THREE.read_mask([0, 0], terminal=True)


def test_a_mask_that_was_read_is_not_the_environments() -> None:
    theirs = np.ones(3, bool)
    mine = THREE.read_mask(theirs)
    theirs[:] = False

    assert mine.all()


@settings(max_examples=60, deadline=None)
@given(codecs().flatmap(lambda c: st.tuples(st.just(c), masks(c))), st.integers(0, 2**31))
def test_no_choice_is_ever_illegal(pair: tuple[ActionCodec, NDArray[np.bool_]], seed: int) -> None:
    codec, mask = pair
    rng = np.random.default_rng(seed)
    wanted = rng.normal(scale=100, size=(4, codec.action_dim)).astype(np.float32)

    chosen = codec.to_environment(wanted, np.stack([mask] * 4))

    for action, row in zip(chosen, wanted, strict=True):
        one_hot = codec.from_environment(action)
        assert one_hot.sum() == len(codec.components)
        assert mask[one_hot > 0].all()
        # And it is the one that was wanted most.
        assert (one_hot.astype(float) @ row) == pytest.approx(best_legal(codec, row, mask))
    uniform = codec.uniform(rng, mask)
    assert mask[uniform > 0].all()
    assert uniform.sum() == len(codec.components)


def best_legal(codec: ActionCodec, row: NDArray[Any], mask: NDArray[np.bool_]) -> float:
    total, first = 0.0, 0
    for size in codec.components:
        legal = [row[i] for i in range(first, first + size) if mask[i]]
        total, first = total + float(max(legal)), first + size
    return total


@settings(max_examples=20, deadline=None)
@given(codecs().flatmap(lambda c: st.tuples(st.just(c), masks(c))))
def test_every_legal_choice_is_drawn(pair: tuple[ActionCodec, NDArray[np.bool_]]) -> None:
    codec, mask = pair
    rng = np.random.default_rng(0)
    drawn = np.sum([codec.uniform(rng, mask) for _ in range(200)], axis=0)

    assert ((drawn > 0) == mask).all()


def test_each_row_of_a_batch_has_its_own_mask() -> None:
    wanted = np.array([[3.0, 2.0, 1.0]] * 3, np.float32)
    mask = np.array([[1, 1, 1], [0, 1, 1], [0, 0, 1]], bool)

    assert THREE.to_environment(wanted, mask).tolist() == [5, 6, 7]


def test_a_mask_that_allows_everything_changes_no_draw() -> None:
    free = THREE.uniform(np.random.default_rng(3), np.ones(3, bool))
    assert free.tolist() == THREE.uniform(np.random.default_rng(3), None).tolist()


# In environments. In each spelling the second of three actions, 5, 6 and 7, is illegal.
INNER = gym.Box(-1, 1, (2,))
WITH_MASK = gym.Dict({"observation": INNER, "action_mask": gym.MultiBinary(3)})
WITH_MORE = gym.Dict(
    {"position": INNER, "action_mask": gym.Box(0, 1, (3,), np.int8), "speed": gym.Box(-1, 1, (1,))}
)
FLAGS = np.array([1, 0, 1], np.int8)


@pytest.mark.parametrize(
    ("space", "observation", "info", "flat"),
    [
        (WITH_MASK, {"observation": ZEROS + 1, "action_mask": FLAGS}, {}, [1, 1]),
        (
            WITH_MORE,
            {"position": ZEROS, "speed": np.ones(1), "action_mask": FLAGS},
            {},
            [0, 0, 1],
        ),
        (INNER, ZEROS, {"action_mask": FLAGS}, [0, 0]),
        (INNER, ZEROS, {"legal_action_mask": FLAGS.astype(bool)}, [0, 0]),
        (INNER, ZEROS, {"admissible_actions": [5, 7]}, [0, 0]),
        (INNER, ZEROS, {"admissible_actions": np.array([7, 5, 7])}, [0, 0]),
        (INNER, ZEROS, {"admissible_actions": {5, 7}}, [0, 0]),
    ],
)
def test_the_spellings_of_environments(
    space: Any, observation: Any, info: dict[str, Any], flat: list[float]
) -> None:
    told = environment(
        observation_space=space,
        start=(observation, info),
        answers=((observation, 1.0, False, False, info),),
    )

    frame, outcome = told.reset(0, 0), told.step(np.int64(5), 1)

    assert told.masked
    assert frame.mask is not None
    assert outcome.mask is not None
    assert frame.mask.tolist() == outcome.mask.tolist() == [True, False, True]
    assert frame.observation.tolist() == outcome.observation.tolist() == flat
    assert told.form.input_size == told.observation_space.flat_size == len(flat)


def test_a_dict_observation_without_a_mask_stays_whole() -> None:
    space = gym.Dict({"observation": INNER, "achieved_goal": gym.Box(-1, 1, (1,))})
    told = environment(
        observation_space=space, start=({"observation": ZEROS, "achieved_goal": np.ones(1)}, {})
    )
    assert told.reset(0, 0).observation.tolist() == [1, 0, 0]
    assert not told.masked


def test_for_a_continuous_action_such_a_key_is_an_observation() -> None:
    seen = {"observation": ZEROS, "action_mask": FLAGS}
    told = environment(
        observation_space=WITH_MASK, action_space=gym.Box(-1, 1, (1,)), start=(seen, {})
    )
    assert told.reset(0, 0).observation.tolist() == [1, 0, 1, 0, 0]


ALLOWED = {"action_mask": [1, 1, 0]}
NOTHING = {"action_mask": [0, 0, 0]}


def answering(info: dict[str, Any], **changes: Any) -> Environment:
    """Masked at the reset, and then `info`."""
    step = {"terminated": False, "truncated": False} | changes
    told = environment(
        start=(ZEROS, ALLOWED),
        answers=((ZEROS, 1.0, step["terminated"], step["truncated"], info),),
    )
    told.reset(0, 0)
    return told


@pytest.mark.parametrize(
    ("info", "message"),
    [
        ({}, "it gives no action mask, though its first reset gave one"),
        ({"action_mask": None}, "it gives no action mask"),
        (NOTHING, "info.action_mask: expected at least one legal value, got none"),
        ({"action_mask": [1, 1]}, "info.action_mask: expected a list of 3 numbers, got a list"),
        ({"action_mask": [1, 2, 0]}, "info.action_mask: expected zeros and ones"),
        ({"legal_action_mask": np.ones(4)}, "info.legal_action_mask: expected a list of 3"),
        ({"admissible_actions": [0]}, "info.admissible_actions: expected an integer from 5 to 7"),
        ({"admissible_actions": []}, "info.admissible_actions: expected at least one legal value"),
        ({"admissible_actions": 5}, "info.admissible_actions: expected a list of actions, got 5"),
    ],
)
@pytest.mark.parametrize("truncated", [False, True])
def test_a_mask_that_breaks_the_contract(
    info: dict[str, Any], message: str, truncated: bool
) -> None:
    with pytest.raises(EnvironmentFault) as caught:
        answering(info, truncated=truncated).step(np.int64(5), 41)
    assert message in str(caught.value)
    assert caught.value.step == 41


@pytest.mark.parametrize("info", [{}, NOTHING, {"admissible_actions": []}])
def test_after_a_termination_nothing_need_be_legal(info: dict[str, Any]) -> None:
    outcome = answering(info, terminated=True).step(np.int64(5), 1)

    assert outcome.mask is not None
    assert outcome.mask.tolist() == [True, True, True]


def test_a_terminal_mask_is_still_a_mask() -> None:
    kept = answering({"action_mask": [0, 1, 0]}, terminated=True).step(np.int64(5), 1)
    assert kept.mask is not None
    assert kept.mask.tolist() == [False, True, False]
    with pytest.raises(EnvironmentFault, match="expected a list of 3 numbers"):
        answering({"action_mask": [0, 0]}, terminated=True).step(np.int64(5), 1)


def test_a_later_reset_without_its_mask_is_a_fault() -> None:
    infos = [ALLOWED, {}]
    told = environment(start=lambda: (ZEROS, infos.pop(0)))
    told.reset(0, 0)
    with pytest.raises(EnvironmentFault, match=r"at step 9 .* it gives no action mask"):
        told.reset(1, 9)


def test_a_mask_out_of_nowhere_is_a_fault() -> None:
    told = environment(answers=((ZEROS, 1.0, False, False, ALLOWED),))
    told.reset(0, 0)
    with pytest.raises(EnvironmentFault, match="it gives an action mask, though its first reset"):
        told.step(np.int64(5), 1)


def test_a_missing_key_of_the_observation_is_told() -> None:
    told = environment(observation_space=WITH_MASK, start=({"action_mask": FLAGS}, {}))
    with pytest.raises(EnvironmentFault, match=r"expected an object with \['observation', 'action"):
        told.reset(0, 0)


def test_lists_of_joint_actions_are_refused() -> None:
    told = environment(
        action_space=gym.MultiDiscrete([2, 2]), start=(ZEROS, {"admissible_actions": [[0, 1]]})
    )
    with pytest.raises(EnvironmentFault, match="expected a mask for each component"):
        told.reset(0, 0)


def test_a_repeat_ends_where_the_action_becomes_illegal() -> None:
    told = environment(
        repeat=4,
        start=(ZEROS, {"action_mask": [1, 1, 1]}),
        answers=(
            (ZEROS, 1.0, False, False, {"action_mask": [1, 0, 1]}),
            (ZEROS, 10.0, False, False, {"action_mask": [0, 0, 1]}),
            (ZEROS, 100.0, False, False, {"action_mask": [1, 1, 1]}),
        ),
    )
    told.reset(0, 0)
    outcome = told.step(np.int64(5), 1)

    assert strings(told).actions == [5, 5]
    assert outcome.reward == 11.0
    assert outcome.mask is not None
    assert outcome.mask.tolist() == [False, False, True]


def test_taxi_says_what_is_legal() -> None:
    taxi = Environment("Taxi-v4", {}, None)
    rng = np.random.default_rng(0)
    seen = taxi.reset(3, 0).mask
    assert taxi.masked
    assert seen is not None
    own: Any = taxi.env.unwrapped
    for step in range(20):
        assert seen.tolist() == own.action_mask(own.s).astype(bool).tolist()
        assert not seen.all()
        outcome = taxi.step(taxi.executable(taxi.codec.uniform(rng, seen)), step)
        assert outcome.mask is not None
        seen = outcome.mask
