import json
import math
from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium import spaces as gym
from hypothesis import given
from hypothesis import strategies as st

from mrq_core.spaces import (
    Box,
    Dict,
    Discrete,
    MultiBinary,
    MultiDiscrete,
    Space,
    SpaceError,
    Tuple,
    flat_size,
    flatten,
    flatten_batch,
    space_from_gymnasium,
    space_from_json,
)

BOX = Box((-1.0, -math.inf), (1.0, math.inf), (2,))
NESTED = Dict((("z", Discrete(3, start=1)), ("a", Tuple((BOX, MultiBinary((2,)))))))

shapes = st.lists(st.integers(1, 3), max_size=3).map(tuple)
bounds = st.sampled_from([-math.inf, -2.5, 0.0])


def boxes() -> st.SearchStrategy[Box]:
    def box(shape: tuple[int, ...], low: float) -> Box:
        return Box((low,) * math.prod(shape), (math.inf,) * math.prod(shape), shape)

    return st.builds(box, shapes, bounds)


def multi_discretes() -> st.SearchStrategy[MultiDiscrete]:
    counts = st.lists(st.integers(1, 4), min_size=1, max_size=3).map(tuple)
    return counts.map(lambda n: MultiDiscrete(n, (1,) * len(n), (len(n),)))


leaves = (
    boxes()
    | st.builds(Discrete, st.integers(1, 5), st.integers(-3, 3))
    | st.builds(MultiBinary, shapes)
    | multi_discretes()
)
anything: st.SearchStrategy[Space] = st.recursive(
    leaves,
    lambda parts: (
        st.builds(Tuple, st.lists(parts, max_size=3).map(tuple))
        | st.builds(
            Dict,
            st.lists(
                st.tuples(st.text(max_size=3), parts), max_size=3, unique_by=lambda kv: kv[0]
            ).map(tuple),
        )
    ),
    max_leaves=6,
)


def to_gymnasium(space: Space) -> gymnasium.Space[Any]:
    match space:
        case Box():
            low, high = (np.reshape(b, space.shape) for b in (space.low, space.high))
            return gym.Box(low.astype("f"), high.astype("f"), space.shape, np.float32)
        case Discrete():
            return gym.Discrete(space.n, start=space.start)
        case MultiBinary():
            return gym.MultiBinary(space.shape)
        case MultiDiscrete():
            return gym.MultiDiscrete(np.array(space.nvec), start=np.array(space.start))
        case Tuple():
            return gym.Tuple([to_gymnasium(part) for part in space.spaces])
        case Dict():
            return gym.Dict([(key, to_gymnasium(part)) for key, part in space.spaces])


def plain(value: Any) -> Any:
    """As the value looks after a round trip through JSON."""
    if isinstance(value, dict):
        return {key: plain(part) for key, part in value.items()}
    if isinstance(value, tuple):
        return [plain(part) for part in value]
    return value.tolist()


@given(anything)
def test_json_round_trip(space: Space) -> None:
    assert space_from_json(json.loads(json.dumps(space.to_json(), allow_nan=False))) == space


@given(leaves)
def test_gymnasium_spaces_are_understood(space: Space) -> None:
    if getattr(space, "shape", None) == () and isinstance(space, MultiBinary):
        return  # Gymnasium has no such space
    assert space_from_gymnasium(to_gymnasium(space)) == space


@given(leaves, st.integers(0, 2**31))
def test_numpy_and_json_values_flatten_alike(space: Space, seed: int) -> None:
    if getattr(space, "shape", None) == () and isinstance(space, MultiBinary):
        return
    source = to_gymnasium(space)
    source.seed(seed)
    value = source.sample()

    from_numpy = flatten(space, value)
    assert from_numpy.dtype == np.float32
    assert from_numpy.shape == (flat_size(space),) == (gym.flatdim(source),)
    theirs: Any = gym.flatten(source, value)
    assert from_numpy.tolist() == theirs.astype("f").tolist()
    assert flatten(space, plain(value)).tolist() == from_numpy.tolist()


