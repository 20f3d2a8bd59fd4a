import math

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from mrq_core.actions import action_codec, action_dim, from_environment, to_environment
from mrq_core.spaces import Box, Discrete, MultiBinary, Space, SpaceError

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


@given(low=finite, width=st.floats(0, 1e6, width=32), network=st.floats(-1, 1, width=32))
def test_round_trip_of_a_continuous_action(low: float, width: float, network: float) -> None:
    high = float(np.float32(low + width))
    assume(high - low > 1e-3 * max(1.0, abs(low)))
    space = Box((low,), (high,), (1,))

    environment = to_environment(space, np.array([[network]], np.float32))[0]

    assert low <= environment[0] <= high
    resolution = float(np.spacing(np.float32(max(abs(low), abs(high), 1.0)))) / (high - low)
    assert from_environment(space, environment)[0] == pytest.approx(network, abs=4 * resolution)


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
        (Box((0.0,), (3.0,), (1,), "int64"), "expected a Box of floats"),
        (MultiBinary((2,)), "expected a Box or Discrete action space"),
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
