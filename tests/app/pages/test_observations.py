from typing import Any

import numpy as np
import pytest

from app.pages.observations import example_observation
from mrq_core.spaces import flatten, space_from_json

BOX = {"type": "box", "shape": [2], "dtype": "float32", "low": [-1, -1], "high": [1, 1]}


@pytest.mark.parametrize(
    ("space", "flat", "observation"),
    [
        (BOX, [0.5, -0.25], [0.5, -0.25]),
        (
            {"type": "box", "shape": [2, 2], "dtype": "uint8", "low": [0] * 4, "high": [9] * 4},
            [1, 2, 3, 4],
            [[1, 2], [3, 4]],
        ),
        (
            {"type": "box", "shape": [], "dtype": "float32", "low": [0], "high": [1]},
            [0.5],
            0.5,
        ),
        ({"type": "discrete", "n": 3, "start": 5}, [0, 1, 0], 6),
        ({"type": "multi_binary", "shape": [3]}, [1, 0, 1], [1, 0, 1]),
        (
            {"type": "multi_discrete", "nvec": [2, 3], "start": [0, 1], "shape": [2]},
            [0, 1, 1, 0, 0],
            [1, 1],
        ),
        (
            {"type": "tuple", "spaces": [{"type": "discrete", "n": 2, "start": 0}, BOX]},
            [1, 0, 0.5, 0.5],
            [0, [0.5, 0.5]],
        ),
        (
            {
                "type": "dict",
                "spaces": [["b", BOX], ["a", {"type": "discrete", "n": 2, "start": 0}]],
            },
            [0.5, 0.5, 0, 1],
            {"b": [0.5, 0.5], "a": 1},
        ),
    ],
)
def test_an_example_is_what_act_takes(
    space: dict[str, Any], flat: list[float], observation: object
) -> None:
    example = example_observation(space, flat)
    assert example == observation
    np.testing.assert_array_equal(flatten(space_from_json(space), example), flat)