def test_a_nested_observation_is_concatenated_in_the_stated_order() -> None:
    flat = flatten(NESTED, {"a": [[5.0, -7], [1, 0]], "z": 3})

    assert flat.tolist() == [0.0, 0.0, 1.0, 5.0, -7.0, 1.0, 0.0]


def test_multi_discrete_is_one_hot_each_respecting_start() -> None:
    space = MultiDiscrete((2, 3), (0, 10), (2,))

    assert flatten(space, [1, 10]).tolist() == [0, 1, 1, 0, 0]


def test_a_batch_is_its_rows() -> None:
    assert flatten_batch(BOX, [[1, 2], [3.5, 4]]).tolist() == [[1, 2], [3.5, 4]]
    assert flatten_batch(BOX, np.eye(2)).tolist() == [[1, 0], [0, 1]]
    assert flatten_batch(Discrete(2), [1, 0]).tolist() == [[0, 1], [1, 0]]
    assert flatten_batch(BOX, []).shape == (0, 2)


def test_observations_outside_the_bounds_pass() -> None:
    assert flatten(BOX, [7.0, 0.0]).tolist() == [7.0, 0.0]


FLAGS = Box((0,) * 4, (1,) * 4, (2, 2), "bool")
BYTES = Box((0,) * 2, (255,) * 2, (2,), "uint8")


@pytest.mark.parametrize(
    ("space", "value", "flat"),
    [
        (FLAGS, [[True, False], [False, True]], [1, 0, 0, 1]),
        (FLAGS, np.array([[True, False], [False, True]]), [1, 0, 0, 1]),
        (FLAGS, [[1, 0], [0.0, 1.0]], [1, 0, 0, 1]),
        (FLAGS, [[np.True_, 0], [0, 1]], [1, 0, 0, 1]),
        (BYTES, [0, 255], [0, 255]),
        (BYTES, [3.0, 4], [3, 4]),
        (BYTES, np.array([3, 4], np.int64), [3, 4]),
        (Box((-math.inf,) * 2, (math.inf,) * 2, (2,), "int8"), [-128, 127], [-128, 127]),
        (Box((0,), (2**63 - 1,), (1,), "int64"), [2**62], [2.0**62]),
        (Box((0,), (2**64 - 1,), (1,), "uint64"), [2**63], [2.0**63]),
        (Box((-1.0,), (1.0,), (), "float64"), 0.5, [0.5]),
        (Box((-1.0,), (1.0,), (), "float16"), np.float16(0.5), [0.5]),
        (BOX, [10**30, 1], [1e30, 1]),
        (
            MultiDiscrete((2, 1, 1, 3), (0, 5, 0, -1), (2, 2)),
            [[1, 5], [0, 1]],
            [0, 1, 1, 1, 0, 0, 1],
        ),
        (
            MultiDiscrete((200, 3), (-100, 0), (2,)),
            np.array([-100, 2], np.int8),
            [1] + [0] * 201 + [1],
        ),
        (Discrete(3, start=-7), np.int64(-6), [0, 1, 0]),
        (Discrete(3), np.array(2), [0, 0, 1]),
    ],
)
def test_every_type_of_number(space: Space, value: object, flat: list[float]) -> None:
    assert flatten(space, value).tolist() == pytest.approx(flat)


