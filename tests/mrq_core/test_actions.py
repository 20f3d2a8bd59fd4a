import math
from typing import Any

import numpy as np
import pytest
from gymnasium import spaces as gym
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from mrq_core.actions import action_codec, action_dim, from_environment, to_environment
from mrq_core.spaces import (
    Box,
    Dict,
    Discrete,
    MultiBinary,
    MultiDiscrete,
    Space,
    SpaceError,
    Tuple,
    space_from_gymnasium,
)

BOOL: Any = np.bool_  # which Gymnasium takes, and its annotations do not
F32_MAX = float(np.finfo(np.float32).max)
finite = st.floats(-1e6, 1e6, width=32)
UNEVEN = Box((-2.0, 0.0, 5.0), (2.0, 10.0, 5.0), (3,))


def test_each_dimension_has_its_own_scale() -> None:
    network = np.array([[-1, -1, -1], [0, 0, 0], [1, 1, 1], [0.5, -0.5, 1]], np.float32)

    environment = to_environment(UNEVEN, network)

    assert environment.tolist() == [[-2, 0, 5], [0, 5, 5], [2, 10, 5], [1, 2.5, 5]]
    assert environment.dtype == np.float32
    assert from_environment(UNEVEN, [1.0, 2.5, 5.0]).tolist() == [0.5, -0.5, 0.0]
    assert action_dim(UNEVEN) == 3


def test_the_bounds_hold_whatever_the_network_says() -> None:
    network = np.array([[-1.5, 2.0, 7.0]], np.float32)

    assert to_environment(UNEVEN, network).tolist() == [[-2, 10, 5]]


def test_shape_and_dtype_are_the_spaces() -> None:
    space = Box((-1.0,) * 4, (1.0,) * 4, (2, 2), "float64")

    environment = to_environment(space, np.zeros((3, 4), np.float32))

    assert environment.shape == (3, 2, 2)
    assert environment.dtype == np.float64


@settings(max_examples=60, deadline=None)
@given(low=finite, width=st.floats(0, 1e6, width=32), network=st.floats(-1, 1, width=32))
def test_round_trip_of_a_continuous_action(low: float, width: float, network: float) -> None:
    high = float(np.float32(low + width))
    assume(high - low > 1e-3 * max(1.0, abs(low)))
    space = Box((low,), (high,), (1,))

    environment = to_environment(space, np.array([[network]], np.float32))[0]

    assert low <= environment[0] <= high
    resolution = float(np.spacing(np.float32(max(abs(low), abs(high), 1.0)))) / (high - low)
    assert from_environment(space, environment)[0] == pytest.approx(network, abs=4 * resolution)


@settings(max_examples=30, deadline=None)
@given(n=st.integers(1, 20), start=st.integers(-5, 5), data=st.data())
def test_round_trip_of_a_discrete_action(n: int, start: int, data: st.DataObject) -> None:
    space = Discrete(n, start)
    action = data.draw(st.integers(start, start + n - 1))

    network = from_environment(space, action)

    assert network.tolist() == [float(i == action - start) for i in range(n)]
    assert to_environment(space, network[None]).tolist() == [action]
    assert action_codec(space).discrete


@pytest.mark.parametrize(
    ("space", "message"),
    [
        (
            Box((-1.0, -1.0), (1.0, math.inf), (2,)),
            "action space: expected finite action bounds in dimension 1, got [-1.0, inf]",
        ),
        (Box((0.0,), (F32_MAX,), (1,)), "finite action bounds in dimension 0, got [0.0, 3.4"),
        (Box((0.0, -1e30), (1.0, 1.0), (2,), "float64"), "in dimension 1, got [-1e+30, 1.0]"),
        (Box((0.0,), (65504.0,), (1,), "float16"), "in dimension 0, got [0.0, 65504.0]"),
        (Box((0,), (2**63 - 1,), (1,), "int64"), "got [0, 9223372036854775807]"),
        (Box((-(2**31),), (5,), (1,), "int32"), "got [-2147483648, 5]"),
        (Box((0,), (2**32 - 1,), (1,), "uint32"), "got [0, 4294967295]"),
        (Tuple((Discrete(2),)), "action space: expected a Box, Discrete, MultiBinary or Multi"),
        (Dict((("a", Discrete(2)),)), "action space: expected a Box, Discrete, MultiBinary or"),
    ],
)
def test_an_action_space_that_cannot_be_learned_is_refused(space: Space, message: str) -> None:
    with pytest.raises(SpaceError) as caught:
        action_codec(space)
    assert message in str(caught.value)


@pytest.mark.parametrize("action", [[2.1, 0, 5], [0, -0.1, 5], [0, 0, 4], [0, 0], [0, 0, math.nan]])
def test_an_action_outside_its_space_is_refused(action: list[float]) -> None:
    with pytest.raises(SpaceError, match=r"^action: expected"):
        from_environment(UNEVEN, action)


