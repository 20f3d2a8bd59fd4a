"""What a resolved spec says of the environment and of what surrounds it."""

from dataclasses import replace
from typing import Any, cast

import pytest

from store.catalogue import CATALOGUE
from store.spec import JobSpec
from tests.store.specs import made, mode_of, refusal, whole


@pytest.mark.parametrize("environment_id", CATALOGUE)
def test_a_resolved_spec_of_every_environment_may_be_posted_again(environment_id: str) -> None:
    spec = made(environment=whole(environment_id), algorithm={"mode": mode_of(environment_id)})
    assert JobSpec.model_validate(spec.to_json()) == spec


@pytest.mark.parametrize(
    ("asked", "history", "observation"),
    [
        ({"id": "Pendulum-v1", "history": 2}, 2, {"kind": "vector", "shape": [6]}),
        ({"id": "CarRacing-v3"}, 4, {"kind": "pixels", "shape": [12, 96, 96]}),
        ({"id": "CarRacing-v3", "history": 1}, 1, {"kind": "pixels", "shape": [3, 96, 96]}),
        ({"id": "mrq/Catch-v0", "history": None}, 4, {"kind": "pixels", "shape": [4, 42, 42]}),
        ({"id": "Blackjack-v1", "observation": None}, 1, {"kind": "vector", "shape": [45]}),
    ],
)
def test_how_observations_reach_the_network_is_resolved(
    asked: dict[str, Any], history: int, observation: dict[str, Any]
) -> None:
    environment = made(environment=asked).to_json()["environment"]
    assert (environment["history"], environment["observation"]) == (history, observation)


def test_images_too_small_for_the_convolutions_are_shown_as_vectors(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    entry = replace(
        CATALOGUE["Pendulum-v1"], id="Planes-v0", observation_kind="vector", frame_shape=(400,)
    )
    monkeypatch.setitem(cast(dict[str, Any], CATALOGUE), "Planes-v0", entry)
    environment = made(environment={"id": "Planes-v0", "kwargs": {}}).to_json()["environment"]
    assert environment["observation"] == {"kind": "vector", "shape": [400]}


@pytest.mark.parametrize(
    "changes",
    [
        {"id": "CartPole-v1", "kwargs": {}},
        {"history": 2},
        {"observation": {"kind": "pixels", "shape": [3]}},
        {"observation": {"kind": "vector", "shape": [4]}},
    ],
)
def test_an_observation_that_does_not_fit_is_refused(changes: dict[str, Any]) -> None:
    cloned = made().to_json()["environment"] | changes
    path, message = refusal({"environment": cloned})
    assert path == "environment.observation"
    assert "is not how" in message
    assert "leave it out" in message


@pytest.mark.parametrize(
    ("asked", "steps"),
    [
        ({}, 200),
        ({"action_repeat": 4}, 50),
        ({"action_repeat": 3}, 66),  # 200 / 3: not beyond the environment's own limit
        ({"action_repeat": 64}, 3),
        ({"action_repeat": 4, "max_episode_steps": 1000}, 1000),
        ({"max_episode_steps": None}, 200),
    ],
)
def test_the_time_limit_is_resolved_in_agent_steps(asked: dict[str, Any], steps: int) -> None:
    spec = made(environment={"id": "Pendulum-v1"} | asked)
    assert spec.environment.max_episode_steps == steps


def test_one_action_may_not_outlast_the_own_time_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    entry = replace(CATALOGUE["Pendulum-v1"], max_episode_steps=5)
    monkeypatch.setitem(cast(dict[str, Any], CATALOGUE), "Pendulum-v1", entry)

    def limit(**asked: Any) -> int | None:
        return made(environment={"id": "Pendulum-v1"} | asked).environment.max_episode_steps

    assert limit(action_repeat=5) == 1
    assert limit(action_repeat=6, max_episode_steps=1) == 1
    path, message = refusal({"environment": {"id": "Pendulum-v1", "action_repeat": 6}})
    assert path == "environment.action_repeat"
    assert "action_repeat=6" in message
    assert "5 steps" in message
    assert "max_episode_steps" in message


def test_a_namespace_of_an_environment_makes_a_name_that_is_allowed() -> None:
    spec = made(environment={"id": "mrq/Catch-v0"})
    assert spec.name == "mrq-catch-v0-mrq"
    assert made(environment={"id": "mrq/Catch-v0"}, name=spec.name) == spec


@pytest.mark.parametrize(
    ("asked", "resolved"),
    [({}, True), ({"limit_terminates": None}, True), ({"limit_terminates": False}, False)],
)
def test_whether_its_limit_is_a_termination_follows_from_the_catalogue(
    asked: dict[str, Any], resolved: bool
) -> None:
    spec = made(environment={"id": "glucosim/BasalControl-v0"} | asked)
    assert spec.environment.limit_terminates is resolved
    assert made(environment={"id": "Pendulum-v1"} | asked).environment.limit_terminates is False


def test_a_benchmark_is_evaluated_by_its_own_protocol_unless_asked_otherwise() -> None:
    pong = {"id": "Atari/Pong-v5"}
    assert made(environment=pong).evaluation.epsilon == 0.001
    assert made(environment=pong, evaluation={"epsilon": 0.0}).evaluation.epsilon == 0.0
    assert made(evaluation={"epsilon": 0}).evaluation.epsilon == 0.0
    path, message = refusal({"evaluation": {"epsilon": 0.1}})
    assert path == "evaluation.epsilon"
    assert "continuous; allowed: 0" in message
    assert refusal({"environment": pong, "evaluation": {"epsilon": 1.1}})[0] == "evaluation.epsilon"


def test_an_id_that_is_not_there_is_answered_with_those_near_it() -> None:
    path, message = refusal({"environment": {"id": "ALE/Pong-v5"}})
    assert path == "environment.id"
    assert "Atari/Pong-v5" in message
    assert "GET /environments" in message
