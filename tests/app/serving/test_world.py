"""What a policy's model is asked: values beside an action, and imagined sequences."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from starlette.testclient import TestClient

from app.serving.details import MAX_PAIRS
from app.serving.imagining import MAX_ACTIONS, MAX_LENGTH
from mrq_core.actions import action_codec
from mrq_core.config import PRESETS
from mrq_core.spaces import Space
from mrq_core.world_model import Prediction
from store.database import Database
from store.settings import Settings
from tests.app.bundles import CONTINUOUS, DISCRETE, PARTS, linear_bundle
from tests.app.driving import trained_job
from tests.app.learned import HORIZON, Learned, learned, rows

pytestmark = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)

MODEL = ["q", "reward", "termination"]


def put(database: Database, settings: Settings, space: Space) -> Learned:
    made = learned(space)
    trained_job(database, settings, made.bundle, name="swing")
    return made


def act(client: TestClient, **body: Any) -> Any:
    return client.post("/policies/swing/act", json=body).json()


def predicted(made: Learned, states: NDArray[Any], actions: NDArray[Any]) -> Prediction:
    """`actions`: the network's."""
    zs = made.policy.encode(states).detach()
    return made.policy.model.predict(zs, torch.from_numpy(actions))


def network(space: Space, actions: Any) -> NDArray[np.float32]:
    codec = action_codec(space)
    return np.stack([codec.from_environment(action) for action in actions])


@pytest.mark.parametrize("space", [CONTINUOUS, DISCRETE, PARTS], ids=["box", "discrete", "parts"])
def test_an_answer_tells_what_torch_says_of_the_action(
    client: TestClient, database: Database, settings: Settings, space: Space
) -> None:
    made, states = put(database, settings, space), rows(5)
    answer = act(client, observations=states.tolist(), **{"return": MODEL})
    told = predicted(made, states, network(space, answer["actions"]))

    heads = [[each["q1"], each["q2"]] for each in answer["q"]]
    np.testing.assert_allclose(heads, told.q, rtol=1e-4, atol=1e-5)
    assert [each["min"] for each in answer["q"]] == [min(pair) for pair in heads]
    np.testing.assert_allclose(answer["reward"], told.reward[:, 0], rtol=1e-4, atol=1e-4)
    expected = told.termination[:, 0].clamp(0, 1)
    np.testing.assert_allclose(answer["termination"], expected, rtol=1e-4, atol=1e-5)
    for index, state in enumerate(states):
        alone = act(client, observation=state.tolist(), **{"return": MODEL})
        assert {name: alone[name] for name in MODEL} == {n: answer[n][index] for n in MODEL}


def test_a_discrete_policy_tells_the_value_of_each_choice(
    client: TestClient, database: Database, settings: Settings
) -> None:
    made, states = put(database, settings, DISCRETE), rows(3)
    answer = act(client, observations=states.tolist(), **{"return": ["q"]})
    for choice in range(2):
        taken = np.eye(2, dtype=np.float32)[[choice] * 3]
        least = predicted(made, states, taken).q.min(dim=1).values
        told = [each["per_action"][choice] for each in answer["q"]]
        np.testing.assert_allclose(told, least, rtol=1e-4, atol=1e-5)
    for action, each in zip(answer["actions"], answer["q"], strict=True):
        assert each["per_action"][action] == each["min"]
    assert "reward" not in answer


def test_actions_of_several_parts_have_no_value_of_each(
    client: TestClient, database: Database, settings: Settings
) -> None:
    put(database, settings, PARTS)
    assert "per_action" not in act(client, observation=[0, 0, 0], **{"return": ["q"]})["q"]


