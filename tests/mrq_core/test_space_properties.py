"""Any space that Gymnasium can nest, there and back, against Gymnasium's own flatten."""

import json
from typing import Any

import numpy as np
from gymnasium import spaces as gym
from hypothesis import given, settings
from hypothesis import strategies as st

from mrq_core.spaces import Dict, Space, Tuple, flatten, space_from_gymnasium, space_from_json

Strategy = st.SearchStrategy[Any]

SHAPES = st.lists(st.integers(1, 3), max_size=3).map(tuple)
FLOATS: Strategy = st.sampled_from([np.float16, np.float32, np.float64])
INTEGERS: Strategy = st.sampled_from(
    [np.int8, np.uint8, np.int16, np.uint16, np.int32, np.uint32, np.int64, np.uint64]
)
ENDS = st.floats(-1000, 1000, width=16) | st.sampled_from([-np.inf, np.inf])


@st.composite
def float_boxes(draw: st.DrawFn) -> Any:
    """Asymmetric, each dimension with its own bounds, some of them infinite or the type's last."""
    shape, dtype = draw(SHAPES), draw(FLOATS)
    size = int(np.prod(shape))
    pairs = draw(st.lists(st.tuples(ENDS, ENDS), min_size=size, max_size=size))
    low = np.array([min(pair) for pair in pairs], dtype).reshape(shape)
    high = np.array([max(pair) for pair in pairs], dtype).reshape(shape)
    # No number lies between infinity and itself.
    low[np.isposinf(low)], high[np.isneginf(high)] = 0, 0
    if draw(st.booleans()):
        high[...] = np.finfo(dtype).max
    return gym.Box(np.minimum(low, high), high, shape, dtype)


@st.composite
def integer_boxes(draw: st.DrawFn) -> Any:
    shape, dtype = draw(SHAPES), draw(INTEGERS)
    limits = np.iinfo(dtype)
    # A quarter of what the type holds: of more, Gymnasium's own sample overflows.
    ends = st.integers(int(limits.min) // 4, int(limits.max) // 4)
    low, high = sorted((draw(ends), draw(ends)))
    return gym.Box(low, high, shape, dtype)


def _boolean_box(shape: tuple[int, ...]) -> Any:
    # Gymnasium takes it, and its annotations do not.
    boolean: Any = np.bool_
    return gym.Box(0, 1, shape, boolean)


@st.composite
def multi_discretes(draw: st.DrawFn) -> Any:
    shape = draw(st.lists(st.integers(1, 3), min_size=1, max_size=2).map(tuple))
    size = int(np.prod(shape))
    nvec, start = (
        np.array(draw(st.lists(st.integers(*ends), min_size=size, max_size=size))).reshape(shape)
        for ends in ((1, 4), (-5, 5))
    )
    return gym.MultiDiscrete(nvec, draw(st.sampled_from(["int8", "int64"])), start=start)


LEAVES: Strategy = st.one_of(
    float_boxes(),
    integer_boxes(),
    SHAPES.map(_boolean_box),
    st.builds(gym.Discrete, st.integers(1, 5), start=st.integers(-5, 5)),
    st.lists(st.integers(1, 3), min_size=1, max_size=2).map(gym.MultiBinary),
    multi_discretes(),
)
ANY_SPACE: Strategy = st.recursive(
    LEAVES,
    lambda parts: (
        st.lists(parts, min_size=1, max_size=3).map(gym.Tuple)
        | st.dictionaries(st.text(max_size=3), parts, min_size=1, max_size=3).map(gym.Dict)
    ),
    max_leaves=5,
)


def as_json(value: Any) -> Any:
    """What a client sends for what the environment gave."""
    if isinstance(value, dict):
        return {key: as_json(part) for key, part in value.items()}
    if isinstance(value, tuple):
        return [as_json(part) for part in value]
    return value.tolist()


def sample(space: Any, seed: int) -> Any:
    space.seed(seed)
    # Of an unbounded or enormous float32 the sample may overflow in Gymnasium.
    with np.errstate(all="ignore"):
        return space.sample()


def fits_float32(flat: Any) -> bool:
    with np.errstate(over="ignore"):
        return bool(np.isfinite(np.asarray(flat, np.float32)).all())


@settings(max_examples=80, deadline=None)
@given(space=ANY_SPACE)
def test_a_space_survives_json(space: Any) -> None:
    ours = space_from_gymnasium(space)

    assert space_from_json(json.loads(json.dumps(ours.to_json(), allow_nan=False))) == ours


@settings(max_examples=150, deadline=None)
@given(space=ANY_SPACE, seed=st.integers(0, 2**31))
def test_a_sample_is_flattened_as_gymnasium_does(space: Any, seed: int) -> None:
    ours = space_from_gymnasium(space)
    value = sample(space, seed)
    theirs: Any = gym.flatten(space, value)
    if not fits_float32(theirs):
        return

    flat = flatten(ours, value)

    assert flat.dtype == np.float32
    assert flat.shape == (ours.flat_size,) == theirs.shape
    assert flat.tolist() == theirs.astype(np.float32).tolist()
    assert flatten(ours, json.loads(json.dumps(as_json(value)))).tolist() == flat.tolist()


@settings(max_examples=40, deadline=None)
@given(space=ANY_SPACE, seed=st.integers(0, 2**31))
def test_a_nested_space_is_its_parts_one_after_the_other(space: Any, seed: int) -> None:
    ours, value = space_from_gymnasium(space), sample(space, seed)
    parts: list[tuple[Space, Any]] = [(ours, value)]
    match ours:
        case Tuple():
            parts = list(zip(ours.spaces, value, strict=True))
        case Dict():
            parts = [(part, value[key]) for key, part in ours.spaces]
    if not fits_float32(gym.flatten(space, value)):
        return

    joined = np.concatenate([flatten(part, each) for part, each in parts])
    assert joined.tolist() == flatten(ours, value).tolist()
