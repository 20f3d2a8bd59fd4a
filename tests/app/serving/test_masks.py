"""`action_mask` of `POST /policies/{reference}/act`."""

from typing import Any

import pytest
from starlette.testclient import TestClient

from mrq_core.spaces import MultiBinary
from store.database import Database
from store.settings import Settings
from tests.app.bundles import DISCRETE, PART_WEIGHTS, PARTS, WEIGHTS, linear_bundle
from tests.app.driving import trained_job

pytestmark = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)

# Logits of the policy "choice": [0.5, -1], so action 0. Of "parts": [1, 0.5, 0], [0, 1].
LEFT: dict[str, Any] = {"observation": [1, 0, 0]}


@pytest.fixture(autouse=True)
def _trained(database: Database, settings: Settings) -> None:
    trained_job(database, settings, linear_bundle(DISCRETE), name="choice")
    trained_job(database, settings, linear_bundle(PARTS, PART_WEIGHTS), name="parts")


def act(client: TestClient, body: dict[str, Any], reference: str = "choice") -> Any:
    return client.post(f"/policies/{reference}/act", json=body).json()


@pytest.mark.parametrize(
    ("mask", "action"),
    [
        (None, 0),
        ([1, 1], 0),
        ([1, 0], 0),
        ([0, 1], 1),
        ([False, True], 1),
        ([False, 1], 1),
    ],
)
def test_only_what_is_allowed_is_chosen(client: TestClient, mask: Any, action: int) -> None:
    assert act(client, LEFT | {"action_mask": mask})["action"] == action


def test_every_part_of_an_action_has_its_own_choice(client: TestClient) -> None:
    assert act(client, LEFT, "parts")["action"] == [0, 1]
    assert act(client, LEFT | {"action_mask": [0, 1, 1, 1, 1]}, "parts")["action"] == [1, 1]
    assert act(client, LEFT | {"action_mask": [0, 0, 1, 1, 0]}, "parts")["action"] == [2, 0]


def test_flags_are_parts_of_two_choices(
    client: TestClient, database: Database, settings: Settings
) -> None:
    weights = PART_WEIGHTS[:, :4]  # logits [1, 0.5] and [0, 0]: a tie is off
    trained_job(database, settings, linear_bundle(MultiBinary((2,)), weights), name="flags")
    assert act(client, LEFT, "flags")["action"] == [0, 0]
    assert act(client, LEFT | {"action_mask": [0, 1, 1, 1]}, "flags")["action"] == [1, 0]
    assert client.get("/policies/flags").json()["action_mask_size"] == 4


def test_a_batch_takes_one_mask_for_all_or_one_each(client: TestClient) -> None:
    both = {"observations": [[1, 0, 0], [0, 0, 1]]}  # without a mask: 0 and 1
    assert act(client, both)["actions"] == [0, 1]
    assert act(client, both | {"action_mask": [0, 1]})["actions"] == [1, 1]
    assert act(client, both | {"action_mask": [[0, 1], [1, 0]]})["actions"] == [1, 0]
    one = {"observations": [[1, 0, 0]]}
    assert act(client, one | {"action_mask": [[0, 1]]})["actions"] == [1]
    assert act(client, one | {"action_mask": [0, 1]})["actions"] == [1]


def test_masks_of_one_batch_do_not_touch_another_request(client: TestClient) -> None:
    assert act(client, LEFT | {"action_mask": [0, 1]})["action"] == 1
    assert act(client, LEFT)["action"] == 0


def test_a_draw_is_of_what_is_allowed_too(client: TestClient) -> None:
    many = {"observations": [[0, 0, 0]] * 200, "mode": "sample"}
    assert set(act(client, many)["actions"]) == {0, 1}
    assert set(act(client, many | {"action_mask": [0, 1]})["actions"]) == {1}
    drawn = act(client, many | {"action_mask": [1, 1, 0, 0, 1]}, "parts")["actions"]
    assert {tuple(action) for action in drawn} == {(0, 1), (1, 1)}