@settings(max_examples=100, deadline=None)
@given(
    bounds=st.lists(st.tuples(*[st.floats(-1e20, 1e20)] * 2), min_size=1, max_size=4),
    dtype=st.sampled_from(["float32", "float64"]),
)
def test_the_bounds_are_reached_exactly(bounds: list[tuple[float, float]], dtype: str) -> None:
    low = np.array([min(pair) for pair in bounds], dtype)
    high = np.array([max(pair) for pair in bounds], dtype)
    codec = action_codec(space_from_gymnasium(gym.Box(low, high, dtype=np.dtype(dtype).type)))
    ones = np.ones((1, len(bounds)), np.float32)

    assert codec.to_environment(-ones)[0].tolist() == low.tolist()
    assert codec.to_environment(ones)[0].tolist() == high.tolist()


def test_one_hair_of_rounding_does_not_miss_the_bound() -> None:
    """Centre minus half is 0 here, and centre plus half the next larger number."""
    low, high = 0.1, 1e16
    codec = action_codec(Box((low,), (high,), (1,), "float64"))

    assert codec.to_environment(np.array([[-1.0], [1.0]], np.float32)).tolist() == [[low], [high]]


def test_integers_are_the_nearest() -> None:
    codec = action_codec(Box((0, -3), (4, 3), (2,), "int32"))
    network = np.array([[-1, -1], [-0.6, 0.1], [0.3, 0.9], [1, 1], [2, -2]], np.float32)

    environment = codec.to_environment(network)

    # 2 + 2 * 0.3 = 2.6, for example; the ends are reached and never passed.
    assert environment.tolist() == [[0, -3], [1, 0], [3, 3], [4, 3], [4, -3]]
    assert environment.dtype == np.int32
    assert (codec.discrete, codec.components) == (False, ())
    assert codec.from_environment([1, 3]).tolist() == [-0.5, 1.0]
    with pytest.raises(SpaceError, match="whole numbers"):
        codec.from_environment([0.5, 0])


def test_the_whole_of_a_byte_is_a_bounded_action() -> None:
    codec = action_codec(Box((0,), (255,), (1,), "uint8"))
    every = np.arange(256, dtype=np.uint8)
    back = np.stack([codec.from_environment([value]) for value in every])

    assert codec.to_environment(back).ravel().tolist() == every.tolist()


@pytest.mark.parametrize(
    ("space", "components", "network", "action", "dtype"),
    [
        (Discrete(3, -1), (3,), [0, 0, 1], 1, "int64"),
        (MultiDiscrete((2, 3), (0, 5), (2,)), (2, 3), [0, 1, 1, 0, 0], [1, 5], "int64"),
        (
            MultiDiscrete((2, 1, 2, 1), (0, 7, 0, 0), (2, 2), "int16"),
            (2, 1, 2, 1),
            [1, 0, 1, 0, 1, 1],
            [[0, 7], [1, 0]],
            "int16",
        ),
        (MultiBinary((2,)), (2, 2), [0, 1, 1, 0], [1, 0], "int8"),
        (MultiBinary((1, 2)), (2, 2), [0, 1, 1, 0], [[1, 0]], "int8"),
        (
            Box((0,) * 2, (1,) * 2, (2,), "bool"),
            (2, 2),
            [1, 0, 0, 1],
            [False, True],
            "bool",
        ),
    ],
)
def test_every_choice_is_a_group_of_a_one_hot(
    space: Space, components: tuple[int, ...], network: list[float], action: Any, dtype: str
) -> None:
    codec = action_codec(space)
    executed = codec.to_environment(np.array([network], np.float32))[0]

    assert (codec.components, codec.action_dim, codec.discrete) == (components, len(network), True)
    assert executed.tolist() == action
    assert executed.dtype == np.dtype(dtype)
    assert from_environment(space, action).tolist() == network
    assert from_environment(space, executed).tolist() == network


def test_logits_and_noise_choose_as_one_hots_do() -> None:
    codec = action_codec(MultiDiscrete((2, 3), (0, 0), (2,)))
    logits = np.array([[-5.0, -4.0, 0.1, 0.3, 0.2]], np.float32)

    assert codec.to_environment(logits).tolist() == [[1, 1]]


CHOICES: Any = st.one_of(
    st.builds(gym.Discrete, st.integers(1, 6), start=st.integers(-9, 9)),
    st.builds(gym.MultiBinary, st.lists(st.integers(1, 3), min_size=1, max_size=2)),
    st.lists(st.integers(1, 4), min_size=1, max_size=4).map(gym.MultiDiscrete),
    st.integers(1, 4).map(
        lambda n: gym.MultiDiscrete(
            np.array([[n, 2], [1, 3]]), "int16", start=np.array([[0, -4], [2, 0]])
        )
    ),
    st.integers(1, 3).map(lambda n: gym.Box(0, 1, (n,), BOOL)),
)


