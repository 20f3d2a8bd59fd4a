"""The Open Inference Protocol with every kind of observation and of action."""

from typing import Any

import numpy as np
import pytest
from starlette.testclient import TestClient

from mrq_core.spaces import Box, Dict, Discrete, MultiBinary, MultiDiscrete, Space, Tuple
from store.database import Database
from store.settings import Settings
from tests.app.bundles import (
    linear_bundle,
)
from tests.app.driving import trained_job
from tests.app.inference.asking import acted, actions_of, infer, infer_bytes, tensor

pytestmark = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)

ROWS = np.array([[1, 0, 0], [0.5, -1, 2], [0, 0, 0]], np.float32)
BODY = {"inputs": [tensor("observation", ROWS)]}


ANY = Box((-np.inf,) * 2, (np.inf,) * 2, (2,))
NESTED = Dict(
    (("a", Tuple((ANY, Discrete(3, start=-1)))), ("b", MultiBinary((2,))), ("c", Tuple((ANY, ANY))))
)
NESTED_ARRAYS = {
    "observation.a[0]": np.array([[0.5, -1], [2, 3]], np.float32),
    "observation.a[1]": np.array([-1, 1], np.int64),
    "observation.b": np.array([[0, 1], [1, 1]], np.int8),
    "observation.c": np.array([[[1, 2], [3, 4]], [[5, 6], [7, 8]]], np.float32),
}
KINDS: dict[str, tuple[Space, dict[str, Any], Any]] = {
    "float64": (
        Box((-np.inf,) * 4, (np.inf,) * 4, (2, 2), "float64"),
        {"observation": np.arange(8.0).reshape(2, 2, 2)},
        np.arange(8.0).reshape(2, 2, 2).tolist(),
    ),
    "booleans": (
        Box((0,) * 3, (1,) * 3, (3,), "bool"),
        {"observation": np.array([[True, False, True]])},
        [[True, False, True]],
    ),
    "discrete": (Discrete(4, start=-2), {"observation": np.array([-2, 1])}, [-2, 1]),
    "multi-discrete": (
        MultiDiscrete((3, 2), (1, -1), (2,)),
        {"observation": np.array([[1, -1], [3, 0]])},
        [[1, -1], [3, 0]],
    ),
    "multi-binary": (
        MultiBinary((3,)),
        {"observation": np.array([[1, 0, 1]], np.int8)},
        [[1, 0, 1]],
    ),
    "parts": (
        NESTED,
        NESTED_ARRAYS,
        [
            {"a": [[0.5, -1], -1], "b": [0, 1], "c": [[1, 2], [3, 4]]},
            {"a": [[2, 3], 1], "b": [1, 1], "c": [[5, 6], [7, 8]]},
        ],
    ),
}


def test_every_kind_of_observation(
    client: TestClient, database: Database, settings: Settings
) -> None:
    for kind in KINDS:
        sees(client, database, settings, kind)


def sees(client: TestClient, database: Database, settings: Settings, kind: str) -> None:
    space, arrays, observations = KINDS[kind]
    name, path = f"sees-{kind}", f"/v2/models/sees-{kind}"
    weights = np.random.default_rng(0).normal(size=(space.flat_size, 2)).astype(np.float32)
    golden = np.eye(3, space.flat_size, dtype=np.float32)
    bundle = linear_bundle(weights=weights, observations=golden, observation_space=space.to_json())
    trained_job(database, settings, bundle, name=name)
    told = {each["name"]: each for each in client.get(path).json()["inputs"]}
    for part, array in arrays.items():
        form = tensor(part, array)
        del form["data"]
        assert told.pop(part) == form | {"shape": [-1, *array.shape[1:]]}
    assert not told
    expected = acted(client, observations, name)
    body = {"inputs": [tensor(part, array) for part, array in arrays.items()]}
    assert actions_of(infer(client, body, f"{path}/infer")).tolist() == expected
    assert actions_of(infer_bytes(client, arrays, f"{path}/infer")).tolist() == expected


ACTIONS: tuple[tuple[Space, dict[str, Any]], ...] = (
    (Discrete(2, start=3), {"datatype": "INT64", "shape": [-1]}),
    (MultiBinary((2, 1)), {"datatype": "INT8", "shape": [-1, 2, 1]}),
    (MultiDiscrete((2, 2), (0, 0), (2,), "int32"), {"datatype": "INT32", "shape": [-1, 2]}),
    (Box((0, 0), (9, 9), (2,), "int16"), {"datatype": "INT16", "shape": [-1, 2]}),
    (Box((0, 0), (9, 9), (1, 2), "float64"), {"datatype": "FP64", "shape": [-1, 1, 2]}),
)


def test_every_kind_of_action(client: TestClient, database: Database, settings: Settings) -> None:
    for index, (space, form) in enumerate(ACTIONS):
        width = 2 if isinstance(space, Box | Discrete) else 4
        weights = np.random.default_rng(0).normal(size=(3, width)).astype(np.float32)
        trained_job(database, settings, linear_bundle(space, weights), name=f"does-{index}")
        path = f"/v2/models/does-{index}"
        assert client.get(path).json()["outputs"] == [{"name": "action", **form}]
        expected = acted(client, ROWS.tolist(), f"does-{index}")
        assert actions_of(infer(client, BODY, f"{path}/infer")).tolist() == expected
        in_bytes = infer_bytes(client, {"observation": ROWS}, f"{path}/infer")
        assert actions_of(in_bytes).tolist() == expected