def test_a_seed_draws_the_same_with_a_mask_that_allows_it(client: TestClient) -> None:
    for seed in range(8):
        asked = {"observation": [0, 0, 0], "mode": "sample", "seed": seed}
        action = act(client, asked)["action"]
        mask = [1, 0] if action == 0 else [0, 1]
        assert act(client, asked | {"action_mask": [1, 1]})["action"] == action
        assert act(client, asked | {"action_mask": mask})["action"] == action
        assert act(client, asked | {"action_mask": mask[::-1]})["action"] == 1 - action


PAIR = [[1, 0, 0], [0, 0, 1]]


@pytest.mark.parametrize(
    ("reference", "body", "code", "param"),
    [
        ("choice", LEFT | {"action_mask": [0, 0]}, "mask_all_false", "action_mask"),
        ("parts", LEFT | {"action_mask": [1, 1, 1, 0, 0]}, "mask_all_false", "action_mask"),
        ("choice", LEFT | {"action_mask": [1]}, "mask_shape_mismatch", "action_mask"),
        ("choice", LEFT | {"action_mask": []}, "mask_shape_mismatch", "action_mask"),
        ("choice", LEFT | {"action_mask": 1}, "mask_shape_mismatch", "action_mask"),
        ("choice", LEFT | {"action_mask": {"a": 1}}, "mask_shape_mismatch", "action_mask"),
        ("choice", LEFT | {"action_mask": [[1, 1]]}, "mask_shape_mismatch", "action_mask"),
        ("choice", LEFT | {"action_mask": [[1], 1]}, "mask_shape_mismatch", "action_mask"),
        ("parts", LEFT | {"action_mask": [[1, 1, 1], [1, 1]]}, "mask_shape_mismatch", None),
        ("choice", LEFT | {"action_mask": [1, 2]}, "mask_dtype", "action_mask"),
        ("choice", LEFT | {"action_mask": [1, 1.0]}, "mask_dtype", "action_mask"),
        ("choice", LEFT | {"action_mask": [1, "1"]}, "mask_dtype", "action_mask"),
        ("choice", LEFT | {"action_mask": [1, None]}, "mask_dtype", "action_mask"),
        ("choice", {"observations": PAIR, "action_mask": [1]}, "mask_shape_mismatch", None),
        ("choice", {"observations": PAIR, "action_mask": [[1, 1]]}, "mask_shape_mismatch", None),
        ("choice", {"observations": PAIR, "action_mask": []}, "mask_shape_mismatch", None),
        (
            "choice",
            {"observations": PAIR, "action_mask": [[1, 1], [0, 0]]},
            "mask_all_false",
            "action_mask[1]",
        ),
        (
            "choice",
            {"observations": PAIR, "action_mask": [[1, 1], 1]},
            "mask_shape_mismatch",
            "action_mask[1]",
        ),
    ],
)
def test_a_mask_that_does_not_fit(
    client: TestClient, reference: str, body: dict[str, Any], code: str, param: str | None
) -> None:
    answer = client.post(f"/policies/{reference}/act", json=body)
    problem = answer.json()
    assert (answer.status_code, problem["code"]) == (422, code)
    assert problem["param"] == param or param is None
    assert problem["expected"]
    assert problem["got"]


def test_a_mask_nested_as_deep_as_a_client_likes(client: TestClient) -> None:
    nested = b"[" * 900 + b"]" * 900
    body = b'{"observation": [1, 0, 0], "action_mask": ' + nested + b"}"
    answer = client.post(
        "/policies/choice/act", content=body, headers={"Content-Type": "application/json"}
    )
    assert (answer.status_code, answer.json()["code"]) == (422, "mask_shape_mismatch")


def test_continuous_actions_take_none(
    client: TestClient, database: Database, settings: Settings
) -> None:
    trained_job(database, settings, name="swing")
    answer = client.post("/policies/swing/act", json=LEFT | {"action_mask": [1, 1]})
    assert (answer.status_code, answer.json()["code"]) == (422, "mask_unsupported")
    assert act(client, LEFT | {"action_mask": None}, "swing")["action"]
    assert client.get("/policies/swing").json()["action_mask_size"] is None
    assert client.get("/policies/choice").json()["action_mask_size"] == WEIGHTS.shape[1]
