"""`return`: what a client may know beside the action."""

from typing import Any

import numpy as np
import pytest
from starlette.testclient import TestClient

from mrq_core.spaces import MultiDiscrete
from store.database import Database
from store.settings import Settings
from tests.app.bundles import (
    DISCRETE,
    PART_WEIGHTS,
    PARTS,
    WEIGHTS,
    linear_bundle,
)
from tests.app.driving import trained_job

pytestmark = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)

ROWS = np.array([[0.5, -1.0, 0.2], [1.0, 0.0, 0.3]], np.float32)


@pytest.fixture(autouse=True)
def _trained(database: Database, settings: Settings) -> None:
    trained_job(database, settings, name="swing")
    trained_job(database, settings, linear_bundle(DISCRETE), name="choice")
    trained_job(database, settings, linear_bundle(PARTS, PART_WEIGHTS), name="parts")


def act(client: TestClient, reference: str, **body: Any) -> Any:
    body = {"observations": ROWS.tolist(), "return": ["probability"]} | body
    return client.post(f"/policies/{reference}/act", json=body).json()


def softmax(logits: Any) -> Any:
    powers = np.exp(np.asarray(logits, float))
    return powers / powers.sum()


def test_the_probability_of_a_discrete_action(client: TestClient) -> None:
    answer = act(client, "choice")
    expected = [softmax(row @ WEIGHTS)[a] for row, a in zip(ROWS, answer["actions"], strict=True)]
    assert answer["probability"] == pytest.approx(expected, rel=1e-6)
    assert answer["noise"] == [None, None]
    assert "latent" not in answer


def test_it_is_the_sampled_actions_and_under_the_mask(client: TestClient) -> None:
    seen = set()
    for seed in range(8):
        answer = act(client, "choice", mode="sample", seed=seed)
        for row, action, p in zip(ROWS, answer["actions"], answer["probability"], strict=True):
            assert p == pytest.approx(softmax(row @ WEIGHTS)[action], rel=1e-6)
            seen.add(action)
    assert seen == {0, 1}
    assert act(client, "choice", action_mask=[0, 1])["probability"] == [1.0, 1.0]


def test_of_an_action_of_several_parts_it_is_the_product(client: TestClient) -> None:
    assert MultiDiscrete((3, 2), (0, 0), (2,)) == PARTS
    answer = act(client, "parts", observation=ROWS[0].tolist(), observations=None)
    assert answer["code"] == "observation_missing"
    answer = act(client, "parts")
    for row, (first, second), p in zip(ROWS, answer["actions"], answer["probability"], strict=True):
        logits = row @ PART_WEIGHTS
        expected = softmax(logits[:3])[first] * softmax(logits[3:])[second]
        assert p == pytest.approx(expected, rel=1e-6)


def test_a_continuous_action_has_the_noise_instead(client: TestClient) -> None:
    assert act(client, "swing")["noise"] == [None, None]
    answer = act(client, "swing", mode="sample", seed=3)
    assert answer["probability"] == [None, None]
    noisy = np.clip(np.tanh(ROWS @ WEIGHTS) + np.array(answer["noise"]), -1, 1)
    expected = np.array([0.0, 5.0]) + noisy * np.array([2.0, 5.0])
    np.testing.assert_allclose(answer["actions"], expected, atol=1e-5)


def test_one_observation_gives_one_of_each(client: TestClient) -> None:
    body = {"observation": ROWS[0].tolist(), "return": ["probability"]}
    answer = client.post("/policies/choice/act", json=body).json()
    assert answer["probability"] == act(client, "choice")["probability"][0]
    assert answer["noise"] is None


def test_what_cannot_be_returned(client: TestClient) -> None:
    for value in (["value"], "latent", [["latent"]], [1], {"latent": 1}):
        problem = act(client, "swing", **{"return": value})
        assert (problem["code"], problem["param"]) == ("return_unsupported", "return")
    assert act(client, "swing", **{"return": ["latent"]})["code"] == "return_unavailable"
    headers = {"Accept": "application/x-npy"}
    body = {"observation": [0, 0, 0], "return": ["probability"]}
    answer = client.post("/policies/swing/act", json=body, headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (422, "return_needs_json")