@settings(max_examples=80, deadline=None)
@given(space=CHOICES, seed=st.integers(0, 2**31))
def test_gymnasiums_choices_come_back_as_they_went(space: Any, seed: int) -> None:
    codec = action_codec(space_from_gymnasium(space))
    space.seed(seed)
    theirs = space.sample()

    network = codec.from_environment(theirs)
    ours = codec.to_environment(network[None])[0]

    assert network.shape == (codec.action_dim,)
    assert sorted(set(network.tolist())) in ([0, 1], [1])
    assert np.array_equal(ours, theirs)
    drawn = codec.uniform(np.random.default_rng(seed), None)
    assert space.contains(codec.to_environment(drawn[None])[0])
    assert codec.from_environment(codec.to_environment(drawn[None])[0]).tolist() == drawn.tolist()


@settings(max_examples=60, deadline=None)
@given(
    bounds=st.lists(st.tuples(*[st.floats(-100, 100, width=16)] * 2), min_size=1, max_size=4),
    dtype=st.sampled_from(["float16", "float32", "float64", "int8", "int32", "int64"]),
    seed=st.integers(0, 2**31),
)
def test_gymnasiums_boxes_come_back_nearly(
    bounds: list[tuple[float, float]], dtype: str, seed: int
) -> None:
    low = np.array([min(pair) for pair in bounds]).astype(dtype)
    high = np.array([max(pair) for pair in bounds]).astype(dtype)
    space: Any = gym.Box(low, high, dtype=np.dtype(dtype).type)
    codec = action_codec(space_from_gymnasium(space))
    space.seed(seed)
    theirs = space.sample()

    network = codec.from_environment(theirs)
    ours = codec.to_environment(network[None])[0]

    assert np.abs(network).max() <= 1 + 1e-6
    tolerance = 0 if np.dtype(dtype).kind == "i" else 0.1 if dtype == "float16" else 1e-4
    assert np.abs(ours.astype(float) - theirs.astype(float)).max() <= tolerance
    drawn = codec.to_environment(codec.uniform(np.random.default_rng(seed), None)[None])[0]
    assert space.contains(drawn)


def test_a_uniform_continuous_action_fills_the_cube() -> None:
    codec = action_codec(UNEVEN)
    rng = np.random.default_rng(0)
    drawn = np.stack([codec.uniform(rng, None) for _ in range(400)])

    assert drawn.dtype == np.float32
    assert (np.abs(drawn) <= 1).all()
    assert (drawn.min(axis=0) < -0.98).all()
    assert (drawn.max(axis=0) > 0.98).all()


def test_uniform_draws_are_numpys_own() -> None:
    """What runs drew before there were components, they draw still."""
    ours, numpys = np.random.default_rng(5), np.random.default_rng(5)
    for _ in range(3):
        expected = numpys.uniform(-1.0, 1.0, 3).astype(np.float32)
        assert action_codec(UNEVEN).uniform(ours, None).tolist() == expected.tolist()
    for _ in range(3):
        drawn = action_codec(Discrete(4, 2)).uniform(ours, None)
        assert int(drawn.argmax()) == int(numpys.integers(4))


@pytest.mark.parametrize(
    ("space", "action", "message"),
    [
        (Discrete(3, -1), 2, "action: expected an integer from -1 to 1, got 2"),
        (Discrete(3), True, "action: expected an integer, got True (bool)"),
        (Discrete(3), [1], "action: expected an integer, got a list of 1"),
        (MultiDiscrete((2, 3), (0, 5), (2,)), [0, 8], "integers from [0, 5] and below that plus"),
        (MultiDiscrete((2, 3), (0, 5), (2,)), [0], "expected a list of 2 integers"),
        (MultiBinary((2,)), [0, 2], "action: expected integers from [0, 0] and below that plus"),
        (MultiBinary((2,)), [0, -1], "action: expected integers from"),
    ],
)
def test_a_choice_outside_its_space_is_refused(space: Space, action: object, message: str) -> None:
    with pytest.raises(SpaceError) as caught:
        from_environment(space, action)
    assert message in str(caught.value)


@pytest.mark.parametrize("dtype", ["uint32", "uint64", "int32"])
def test_the_zero_of_an_unsigned_type_is_a_bound(dtype: str) -> None:
    codec = action_codec(Box((0,), (10,), (1,), dtype))

    assert codec.to_environment(np.array([[-1.0], [0.0], [1.0]], np.float32)).tolist() == [
        [0],
        [5],
        [10],
    ]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_few_actions_are_mapped_to_the_same_bits_as_many(dtype: str) -> None:
    """There are two ways, by size; ends, beyond them, NaN and unequal bounds in both."""
    rng = np.random.default_rng(0)
    low = tuple((-rng.random(5) * 10).tolist())
    high = tuple((rng.random(5) * 3).tolist())
    codec = action_codec(Box(low, high, (5,), dtype))
    edges = np.array([[-1, 1, 0, -0.0, np.nan], [-1.5, 1.5, np.inf, -np.inf, 1 - 1e-7]])
    inside = np.tanh(rng.standard_normal((500, 5)) * 3)
    values = np.concatenate([edges, inside]).astype(np.float32)
    many = codec.to_environment(values)
    few = np.concatenate([codec.to_environment(row[None]) for row in values])
    assert few.dtype == many.dtype == dtype
    assert few.tobytes() == many.tobytes()
