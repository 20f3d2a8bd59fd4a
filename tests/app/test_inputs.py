"""What a client is told to send is what the space takes."""

from typing import Any

import pytest

from app.inputs import what_to_send
from mrq_core.spaces import Box, Dict, Discrete, MultiBinary, MultiDiscrete, Space, Tuple, flatten


def box(shape: tuple[int, ...], dtype: str) -> Box:
    size = 1
    for length in shape:
        size *= length
    return Box((0,) * size, (1,) * size, shape, dtype)


@pytest.mark.parametrize(
    ("space", "said", "observation"),
    [
        (box((), "float32"), "a number", 0.5),
        (box((2,), "float32"), "a list of 2 numbers", [0.5, 0.5]),
        (box((2, 1), "float64"), "2 x 1 numbers, as nested lists", [[0.5], [0.5]]),
        (box((), "int8"), "a whole number", 1),
        (box((2,), "int64"), "a list of 2 whole numbers", [0, 1]),
        (box((1, 2), "uint8"), "1 x 2 whole numbers, as nested lists", [[0, 1]]),
        (box((), "bool"), "true or false", True),
        (box((2,), "bool"), "a list of 2 values, each true or false", [True, False]),
        (
            box((1, 2), "bool"),
            "1 x 2 values, each true or false, as nested lists",
            [[True, False]],
        ),
        (Discrete(3, 5), "an integer from 5 to 7", 7),
        (MultiBinary((3,)), "a list of 3 zeros and ones", [0, 1, 1]),
        (
            MultiBinary((2, 3)),
            "2 x 3 zeros and ones, as nested lists",
            [[0, 1, 1], [0, 0, 1]],
        ),
        (MultiDiscrete((2, 3), (0, 1), (2,)), "a list of 2 integers", [1, 3]),
        (
            MultiDiscrete((2,) * 4, (0,) * 4, (2, 2)),
            "2 x 2 integers, as nested lists",
            [[0, 1], [1, 0]],
        ),
        (
            Tuple((Discrete(2), box((1,), "float32"))),
            "a list of 2: an integer from 0 to 1; a list with a number",
            [1, [0.5]],
        ),
        (
            Dict((("b", Discrete(2)), ("a", MultiBinary((1,))))),
            "an object with b: an integer from 0 to 1; a: a list with a zero or one",
            {"a": [0], "b": 1},
        ),
    ],
)
def test_every_kind_of_space(space: Space, said: str, observation: Any) -> None:
    assert what_to_send({"observation_space": space.to_json()}) == f"{said}."
    flatten(space, observation)