@pytest.mark.parametrize(
    ("space", "value", "kind"),
    [
        (BOX, [1.0], "shape"),
        (BOX, [1.0, [2.0]], "shape"),
        (BOX, 1.0, "shape"),
        (BOX, {"x": 1}, "shape"),
        (BOX, np.zeros(3), "shape"),
        (BOX, "12", "dtype"),
        (BOX, None, "dtype"),
        (BOX, [1.0, "2"], "dtype"),
        (BOX, [1.0, True], "dtype"),
        (BOX, np.zeros(2, bool), "dtype"),
        (BOX, [1.0, math.nan], "not_finite"),
        (BOX, [1.0, 10**400], "not_finite"),
        (BOX, [1.0, 1e39], "not_finite"),
        (FLAGS, [[0, 1], [2, 0]], "range"),
        (FLAGS, [[0, 1], [0.5, 0]], "dtype"),
        (FLAGS, [[0, 1], [math.nan, 0]], "not_finite"),
        (BYTES, [0, 256], "range"),
        (BYTES, np.array([0, -1]), "range"),
        (BYTES, [0.5, 1], "dtype"),
        (BYTES, np.array([True, False]), "dtype"),
        (Discrete(3), 3, "range"),
        (Discrete(3), -1, "range"),
        (Discrete(3), 10**30, "range"),
        (Discrete(3), 1.0, "dtype"),
        (Discrete(3), True, "dtype"),
        (Discrete(3), [1], "shape"),
        (Discrete(3), np.array([1]), "shape"),
        (MultiBinary((2,)), [0, 2], "range"),
        (MultiBinary((2,)), [0, 0.5], "dtype"),
        (MultiDiscrete((2, 2), (0, 0), (2,)), [0, 2], "range"),
        (MultiDiscrete((2, 2), (0, 0), (2,)), [0, 1, 0], "shape"),
        (NESTED, {"z": 1}, "shape"),
        (NESTED, "z", "dtype"),
        (NESTED, {"z": 1, "a": [[1, 2], [0, 1], 3]}, "shape"),
        (NESTED, {"z": 1, "a": [[1, "x"], [0, 1]]}, "dtype"),
    ],
)
def test_mistakes_are_of_four_kinds(space: Space, value: object, kind: str) -> None:
    with pytest.raises(SpaceError) as caught:
        flatten(space, value)
    assert caught.value.kind == kind


def test_the_place_of_a_number_that_is_not_finite_is_told() -> None:
    space = Dict((("camera", Box((0.0,) * 6, (1.0,) * 6, (2, 3))),))
    with pytest.raises(SpaceError) as caught:
        flatten(space, {"camera": [[0, 0, 0], [0, math.inf, 0]]})
    told = "observation.camera: expected finite float32 numbers, got inf at [1, 1]"
    assert str(caught.value) == told


def test_alike_bounds_are_written_once() -> None:
    described = Box((0,) * 3, (0.5, 0.5, math.inf), (3,)).to_json()

    assert (described["low"], described["high"]) == (0, [0.5, 0.5, "inf"])
    image = Box((0,) * 40_000, (255,) * 40_000, (200, 200), "uint8")
    assert len(json.dumps(image.to_json())) < 100
    assert space_from_json(image.to_json()) == image


def test_the_bounds_of_long_integers_keep_every_digit() -> None:
    space = Box((-(2**63), 0), (2**63 - 1, 2**53 + 1), (2,), "int64")

    assert space_from_json(json.loads(json.dumps(space.to_json()))) == space


def test_what_was_read_is_not_the_given_array() -> None:
    given = np.zeros(2, np.float32)
    flat = flatten(BOX, given)
    given[:] = 5

    assert flat.tolist() == [0, 0]


