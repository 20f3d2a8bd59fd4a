"""Requests of the Open Inference Protocol, written by hand."""

import json
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from starlette.testclient import TestClient

HEADER = "Inference-Header-Content-Length"
DATATYPES = {
    "bool": "BOOL",
    **{f"uint{bits}": f"UINT{bits}" for bits in (8, 16, 32, 64)},
    **{f"int{bits}": f"INT{bits}" for bits in (8, 16, 32, 64)},
    **{f"float{bits}": f"FP{bits}" for bits in (16, 32, 64)},
}


def tensor(name: str, array: NDArray[Any]) -> dict[str, Any]:
    form = {"name": name, "shape": list(array.shape), "datatype": DATATYPES[str(array.dtype)]}
    return form | {"data": array.reshape(-1).tolist()}


def infer(client: TestClient, body: Any, path: str = "/v2/models/swing/infer") -> Any:
    return client.post(path, json=body)


def infer_bytes(
    client: TestClient,
    arrays: Mapping[str, NDArray[Any]],
    path: str = "/v2/models/swing/infer",
    **more: Any,
) -> Any:
    inputs = []
    for name, array in arrays.items():
        form = tensor(name, array)
        del form["data"]
        inputs.append(form | {"parameters": {"binary_data_size": array.nbytes}})
    head = json.dumps({"inputs": inputs, **more}).encode()
    content = head + b"".join(array.tobytes() for array in arrays.values())
    headers = {HEADER: str(len(head)), "Content-Type": "application/octet-stream"}
    return client.post(path, content=content, headers=headers)


def actions_of(answer: Any) -> NDArray[Any]:
    assert answer.status_code == 200, answer.text
    size = answer.headers.get(HEADER)
    head = answer.content if size is None else answer.content[: int(size)]
    (output,) = json.loads(head)["outputs"]
    assert output["name"] == "action"
    dtype = next(dtype for dtype, name in DATATYPES.items() if name == output["datatype"])
    if size is None:
        return np.array(output["data"], dtype).reshape(output["shape"])
    assert len(answer.content) - int(size) == output["parameters"]["binary_data_size"]
    return np.frombuffer(answer.content[int(size) :], dtype).reshape(output["shape"])


def acted(client: TestClient, observations: Any, policy: str = "swing", **more: Any) -> Any:
    answer = client.post(f"/policies/{policy}/act", json={"observations": observations, **more})
    assert answer.status_code == 200, answer.text
    return answer.json()["actions"]
