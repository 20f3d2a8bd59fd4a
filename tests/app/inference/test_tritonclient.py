"""Triton's own client, as it comes from PyPI, on a server process of its own."""

import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import numpy as np
import pytest
import tritonclient.http as triton
from numpy.typing import NDArray
from tritonclient.utils import InferenceServerException

from mrq_core.spaces import Box, Dict, Discrete
from store.database import Database
from store.processes import stop_with_parent
from store.results import PolicyBundle
from store.settings import Settings
from tests.app.bundles import (
    DISCRETE,
    OBSERVATION,
    PART_WEIGHTS,
    PARTS,
    linear_bundle,
    pixel_bundle,
)
from tests.app.driving import BEARER, KEY, trained_job

GOAL = Dict((("goal", Discrete(2)), ("seen", Box((-9.0,) * 1, (9.0,) * 1, (1,)))))
POLICIES: dict[str, PolicyBundle] = {
    "continuous": linear_bundle(),
    "discrete": linear_bundle(DISCRETE),
    "parts": linear_bundle(PARTS, PART_WEIGHTS),
    "pixels": pixel_bundle(),
    "goal": linear_bundle(
        observations=np.array([[0, 1, 0.5], [1, 0, -2]], np.float32),
        observation_space=GOAL.to_json(),
    ),
}


@pytest.fixture(scope="module")
def address(_migrated_sqlite: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Host and port of a server that has the policies."""
    folder = tmp_path_factory.mktemp("triton")
    shutil.copy(_migrated_sqlite, folder / "mrq.db")
    url = f"sqlite:///{folder / 'mrq.db'}"
    settings = Settings.model_validate({"data_dir": folder, "database_url": url})
    database = Database(url)
    for name, bundle in POLICIES.items():
        trained_job(database, settings, bundle, name=name)
    trained_job(database, settings, name="continuous")
    database.dispose()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        number = listener.fileno()
        process = subprocess.Popen(
            [sys.executable, "-m", "app.serve", "--fd", str(number)],
            env={**os.environ, "MRQ_DATA_DIR": str(folder), "MRQ_API_KEY": KEY},
            pass_fds=[number],
            preexec_fn=stop_with_parent,
        )
        yield f"127.0.0.1:{listener.getsockname()[1]}"
        process.terminate()
        assert process.wait(30) == -signal.SIGTERM  # raised again, after an orderly end


@pytest.fixture
def client(address: str) -> Iterator[triton.InferenceServerClient]:
    client = triton.InferenceServerClient(address, connection_timeout=60, network_timeout=60)
    yield client
    client.close()


def arrays_of(bundle: PolicyBundle) -> dict[str, NDArray[Any]]:
    """The golden observations, as a client has them."""
    rows = np.array(bundle.manifest["golden"]["observations"], np.float32)
    if bundle is POLICIES["goal"]:
        return {"observation.goal": rows[:, :2].argmax(axis=1), "observation.seen": rows[:, 2:]}
    if bundle is POLICIES["pixels"]:
        return {"observation": rows.reshape(len(rows), 2, 3, 40, 36).astype(np.uint8)}
    return {"observation": rows}


def inputs_of(client: Any, name: str, *, binary: bool) -> list[triton.InferInput]:
    """With the datatypes that the server tells."""
    arrays = arrays_of(POLICIES[name])
    model = client.get_model_metadata(name, headers=BEARER)
    told = {each["name"]: each for each in model["inputs"] if each["name"] != "action_mask"}
    assert told.keys() == arrays.keys()
    inputs = []
    for tensor, array in arrays.items():
        assert told[tensor]["shape"] == [-1, *array.shape[1:]]
        given = triton.InferInput(tensor, list(array.shape), told[tensor]["datatype"])
        inputs.append(given.set_data_from_numpy(array, binary_data=binary))
    return inputs


def act(address: str, name: str) -> Any:
    """The same observations over act."""
    observations: Any = arrays_of(POLICIES[name])
    if name == "goal":
        pairs = zip(*(array.tolist() for array in observations.values()), strict=True)
        observations = [{"goal": goal, "seen": seen} for goal, seen in pairs]
    else:
        observations = observations["observation"].tolist()
    url = f"http://{address}/policies/{name}/act"
    answer = httpx2.post(url, json={"observations": observations}, headers=BEARER, timeout=60)
    assert answer.status_code == 200, answer.text
    return answer.json()["actions"]


@pytest.mark.parametrize("name", POLICIES)
def test_it_acts_by_the_golden_pairs_as_act_does(
    client: triton.InferenceServerClient, address: str, name: str
) -> None:
    assert client.is_server_live(headers=BEARER)
    assert client.is_server_ready(headers=BEARER)
    assert client.is_model_ready(name, headers=BEARER)
    golden = np.array(POLICIES[name].manifest["golden"]["actions"])
    acted = np.array(act(address, name))
    for binary in (True, False):
        wanted = [triton.InferRequestedOutput("action", binary_data=binary)]
        inputs = inputs_of(client, name, binary=binary)
        for outputs in (wanted, None):
            answer = client.infer(name, inputs, "1", outputs=outputs, headers=dict(BEARER))
            action = answer.as_numpy("action")
            np.testing.assert_allclose(action, golden, rtol=1e-5, atol=1e-5)
            np.testing.assert_allclose(action, acted, rtol=1e-5, atol=1e-5)
            assert answer.get_response()["model_version"] == "1"


def test_the_server_and_the_models_tell_their_versions(
    client: triton.InferenceServerClient,
) -> None:
    assert "binary_tensor_data" in client.get_server_metadata(headers=BEARER)["extensions"]
    model = client.get_model_metadata("continuous", headers=BEARER)
    assert model["versions"] == ["1", "2"]
    assert model["outputs"] == [{"name": "action", "datatype": "FP32", "shape": [-1, 2]}]
    assert client.is_model_ready("continuous", "2", headers=BEARER)
    assert not client.is_model_ready("continuous", "3", headers=BEARER)
    assert not client.is_model_ready("none", headers=BEARER)
    inputs = inputs_of(client, "continuous", binary=True)
    answer = client.infer("continuous", inputs, request_id="a", headers=dict(BEARER))
    assert answer.get_response()["model_version"] == "2"
    assert answer.get_response()["id"] == "a"


def test_modes_and_masks(client: triton.InferenceServerClient) -> None:
    inputs = inputs_of(client, "parts", binary=True)
    sample = {"mode": "sample", "seed": 5}
    first, again = (
        client.infer("parts", inputs, headers=dict(BEARER), parameters=sample) for _ in range(2)
    )
    assert (first.as_numpy("action") == again.as_numpy("action")).all()
    mask = triton.InferInput("action_mask", [1, 5], "BOOL")
    mask.set_data_from_numpy(np.array([[0, 0, 1, 0, 1]], np.bool_))
    masked = client.infer("parts", [*inputs, mask], headers=dict(BEARER))
    assert masked.as_numpy("action").tolist() == [[2, 1]] * 3


def test_the_client_understands_what_is_wrong(client: triton.InferenceServerClient) -> None:
    flat = triton.InferInput("observation", [OBSERVATION.flat_size], "FP32")
    flat.set_data_from_numpy(np.zeros(3, np.float32))
    with pytest.raises(InferenceServerException, match=r"expected shape \[batch, 3\]") as refused:
        client.infer("continuous", [flat], headers=dict(BEARER))
    assert refused.value.status() == "422"
    with pytest.raises(InferenceServerException, match="No policy 'none' here"):
        client.get_model_metadata("none", headers=BEARER)
    with pytest.raises(InferenceServerException, match="needs the API key"):
        client.get_server_metadata()