@pytest.mark.parametrize(
    ("space", "value", "message"),
    [
        (BOX, [1.0], "observation: expected a list of 2 numbers, got a list of 1"),
        (BOX, [1.0, [2.0]], "expected a list of 2 numbers, got a list of 1 in it"),
        (BOX, [1.0, "2"], "expected a list of 2 numbers, got '2' (str) in it"),
        (BOX, [1.0, True], "got True (bool) in it"),
        (BOX, [1.0, None], "got None (NoneType) in it"),
        (BOX, 1.0, "got 1.0 (float)"),
        (BOX, {"x": 1}, "got an object with ['x']"),
        (BOX, [1.0, math.nan], "expected finite float32 numbers, got nan"),
        (BOX, [1.0, -math.inf], "got -inf"),
        (BOX, [1.0, 1e39], "expected finite float32 numbers, got 1e+39"),
        (BOX, [1.0, 10**400], "too large"),
        (BOX, np.zeros(3), "got an array of shape (3,) and type float64"),
        (BOX, np.zeros(2, bool), "got an array of shape (2,) and type bool"),
        (BOX, np.array(["a", "b"]), "got an array of shape (2,) and type <U1"),
        (Box((0.0,) * 4, (1.0,) * 4, (2, 2)), [[1, 2], [3]], "numbers of shape (2, 2)"),
        (Discrete(3, 1), 0, "expected an integer from 1 to 3, got 0 (int)"),
        (Discrete(3, 1), 4, "expected an integer from 1 to 3, got 4 (int)"),
        (Discrete(3), 1.0, "expected an integer, got 1.0 (float)"),
        (Discrete(3), True, "expected an integer, got True (bool)"),
        (Discrete(3), [1], "expected an integer, got a list of 1"),
        (Discrete(3), 10**30, "too large"),
        (MultiBinary((2,)), [0, 2], "expected zeros and ones"),
        (MultiDiscrete((2, 2), (0, 0), (2,)), [0, 2], "expected integers from"),
        (NESTED, {"z": 1}, "expected an object with ['z', 'a'], got an object with ['z']"),
        (NESTED, {"z": 1, "a": [[1, 2], [0, 1], 3]}, "observation.a: expected a list of 2"),
        (NESTED, {"z": 1, "a": [[1, "x"], [0, 1]]}, "observation.a[0]: expected"),
    ],
)
def test_a_wrong_observation_is_told(space: Space, value: object, message: str) -> None:
    with pytest.raises(SpaceError) as caught:
        flatten(space, value)
    assert message in str(caught.value)


def test_an_error_in_a_batch_names_the_observation() -> None:
    with pytest.raises(SpaceError, match=r"^observations\[1\]: expected a list of 2 numbers"):
        flatten_batch(BOX, [[1, 2], [3]])


@pytest.mark.parametrize(
    "obj",
    [
        None,
        [],
        {},
        {"type": "sphere"},
        {"type": ["box"]},
        {"type": "discrete", "n": 0, "start": 0},
        {"type": "discrete", "n": True, "start": 0},
        {"type": "discrete", "n": 2},
        {"type": "box", "shape": [2], "dtype": "float32", "low": [0], "high": [1]},
        {"type": "box", "shape": [1], "dtype": "float32", "low": [2], "high": [1]},
        {"type": "box", "shape": [1], "dtype": "object", "low": [0], "high": [1]},
        {"type": "box", "shape": [1], "dtype": "float32", "low": ["-Infinity"], "high": [1]},
        {"type": "box", "shape": [1], "dtype": "float32", "low": [math.nan], "high": [1]},
        {"type": "box", "shape": [1], "dtype": "no such type", "low": [0], "high": [1]},
        {"type": "box", "shape": [-1], "dtype": "float32", "low": [], "high": []},
        {"type": "box", "shape": [1], "dtype": "float32", "low": True, "high": 1},
        {"type": "box", "shape": [0], "dtype": "float32", "low": [], "high": []},
        {"type": "multi_discrete", "nvec": [2], "start": [0, 0], "shape": [1]},
        {"type": "multi_discrete", "nvec": [2], "start": [0], "shape": [1], "dtype": "text"},
        {"type": "tuple", "spaces": 3},
        {"type": "dict", "spaces": [["a"]]},
    ],
)
def test_json_that_is_no_space_is_refused(obj: object) -> None:
    with pytest.raises(SpaceError):
        space_from_json(obj)


def test_what_was_written_before_there_was_a_dtype_is_read() -> None:
    old = {"type": "multi_discrete", "nvec": [2, 3], "start": [0, 1], "shape": [2]}

    assert space_from_json(old) == MultiDiscrete((2, 3), (0, 1), (2,))


def test_an_unknown_gymnasium_space_is_refused_where_it_is() -> None:
    nested = gym.Dict({"a": gym.Tuple([gym.Discrete(2), gym.Sequence(gym.Discrete(2))])})
    with pytest.raises(SpaceError, match=r"^observation space\.a\[1\]: .* got Sequence"):
        space_from_gymnasium(nested, "observation space")


def test_an_unknown_gymnasium_space_is_refused() -> None:
    with pytest.raises(SpaceError, match=r"expected a Box, Discrete, .* got Text"):
        space_from_gymnasium(gym.Text(3))