def test_too_many_values_at_once_are_refused(
    client: TestClient, database: Database, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(database, settings, DISCRETE)
    monkeypatch.setattr("app.serving.details.MAX_PAIRS", 8)
    assert MAX_PAIRS > 256
    enough = act(client, observations=rows(4).tolist(), **{"return": ["q"]})
    assert len(enough["q"]) == 4
    problem = act(client, observations=rows(5).tolist(), **{"return": ["q"]})
    assert (problem["status"], problem["code"]) == (422, "return_too_large")
    assert "10 values" in problem["detail"]


def imagine(client: TestClient, sequences: Any, observation: Any = (0.5, -1.0, 0.2)) -> Any:
    body = {"observation": list(observation), "sequences": sequences}
    return client.post("/policies/swing/imagine", json=body).json()


def unrolled(made: Learned, space: Space, observation: Any, sequence: Any) -> dict[str, Any]:
    """By torch, one step after the other."""
    zs = made.policy.encode(np.array([observation], np.float32)).detach()
    told: dict[str, list[float]] = {"rewards": [], "terminations": [], "values": []}
    for action in sequence:
        outcome = made.policy.model.predict(zs, torch.from_numpy(network(space, [action])))
        told["rewards"].append(outcome.reward.item())
        told["terminations"].append(min(max(outcome.termination.item(), 0.0), 1.0))
        told["values"].append(outcome.q.min().item())
        zs = outcome.next_zs
    total, lives = 0.0, 1.0
    for step, (reward, ends) in enumerate(
        zip(told["rewards"][:-1], told["terminations"][:-1], strict=True)
    ):
        total += lives * reward * made.bundle.manifest["model"]["discount"] ** step
        lives *= 1 - ends
    discount = made.bundle.manifest["model"]["discount"] ** (len(sequence) - 1)
    return told | {"return_estimate": total + lives * told["values"][-1] * discount}


@pytest.mark.parametrize(
    ("space", "sequences"),
    [
        (CONTINUOUS, [[[0.5, 3.0], [-2.0, 0.0], [1.0, 10.0]], [[0.0, 5.0]] * 3]),
        (DISCRETE, [[0, 1], [1, 1], [1, 0]]),
        (PARTS, [[[2, 1]], [[0, 0]]]),
    ],
    ids=["box", "discrete", "parts"],
)
def test_sequences_are_unrolled_as_torch_does(
    client: TestClient, database: Database, settings: Settings, space: Space, sequences: Any
) -> None:
    made = put(database, settings, space)
    answer = imagine(client, sequences)
    for sequence, told in zip(sequences, answer["predictions"], strict=True):
        expected = unrolled(made, space, (0.5, -1.0, 0.2), sequence)
        for name, values in expected.items():
            np.testing.assert_allclose(told[name], values, rtol=1e-3, atol=1e-4, err_msg=name)
    estimates = [each["return_estimate"] for each in answer["predictions"]]
    assert answer["best"] == estimates.index(max(estimates))


def test_longer_sequences_than_trained_are_flagged(
    client: TestClient, database: Database, settings: Settings
) -> None:
    put(database, settings, DISCRETE)
    assert imagine(client, [[0] * HORIZON])["beyond_trained_horizon"] is False
    longer = imagine(client, [[0] * (HORIZON + 1)])
    assert (longer["trained_horizon"], longer["beyond_trained_horizon"]) == (HORIZON, True)
    assert longer["discount"] == PRESETS["small"].discount


@pytest.mark.parametrize(
    ("sequences", "code", "param"),
    [
        ([[0], [0, 1]], "sequence_ragged", "sequences[1]"),
        ([[0], 1], "sequence_ragged", "sequences[1]"),
        ([0], "sequence_ragged", "sequences[0]"),
        ([[]], "sequence_length", "sequences"),
        ([[0] * (MAX_LENGTH + 1)], "sequence_length", "sequences"),
        ([[0] * MAX_LENGTH] * (MAX_ACTIONS // MAX_LENGTH + 1), "sequence_length", "sequences"),
        ([[0, 2]], "action_invalid", "sequences[0][1]"),
        ([[0], ["1"]], "action_invalid", "sequences[1][0]"),
        ([[0.5]], "action_invalid", "sequences[0][0]"),
    ],
)
def test_sequences_that_are_none_are_refused(
    client: TestClient,
    database: Database,
    settings: Settings,
    sequences: Any,
    code: str,
    param: str,
) -> None:
    put(database, settings, DISCRETE)
    problem = imagine(client, sequences)
    assert (problem["status"], problem["code"], problem["param"]) == (422, code, param)


def test_other_mistakes_have_their_words(
    client: TestClient, database: Database, settings: Settings
) -> None:
    put(database, settings, DISCRETE)
    assert imagine(client, [[0]], [0.0, 0.0])["code"] == "observation_shape_mismatch"
    far = imagine(client, [[0]], [3e38, 3e38, 3e38])
    assert far["code"] == "observation_out_of_range"
    for sequences in ([], [[0]] * 257, {"0": [0]}):
        assert imagine(client, sequences)["status"] == 422
    assert (
        client.post(
            "/policies/nobody/imagine", json={"observation": [0], "sequences": [[0]]}
        ).status_code
        == 404
    )


def test_a_policy_without_a_model_says_so(
    client: TestClient, database: Database, settings: Settings
) -> None:
    trained_job(database, settings, linear_bundle(DISCRETE), name="swing")
    assert act(client, observation=[0, 0, 0], **{"return": ["q"]})["code"] == "return_unavailable"
    assert imagine(client, [[0]])["code"] == "return_unavailable"
    # As after a downgrade, which leaves the manifest.
    trained_job(database, settings, replace(learned(DISCRETE).bundle, model=None), name="swing")
    assert act(client, observation=[0, 0, 0], **{"return": ["q"]})["code"] == "return_unavailable"


@pytest.mark.parametrize("what", ["sha256", "q", "next_q", "reward", "termination"])
def test_a_model_that_predicts_otherwise_than_in_training_is_not_served(
    client: TestClient, database: Database, settings: Settings, what: str
) -> None:
    bundle = learned(DISCRETE).bundle
    told = bundle.manifest["model"]
    if what == "sha256":
        told = told | {"sha256": "0" * 64}
    else:
        golden = np.array(told["golden"][what])
        golden[-1] += 1e-3 * max(1.0, np.abs(golden).max())
        told = told | {"golden": told["golden"] | {what: golden.tolist()}}
    broken = replace(bundle, manifest=bundle.manifest | {"model": told})
    trained_job(database, settings, broken, name="swing")
    problem = act(client, observation=[0, 0, 0], **{"return": ["q"]})
    assert (problem["status"], problem["code"]) == (409, "policy_failed_golden_check")
    assert "action" in act(client, observation=[0, 0, 0])  # acting goes on


def test_models_count_towards_the_memory_and_leave_with_their_policies(
    client: TestClient, database: Database, settings: Settings
) -> None:
    made = put(database, settings, DISCRETE)
    trained_job(database, settings, made.bundle, name="other")
    app: Any = client.app
    policies = app.state.policies
    model = len(made.bundle.model or b"")
    policies._memory._budget_bytes = 2 * len(made.bundle.onnx) + model
    for name in ("swing", "other"):
        body = {"observation": [0, 0, 0]}
        assert client.post(f"/policies/{name}/act", json=body).status_code == 200
    assert len(policies) == 2
    assert "q" in act(client, observation=[0, 0, 0], **{"return": ["q"]})
    assert len(policies) == 2
    other = {"observation": [0, 0, 0], "return": ["q"]}
    assert "q" in client.post("/policies/other/act", json=other).json()
    assert len(policies) == 1
    assert len(policies._memory.worlds) == 1
